package config

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"
)

// setting is one leaf of a configuration struct with the key that a user writes.
type setting struct {
	key   string // section.key
	value reflect.Value
}

// settings returns the leaves of the struct v in its order. Fields without a koanf tag are not settings.
func settings(v reflect.Value, prefix string) []setting {
	v = reflect.Indirect(v)
	var out []setting
	for i := range v.NumField() {
		name, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("koanf"), ",")
		switch field := v.Field(i); {
		case option == "squash":
			out = append(out, settings(field, prefix)...)
		case name == "":
		case field.Kind() == reflect.Struct:
			out = append(out, settings(field, prefix+name+".")...)
		default:
			out = append(out, setting{key: prefix + name, value: field})
		}
	}
	return out
}

// Keys returns the keys of the configuration struct c, as a user writes them, in the struct's order.
func Keys(c any) []string {
	var out []string
	for _, s := range settings(reflect.ValueOf(c), "") {
		out = append(out, s.key)
	}
	return out
}

// Effective returns the configuration for the log: each key and value as a user writes them, secrets redacted.
func Effective(c any) slog.Value {
	var out []slog.Attr
	for _, s := range settings(reflect.ValueOf(c), "") {
		out = append(out, slog.Attr{Key: s.key, Value: shown(s)})
	}
	return slog.GroupValue(out...)
}

// shown is the value of s as a user writes it, a secret redacted.
func shown(s setting) slog.Value {
	switch v := s.value.Interface().(type) {
	case Secret:
		return slog.StringValue(v.String())
	case time.Duration:
		return slog.StringValue(short(v))
	case []string:
		return slog.StringValue(strings.Join(v, ","))
	case Lines:
		return slog.StringValue(strings.Join(v, "\n"))
	default:
		return slog.AnyValue(v)
	}
}

// short is d without the zeros at its end: 10m, not 10m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// section is what stands before the dot of a key.
func section(key string) string {
	s, _, _ := strings.Cut(key, ".")
	return s
}

// unknown says why key is not one of known, and what is.
func unknown(key string, known []setting) error {
	var siblings, sections []string
	for _, s := range known {
		if name, ok := strings.CutPrefix(s.key, section(key)+"."); ok {
			siblings = append(siblings, name)
		}
		if n := len(sections); n == 0 || sections[n-1] != section(s.key) {
			sections = append(sections, section(s.key))
		}
	}
	switch {
	case key == section(key) && siblings != nil:
		return fmt.Errorf("is a section, not a setting; it has %s", strings.Join(siblings, ", "))
	case siblings != nil:
		return fmt.Errorf("is not a setting; %s has %s", section(key), strings.Join(siblings, ", "))
	default:
		return fmt.Errorf("is not a setting; the sections are %s", strings.Join(sections, ", "))
	}
}
