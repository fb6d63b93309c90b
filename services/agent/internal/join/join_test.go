package join_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/agent"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
	"github.com/colliery-io/brokkr/services/agent/internal/broker"
	"github.com/colliery-io/brokkr/services/agent/internal/join"
)

const (
	key1 = "brokkr_BRmade11_GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8"
	key2 = "brokkr_BRmade22_GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8"
	id   = agent.ID("22222222-2222-4222-8222-222222222221")
)

// keep is a Secret; fail says what its next calls answer ("load" or "save", in order).
type keep struct {
	values  map[string]string
	version int
	fail    map[string][]error
	saves   []map[string]string
}

func (k *keep) Where() string { return "ns/key" }

func (k *keep) failing(call string) error {
	all := k.fail[call]
	if len(all) == 0 {
		return nil
	}
	k.fail[call] = all[1:]
	return all[0]
}

func (k *keep) Load(context.Context) (cluster.Kept, error) {
	if err := k.failing("load"); err != nil {
		return cluster.Kept{}, err
	}
	if k.version == 0 {
		return cluster.Kept{}, nil
	}
	return cluster.Kept{Values: maps.Clone(k.values), Version: strconv.Itoa(k.version)}, nil
}

func (k *keep) Save(_ context.Context, v cluster.Kept) (cluster.Kept, error) {
	if err := k.failing("save"); err != nil {
		return cluster.Kept{}, err
	}
	if (v.Version == "") != (k.version == 0) || v.Version != "" && v.Version != strconv.Itoa(k.version) {
		return cluster.Kept{}, fault.New(fault.Conflict, "cluster_conflict", "stale")
	}
	k.version++
	k.values = maps.Clone(v.Values)
	k.saves = append(k.saves, k.values)
	return cluster.Kept{Values: v.Values, Version: strconv.Itoa(k.version)}, nil
}

// joins is a broker that answers in order.
type joins struct {
	answers []any // a key or an error
	asked   []broker.JoinRequest
	before  func()
}

func (b *joins) Join(_ context.Context, req broker.JoinRequest) (agent.ID, string, error) {
	if b.before != nil {
		b.before()
	}
	b.asked = append(b.asked, req)
	next := b.answers[0]
	b.answers = b.answers[1:]
	if err, ok := next.(error); ok {
		return "", "", err
	}
	return id, next.(string), nil
}

func joiner(k *keep, b *joins, log *bytes.Buffer) join.Joiner {
	return join.Joiner{Keep: k, Broker: b, Token: "brokkrjoin_x", Name: "edge-1", Cluster: "c-1", Random: strings.NewReader(strings.Repeat("0123456789", 100)),
		Log: slog.New(slog.NewTextHandler(log, nil))}
}

func TestTheFirstStartJoinsAndLaterOnesDoNot(t *testing.T) {
	t.Parallel()
	k, b, log := &keep{}, &joins{answers: []any{key1}}, &bytes.Buffer{}
	b.before = func() {
		if k.values[join.KeyClaim] == "" || k.version < 2 {
			t.Errorf("the broker is asked before the claim is kept and the right to change the Secret is known: %v", k.saves)
		}
	}
	got, err := joiner(k, b, log).Key(t.Context())
	if err != nil || got != key1 {
		t.Fatalf("got %q, %v", got, err)
	}
	if q := b.asked[0]; q.Name != "edge-1" || q.ClusterName != "c-1" || q.Token != "brokkrjoin_x" || len(q.Claim) != 64 || q.Claim != k.values[join.KeyClaim] {
		t.Errorf("asked %+v, kept %v", q, k.values)
	}
	if k.values[join.KeyPAK] != key1 || k.values[join.KeyAgent] != string(id) {
		t.Errorf("kept %v", k.values)
	}
	j := joiner(k, &joins{}, log)
	for _, read := range []func(context.Context) (string, error){j.Key, j.Kept} {
		if got, err := read(t.Context()); got != key1 || err != nil {
			t.Errorf("later: got %q, %v", got, err)
		}
	}
	if strings.Contains(log.String(), key1) || strings.Contains(log.String(), k.values[join.KeyClaim]) || strings.Contains(log.String(), "brokkrjoin_x") {
		t.Errorf("the log has a secret: %s", log)
	}
}

