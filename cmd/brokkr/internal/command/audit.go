package command

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr/internal/render"
	"github.com/colliery-io/brokkr/pkg/client"
)

func (a *app) audit() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "See who changed what, and verify that nobody changed the record"}
	cmd.AddCommand(a.auditList(), a.auditGet(), a.auditVerify(), a.auditExport())
	return group(cmd)
}

func (a *app) auditList() *cobra.Command {
	var o output
	var q client.AuditQuery
	var since time.Duration
	var from, to string
	l := &listing{limit: 50}
	cmd := &cobra.Command{
		Use: "list", Short: "List entries of the audit log, newest first",
		Example: "  brokkr audit list --action 'stack.*' --since 24h\n  brokkr audit list --resource 6f0c... -o wide",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := l.read(cmd, args)
			if err != nil {
				return err
			}
			if since > 0 {
				q.From = a.env.Now().Add(-since)
			}
			if from != "" {
				if q.From, err = time.Parse(time.RFC3339, from); err != nil {
					return usagef(cmd, "--from %q is no time like 2026-08-02T18:00:00Z", from)
				}
			}
			if to != "" {
				if q.To, err = time.Parse(time.RFC3339, to); err != nil {
					return usagef(cmd, "--to %q is no time like 2026-08-02T18:00:00Z", to)
				}
			}
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			all, total, err := auditEntries(cmd.Context(), c, q, l.limit)
			if err != nil {
				return fmt.Errorf("list audit log entries: %w", err)
			}
			v := a.auditView(all, &o)
			v.rest = max(int(total)-len(all), 0)
			return a.show(cmd, &o, v)
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.ActorType, "actor-type", "", "admin, operator, viewer, generator, agent or system")
	f.StringVar(&q.ActorID, "actor", "", "id of the agent, generator or credential that did it")
	f.StringVar(&q.Action, "action", "", "what was done, such as stack.created; stack.* for all of a kind")
	f.StringVar(&q.ResourceType, "resource-type", "", "kind of thing that it was done to")
	f.StringVar(&q.ResourceID, "resource", "", "id of the thing that it was done to")
	f.DurationVar(&since, "since", 0, "not older than this, such as 24h")
	f.StringVar(&from, "from", "", "not before this time")
	f.StringVar(&to, "to", "", "before this time")
	l.flags(cmd)
	o.flag(cmd)
	return cmd
}

// auditPage is how many entries are asked for at a time.
const auditPage = 1000

// auditEntries returns the newest entries, so many at most (0: all), and how many there are.
func auditEntries(ctx context.Context, c *client.Client, q client.AuditQuery, limit int) ([]client.AuditLog, int64, error) {
	all, total := []client.AuditLog{}, int64(0)
	for {
		q.Limit = auditPage
		if limit > 0 {
			q.Limit = min(limit-len(all), auditPage)
		}
		p, err := c.AuditLogs(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		if q.Cursor == "" {
			total = p.Total
		}
		all = append(all, p.Logs...)
		if p.NextCursor == nil || len(p.Logs) == 0 || limit > 0 && len(all) >= limit {
			return all, total, nil
		}
		q.Cursor = *p.NextCursor
	}
}

func (a *app) auditView(all []client.AuditLog, o *output) view {
	v := view{data: all}
	g := &render.Grid{Columns: render.Columns("TIME", "ACTOR", "ACTION", "RESOURCE", "+FROM", "+REQUEST", "+ID")}
	for _, e := range all {
		v.names = append(v.names, "audit/"+e.ID)
		resource := orNone(deref(e.ResourceID))
		if name := e.Details["name"]; name != "" {
			resource = e.ResourceType + " " + name
		}
		g.Add(render.Texts(e.Timestamp.UTC().Format(time.DateTime), auditActor(e), e.Action, resource, orNone(e.IPAddress), orNone(e.RequestID), e.ID)...)
	}
	v.table = a.grid(g, o, "no entries")
	return v
}

func auditActor(e client.AuditLog) string {
	name := deref(e.ActorName)
	switch {
	case name == "":
		return e.ActorType + " " + deref(e.ActorID)
	case name == e.ActorType:
		return name
	default:
		return e.ActorType + " " + name
	}
}

func (a *app) auditGet() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use: "get ID", Short: "Show one entry of the audit log", Args: exactly("the entry's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := o.format(cmd); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			e, err := c.AuditLog(cmd.Context(), args[0])
			if err != nil {
				return fmt.Errorf("get audit log entry %s: %w", args[0], err)
			}
			if o.value == "" {
				o.value = "yaml"
			}
			return a.show(cmd, &o, view{data: e, names: []string{"audit/" + e.ID}, table: a.auditView([]client.AuditLog{e}, &o).table})
		},
	}
	o.flag(cmd)
	return cmd
}

