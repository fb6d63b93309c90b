package charts_test

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// peer is one end of a connection: a pod, or an address outside of the cluster.
type peer struct {
	name      string
	namespace string // empty: outside
	labels    labels.Set
	ports     map[string]int32 // that its containers have, by name
	ip        netip.Addr       // of one outside
}

func (p peer) outside() bool { return p.namespace == "" }

// network says, as a network plugin does, which connections NetworkPolicies let through.
type network struct {
	namespaces map[string]labels.Set
	policies   []networkingv1.NetworkPolicy
}

// lets reports whether a connection is let out where it comes from and in where it goes to.
func (n *network) lets(t *testing.T, from, to peer, port int32, protocol corev1.Protocol) bool {
	t.Helper()
	return n.out(t, from, to, port, protocol) && n.in(t, from, to, port, protocol)
}

func (n *network) out(t *testing.T, from, to peer, port int32, protocol corev1.Protocol) bool {
	t.Helper()
	isolated := false
	for _, p := range n.of(t, from, networkingv1.PolicyTypeEgress) {
		isolated = true
		for _, r := range p.Spec.Egress {
			if n.anyPeer(t, p.Namespace, r.To, to) && anyPort(r.Ports, to, port, protocol) {
				return true
			}
		}
	}
	return !isolated
}

func (n *network) in(t *testing.T, from, to peer, port int32, protocol corev1.Protocol) bool {
	t.Helper()
	isolated := false
	for _, p := range n.of(t, to, networkingv1.PolicyTypeIngress) {
		isolated = true
		for _, r := range p.Spec.Ingress {
			if n.anyPeer(t, p.Namespace, r.From, from) && anyPort(r.Ports, to, port, protocol) {
				return true
			}
		}
	}
	return !isolated
}

// of are the policies that isolate a pod in one direction.
func (n *network) of(t *testing.T, p peer, direction networkingv1.PolicyType) []networkingv1.NetworkPolicy {
	t.Helper()
	var out []networkingv1.NetworkPolicy
	for _, policy := range n.policies {
		has := false
		for _, d := range policy.Spec.PolicyTypes {
			has = has || d == direction
		}
		if has && policy.Namespace == p.namespace && matches(t, &policy.Spec.PodSelector, p.labels) {
			out = append(out, policy)
		}
	}
	return out
}

// anyPeer reports whether p is one of the peers; no peers are all.
func (n *network) anyPeer(t *testing.T, namespace string, peers []networkingv1.NetworkPolicyPeer, p peer) bool {
	t.Helper()
	for _, q := range peers {
		switch {
		case q.IPBlock != nil:
			if p.outside() && within(t, q.IPBlock, p.ip) {
				return true
			}
		case p.outside():
		case q.NamespaceSelector == nil:
			if p.namespace == namespace && matches(t, q.PodSelector, p.labels) {
				return true
			}
		case matches(t, q.NamespaceSelector, n.namespaces[p.namespace]) && (q.PodSelector == nil || matches(t, q.PodSelector, p.labels)):
			return true
		}
	}
	return len(peers) == 0
}

func within(t *testing.T, b *networkingv1.IPBlock, ip netip.Addr) bool {
	t.Helper()
	contains := func(cidr string) bool {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			t.Fatal(err)
		}
		return prefix.Contains(ip)
	}
	for _, e := range b.Except {
		if contains(e) {
			return false
		}
	}
	return contains(b.CIDR)
}

// anyPort reports whether a port of the pod `to` is one of the ports; no ports are all.
func anyPort(ports []networkingv1.NetworkPolicyPort, to peer, port int32, protocol corev1.Protocol) bool {
	for _, q := range ports {
		if q.Protocol == nil && protocol != corev1.ProtocolTCP || q.Protocol != nil && *q.Protocol != protocol {
			continue
		}
		switch {
		case q.Port == nil:
			return true
		case q.Port.Type == intstr.String:
			if named, ok := to.ports[q.Port.StrVal]; ok && named == port {
				return true
			}
		case q.EndPort != nil && port >= q.Port.IntVal && port <= *q.EndPort, q.Port.IntVal == port:
			return true
		}
	}
	return len(ports) == 0
}

func matches(t *testing.T, s *metav1.LabelSelector, l labels.Set) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector.Matches(l)
}

