package command

import "github.com/spf13/cobra"

// limitFlag adds --limit to a list that goes from the newest on.
func limitFlag(cmd *cobra.Command, limit *int) {
	cmd.Flags().IntVar(limit, "limit", 0, "how many at most, the newest first; 0 is all")
}

func checkLimit(cmd *cobra.Command, limit int) error {
	if limit < 0 {
		return usagef(cmd, "--limit %d is less than 0", limit)
	}
	return nil
}