func (a *app) auditExport() *cobra.Command {
	return &cobra.Command{
		Use: "export", Short: "Write all sealed entries, a JSON text a line, for a verification elsewhere",
		Long: `Write the chains of the audit log and their entries to standard output, a JSON text a line. Keep the file where the broker
cannot reach it: brokkr audit verify -f FILE needs no broker, and the chains' heads of today are in it.`,
		Example: "  brokkr audit export > audit-$(date +%F).jsonl",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			out := bufio.NewWriter(a.env.Out)
			n, err := exportAudit(cmd.Context(), c, out)
			if err != nil {
				return fmt.Errorf("export the audit log: %w", err)
			}
			if err := out.Flush(); err != nil {
				return fmt.Errorf("write the export: %w", err)
			}
			a.progress("%d entries exported", n)
			return nil
		},
	}
}

// auditLine is one line of an export: a chain, or an entry of the last chain before it.
type auditLine struct {
	Chain *client.AuditChain `json:"chain,omitempty"`
	Entry *client.AuditLog   `json:"entry,omitempty"`
}

// exportAudit writes what the chains had when it began, and returns how many entries.
func exportAudit(ctx context.Context, c *client.Client, w io.Writer) (int64, error) {
	chains, err := c.AuditChains(ctx)
	if err != nil {
		return 0, err
	}
	enc, n := json.NewEncoder(w), int64(0)
	for i := range chains {
		if err := enc.Encode(auditLine{Chain: &chains[i]}); err != nil {
			return n, err
		}
		for seq := int64(0); chains[i].DroppedAt == nil && seq < chains[i].Entries; {
			page, err := c.AuditChain(ctx, chains[i].Chain, seq)
			if err != nil {
				return n, err
			}
			if len(page) == 0 {
				break // verify tells what is missing
			}
			for j := range page {
				if seq++; seq > chains[i].Entries {
					break
				}
				n++
				if err := enc.Encode(auditLine{Entry: &page[j]}); err != nil {
					return n, err
				}
			}
		}
	}
	return n, nil
}

func (a *app) auditVerify() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "verify", Short: "Verify that no entry of the audit log was changed, deleted or moved",
		Long: `Walk along the chains of the audit log up to the first entry that was changed, deleted or moved; the exit status is 1 if there
is one. With -f the file of an export is verified here, without a broker (- reads standard input).`,
		Example: "  brokkr audit verify\n  brokkr audit export | brokkr audit verify -f -",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file != "" {
				return a.verifyExport(file)
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			r, err := c.VerifyAudit(cmd.Context())
			if err != nil {
				return fmt.Errorf("verify the audit log: %w", err)
			}
			if r.Broken != nil {
				return fmt.Errorf("the audit log is not what was written: %s", brokenText(*r.Broken))
			}
			return a.verified(r.Entries, len(r.Chains), r.Unsealed)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "verify this export")
	return cmd
}

func brokenText(b client.AuditBreak) string {
	switch {
	case b.Sequence == 0:
		return fmt.Sprintf("chain %s: %s", b.Chain, b.Reason)
	case b.ID == nil:
		return fmt.Sprintf("chain %s, entry %d: %s", b.Chain, b.Sequence, b.Reason)
	default:
		return fmt.Sprintf("chain %s, entry %d (%s): %s", b.Chain, b.Sequence, *b.ID, b.Reason)
	}
}

func (a *app) verified(entries int64, chains, unsealed int) error {
	text := fmt.Sprintf("%d entries in %d chains are as they were written", entries, chains)
	if unsealed > 0 {
		text += fmt.Sprintf("; %d are not sealed yet", unsealed)
	}
	_, err := fmt.Fprintln(a.env.Out, text)
	return err
}

func (a *app) verifyExport(file string) error {
	in, name := a.env.In, "standard input"
	if file != "-" {
		f, err := os.Open(file) //nolint:gosec // the user's own file
		if err != nil {
			return fmt.Errorf("open the export: %w", err)
		}
		defer f.Close() //nolint:errcheck // only read
		in, name = f, file
	}
	entries, chains, err := verifyLines(in)
	if err != nil {
		return fmt.Errorf("verify %s: %w", strings.TrimSpace(name), err)
	}
	return a.verified(entries, chains, 0)
}
