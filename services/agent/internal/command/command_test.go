package command_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/colliery-io/brokkr/services/agent/internal/command"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]struct {
		status    int
		out, errs string // what each has; empty: nothing
	}{
		"version":            {0, "brokkr-agent 1.2.3\n", ""},
		"--version":          {0, "brokkr-agent 1.2.3\n", ""},
		"help":               {0, "BROKKR__AGENT__BROKER_URL", ""},
		"--help":             {0, "brokkr-agent start", ""},
		"-h":                 {0, "brokkr-agent version", ""},
		"":                   {2, "", "Usage:"},
		"run":                {2, "", `brokkr-agent: "run" is not a command; see brokkr-agent --help`},
		"start --help":       {0, "--kubeconfig PATH", ""},
		"start --join-token": {2, "", "brokkr-agent: flag needs an argument: -join-token; see"},
		"start --join-token brokkr_x --name a --cluster-name b": {1, "", "brokkr-agent: configuration: agent.join_token is not a join token"},
		"start --kube x":     {2, "", "brokkr-agent: flag provided but not defined: -kube; see"},
		"start --kubeconfig": {2, "", "brokkr-agent: flag needs an argument: -kubeconfig; see"},
		"check --help":       {0, "brokkr-agent check", ""},
		"check now":          {2, "", `brokkr-agent: check takes no argument "now"; see`},
		"check --wait soon":  {2, "", `brokkr-agent: invalid value "soon" for flag -wait: parse error; see`},
		"check":              {1, "", "brokkr-agent: configuration: agent.pak is empty: set BROKKR__AGENT__PAK"},
		"start now":          {2, "", `brokkr-agent: start takes no argument "now"; see`},
		"start":              {1, "", "brokkr-agent: configuration: agent.pak is empty: set BROKKR__AGENT__PAK"},
	} {
		var out, errs bytes.Buffer
		status := command.Main("1.2.3", strings.Fields(args), []string{"BROKKR__AGENT__BROKER_URL=http://b"}, &out, &errs)
		if status != want.status || !strings.Contains(out.String(), want.out) || !strings.Contains(errs.String(), want.errs) ||
			(want.out == "") != (out.Len() == 0) || (want.errs == "") != (errs.Len() == 0) {
			t.Errorf("%q: got %d, %q, %q; want %+v", args, status, &out, &errs, want)
		}
		if status != 0 && args != "" && strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%q: got %q, want one line", args, &errs)
		}
	}
}

func TestTheFlagIsTheKubeconfig(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	environ := []string{"BROKKR__AGENT__BROKER_URL=http://b", "BROKKR__AGENT__PAK=brokkr_BRmade11_GK3QN7CDUzYc6iKgMkJ98M2WSimM5t6U8", "BROKKR__AGENT__KUBECONFIG=/other"}
	if status := command.Main("1.2.3", []string{"start", "--kubeconfig=/there/is/none"}, environ, &out, &errs); status != 1 || !strings.Contains(errs.String(), "/there/is/none") {
		t.Errorf("got %d, %q", status, &errs)
	}
}
