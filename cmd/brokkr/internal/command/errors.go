package command

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
)

const loginHint = "brokkr login --url URL, or set BROKKR_PAK"

// usageError is a command that was written wrongly.
type usageError struct {
	command string
	message string
}

func (e *usageError) Error() string { return e.message }

func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{command: cmd.CommandPath(), message: fmt.Sprintf(format, args...)}
}

// exitError ends the command with a status of its own. Without an error inside there is nothing to report.
type exitError struct {
	error
	status int
}

func (e *exitError) Unwrap() error { return e.error }

// Error returns what is reported, if anything.
func (e *exitError) Error() string {
	if e.error == nil {
		return ""
	}
	return e.error.Error()
}

// hintedError is an error with what to do about it.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

func hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hintedError{error: err, hint: fmt.Sprintf(format, args...)}
}

// report writes err for a person: what happened, where, and what to do.
func (a *app) report(err error) {
	colour := a.env.Terminal.Err && a.env.Getenv("NO_COLOR") == ""
	a.progress("%s %s", render.Paint("error:", render.Bad, colour), err)
	for _, line := range details(err) {
		a.progress("  %s", line)
	}
	if h := a.advice(err); h != "" {
		a.progress("%s %s", render.Paint("try:", render.Faint, colour), h)
	}
}

// advice says what to do about err; empty when the error says it all.
func (a *app) advice(err error) string {
	var hinted *hintedError
	var usage *usageError
	var unreachable *client.UnreachableError
	var refused *client.APIError
	var bad *client.BadAnswerError
	switch {
	case errors.As(err, &hinted):
		return hinted.hint
	case errors.As(err, &usage):
		return usage.command + " --help"
	case errors.As(err, &unreachable):
		return a.adviceUnreachable(unreachable)
	case errors.As(err, &refused):
		return a.adviceRefused(refused)
	case errors.As(err, &bad):
		return fmt.Sprintf("is %s a Brokkr broker? The URL comes from %s; set it with --url, BROKKR_URL or brokkr login --url URL", a.settings.URL, a.settings.URLFrom)
	default:
		return ""
	}
}

func (a *app) adviceUnreachable(e *client.UnreachableError) string {
	var cert x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.Is(e, context.DeadlineExceeded) || errors.Is(e, os.ErrDeadlineExceeded):
		return fmt.Sprintf("a longer --request-timeout than %s, or look at the broker's /healthz", e.Timeout)
	case errors.As(e, &cert):
		return "name a file with the certificate of the broker's authority in --ca-file or BROKKR_CA_FILE (brokkr login keeps it)"
	case errors.As(e, &name):
		return fmt.Sprintf("use a name that the broker's certificate has; this URL comes from %s", a.settings.URLFrom)
	case errors.Is(e, http.ErrSchemeMismatch):
		return fmt.Sprintf("the broker speaks plain HTTP: begin its URL with http://; this one comes from %s", a.settings.URLFrom)
	default:
		return fmt.Sprintf("start the broker (brokkr-broker serve), or name another one with --url, BROKKR_URL or brokkr login --url URL; this URL comes from %s", a.settings.URLFrom)
	}
}

func (a *app) adviceRefused(e *client.APIError) string {
	switch {
	case e.Status == http.StatusBadRequest && strings.Contains(e.Message, "HTTP request to an HTTPS server"):
		return fmt.Sprintf("the broker speaks TLS: begin its URL with https://; this one comes from %s", a.settings.URLFrom)
	case e.Status == http.StatusUnauthorized:
		return fmt.Sprintf("the key from %s is unknown, expired or revoked here; log in again: brokkr login --url %s", a.settings.PAKFrom, a.settings.URL)
	case e.Code == "agent_not_registered":
		return "the agent must consent to the stack's generator first: brokkr registration approve AGENT GENERATOR"
	case e.Status == http.StatusForbidden:
		return fmt.Sprintf("use a key that may do this; this one comes from %s (who am I: brokkr context show)", a.settings.PAKFrom)
	case e.Status >= 300 && e.Status < 400 && e.Location != "":
		return fmt.Sprintf("the broker has moved to %s: brokkr login --url there", e.Location)
	case e.Status == http.StatusNotFound && e.Code == "":
		return fmt.Sprintf("is %s a Brokkr broker that knows this route? Compare brokkr version", a.settings.URL)
	case e.RetryAfter > 0:
		return fmt.Sprintf("again in %s", render.Duration(e.RetryAfter))
	case e.Status >= 500 && e.RequestID != "":
		return fmt.Sprintf("look for request id %s in the broker's log", e.RequestID)
	default:
		return ""
	}
}

// details returns where a refusal came from and its details, as lines in a stable order. What the message says
// already is left out.
func details(err error) []string {
	var refused *client.APIError
	if !errors.As(err, &refused) {
		return nil
	}
	lines := make([]string, 0, len(refused.Details))
	for k, v := range refused.Details {
		if k == "problems" {
			lines = append(lines, problems(v)...)
			continue
		}
		if !strings.Contains(refused.Message, fmt.Sprintf("%s %v", k, v)) {
			lines = append(lines, render.Clean(fmt.Sprintf("%s: %v", k, v)))
		}
	}
	sort.Strings(lines)
	return append([]string{"at " + refused.Where()}, lines...)
}

// problems returns what is wrong with a document, a line each.
func problems(v any) []string {
	all, _ := v.([]any)
	lines := make([]string, 0, len(all))
	for _, item := range all {
		p, _ := item.(map[string]any)
		path, message := fmt.Sprint(p["path"]), fmt.Sprint(p["message"])
		if path != "" {
			message = path + ": " + message
		}
		lines = append(lines, render.Clean(message))
	}
	return lines
}

// plain returns what a domain rule says without the parts that are for programs.
func plain(err error) string {
	if f, ok := fault.As(err); ok {
		return f.Message
	}
	return strings.TrimSpace(err.Error())
}