// What is judged by it is worth as much as it: the rules of NetworkPolicies, one by one.
func TestPoliciesAreJudgedAsAPluginDoes(t *testing.T) {
	t.Parallel()
	tcp, udp := corev1.ProtocolTCP, corev1.ProtocolUDP
	web, named, end := intstr.FromInt32(80), intstr.FromString("http"), int32(90)
	server := peer{name: "server", namespace: "a", labels: labels.Set{"app": "server"}, ports: map[string]int32{"http": 80}}
	client := peer{name: "client", namespace: "a", labels: labels.Set{"app": "client"}}
	foreign := peer{name: "foreign", namespace: "b", labels: labels.Set{"app": "client"}}
	outside := peer{name: "outside", ip: netip.MustParseAddr("203.0.113.9")}
	is := func(app string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	}
	inB := &metav1.LabelSelector{MatchLabels: map[string]string{"name": "b"}}
	policy := func(spec networkingv1.NetworkPolicySpec) []networkingv1.NetworkPolicy {
		return []networkingv1.NetworkPolicy{{ObjectMeta: metav1.ObjectMeta{Namespace: "a"}, Spec: spec}}
	}
	in := func(r ...networkingv1.NetworkPolicyIngressRule) []networkingv1.NetworkPolicy {
		return policy(networkingv1.NetworkPolicySpec{PodSelector: *is("server"), PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, Ingress: r})
	}
	out := func(r ...networkingv1.NetworkPolicyEgressRule) []networkingv1.NetworkPolicy {
		return policy(networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, Egress: r})
	}
	from := func(p ...networkingv1.NetworkPolicyPeer) []networkingv1.NetworkPolicy {
		return in(networkingv1.NetworkPolicyIngressRule{From: p})
	}
	at := func(p networkingv1.NetworkPolicyPort) []networkingv1.NetworkPolicy {
		return in(networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{p}})
	}
	block := &networkingv1.IPBlock{CIDR: "203.0.113.0/24"}
	for name, c := range map[string]struct {
		policies []networkingv1.NetworkPolicy
		from, to peer
		port     int32
		protocol corev1.Protocol
		want     bool
	}{
		"without a policy all goes":            {nil, client, server, 80, tcp, true},
		"isolated, without a rule":             {in(), client, server, 80, tcp, false},
		"others are not isolated":              {in(), server, client, 80, tcp, true},
		"an empty rule lets all in":            {in(networkingv1.NetworkPolicyIngressRule{}), foreign, server, 9, tcp, true},
		"a pod of this namespace":              {from(networkingv1.NetworkPolicyPeer{PodSelector: is("client")}), client, server, 80, tcp, true},
		"the same labels elsewhere":            {from(networkingv1.NetworkPolicyPeer{PodSelector: is("client")}), foreign, server, 80, tcp, false},
		"a namespace":                          {from(networkingv1.NetworkPolicyPeer{NamespaceSelector: inB}), foreign, server, 80, tcp, true},
		"another namespace":                    {from(networkingv1.NetworkPolicyPeer{NamespaceSelector: inB}), client, server, 80, tcp, false},
		"both of one peer":                     {from(networkingv1.NetworkPolicyPeer{NamespaceSelector: inB, PodSelector: is("other")}), foreign, server, 80, tcp, false},
		"one of two peers":                     {from(networkingv1.NetworkPolicyPeer{NamespaceSelector: inB}, networkingv1.NetworkPolicyPeer{PodSelector: is("client")}), client, server, 80, tcp, true},
		"an address":                           {from(networkingv1.NetworkPolicyPeer{IPBlock: block}), outside, server, 80, tcp, true},
		"but not that one":                     {from(networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: block.CIDR, Except: []string{"203.0.113.8/29"}}}), outside, server, 80, tcp, false},
		"an address is no pod":                 {from(networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}), outside, server, 80, tcp, false},
		"a port by number":                     {at(networkingv1.NetworkPolicyPort{Port: &web}), client, server, 80, tcp, true},
		"another port":                         {at(networkingv1.NetworkPolicyPort{Port: &web}), client, server, 81, tcp, false},
		"a port by name":                       {at(networkingv1.NetworkPolicyPort{Port: &named}), client, server, 80, tcp, true},
		"a name is that of the pod that hears": {at(networkingv1.NetworkPolicyPort{Port: &named}), client, server, 81, tcp, false},
		"a range":                              {at(networkingv1.NetworkPolicyPort{Port: &web, EndPort: &end}), client, server, 85, tcp, true},
		"beyond a range":                       {at(networkingv1.NetworkPolicyPort{Port: &web, EndPort: &end}), client, server, 91, tcp, false},
		"TCP unless it says so":                {at(networkingv1.NetworkPolicyPort{Port: &web}), client, server, 80, udp, false},
		"UDP":                                  {at(networkingv1.NetworkPolicyPort{Port: &web, Protocol: &udp}), client, server, 80, udp, true},
		"nothing out":                          {out(), client, foreign, 80, tcp, false},
		"out to an address":                    {out(networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{{IPBlock: block}}}), client, outside, 80, tcp, true},
		"out, and not in":                      {append(out(networkingv1.NetworkPolicyEgressRule{}), in()...), client, server, 80, tcp, false},
		"in, and not out":                      {append(in(networkingv1.NetworkPolicyIngressRule{}), out()...), client, server, 80, tcp, false},
		"policies add up":                      {append(in(), at(networkingv1.NetworkPolicyPort{Port: &web})...), client, server, 80, tcp, true},
	} {
		n := &network{namespaces: map[string]labels.Set{"a": {"name": "a"}, "b": {"name": "b"}}, policies: c.policies}
		if got := n.lets(t, c.from, c.to, c.port, c.protocol); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
