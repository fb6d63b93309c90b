package command

import (
	"crypto/rand"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/pkg/domain/pak"
)

func (a *app) generatePAK() *cobra.Command {
	return &cobra.Command{
		Use:   "generate-pak",
		Short: "Make a PAK and its hash without storing either",
		Long: `Makes a PAK and the hash by which a broker knows it. Give the hash to the broker as BROKKR__BROKER__PAK_HASH
and the key is the admin's; keep the key itself out of the broker's configuration.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := pak.Generate(rand.Reader)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "PAK:  %s\nHash: %s\n", key.Reveal(), key.Hash())
			return err
		},
	}
}
