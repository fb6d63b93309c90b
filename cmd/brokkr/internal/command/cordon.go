package command

import (
	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/client"
)

func (a *app) cordon() *cobra.Command {
	var reason, plan string
	cmd := &cobra.Command{
		Use: "cordon CLUSTER", Short: "Keep new stacks away from a cluster; what is there stays", Args: exactly("CLUSTER"), ValidArgsFunction: a.completeClusters,
		Long: `Keeps new stacks away from a cluster. CLUSTER is the cluster's name, or its agent's name or id. A cordon that stands keeps its
beginning and its reason.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onCluster(cmd, args[0], func(c *client.Client, v client.Agent) error {
				was, err := c.Cluster(cmd.Context(), v.ID)
				if err != nil {
					return err
				}
				k, err := under(c, plan).Cordon(cmd.Context(), v.ID, reason)
				if err != nil {
					return outdated(err)
				}
				if was.Cordon != nil {
					a.said("cluster/%s was cordoned already, since %s%s", k.ClusterName, when(a.env.Now(), &was.Cordon.Since), byWhom(was.Cordon.By, was.Cordon.Reason))
					return nil
				}
				a.said("cluster/%s cordoned; %s there %s", k.ClusterName, count(k.AssignedStacks, "stack"), pick(k.AssignedStacks == 1, "stays", "stay"))
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who wonder later")
	planFlag(cmd, &plan)
	return cmd
}

func (a *app) uncordon() *cobra.Command {
	var plan string
	cmd := &cobra.Command{
		Use: "uncordon CLUSTER", Short: "Let stacks come to a cluster again; ends a drain too", Args: exactly("CLUSTER"), ValidArgsFunction: a.completeClusters,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onCluster(cmd, args[0], func(c *client.Client, v client.Agent) error {
				was, err := c.Cluster(cmd.Context(), v.ID)
				if err != nil {
					return err
				}
				k, err := under(c, plan).Uncordon(cmd.Context(), v.ID)
				if err != nil {
					return outdated(err)
				}
				switch {
				case was.Drain != nil:
					a.said("cluster/%s uncordoned, its drain is ended", k.ClusterName)
				case was.Cordon != nil:
					a.said("cluster/%s uncordoned", k.ClusterName)
				default:
					a.said("cluster/%s was not cordoned", k.ClusterName)
				}
				return nil
			})
		},
	}
	planFlag(cmd, &plan)
	return cmd
}

// onCluster does something with the cluster that ref names.
func (a *app) onCluster(cmd *cobra.Command, ref string, do func(*client.Client, client.Agent) error) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	v, err := findCluster(cmd.Context(), c, ref)
	if err != nil {
		return err
	}
	return do(c, v)
}
