// Command testenv runs a command with real servers around it: PostgreSQL, Redis and Kubernetes control planes, private,
// in temporary folders, ended with the command. The environment variables of package testenv say where they are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "testenv:", err)
	}
	os.Exit(code)
}

// run returns the command's exit code, or 1 and an error if it could not be run.
func run(args []string) (int, error) {
	fs := flag.NewFlagSet("testenv", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "usage: testenv [--kube N] [--no-postgres] [--no-redis] [--durable] -- COMMAND ARGS...")
		fs.PrintDefaults()
	}
	var w wanted
	fs.IntVar(&w.clusters, "kube", 0, "Kubernetes control planes")
	fs.BoolVar(&w.noPostgres, "no-postgres", false, "start no PostgreSQL")
	fs.BoolVar(&w.noRedis, "no-redis", false, "start no Redis")
	fs.BoolVar(&w.durable, "durable", false, "PostgreSQL syncs to disk and vacuums, as a user's does; tests are faster without")
	if err := fs.Parse(args); err != nil {
		return 2, err
	}
	if fs.NArg() == 0 {
		fs.Usage()
		return 2, flag.ErrHelp
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	env, end, err := w.start(ctx)
	defer end()
	if err != nil {
		return 1, err
	}
	return runCommand(ctx, fs.Args(), env, os.Stdout, os.Stderr)
}

// runCommand passes SIGTERM on to the command (ctrl-C reaches it by the terminal) and then waits for it to end. What tests
// failed, by its output, is told once more at the end.
func runCommand(ctx context.Context, args, env []string, stdout, stderr io.Writer) (int, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	var failed failures
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, io.MultiWriter(stdout, &failed), stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 130, errors.New("interrupted")
	case errors.As(err, &exit):
		failed.report(stderr)
		if code := exit.ExitCode(); code > 0 {
			return code, nil
		}
		return 1, err // ended by a signal
	case err != nil:
		return 1, fmt.Errorf("run %s: %w", args[0], err)
	}
	return 0, nil
}
