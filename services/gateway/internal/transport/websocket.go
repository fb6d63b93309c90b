package transport

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/identity"
	"github.com/colliery-io/brokkr/pkg/platform/rpc"
)

const (
	pingEvery  = 20 * time.Second
	pongWithin = 10 * time.Second
	sendWithin = 10 * time.Second
	agentLimit = 1 << 20 // bytes of a frame from an agent
	watchLimit = 4 << 10 // bytes of a frame from one who watches: there is nothing to say

	protocol  = "brokkr.v1"
	keyPrefix = "brokkr.pak."
)

// Why the server closes, as the other side sees it. Clients connect anew after all but a policy violation.
const (
	closeDrained = websocket.StatusServiceRestart
	closePolicy  = websocket.StatusPolicyViolation
	closeAgain   = websocket.StatusTryAgainLater
)

// SocketInfos describes the WebSocket routes.
func SocketInfos() []rpc.Info {
	route := func(op, path, access string) rpc.Info {
		return rpc.Info{Op: op, Method: http.MethodGet, Path: path, Status: http.StatusSwitchingProtocols, Access: access}
	}
	return []rpc.Info{
		route("connect_agent", "/internal/ws/agent", identity.AgentItself),
		route("watch_stack", "/api/v1/stacks/{id}/live", identity.Operate(identity.StackOwner)),
		route("watch_fleet", "/api/v1/fleet/live", identity.View(identity.Admin)),
	}
}

// session is a WebSocket with the one who has it.
type session struct {
	*websocket.Conn
	who tenancy.Principal
	// again authenticates once more, and asks whether he still may.
	again func(ctx context.Context) error
	ends  chan time.Time // has the end of the credential when it was looked at anew; alive reads it
}

func newSession(conn *websocket.Conn, who tenancy.Principal, authenticate func() (tenancy.Principal, error)) *session {
	s := &session{Conn: conn, who: who, ends: make(chan time.Time, 1)}
	s.ends <- who.Until
	s.again = func(context.Context) error {
		p, err := authenticate()
		if err == nil {
			select {
			case <-s.ends: // what alive has not read yet is old
			default:
			}
			select {
			case s.ends <- p.Until:
			default: // somebody else has looked at the same time
			}
		}
		return err
	}
	return s
}

// socket answers a WebSocket route: it admits, prepares (what fails there is answered by HTTP), upgrades and serves until
// serve returns. Its context ends with the request's, not with the connection.
func socket(c Config, info rpc.Info, onError func(context.Context, http.ResponseWriter, error),
	prepare func(r *http.Request, who tenancy.Principal) (serve func(ctx context.Context, s *session), err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := identity.Of(r.Context())
		err := identity.Admit(info.Access, who.Role)
		if err == nil && !isUpgrade(r) {
			err = fault.New(fault.Invalid, "upgrade_required", "this is a WebSocket: ask for an upgrade")
		}
		var serve func(ctx context.Context, s *session)
		if err == nil {
			serve, err = prepare(r, who)
		}
		if err != nil {
			onError(r.Context(), w, err)
			return
		}
		// Whoever has a key may come from any page: browsers send none by themselves.
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, Subprotocols: []string{protocol}})
		if err != nil {
			c.Log.DebugContext(r.Context(), "no WebSocket", "operation", info.Op, "error", err.Error())
			serve(r.Context(), nil)
			return
		}
		defer func() { _ = conn.CloseNow() }() // it is closed by now, or of no more use
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
		defer cancel()
		serve(ctx, newSession(conn, who, func() (tenancy.Principal, error) { return c.Guard.Authenticate(r) }))
	})
}

func isUpgrade(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// keyFromProtocol lets browsers, which cannot set Authorization on a WebSocket, give the key as one of the protocols that
// they offer; it is never echoed.
func keyFromProtocol(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isUpgrade(r) && r.Header.Get("Authorization") == "" && strings.HasPrefix(r.URL.Path, "/api/") {
			var rest []string
			for offer := range strings.SplitSeq(strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ","), ",") {
				offer = strings.TrimSpace(offer)
				if key, ok := strings.CutPrefix(offer, keyPrefix); ok {
					r.Header.Set("Authorization", "Bearer "+key)
					continue
				}
				rest = append(rest, offer)
			}
			r.Header.Set("Sec-WebSocket-Protocol", strings.Join(rest, ", "))
		}
		next.ServeHTTP(w, r)
	})
}

// send writes one message; a connection that does not take it in time is broken.
func (s *session) send(ctx context.Context, frame []byte) error {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	return s.Write(ctx, websocket.MessageText, frame)
}

// alive pings until ctx ends or no pong comes. Every ping also asks whether the credential still holds, and so does its end: nothing
// else tells of one that was known before.
func (s *session) alive(ctx context.Context, recheck func(ctx context.Context) bool) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	end := time.NewTimer(0)
	end.Stop()
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case until := <-s.ends:
			end.Stop()
			if left := time.Until(until); !until.IsZero() && left > 0 { // an end that has passed: the next ping asks again
				end.Reset(left)
			}
			continue
		case <-end.C:
			if !recheck(ctx) {
				return
			}
			continue
		case <-tick.C:
		}
		bounded, cancel := context.WithTimeout(ctx, pongWithin)
		err := s.Ping(bounded)
		cancel()
		if err != nil || !recheck(ctx) {
			return
		}
	}
}

// denied reports whether err means that the other side may not go on; while nobody can say, it may.
func denied(err error) bool {
	return slices.Contains([]fault.Kind{fault.Unauthenticated, fault.Forbidden, fault.NotFound}, fault.KindOf(err)) && err != nil
}
