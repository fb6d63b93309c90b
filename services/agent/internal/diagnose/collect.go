// Package diagnose answers the broker's questions about what has become of a stack's objects: states of pods, events and ends of logs.
// It only reads, in its own time, within bounds, and apart from all other work of the agent.
package diagnose

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/colliery-io/brokkr/pkg/domain/diagnostic"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// Bounds of one answer.
const (
	maxNamespaces = 10
	maxPods       = 100 // of a namespace
	maxLogs       = 60  // containers whose logs are read
	maxEvents     = 100 // of a namespace
	maxSecrets    = 50
	logLines      = 100
	logBytes      = 16 << 10
	maxMessage    = 2 << 10 // bytes of a text of Kubernetes
	maxTails      = 1 << 20 // bytes of all log tails
)

// Collector looks at a stack's objects.
type Collector struct {
	Kinds       cluster.Kinds
	Objects     cluster.Objects
	Diagnosis   cluster.Diagnosis
	Inventories cluster.Inventories
	Now         func() time.Time
}

// collection is an answer that is being made.
type collection struct {
	Collector
	pods    []corev1.Pod
	events  []wire.DiagnosticEvent
	tails   map[string]string
	bytes   int
	logs    int
	secrets []string
	began   time.Time
}

// Collect returns what is to be seen of the stack. What may not be seen, fails or is cut short is told in the answer, as an event of
// kind Brokkr; so an answer is there in any case, also when ctx ends before everything was looked at.
func (c Collector) Collect(ctx context.Context, stack string) (wire.DiagnosticAnswer, error) {
	in := &collection{Collector: c, tails: map[string]string{}, began: c.Now()}
	inv, err := c.Inventories.Load(ctx, stack)
	switch {
	case err != nil:
		in.note("InventoryUnreadable", "what the stack has put into the cluster cannot be read: "+err.Error())
	case inv.Version == "":
		in.note("NothingApplied", "this agent has not put anything of the stack into the cluster")
	default:
		in.readSecrets(ctx, inv)
		in.look(ctx, inv)
	}
	return in.answer()
}

// note adds an event about the diagnosis itself.
func (c *collection) note(reason, message string) {
	at := c.began.UTC()
	c.events = append(c.events, wire.DiagnosticEvent{
		Type: corev1.EventTypeWarning, Reason: reason, Message: short(message), InvolvedObject: "diagnosis", InvolvedKind: "Brokkr",
		FirstTimestamp: &at, LastTimestamp: &at, Count: 1,
	})
}

// readSecrets remembers the values of the stack's Secrets, so that they can be taken out of the answer.
func (c *collection) readSecrets(ctx context.Context, inv cluster.Inventory) {
	n := 0
	for _, e := range inv.Entries {
		if e.Key.Group != "" || e.Key.Kind != "Secret" {
			continue
		}
		if n++; n > maxSecrets {
			c.note("SecretsNotRead", fmt.Sprintf("the stack has more than %d Secrets; values of the others are known to the broker alone", maxSecrets))
			return
		}
		m, err := c.Kinds.Mapping(ctx, e.Kind())
		if err == nil {
			var values []string
			values, err = c.valuesOf(ctx, m, e)
			c.secrets = append(c.secrets, values...)
		}
		if err != nil {
			c.note("SecretNotRead", fmt.Sprintf("%s cannot be read: %v", e.Key, err))
		}
	}
}

func (c *collection) valuesOf(ctx context.Context, m cluster.Mapping, e cluster.Entry) ([]string, error) {
	u, err := c.Objects.Get(ctx, "", cluster.Target{Mapping: m, Namespace: e.Key.Namespace, Name: e.Key.Name})
	if err != nil {
		return nil, err
	}
	data, _ := u.Object["data"].(map[string]any)
	return decoded(data), nil
}

// look goes through the namespaces of the stack's objects.
func (c *collection) look(ctx context.Context, inv cluster.Inventory) {
	mine := map[string]map[string]bool{}
	for _, e := range inv.Entries {
		if e.Key.Namespace == "" || e.UID == "" {
			continue
		}
		if mine[e.Key.Namespace] == nil {
			mine[e.Key.Namespace] = map[string]bool{}
		}
		mine[e.Key.Namespace][e.UID] = true
	}
	for n, namespace := range sorted(mine) {
		if n == maxNamespaces {
			c.note("NamespacesLeftOut", fmt.Sprintf("the stack has objects in %d namespaces; %d of them were looked at", len(mine), maxNamespaces))
			return
		}
		c.lookInto(ctx, namespace, mine[namespace])
	}
}

