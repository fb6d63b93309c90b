package stack

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// MaxHealthRules is how many rules a list may have.
const MaxHealthRules = 32

const maxHealthRule = 2048 // bytes

// HealthRule says by an expression in CEL how objects of a kind are.
type HealthRule struct {
	Kind, Group string
	Expression  string
}

// ParseHealthRule reads Kind.group=expression, as in Certificate.cert-manager.io=... The expression itself is not looked at. An error ends a
// sentence that began with the rule. Kinds of groups without a dot have no rules: definitions cannot be of such a group, but Kubernetes' own
// kinds are, of which it is known how they are.
func ParseHealthRule(text string) (HealthRule, error) {
	if len(text) > maxHealthRule {
		return HealthRule{}, fmt.Errorf("is longer than %d bytes", maxHealthRule)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
		return HealthRule{}, errors.New("has control characters")
	}
	of, expression, ok := strings.Cut(text, "=")
	kind, group, full := strings.Cut(strings.TrimSpace(of), ".")
	r := HealthRule{Kind: kind, Group: group, Expression: strings.TrimSpace(expression)}
	switch {
	case !ok || r.Expression == "" || kind == "":
		return HealthRule{}, fmt.Errorf("is %q, not Kind.group=expression as in Certificate.cert-manager.io='healthy'", text)
	case !full || !strings.Contains(group, "."):
		return HealthRule{}, fmt.Errorf("is about %q: rules are for kinds whose API group has a dot in it, as in Certificate.cert-manager.io", of)
	case !isName(group) || !isLabel(strings.ToLower(kind)):
		return HealthRule{}, fmt.Errorf("is about %q, not a kind and its group as in Certificate.cert-manager.io", of)
	}
	return r, nil
}

// ParseHealthRules reads rules, and asks check about each expression. bad is told what is wrong, with the rule's place in the list; of those
// that are too many it is told of the first alone.
func ParseHealthRules(texts []string, check func(expression string) error, bad func(i int, why string)) []HealthRule {
	if len(texts) > MaxHealthRules {
		bad(MaxHealthRules, fmt.Sprintf("is one of %d rules, more than %d", len(texts), MaxHealthRules))
		texts = texts[:MaxHealthRules]
	}
	var all []HealthRule
	said := map[string]bool{}
	for i, text := range texts {
		r, err := ParseHealthRule(text)
		if err != nil {
			bad(i, err.Error())
			continue
		}
		if name := r.Kind + "." + r.Group; said[name] {
			bad(i, fmt.Sprintf("is a second rule for %s", name))
		} else {
			said[name] = true
		}
		if err := check(r.Expression); err != nil {
			bad(i, fmt.Sprintf("for %s.%s cannot be used: %v", r.Kind, r.Group, err))
		}
		all = append(all, r)
	}
	return all
}

// isName reports whether s consists of labels with dots between.
func isName(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if !isLabel(part) {
			return false
		}
	}
	return true
}
