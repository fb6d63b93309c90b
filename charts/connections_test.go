package charts_test

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// pod is one that the charts make, with what it is told.
type pod struct {
	peer
	spec corev1.PodSpec
}

// cluster is a broker and agents as they are installed, among others.
type cluster struct {
	network
	pods     []pod
	others   []peer
	services []corev1.Service
	secrets  map[string]map[string]string // by namespace/name
	configs  map[string]string            // texts of ConfigMaps, by namespace/name
	rest     []*unstructured.Unstructured // monitors and routes
}

// connection is one that has to be possible, and why.
type connection struct {
	from, to peer
	port     int32
	protocol corev1.Protocol
	why      string
}

func (c connection) String() string {
	return fmt.Sprintf("%s -> %s:%d/%s", c.from.name, c.to.name, c.port, c.protocol)
}

func into[T any](t *testing.T, u *unstructured.Unstructured) T {
	t.Helper()
	var out T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &out); err != nil {
		t.Fatalf("%s %s: %v", u.GetKind(), u.GetName(), err)
	}
	return out
}

// theCluster puts what the charts render into namespaces of a cluster in which others live too.
func theCluster(t *testing.T, rendered map[string][]*unstructured.Unstructured) *cluster {
	t.Helper()
	c := &cluster{secrets: map[string]map[string]string{}, configs: map[string]string{}}
	c.namespaces = map[string]labels.Set{}
	for _, ns := range []string{"brokkr", "edge", "monitoring", "ingress-nginx", "kube-system", "strangers"} {
		c.namespaces[ns] = labels.Set{"kubernetes.io/metadata.name": ns}
	}
	for _, ns := range []string{"brokkr", "edge", "strangers"} {
		c.others = append(c.others, peer{name: "stranger in " + ns, namespace: ns, labels: labels.Set{"app": "stranger"}, ports: map[string]int32{"ssh": 22}})
	}
	c.others = append(c.others,
		peer{name: "prometheus", namespace: "monitoring", labels: labels.Set{"app": "prometheus"}, ports: map[string]int32{"web": 9999}},
		peer{name: "controller", namespace: "ingress-nginx", labels: labels.Set{"app": "controller"}, ports: map[string]int32{"hook": 9998}},
		peer{name: "dns", namespace: "kube-system", labels: labels.Set{"k8s-app": "kube-dns"}, ports: map[string]int32{"dns": 53, "dns-openshift": 5353}},
		peer{name: "internet", ip: netip.MustParseAddr("203.0.113.9")},
	)
	for name, data := range map[string]string{"database": "postgres://u:p@db.example.com:5432/brokkr", "redis": "rediss://:p@redis.example.com:6379/0"} {
		for _, of := range []string{"my-", "brokkr-"} {
			c.secrets["brokkr/"+of+name] = map[string]string{"url": data}
		}
	}
	for ns, objects := range rendered {
		for _, u := range objects {
			u.SetNamespace(ns)
			c.add(t, u)
		}
	}
	return c
}

func (c *cluster) add(t *testing.T, u *unstructured.Unstructured) {
	t.Helper()
	ns, key := u.GetNamespace(), u.GetNamespace()+"/"+u.GetName()
	addPod := func(l map[string]string, spec corev1.PodSpec) {
		p := pod{peer{name: ns + "/" + u.GetName(), namespace: ns, labels: l, ports: map[string]int32{}}, spec}
		for _, container := range spec.Containers {
			for _, port := range container.Ports {
				p.ports[port.Name] = port.ContainerPort
			}
		}
		c.pods = append(c.pods, p)
	}
	switch u.GetKind() {
	case "Deployment", "StatefulSet":
		template := into[struct {
			Spec struct {
				Template corev1.PodTemplateSpec `json:"template"`
			} `json:"spec"`
		}](t, u).Spec.Template
		addPod(template.Labels, template.Spec)
	case "Pod":
		addPod(u.GetLabels(), into[corev1.Pod](t, u).Spec)
	case "Service":
		c.services = append(c.services, into[corev1.Service](t, u))
	case "NetworkPolicy":
		c.policies = append(c.policies, into[networkingv1.NetworkPolicy](t, u))
	case "Secret":
		values := map[string]string{}
		for k, v := range into[struct {
			Data map[string]string `json:"data"`
		}](t, u).Data {
			text, err := base64.StdEncoding.DecodeString(v)
			if err != nil {
				t.Fatal(err)
			}
			values[k] = string(text)
		}
		c.secrets[key] = values
	case "ConfigMap":
		for _, text := range into[corev1.ConfigMap](t, u).Data {
			c.configs[key] += text + "\n"
		}
	case "PodMonitor", "ServiceMonitor", "Ingress", "HTTPRoute":
		c.rest = append(c.rest, u)
	}
}