// Wherever the first process ends, the next one asks with the same claim.
func TestAnEndInBetweenRepeatsTheSameJoin(t *testing.T) {
	t.Parallel()
	crash := fault.New(fault.Internal, "crash", "the process ended")
	for name, first := range map[string]*joins{
		"before the answer":      {answers: []any{crash}},
		"before the key is kept": {answers: []any{key1}},
	} {
		k, log := &keep{fail: map[string][]error{}}, &bytes.Buffer{}
		if name == "before the key is kept" {
			k.fail["save"] = []error{nil, nil, crash}
		}
		if _, err := joiner(k, first, log).Key(t.Context()); !errors.Is(err, crash) {
			t.Fatalf("%s: got %v", name, err)
		}
		second := &joins{answers: []any{key2}}
		j := joiner(k, second, log)
		j.Random = strings.NewReader("") // nothing new is made
		if got, err := j.Key(t.Context()); got != key2 || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if first.asked[0] != second.asked[0] || k.values[join.KeyPAK] != key2 {
			t.Errorf("%s: asked %+v and then %+v; kept %v", name, first.asked[0], second.asked[0], k.values)
		}
	}
}

func TestWhatComesInBetween(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		away := fault.New(fault.Unavailable, "cluster_unreachable", "away")
		stale := fault.New(fault.Conflict, "cluster_conflict", "another has written")
		limited := fault.New(fault.Limited, "too_many_requests", "later")
		limited.RetryAfter = time.Hour
		k := &keep{fail: map[string][]error{"load": {away}, "save": {away, stale, nil, nil, away, stale}}}
		b := &joins{answers: []any{limited, key1, key2}}
		log := &bytes.Buffer{}
		begin := time.Now()
		got, err := joiner(k, b, log).Key(t.Context())
		if err != nil || got != key2 || k.values[join.KeyPAK] != key2 {
			t.Errorf("got %q, %v; kept %v", got, err, k.values)
		}
		if time.Since(begin) < time.Hour || b.asked[0] != b.asked[2] {
			t.Errorf("asked %+v in %s", b.asked, time.Since(begin))
		}
	})
}

func TestWhatAPersonHasToMend(t *testing.T) {
	t.Parallel()
	refused := fault.New(fault.Forbidden, "join_refused", "the join token is not accepted: it is wrong, has expired, was revoked or is used up")
	taken := fault.New(fault.Conflict, "unique_violation", `an agent "edge-1" exists`)
	forbidden := fault.New(fault.Forbidden, "cluster_forbidden", "the agent may not read and write the Secret ns/key")
	for name, tt := range map[string]struct {
		keep    *keep
		answers []any
		without bool // a token
		want    []string
		asked   int
	}{
		"refused":           {&keep{}, []any{refused}, false, []string{"used up", "`brokkr join-token create`"}, 1},
		"taken":             {&keep{}, []any{taken}, false, []string{"exists", "`brokkr agent delete`", "ns/key"}, 1},
		"may not read":      {&keep{fail: map[string][]error{"load": {forbidden}}}, nil, false, []string{"may not read"}, 0},
		"may not make":      {&keep{fail: map[string][]error{"save": {forbidden}}}, nil, false, []string{"may not read"}, 0},
		"may not change":    {&keep{fail: map[string][]error{"save": {nil, forbidden}}}, nil, false, []string{"may not read"}, 0},
		"may no more":       {&keep{fail: map[string][]error{"save": {nil, nil, forbidden}}}, []any{key1}, false, []string{"may not read", "repeated at the next start"}, 1},
		"no token":          {&keep{}, nil, true, []string{"ns/key holds no key", "BROKKR__AGENT__JOIN_TOKEN", "BROKKR__AGENT__PAK"}, 0},
		"no PAK":            {&keep{version: 1, values: map[string]string{join.KeyPAK: "secret words"}}, nil, false, []string{"is not a Brokkr PAK", "ns/key"}, 0},
		"of another agent":  {&keep{version: 1, values: map[string]string{join.KeyName: "edge-2", join.KeyPAK: key1}}, nil, false, []string{`"edge-2", not "edge-1"`, "BROKKR__AGENT__KEY_SECRET"}, 0},
		"of another place":  {&keep{version: 1, values: map[string]string{join.KeyCluster: "c-2"}}, nil, false, []string{`"c-2", not "c-1"`}, 0},
		"a broker's reason": {&keep{}, []any{fault.New(fault.Invalid, "invalid_agent", "the name is too long")}, false, []string{"too long"}, 1},
	} {
		b := &joins{answers: tt.answers}
		j := joiner(tt.keep, b, &bytes.Buffer{})
		if tt.without {
			j.Token = ""
		}
		_, err := j.Key(t.Context())
		if err == nil || len(b.asked) != tt.asked {
			t.Errorf("%s: got %v after %d joins", name, err, len(b.asked))
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret words") {
				t.Errorf("%s: got %v, want %q", name, err, want)
			}
		}
	}
}

func TestAnEndWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		away := fault.New(fault.Unavailable, "broker_unreachable", "away")
		b := &joins{}
		for range 100 {
			b.answers = append(b.answers, away)
		}
		if _, err := joiner(&keep{}, b, &bytes.Buffer{}).Key(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if len(b.asked) > 20 {
			t.Errorf("asked %d times in a minute", len(b.asked))
		}
	})
}
