package app

import (
	"context"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/observation"
	"github.com/colliery-io/brokkr/pkg/domain/stack"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/wire"
)

// Telemetry stores what an agent has seen of the stacks that are assigned to it; it is durable when it returns.
func (g *Gateway) Telemetry(ctx context.Context, p tenancy.Principal, agentID string, req wire.TelemetryRequest) (wire.TelemetryResponse, error) {
	a, err := self(p, agentID)
	if err != nil {
		return wire.TelemetryResponse{}, err
	}
	if err := g.Roster.Check(ctx, a); err != nil {
		return wire.TelemetryResponse{}, err
	}
	if req.BootID == "" {
		return wire.TelemetryResponse{}, fault.New(fault.Invalid, "invalid_telemetry", "boot_id is missing: without a number it could not be sent again")
	}
	parcel := parcelOf(a, req)
	if err := parcel.Check(g.Now().UTC()); err != nil {
		return wire.TelemetryResponse{}, err
	}
	receipt, err := g.Intake.Add(ctx, parcel)
	if err != nil {
		return wire.TelemetryResponse{}, err
	}
	out := wire.TelemetryResponse{Repeated: receipt.Repeated}
	if !receipt.Repeated {
		out.Accepted = admitted(parcel, receipt)
		out.Dropped = parcel.Len() - out.Accepted
	}
	return out, nil
}

// admitted counts what of the parcel was stored.
func admitted(p observation.Parcel, r observation.Receipt) int {
	n := 0
	for _, e := range p.Events {
		n += one(r.Admitted[e.Stack])
	}
	for _, l := range p.Lines {
		n += one(r.Admitted[l.Stack])
	}
	for _, g := range p.Gaps {
		n += one(r.Admitted[g.Stack])
	}
	return n
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func parcelOf(a agent.ID, req wire.TelemetryRequest) observation.Parcel {
	out := observation.Parcel{Agent: a, Boot: req.BootID, Seq: req.Seq}
	for _, e := range req.Events {
		out.Events = append(out.Events, kubeEventOf(e))
	}
	for _, l := range req.Lines {
		out.Lines = append(out.Lines, lineOf(l))
	}
	for _, x := range req.Gaps {
		out.Gaps = append(out.Gaps, gapOf(x))
	}
	return out
}

func kubeEventOf(e wire.K8sEvent) observation.Event {
	o := e.InvolvedObject
	return observation.Event{
		Stack: stack.ID(e.StackID), ObservedAt: e.ObservedAt, Reason: e.Reason, Message: e.Message, Type: e.EventType, Source: text(e.Source),
		Object: observation.Object{APIVersion: text(o.APIVersion), Kind: text(o.Kind), Namespace: text(o.Namespace), Name: text(o.Name), UID: text(o.UID)},
	}
}

func lineOf(l wire.PodLogLine) observation.Line {
	return observation.Line{Stack: stack.ID(l.StackID), Namespace: l.Namespace, Pod: l.Pod, Container: l.Container, At: l.TS, Text: l.Line}
}

func gapOf(x wire.LogGap) observation.Gap {
	return observation.Gap{Stack: stack.ID(x.StackID), Since: x.SinceTS, Dropped: x.DroppedCount, Reason: observation.GapReason(x.Reason)}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Observed counts what has just been stored.
func (m *Metrics) Observed(parcels []observation.Parcel, receipts []observation.Receipt) {
	for i, p := range parcels {
		if receipts[i].Repeated {
			m.Telemetry.WithLabelValues("repeated").Add(float64(p.Len()))
			continue
		}
		n := admitted(p, receipts[i])
		m.Telemetry.WithLabelValues("stored").Add(float64(n))
		m.Telemetry.WithLabelValues("dropped").Add(float64(p.Len() - n))
	}
}
