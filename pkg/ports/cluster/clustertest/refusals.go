package clustertest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports/cluster"
)

func refusalCases() map[string]func(*world) {
	return map[string]func(*world){
		"what is wrong for good is invalid":           refusedInvalid,
		"an immutable field is invalid":               refusedImmutable,
		"a field that does not exist is invalid":      refusedUnknownField,
		"a namespace that is going is another matter": refusedTerminating,
		"values of secrets are not repeated":          refusedSecret,
		"an identity that is none":                    refusedIdentity,
	}
}

// refuse applies, dry and for real, what must be refused.
func (w *world) refuse(act string, u *unstructured.Unstructured, want fault.Kind, says ...string) {
	w.Helper()
	for _, dry := range []bool{true, false} {
		_, err := w.Apply(w.ctx, "", w.mapping(u.GroupVersionKind()), u, dry)
		wantKind(w.T, act, err, want)
		f, _ := fault.As(err)
		for _, part := range says {
			if !strings.Contains(f.Message, part) {
				w.Errorf("%s: got message %q, want that it says %q", act, f.Message, part)
			}
		}
	}
}

func refusedInvalid(w *world) {
	w.refuse("a name that is none", w.text("Not_A_Name", "one"), fault.Invalid, "Not_A_Name")
	bad := w.application("a", "nginx")
	wantNone(w.T, "set", unstructured.SetNestedField(bad.Object, int64(-1), "spec", "replicas"))
	w.refuse("a value out of range", bad, fault.Invalid, "spec.replicas")
	wantNone(w.T, "set", unstructured.SetNestedField(bad.Object, "many", "spec", "replicas"))
	w.refuse("a value of a wrong type", bad, fault.Invalid, "replicas")
	bad = w.application("a", "nginx")
	wantNone(w.T, "set", unstructured.SetNestedField(bad.Object, "other", "spec", "template", "metadata", "labels", "app"))
	w.refuse("a selector that does not fit", bad, fault.Invalid, "selector")
}

func refusedImmutable(w *world) {
	u := w.application("a", "nginx")
	w.apply(u)
	for _, path := range [][]string{{"spec", "selector", "matchLabels", "app"}, {"spec", "template", "metadata", "labels", "app"}} {
		wantNone(w.T, "set", unstructured.SetNestedField(u.Object, "other", path...))
	}
	w.refuse("another selector", u, fault.Invalid, "immutable")
}

func refusedUnknownField(w *world) {
	u := w.application("a", "nginx")
	wantNone(w.T, "set", unstructured.SetNestedField(u.Object, int64(1), "spec", "replcas"))
	w.refuse("a field that is misspelt", u, fault.Invalid, "replcas")
}

func refusedTerminating(w *world) {
	name := w.otherNamespace()
	holding := w.text("holding", "one")
	holding.SetNamespace(name)
	holding.SetFinalizers([]string{"brokkr.test/hold"})
	w.apply(holding)
	u := w.object(namespace, name, nil)
	u.SetNamespace("")
	w.remove(u)
	late := w.text("late", "one")
	late.SetNamespace(name)
	await(w.T, "the namespace is going", func() bool { return w.see(u).GetDeletionTimestamp() != nil })
	for _, dry := range []bool{true, false} {
		_, err := w.Apply(w.ctx, "", w.mapping(configMap), late, dry)
		wantCode(w.T, "apply", err, fault.Unavailable, cluster.CodeTerminating)
		hidden := w.object(secret, "late", nil)
		hidden.SetNamespace(name)
		_, err = w.Apply(w.ctx, "", w.mapping(secret), hidden, dry)
		wantCode(w.T, "apply of a secret", err, fault.Unavailable, cluster.CodeTerminating)
	}
	holding.SetFinalizers(nil)
	w.apply(holding)
}

// refusedSecret has secrets refused for all reasons there are, and looks for the value in all that an error tells.
func refusedSecret(w *world) {
	const value = "correct horse battery staple"
	hidden := base64.StdEncoding.EncodeToString([]byte(value))
	of := func(fields map[string]any) *unstructured.Unstructured { return w.object(secret, "a", fields) }
	w.apply(w.object(secret, "fixed", map[string]any{"immutable": true, "data": map[string]any{"key": hidden}}))
	w.apply(w.object(secret, "typed", map[string]any{"type": "Opaque"}))
	elsewhere := of(map[string]any{"data": map[string]any{"key": hidden}})
	elsewhere.SetNamespace("absent-" + newName())
	for act, c := range map[string]struct {
		secret *unstructured.Unstructured
		want   fault.Kind
	}{
		"not base64":         {of(map[string]any{"data": map[string]any{"key": value}}), fault.Invalid},
		"a wrong type":       {of(map[string]any{"data": map[string]any{"key": map[string]any{"nested": value}}}), fault.Invalid},
		"a list":             {of(map[string]any{"data": []any{value}}), fault.Invalid},
		"an unknown field":   {of(map[string]any{"dota": map[string]any{"key": value}}), fault.Invalid},
		"a key that is none": {of(map[string]any{"data": map[string]any{"no key!": hidden}}), fault.Invalid},
		"an immutable one":   {w.object(secret, "fixed", map[string]any{"immutable": true, "data": map[string]any{"key": base64.StdEncoding.EncodeToString([]byte(value + "!"))}}), fault.Invalid},
		"not valid for its type": {of(map[string]any{"type": "kubernetes.io/dockerconfigjson", "data": map[string]any{".dockerconfigjson": hidden}}),
			fault.Invalid},
		"another type":                        {w.object(secret, "typed", map[string]any{"type": value}), fault.Invalid},
		"a label that is none":                {of(map[string]any{"metadata": map[string]any{"labels": map[string]any{"key": value + "!"}}}), fault.Invalid},
		"a namespace that is not there":       {elsewhere, fault.NotFound},
		"too large, so that it is refused so": {of(map[string]any{"data": map[string]any{"key": base64.StdEncoding.EncodeToString([]byte(strings.Repeat(value, 50_000)))}}), fault.Invalid},
	} {
		for _, dry := range []bool{true, false} {
			_, err := w.Apply(w.ctx, "", w.mapping(secret), c.secret, dry)
			wantKind(w.T, act, err, c.want)
			for ; err != nil; err = errors.Unwrap(err) {
				told := fmt.Sprintf("%v %+v %#v", err, err, err)
				if strings.Contains(told, value) || strings.Contains(told, hidden[:20]) {
					w.Errorf("%s: the value is in the error: %s", act, told)
				}
			}
		}
	}
}

func refusedIdentity(w *world) {
	t := w.target(w.text("a", "one"))
	for _, as := range []cluster.Identity{"alone", "/name", "namespace/", "a/b/c", "/"} {
		_, err := w.Get(w.ctx, as, t)
		wantKind(w.T, "get as "+string(as), err, fault.Invalid)
		_, err = w.Apply(w.ctx, as, t.Mapping, w.text("a", "one"), true)
		wantKind(w.T, "apply as "+string(as), err, fault.Invalid)
		wantKind(w.T, "delete as "+string(as), w.Delete(w.ctx, as, t), fault.Invalid)
		wantKind(w.T, "release as "+string(as), w.Release(w.ctx, as, t), fault.Invalid)
		_, err = w.Strangers(w.ctx, as, w.Namespace, nil, 1)
		wantKind(w.T, "strangers as "+string(as), err, fault.Invalid)
		_, err = w.Instances(w.ctx, as, t.Mapping, nil, 1)
		wantKind(w.T, "instances as "+string(as), err, fault.Invalid)
	}
}
