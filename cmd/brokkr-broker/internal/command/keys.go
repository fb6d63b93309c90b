package command

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/platform/seal"
	"github.com/colliery-io/brokkr/pkg/ports"
)

func (a *app) generateKey() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use:   "generate-key",
		Short: "Make a key that seals manifests at rest, without storing it",
		Long: `Makes a key for secrets.keys. To change keys, put a new one before the present one and start all processes anew: what is
there is sealed with it in the background, and ` + "`brokkr-broker keys`" + ` shows when the former key is not needed any more.`,
		Example: "  export BROKKR__SECRETS__KEYS=$(brokkr-broker generate-key)",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key := seal.Generate(id)
			if _, err := seal.Parse([]string{key}); err != nil {
				return fmt.Errorf("--id: %w", err)
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), key)
			return err
		},
	}
	cmd.Flags().StringVar(&id, "id", "k"+time.Now().UTC().Format("20060102"), "name of the key: letters, digits, dots, dashes, underscores")
	return cmd
}

func (a *app) keys() *cobra.Command {
	return &cobra.Command{
		Use:   "keys",
		Short: "Show how many values each key seals",
		Long:  "Shows how many values of the database each key seals. A key without values may be taken out of secrets.keys.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.onStore(cmd, "count the values of each key", func(ctx context.Context, store ports.Store) error {
				usage, err := store.Secrets().Usage(ctx)
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', 0)
				fmt.Fprintln(w, "KEY\tVALUES")
				for _, id := range slices.Sorted(maps.Keys(usage)) {
					name := id
					if id == "" {
						name = "(readable)"
					}
					fmt.Fprintf(w, "%s\t%d\n", name, usage[id])
				}
				return w.Flush()
			})
		},
	}
}
