package charts_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Past the gateway nobody comes to the api, unless it is given an address of its own or told who may: what the gateway asks of callers, the
// certificates of agents for one, would be asked of nobody.
func TestTheAPIIsBehindTheGateway(t *testing.T) {
	t.Parallel()
	if os.Getenv("HELM") == "" {
		t.Skip("HELM is not set: run the tests by `make test-charts`")
	}
	m := matrix()
	apart := func(more ...string) policed {
		return policed{broker: install{broker, broker, set(append([]string{"postgresql.enabled=true", "microservices.enabled=true", "redis.enabled=true"}, more...)...)}}
	}
	for name, c := range map[string]struct {
		policed
		let []string // by name, who gets through besides the gateway
	}{
		"services apart": {policed: apart()},
		"releases apart": {policed: policed{broker: m["gateway"], also: []install{m["api"]}, url: "http://brokkr-gateway.brokkr:8080"}},
		"told who may":   {apart("api.networkPolicy.from[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=strangers"), []string{"stranger in strangers"}},
		"an ingress":     {apart("api.ingress.enabled=true", "api.ingress.hosts={b.example.com}"), []string{"controller", "stranger in edge", "stranger in strangers", "internet"}},
		"a node's port":  {apart("api.service.type=NodePort"), []string{"internet"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl := c.cluster(t)
			var api, gateway peer
			for _, p := range cl.pods {
				switch p.labels["app.kubernetes.io/component"] {
				case "api":
					api = p.peer
				case "gateway":
					gateway = p.peer
				}
			}
			if !cl.lets(t, gateway, api, api.ports["http"], corev1.ProtocolTCP) {
				t.Error("the gateway does not reach the api")
			}
			let := 0
			for _, from := range cl.others {
				want := slices.Contains(c.let, from.name)
				got := cl.in(t, from, api, api.ports["http"], corev1.ProtocolTCP)
				if want && !got || got && c.let == nil {
					t.Errorf("the api lets %s in: %v, want %v", from.name, got, want)
				}
				if got {
					let++
				}
			}
			if name == "told who may" && let != 1 {
				t.Errorf("%d others are let in, want one", let)
			}
			for _, p := range cl.pods { // agents too
				if c.let == nil && p.name != gateway.name && p.name != api.name && cl.in(t, p.peer, api, api.ports["http"], corev1.ProtocolTCP) {
					t.Errorf("the api lets %s in", p.name)
				}
			}
		})
	}
}

// The authorities of PostgreSQL and Redis, and variables of yours, are where the program that migrates looks too.
func TestAllProgramsHaveTheAuthoritiesOfTheStores(t *testing.T) {
	t.Parallel()
	own := set("global.database.existingSecret=my-database", "global.redis.existingSecret=my-redis", "global.database.caSecret=my-database-ca", "global.redis.caSecret=my-redis-ca")
	extra := func(prefix string) []string {
		return set(prefix+"extraEnv[0].name=CANARY", prefix+"extraEnv[0].value=x")
	}
	for name, args := range map[string][]string{
		"one process":    slices.Concat(own, extra("")),
		"services apart": slices.Concat(own, set("microservices.enabled=true"), extra("api."), extra("gateway."), extra("scheduler.")),
	} {
		c := theCluster(t, nil)
		for _, u := range (install{broker, broker, args}).objects(t) {
			u.SetNamespace("brokkr")
			c.add(t, u)
		}
		seen := 0
		for _, p := range c.pods {
			if strings.HasSuffix(p.name, "test") {
				continue
			}
			if !strings.Contains(c.told(p), "ca_file: /etc/brokkr-redis-ca/ca.crt") {
				t.Errorf("%s: %s is not told of the authority of Redis", name, p.name)
			}
			for _, container := range slices.Concat(p.spec.InitContainers, p.spec.Containers) {
				seen++
				env, mounts := map[string]string{}, map[string]string{}
				for _, e := range container.Env {
					env[e.Name] = e.Value
				}
				for _, m := range container.VolumeMounts {
					for _, v := range p.spec.Volumes {
						if v.Name == m.Name && v.Secret != nil {
							mounts[m.MountPath] = v.Secret.SecretName
						}
					}
				}
				if env["CANARY"] != "x" || env["PGSSLROOTCERT"] != "/etc/brokkr-database-ca/ca.crt" || mounts["/etc/brokkr-database-ca"] != "my-database-ca" ||
					mounts["/etc/brokkr-redis-ca"] != "my-redis-ca" {
					t.Errorf("%s: the container %s of %s has %v and %v", name, container.Name, p.name, env, mounts)
				}
			}
		}
		if want := map[string]int{"one process": 2, "services apart": 6}[name]; seen != want {
			t.Errorf("%s: %d containers were looked at, want %d", name, seen, want)
		}
	}
}
