package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/colliery-io/brokkr/test/e2e/world"
)

// What a team says of the treatment of its stack is what the agent does, from the command line to the cluster.
func TestTreatmentOfStacks(t *testing.T) {
	accounts := fmt.Sprintf("accounts-%d", time.Now().UnixNano())
	w := world.New(t, programs, world.Options{Clusters: 1, AgentEnv: []string{"BROKKR__AGENT__SERVICE_ACCOUNTS=" + accounts + "/deployer"}})
	cluster, agent, cli := w.Clusters[0], w.Agents[0], w.CLI(w.Tenant.PAK)
	config := func(name, text string) string { return world.ConfigMap(cluster.Namespace, name, text) }
	stamped := func(name string) (bool, error) {
		o, err := cluster.Get(world.ConfigMaps, name)
		if err != nil {
			return false, err
		}
		return o.GetLabels()[world.StackLabel] != "", nil
	}
	stays := func(t *testing.T, names ...string) {
		t.Helper()
		for _, n := range names {
			if is, err := stamped(n); err != nil || is {
				t.Errorf("%s: stamped %v, %v; want it there, and nobody's", n, is, err)
			}
		}
	}
	t.Run("prune orphan", func(t *testing.T) {
		s := w.Tenant.NewStack(t, w.Unique("orphan"), world.All)
		w.Tenant.WaitHealthy(t, w.Tenant.Publish(t, s.ID, config("left", "one")+"---\n"+config("kept", "one")), agent)
		cli.Says(t, 0, []string{"stack", "treat", s.ID, "--prune", "orphan"}, []string{"is now treated: prune orphan"})
		w.Tenant.WaitHealthy(t, w.Tenant.Publish(t, s.ID, config("kept", "two")), agent)
		stays(t, "left")
		w.Tenant.DeleteStack(t, s.ID)
		w.Tenant.WaitUnassigned(t, s.ID, agent)
		stays(t, "left", "kept")
	})
	t.Run("orphan and gone while the agent was away", func(t *testing.T) {
		s := w.Tenant.NewStack(t, w.Unique("away"), world.All)
		w.Tenant.WaitHealthy(t, w.Tenant.Publish(t, s.ID, config("away", "one")), agent)
		agent.Stop()
		cli.Says(t, 0, []string{"stack", "treat", s.ID, "--prune", "orphan"}, []string{"is now treated: prune orphan"})
		w.Tenant.DeleteStack(t, s.ID)
		agent.Start()
		w.Tenant.WaitUnassigned(t, s.ID, agent)
		stays(t, "away")
	})
	t.Run("drift report", func(t *testing.T) {
		s := w.Tenant.NewStack(t, w.Unique("drift"), world.All)
		cli.Run(t, 0, "stack", "treat", s.ID, "--drift", "report")
		w.Tenant.WaitHealthy(t, w.Tenant.Publish(t, s.ID, config("drift", "ours")), agent)
		cluster.Patch(world.ConfigMaps, "drift", `{"data":{"text":"theirs"}}`)
		cli.WaitSays(t, []string{"status", s.ID}, []string{"/data/text", "the stack's treatment is to report it only"})
		if got, err := cluster.Data("drift", "text"); err != nil || got != "theirs" {
			t.Errorf("text is %q, %v: what was to be reported was changed", got, err)
		}
		cli.Run(t, 0, "stack", "treat", s.ID, "--drift", "correct")
		cluster.WaitData("drift", "text", "ours")
		cli.Says(t, 0, []string{"describe", "stack", s.ID}, []string{"Treatment:", "by default"})
	})
	t.Run("adopt never", func(t *testing.T) {
		_, err := cluster.Kube.CoreV1().ConfigMaps(cluster.Namespace).Create(t.Context(), &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: "theirs"}, Data: map[string]string{"text": "theirs"}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		name := w.Unique("adopt")
		cli.Run(t, 0, "apply", "-f", cli.File(t, "adopt.yaml", config("theirs", "ours")+"---\n"+config("beside", "ours")), "--stack", name, "--label", world.All, "--adopt", "never")
		cli.WaitSays(t, []string{"status", name}, []string{"not_adopted", "theirs", "adopt: never"})
		if got, err := cluster.Data("theirs", "text"); err != nil || got != "theirs" {
			t.Errorf("text is %q, %v: an object was overwritten that was not to be adopted", got, err)
		}
		if err := cluster.Gone(world.ConfigMaps, "beside"); err != nil {
			t.Errorf("something of the bundle was written: %v", err)
		}
		stays(t, "theirs")
	})
	t.Run("service account", func(t *testing.T) {
		makeDeployer(t, cluster, accounts)
		name := w.Unique("account")
		file := cli.File(t, "account.yaml", world.ConfigMap(accounts, "made", "one"))
		cli.Run(t, 0, "apply", "-f", file, "--stack", name, "--label", world.All, "--service-account", accounts+"/deployer", "--wait")
		if _, err := cluster.Kube.CoreV1().ConfigMaps(accounts).Get(t.Context(), "made", metav1.GetOptions{}); err != nil {
			t.Fatal(err)
		}
		file = cli.File(t, "account.yaml", world.ConfigMap(cluster.Namespace, "beyond", "one"))
		cli.Run(t, 0, "apply", "-f", file, "--stack", name)
		cli.WaitSays(t, []string{"status", name}, []string{"forbidden", "as service account " + accounts + "/deployer"})
		if err := cluster.Gone(world.ConfigMaps, "beyond"); err != nil {
			t.Errorf("it was made with other rights than the account's: %v", err)
		}
		other := w.Unique("rights")
		file = cli.File(t, "rights.yaml", config("rights", "one"))
		cli.Run(t, 0, "apply", "-f", file, "--stack", other, "--label", world.All, "--service-account", "kube-system/default")
		cli.WaitSays(t, []string{"status", other}, []string{"kube-system/default", "may not apply stacks of generator", w.Tenant.ID})
		if err := cluster.Gone(world.ConfigMaps, "rights"); err != nil {
			t.Errorf("it was made though its account is not allowed: %v", err)
		}
		cli.Run(t, 0, "stack", "treat", other, "--service-account", "")
		cluster.WaitData("rights", "text", "one")
	})
	t.Run("health rule", func(t *testing.T) {
		group := w.Unique("rules") + ".example.com"
		gadgets := schema.GroupVersionResource{Group: group, Version: "v1", Resource: "gadgets"}
		s := w.Tenant.NewStack(t, w.Unique("ruled"), world.All)
		rule := "Gadget." + group + "=object.?status.?phase.orValue('') == 'Ready' ? 'healthy' : 'failing: the disk is gone'"
		cli.Says(t, 1, []string{"stack", "treat", s.ID, "--health-rule", "Gadget." + group + "=object.phase =="}, []string{"invalid_treatment", "treatment.health_rules[0]", "Syntax error"})
		cli.Says(t, 0, []string{"stack", "treat", s.ID, "--prune-protected", "--health-rule", rule}, []string{"health of Gadget." + group + " by rule"})
		o := w.Tenant.Publish(t, s.ID, gadgetOf(group, cluster.Namespace))
		cli.WaitSays(t, []string{"status", s.ID}, []string{"failing", "Gadget", "the disk is gone"})
		cluster.Patch(gadgets, "one", `{"status":{"phase":"Ready"}}`)
		w.Tenant.WaitHealthy(t, o, agent)
		w.Tenant.DeleteStack(t, s.ID)
		w.Tenant.WaitUnassigned(t, s.ID, agent)
		if err := cluster.Gone(world.Definitions, "gadgets."+group); err != nil {
			t.Error(err)
		}
	})
	t.Run("gone without its inventory", func(t *testing.T) {
		s := w.Tenant.NewStack(t, w.Unique("lost"), world.All)
		w.Tenant.WaitHealthy(t, w.Tenant.Publish(t, s.ID, config("lost", "one")), agent)
		agent.Stop()
		if err := cluster.Kube.CoreV1().ConfigMaps(cluster.Namespace+"-agent").Delete(t.Context(), "inventory."+s.ID+"."+agent.ID, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Tenant.DeleteStack(t, s.ID)
		agent.Start()
		w.Tenant.WaitUnassigned(t, s.ID, agent)
		w.CLI(w.Admin.PAK).WaitSays(t, []string{"get", "events", agent.Name}, []string{"REMOVE", "FAILURE", "removed nothing: no inventory was found", world.StackLabel + "=" + s.ID + " may remain"})
		if got, err := cluster.Data("lost", "text"); err != nil || got != "one" {
			t.Errorf("text is %q, %v: what nobody knows of was taken away", got, err)
		}
	})
	w.Tenant.Must(t, http.MethodPut, "/stacks/"+w.Tenant.NewStack(t, w.Unique("wrong")).ID, map[string]any{"treatment": map[string]any{"prune": "keep"}}, http.StatusBadRequest, nil)
}

// gadgetOf defines a kind of a group, and makes one of it.
func gadgetOf(group, namespace string) string {
	return fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.%[1]s}
spec:
  group: %[1]s
  names: {kind: Gadget, listKind: GadgetList, plural: gadgets, singular: gadget}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: %[1]s/v1
kind: Gadget
metadata: {name: one, namespace: %[2]s}
`, group, namespace)
}

// makeDeployer makes a namespace with a service account that may do everything with its config maps, and nothing else.
func makeDeployer(t *testing.T, c *world.Cluster, namespace string) {
	t.Helper()
	ctx, meta := t.Context(), metav1.ObjectMeta{Name: "deployer", Namespace: namespace}
	_, err := c.Kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := c.Kube.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("delete namespace %s: %v", namespace, err)
		}
	})
	if _, err := c.Kube.CoreV1().ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = c.Kube.RbacV1().Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta,
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"*"}}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Kube.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta,
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "deployer"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "deployer", Namespace: namespace}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}
