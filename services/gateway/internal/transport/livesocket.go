package transport

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fleet"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
	"github.com/colliery-io/brokkr/pkg/wire"
	"github.com/colliery-io/brokkr/services/gateway/internal/app"
	"github.com/colliery-io/brokkr/services/gateway/internal/live"
)

// stackSocket shows what is seen of a stack from now on.
func stackSocket(c Config) func(r *http.Request, who tenancy.Principal) (func(context.Context, *session), error) {
	return func(r *http.Request, who tenancy.Principal) (func(context.Context, *session), error) {
		id := rpc.Var(r, "id")
		s, err := c.Gateway.WatchStack(r.Context(), who, id)
		if err != nil {
			return nil, err
		}
		sub, err := c.Live.Subscribe(r.Context(), live.StackTopic(s))
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, ws *session) {
			defer sub.Leave()
			if ws == nil {
				return
			}
			w := watching{session: ws, c: c, sub: sub, may: func(ctx context.Context) error {
				if err := ws.again(ctx); err != nil {
					return err
				}
				_, err := c.Gateway.WatchStack(ctx, who, id)
				return err
			}}
			w.run(ctx, func(ctx context.Context) bool {
				for _, f := range sub.Take() {
					if ws.send(ctx, f) != nil {
						return false
					}
				}
				return true
			})
		}, nil
	}
}

// watching is one who only listens.
type watching struct {
	*session
	c   Config
	sub *live.Subscription
	may func(ctx context.Context) error
}

// run calls show whenever there is something, until the connection or the right to it ends.
func (w *watching) run(ctx context.Context, show func(ctx context.Context) bool) {
	w.SetReadLimit(watchLimit)
	ctx, cancel := context.WithCancel(w.CloseRead(ctx))
	defer cancel()
	revoked, forget := w.c.Revocations.Watch(w.who.Short)
	defer forget()
	pinged := make(chan struct{})
	go func() {
		defer close(pinged)
		defer cancel()
		w.alive(ctx, w.allowed)
	}()
	defer func() { <-pinged }()
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.sub.Ended():
			_ = w.Close(closeDrained, "this replica is going down")
			return
		case <-revoked:
			if !w.allowed(ctx) {
				return
			}
		case <-w.sub.Grew():
			if !show(ctx) {
				return
			}
		}
	}
}

func (w *watching) allowed(ctx context.Context) bool {
	if denied(w.may(ctx)) {
		_ = w.Close(closePolicy, "this may not be watched any more")
		return false
	}
	return true
}

// fleetTopic rings when the fleet has been looked at anew. It is of this replica alone: nobody publishes on it.
const fleetTopic = "fleet"

// fleetSocket shows the records of agents that have changed.
func fleetSocket(c Config) func(r *http.Request, who tenancy.Principal) (func(context.Context, *session), error) {
	return func(r *http.Request, _ tenancy.Principal) (func(context.Context, *session), error) {
		sub, err := c.Live.Subscribe(r.Context(), fleetTopic)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, ws *session) {
			defer sub.Leave()
			if ws == nil {
				return
			}
			changes, stop := c.Fleet.Watch()
			defer stop()
			w := watching{session: ws, c: c, sub: sub, may: ws.again}
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			go func() {
				defer cancel()
				for {
					select {
					case <-ctx.Done():
						return
					case views := <-changes:
						for _, v := range views {
							f, err := json.Marshal(wire.FrameOf[fleet.View]{Type: wire.FrameFleetUpdate, Body: v})
							if err != nil || ws.send(ctx, f) != nil {
								return
							}
						}
					}
				}
			}()
			w.run(ctx, func(context.Context) bool { sub.Take(); return true })
		}, nil
	}
}

type connectionsAnswer struct {
	ConnectedAgents int              `json:"connected_agents"`
	LiveSubscribers int              `json:"live_subscribers"`
	Connections     []connectionJSON `json:"connections"`
}

type connectionJSON struct {
	AgentID        agent.ID  `json:"agent_id"`
	ConnectedSince time.Time `json:"connected_since"`
	MessagesIn     int64     `json:"messages_in"`
	MessagesOut    int64     `json:"messages_out"`
}

func connections(ctx context.Context, g *app.Gateway) connectionsAnswer {
	all := g.Sockets.Everywhere(ctx)
	out := connectionsAnswer{ConnectedAgents: len(all.Connections), LiveSubscribers: all.Subscribers, Connections: []connectionJSON{}}
	for _, c := range all.Connections {
		out.Connections = append(out.Connections, connectionJSON{AgentID: c.Agent, ConnectedSince: c.Since, MessagesIn: c.In, MessagesOut: c.Out})
	}
	return out
}