func (c *cluster) other(t *testing.T, name string) peer {
	t.Helper()
	for _, p := range c.others {
		if p.name == name {
			return p
		}
	}
	t.Fatalf("nobody is %q", name)
	return peer{}
}

// behind are the pods of a Service and the port at which they listen. Policies judge those, not the Service's.
func (c *cluster) behind(t *testing.T, s corev1.Service, port int32) (out []connection) {
	t.Helper()
	for _, sp := range s.Spec.Ports {
		if sp.Port != port {
			continue
		}
		for _, p := range c.pods {
			if p.namespace != s.Namespace || !labels.SelectorFromSet(s.Spec.Selector).Matches(p.labels) {
				continue
			}
			at := sp.TargetPort.IntVal
			if sp.TargetPort.Type == intstr.String {
				at = p.ports[sp.TargetPort.StrVal]
			}
			out = append(out, connection{to: p.peer, port: at, protocol: corev1.ProtocolTCP})
		}
	}
	if len(out) == 0 {
		t.Errorf("no pod is behind %s/%s:%d", s.Namespace, s.Name, port)
	}
	return out
}

// at is who listens at a URL, seen from a namespace.
func (c *cluster) at(t *testing.T, namespace, text string) []connection {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseInt(cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443", "postgres": "5432", "redis": "6379", "rediss": "6379"}[u.Scheme]), 10, 32)
	if err != nil {
		t.Fatalf("%s: %v", u.Redacted(), err)
	}
	name, ns, _ := strings.Cut(u.Hostname(), ".")
	ns, _, _ = strings.Cut(cmp.Or(ns, namespace), ".")
	for _, s := range c.services {
		if s.Name == name && s.Namespace == ns {
			return c.behind(t, s, int32(number)) //nolint:gosec // a port
		}
	}
	if !strings.Contains(u.Hostname(), ".") {
		t.Errorf("%s names no Service of the charts", u.Redacted())
	}
	return []connection{{to: c.other(t, "internet"), port: int32(number), protocol: corev1.ProtocolTCP}} //nolint:gosec // a port
}

var urls = regexp.MustCompile(`\b(?:https?|postgres|rediss?)://[^\s"']+`)

// told is everything that a pod reads as its configuration.
func (c *cluster) told(p pod) string {
	var text strings.Builder
	for _, container := range slices.Concat(p.spec.InitContainers, p.spec.Containers) {
		for _, e := range container.Env {
			fmt.Fprintln(&text, e.Value)
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				fmt.Fprintln(&text, c.secrets[p.namespace+"/"+e.ValueFrom.SecretKeyRef.Name][e.ValueFrom.SecretKeyRef.Key])
			}
		}
	}
	for _, v := range p.spec.Volumes {
		if v.ConfigMap != nil {
			fmt.Fprintln(&text, c.configs[p.namespace+"/"+v.ConfigMap.Name])
		}
	}
	return text.String()
}