func (c *collection) lookInto(ctx context.Context, namespace string, mine map[string]bool) {
	running, err := c.Diagnosis.Running(ctx, namespace, mine, maxPods)
	if err != nil {
		c.note("PodsNotSeen", fmt.Sprintf("the pods of namespace %s: %v", namespace, err))
	}
	if len(running.Refused) > 0 {
		c.note("KindsNotSeen", fmt.Sprintf("namespace %s: the agent may not list %s, so pods that they made may be missing", namespace, strings.Join(running.Refused, ", ")))
	}
	if running.More {
		c.note("PodsLeftOut", fmt.Sprintf("namespace %s has more than %d pods of the stack", namespace, maxPods))
	}
	about := running.Family
	if about == nil {
		about = mine
	}
	events, err := c.Diagnosis.Happened(ctx, namespace, about, maxEvents)
	if err != nil {
		c.note("EventsNotSeen", fmt.Sprintf("the events of namespace %s: %v", namespace, err))
	}
	for _, e := range events {
		c.events = append(c.events, eventOf(e))
	}
	c.pods = append(c.pods, running.Pods...)
	for _, p := range worstFirst(running.Pods) {
		c.secrets = append(c.secrets, envSecrets(p)...)
		c.readLogs(ctx, p)
	}
}

// readLogs reads the ends of the logs of a pod's containers; of one that restarts, also that of its run before.
func (c *collection) readLogs(ctx context.Context, p corev1.Pod) {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if s.State.Running == nil && s.State.Terminated == nil && s.LastTerminationState.Terminated == nil {
			continue // it never ran
		}
		if c.logs++; c.logs > maxLogs || c.bytes >= maxTails {
			if c.logs == maxLogs+1 {
				c.note("LogsLeftOut", fmt.Sprintf("logs of %d containers were read, not of the others", maxLogs))
			}
			return
		}
		tail := cluster.Tail{Namespace: p.Namespace, Pod: p.Name, Container: s.Name, Lines: logLines, Bytes: logBytes}
		name := p.Name + "/" + s.Name
		if _, taken := c.tails[name]; taken {
			name = p.Namespace + "/" + name
		}
		c.readLog(ctx, name, tail)
		if s.RestartCount > 0 && s.LastTerminationState.Terminated != nil {
			tail.Previous = true
			c.readLog(ctx, name+" (previous)", tail)
		}
	}
}

func (c *collection) readLog(ctx context.Context, name string, tail cluster.Tail) {
	text, err := c.Diagnosis.LogTail(ctx, tail)
	if err != nil {
		c.note("LogNotSeen", fmt.Sprintf("the log of %s in namespace %s: %v", name, tail.Namespace, err))
		return
	}
	c.tails[name] = text
	c.bytes += len(text)
}

// answer puts the parts together, without values of Secrets.
func (c *collection) answer() (wire.DiagnosticAnswer, error) {
	if c.bytes > maxTails {
		c.note("LogsCutShort", fmt.Sprintf("logs were read until they had %d bytes", maxTails))
	}
	pods := make([]wire.DiagnosticPod, len(c.pods))
	for i, p := range c.pods {
		pods[i] = podOf(p)
	}
	out := wire.DiagnosticAnswer{CollectedAt: c.began.UTC()}
	secrets := diagnostic.NewRedactor(c.secrets)
	for into, part := range map[*string]any{&out.PodStatuses: pods, &out.Events: slices.Concat([]wire.DiagnosticEvent{}, c.events)} {
		raw, err := json.Marshal(part)
		if err != nil {
			return out, fmt.Errorf("write the answer: %w", err)
		}
		if *into, err = secrets.JSON(string(raw)); err != nil {
			return out, fmt.Errorf("write the answer: %w", err)
		}
	}
	raw, err := json.Marshal(c.tails)
	if err != nil {
		return out, fmt.Errorf("write the answer: %w", err)
	}
	tails, err := secrets.JSON(string(raw))
	out.LogTails = &tails
	return out, err
}
