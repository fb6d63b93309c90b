package live

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// stackPrefix begins the topics of stacks.
const stackPrefix = "stack:"

// nobody stands for an agent where no single one is meant.
const nobody = "00000000-0000-0000-0000-000000000000"

// StackTopic is where the observations of a stack are published.
func StackTopic(s stack.ID) string { return stackPrefix + string(s) }

// Gap is the GapFrame of stacks' topics.
func Gap(topic string, since time.Time, dropped int64, reason observation.GapReason) []byte {
	return frame(wire.FrameLogGap, wire.LogGap{
		AgentID: nobody, StackID: strings.TrimPrefix(topic, stackPrefix), SinceTS: since.UTC(), DroppedCount: dropped, Reason: string(reason),
	})
}

// frame encodes one message. Its parts are texts, numbers and times of this century, so it cannot fail.
func frame[T any](kind string, body T) []byte {
	b, err := json.Marshal(wire.FrameOf[T]{Type: kind, Body: body})
	if err != nil {
		return []byte(`{"type":"` + kind + `","body":null}`)
	}
	return b
}

// Frames are what has just been stored, as it is published.
func Frames(parcels []observation.Parcel, receipts []observation.Receipt) []ports.LiveBatch {
	var out []ports.LiveBatch
	at := map[stack.ID]int{}
	add := func(s stack.ID, f []byte) {
		i, ok := at[s]
		if !ok {
			i = len(out)
			at[s] = i
			out = append(out, ports.LiveBatch{Topic: StackTopic(s)})
		}
		out[i].Frames = append(out[i].Frames, f)
	}
	for i, p := range parcels {
		admitted := receipts[i].Admitted
		for _, e := range p.Events {
			if admitted[e.Stack] {
				add(e.Stack, frame(wire.FrameK8sEvent, eventOf(e)))
			}
		}
		for _, l := range p.Lines {
			if admitted[l.Stack] {
				add(l.Stack, frame(wire.FramePodLog, wire.PodLogLine{
					AgentID: string(l.Agent), StackID: string(l.Stack), Namespace: l.Namespace, Pod: l.Pod, Container: l.Container, TS: l.At.UTC(), Line: l.Text,
				}))
			}
		}
		for _, g := range p.Gaps {
			if admitted[g.Stack] {
				add(g.Stack, frame(wire.FrameLogGap, wire.LogGap{
					AgentID: string(g.Agent), StackID: string(g.Stack), SinceTS: g.Since.UTC(), DroppedCount: g.Dropped, Reason: string(g.Reason),
				}))
			}
		}
	}
	return out
}

func eventOf(e observation.Event) wire.K8sEvent {
	o := e.Object
	return wire.K8sEvent{
		AgentID: string(e.Agent), StackID: string(e.Stack), ObservedAt: e.ObservedAt.UTC(), Reason: e.Reason, Message: e.Message, EventType: e.Type,
		Source: orNull(e.Source),
		InvolvedObject: wire.InvolvedObject{
			APIVersion: orNull(o.APIVersion), Kind: orNull(o.Kind), Namespace: orNull(o.Namespace), Name: orNull(o.Name), UID: orNull(o.UID),
		},
	}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