// needs are the connections that have to be possible: to each URL that a pod is told, to the name server for it, to the API server
// for those that have an account there, to receivers of webhooks for those that send them, of monitors and routes, to their backends.
func (c *cluster) needs(t *testing.T) (out []connection) {
	t.Helper()
	need := func(from peer, why string, to ...connection) {
		for _, n := range to {
			n.from, n.why = from, why
			out = append(out, n)
		}
	}
	internet, dns := c.other(t, "internet"), c.other(t, "dns")
	for _, p := range c.pods {
		found := urls.FindAllString(c.told(p), -1)
		for _, u := range found {
			need(p.peer, "is told "+regexp.MustCompile(`//.*@`).ReplaceAllString(u, "//"), c.at(t, p.namespace, u)...)
		}
		if len(found) > 0 {
			for _, port := range dns.ports {
				need(p.peer, "looks up names", connection{to: dns, port: port, protocol: corev1.ProtocolUDP}, connection{to: dns, port: port, protocol: corev1.ProtocolTCP})
			}
		}
		if p.spec.ServiceAccountName != "" && (p.spec.AutomountServiceAccountToken == nil || *p.spec.AutomountServiceAccountToken) {
			for _, port := range []int32{443, 6443, 8443, 16443} { // as in clouds, kubeadm and kind, minikube, MicroK8s
				need(p.peer, "asks the API server", connection{to: internet, port: port, protocol: corev1.ProtocolTCP})
			}
		}
		component := p.labels["app.kubernetes.io/component"]
		if component == "broker" || component == "api" {
			need(p.peer, "sends webhooks", connection{to: internet, port: 443, protocol: corev1.ProtocolTCP}, connection{to: internet, port: 80, protocol: corev1.ProtocolTCP})
		}
		for _, name := range []string{"metrics", "http"} { // with a monitor of ours or not
			if port, ok := p.ports[name]; ok && (name == "metrics" || component == "agent") {
				need(c.other(t, "prometheus"), "scrapes", connection{to: p.peer, port: port, protocol: corev1.ProtocolTCP})
			}
		}
		if slices.Contains([]string{"broker", "api", "gateway", "scheduler"}, component) {
			need(p.peer, "sends traces where the variables of OpenTelemetry say", connection{to: internet, port: 4318, protocol: corev1.ProtocolTCP})
		}
	}
	for _, u := range c.rest {
		c.led(t, u, need)
	}
	return out
}

// led are the ways of a monitor from Prometheus, and of a route from its controller.
func (c *cluster) led(t *testing.T, u *unstructured.Unstructured, need func(peer, string, ...connection)) {
	t.Helper()
	why := u.GetKind() + " " + u.GetName()
	switch u.GetKind() {
	case "PodMonitor", "ServiceMonitor":
		chosen, _, _ := unstructured.NestedStringMap(u.Object, "spec", "selector", "matchLabels")
		endpoints, _, _ := unstructured.NestedSlice(u.Object, "spec", map[string]string{"PodMonitor": "podMetricsEndpoints", "ServiceMonitor": "endpoints"}[u.GetKind()])
		delete(chosen, "brokkr.io/metrics") // which marks the Service before the same pods
		found := 0
		for _, p := range c.pods {
			if p.namespace != u.GetNamespace() || !labels.SelectorFromSet(chosen).Matches(p.labels) {
				continue
			}
			for _, e := range endpoints {
				found++
				port, ok := p.ports[fmt.Sprint(e.(map[string]any)["port"])] //nolint:forcetypeassert // an endpoint is a map
				if !ok {
					t.Errorf("%s scrapes a port that %s has not: %v", why, p.name, e)
				}
				need(c.other(t, "prometheus"), why, connection{to: p.peer, port: port, protocol: corev1.ProtocolTCP})
			}
		}
		if found == 0 {
			t.Errorf("%s finds no pod", why)
		}
	default: // all lead to the Service of their own name
		for _, s := range c.services {
			if s.Name == u.GetName() && s.Namespace == u.GetNamespace() {
				need(c.other(t, "controller"), why, c.behind(t, s, s.Spec.Ports[0].Port)...)
				return
			}
		}
		t.Errorf("%s leads to no Service", why)
	}
}
