package e2e

import (
	"slices"
	"testing"

	"github.com/colliery-io/brokkr/internal/guides"
	"github.com/colliery-io/brokkr/internal/testenv"
)

// guide says how the commands of one guide are run.
type guide struct {
	bare        bool        // it starts a broker and an agent itself; else both run already, and the admin is logged in
	inRoot      bool        // in the checkout itself; else in a folder that looks like it and may be written to
	clusterWide bool        // the agent works in all namespaces; else in the guide's own
	before      string      // run first
	meant       [][2]string // regular expressions, and what is meant by them here; each has to occur
}

// The namespaces of a guide are made anew each time, for it speaks of more than one cluster.
func apart() [][2]string {
	return [][2]string{{`kubectl create namespace brokkr\b`, `NS=$$NAMESPACE-$$((++N)); kubectl create namespace $$NS`}, {`-n brokkr\b`, `-n $$NS`}}
}

const (
	aToken   = `N=0; TOKEN=$(brokkr join-token create given --uses 20 --label default -o json | sed -n 's/.*"token": "\(.*\)".*/\1/p')`
	aJob     = "cat > migrate.yaml <<Y\napiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, namespace: $NAMESPACE}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: x, image: x}]}}}\nY"
	aWeb     = "mkdir web; printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: web}\\n' > web/web.yaml; brokkr apply -f web --stack web --label prod --wait"
	aShop    = "printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: old}\\n' > old.yaml; brokkr apply -f old.yaml --stack shop --label prod"
	aKey     = `$$(sed -n 's/.*pak: *//p' "$$XDG_CONFIG_HOME/brokkr/config.yaml" | tr -d '"' | head -1)`
	template = "printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: {{ name | json_encode }}}\\ndata: {replicas: \"{{ replicas | default(value=1) }}\"}\\n' > web.yaml.tera\n" +
		`echo '{"type":"object","properties":{"name":{"type":"string"},"replicas":{"type":"integer"}}}' > web.schema.json; echo 'name: shop' > shop.yaml` + "\n" +
		aShop + "; brokkr stack label shop tier:web"
)

func theGuides() map[string]guide {
	return map[string]guide{
		"README.md": {bare: true, inRoot: true, meant: [][2]string{
			{`<admin_pak>`, `"$$(grep -ho 'brokkr_BR[1-9A-Za-z]*_[1-9A-Za-z]*' "$$LASTING"/* | head -1)"`},
			{`<generated_pak>`, `"$$(./brokkr agent rotate production-agent -o json | sed -n 's/.*"pak": "\(.*\)".*/\1/p')"`},
			{`\$PAK`, aKey},
			{`create (stack|agent) --name `, `create $1 --name other-`}, // the former block has made them already
		}},
		"docs/agent.md":           {before: aToken + "\n" + aShop, meant: [][2]string{{`brokkrjoin_\.\.\.`, `$$TOKEN`}, {`https://broker\.example\.com`, `http://$$BROKER`}}},
		"docs/external-broker.md": {before: aToken, meant: append(apart(), [2]string{`brokkrjoin_\.\.\.`, `$$TOKEN`})},
		"docs/install.md": {before: aToken, meant: append(apart(), [2]string{`brokkrjoin_\.\.\.`, `$$TOKEN`},
			[2]string{`values/production.yaml`, `values/production.yaml --set global.monitoring.podMonitor.enabled=false`})}, // here is no Prometheus Operator
		"docs/multi-cluster.md":                     {before: aToken, meant: append(apart(), [2]string{`brokkrjoin_\.\.\.`, `$$TOKEN`}, [2]string{`agent label edge-1`, `agent label first`})},
		"deploy/examples/hello-helm/README.md":      {clusterWide: true},
		"deploy/examples/hello-kustomize/README.md": {clusterWide: true},
		"docs/telemetry.md":                         {before: aWeb},
		"docs/templates.md":                         {before: template},
		"docs/webhooks.md": {before: template + "\necho $RECEIVER > url.txt; pass() { echo 'Bearer canary'; }",
			meant: [][2]string{{`brokkr webhook redeliver DELIVERY`, `sed -i.bak 's/: old/: new/' old.yaml; brokkr apply -f old.yaml --stack shop
until brokkr webhook deliveries ops -o name | grep -q .; do sleep 0.2; done
brokkr webhook redeliver "$$(brokkr webhook deliveries ops -o name | head -1 | cut -d/ -f2)"`}}},
		"docs/work-orders.md": {before: aJob, meant: [][2]string{{`--agent edge-1`, `--agent first`}}},
		"deploy/examples/generators/README.md": {inRoot: true, meant: [][2]string{
			{`brokkr_\.\.\.`, `"$$(brokkr generator create ci -o json | sed -n 's/.*"pak": "\(.*\)".*/\1/p')"`}}},
	}
}

// The guides' commands work as they are printed, on a broker, an agent and a real API server. Blocks that need more say so.
func TestGuides(t *testing.T) {
	kubeconfig := testenv.Kubeconfigs(t, 1)[0]
	root, err := testenv.Repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files, err := guides.Files(root)
	if err != nil {
		t.Fatal(err)
	}
	tools := buildTools(t, root)
	known := theGuides()
	for _, file := range files {
		blocks, _, err := guides.Read(root, file)
		if err != nil {
			t.Fatal(err)
		}
		blocks = slices.DeleteFunc(blocks, func(b guides.Block) bool { return !b.Shell() || b.Needs != "" })
		g, ok := known[file]
		if len(blocks) == 0 {
			if ok {
				t.Errorf("%s has nothing to run", file)
			}
			continue
		}
		t.Run(file, func(t *testing.T) {
			s := newShell(t, root, kubeconfig, tools, g.inRoot)
			if !g.bare {
				s.startBroker(programs, g)
			}
			s.run(g, blocks)
		})
	}
}
