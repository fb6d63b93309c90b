package kube

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// process names a process in the world, so that one that was started in the place of another can see that the other is
// dead. Parts that the system does not tell are empty, and then nothing is concluded.
type process struct {
	host    string // for people
	machine string // one start of a kernel
	space   string // namespace of process ids
	pid     int
	started string // when, in ticks since the machine's start
	boot    string
}

const processParts = 6

func thisProcess(boot string) process {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	p := process{host: host, pid: os.Getpid(), boot: boot}
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		p.machine = strings.TrimSpace(string(id))
	}
	if link, err := os.Readlink("/proc/self/ns/pid"); err == nil { // pid:[4026531836]
		p.space = strings.Trim(strings.TrimPrefix(link, "pid:"), "[]")
	}
	p.started = startOf(p.pid)
	return p
}

// String is what a lease says of its holder.
func (p process) String() string {
	return strings.Join([]string{p.host, p.machine, p.space, strconv.Itoa(p.pid), p.started, p.boot}, "_")
}

func parseProcess(s string) (process, error) {
	parts := strings.Split(s, "_")
	if len(parts) != processParts {
		return process{}, fmt.Errorf("%q does not name a process", s)
	}
	pid, err := strconv.Atoi(parts[3])
	if err != nil || pid <= 0 {
		return process{}, fmt.Errorf("%q has no process id", s)
	}
	return process{host: parts[0], machine: parts[1], space: parts[2], pid: pid, started: parts[4], boot: parts[5]}, nil
}

// sees reports whether the other's process id means the same here.
func (p process) sees(other process) bool {
	return p.machine != "" && p.machine == other.machine && p.space != "" && p.space == other.space
}

// isDead reports whether a process of this machine and namespace is certain to have ended: there is none with its id, or
// one that was started at another time.
func (p process) isDead() bool {
	if syscall.Kill(p.pid, 0) == syscall.ESRCH {
		return true
	}
	started := startOf(p.pid)
	return p.started != "" && started != "" && started != p.started
}

// startOf returns when a process was started; empty if it cannot be told.
func startOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	const starttime = 22 - 3                                                        // the fields after the name, which is in brackets and may hold anything
	fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:])) // from the third on
	if len(fields) <= starttime {
		return ""
	}
	return fields[starttime]
}
