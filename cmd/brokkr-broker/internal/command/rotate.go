package command

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/services/api"
)

const rotated = "%s has a new PAK, shown this once; former ones are revoked:\n\n    %s\n"

func (a *app) rotate() *cobra.Command {
	cmd := &cobra.Command{Use: "rotate", Short: "Replace a PAK by a new one; the former ends at once", Args: cobra.NoArgs}
	cmd.AddCommand(a.rotateAdmin(), a.rotateAgent(), a.rotateGenerator())
	return cmd
}

func (a *app) rotateAdmin() *cobra.Command {
	return &cobra.Command{
		Use:   "admin",
		Short: "Replace every admin PAK by one new one",
		Long:  "Replaces every admin PAK by one new one. A key preset by BROKKR__BROKER__PAK_HASH comes back at the next start.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.onStore(cmd, "rotate the admin's PAK", func(ctx context.Context, store ports.Store) error {
				key, err := api.RotateAdmin(ctx, store, time.Now, rand.Reader)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), rotated, "the admin", key.Reveal())
				return err
			})
		},
	}
}

func (a *app) rotateAgent() *cobra.Command {
	var name, cluster string
	cmd := &cobra.Command{
		Use:   "agent --name NAME --cluster-name CLUSTER",
		Short: "Replace an agent's PAK",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.onStore(cmd, "rotate the PAK of agent "+name, func(ctx context.Context, store ports.Store) error {
				v, err := store.Agents().ByName(ctx, name, cluster)
				if err != nil {
					return fmt.Errorf("find agent %s of cluster %s: %w", name, cluster, err)
				}
				who, key, err := api.RotateAgent(ctx, store, time.Now, rand.Reader, v.ID)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), rotated, "agent "+who.Name+" of cluster "+who.ClusterName, key.Reveal())
				return err
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "name of the agent")
	cmd.Flags().StringVar(&cluster, "cluster-name", "", "name of its cluster")
	return required(cmd, "name", "cluster-name")
}

func (a *app) rotateGenerator() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "generator --name NAME",
		Short: "Replace a generator's PAK",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.onStore(cmd, "rotate the PAK of generator "+name, func(ctx context.Context, store ports.Store) error {
				v, err := store.Generators().ByName(ctx, name)
				if err != nil {
					return fmt.Errorf("find generator %s: %w", name, err)
				}
				who, key, err := api.RotateGenerator(ctx, store, time.Now, rand.Reader, v.ID)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), rotated, "generator "+who.Name, key.Reveal())
				return err
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "name of the generator")
	return required(cmd, "name")
}
