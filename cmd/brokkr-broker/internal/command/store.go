package command

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/colliery-io/brokkr/cmd/brokkr-broker/internal/database"
	"github.com/colliery-io/brokkr/cmd/brokkr-broker/internal/settings"
	"github.com/colliery-io/brokkr/pkg/adapters/postgres"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/ports"
	"github.com/colliery-io/brokkr/pkg/process"
	"github.com/colliery-io/brokkr/services/api"
)

// onStore runs fn, which does what act says, on the broker's store: the configured database, or the private one, which is started for the moment
// unless a broker has it running. The schema is brought up to date first, as serve does.
func (a *app) onStore(cmd *cobra.Command, act string, fn func(ctx context.Context, store ports.Store) error) error {
	s, err := a.settings()
	if err != nil {
		return err
	}
	return onDatabase(cmd.Context(), s, cmd.ErrOrStderr(), func(ctx context.Context, dsn string, log *slog.Logger) (err error) {
		if err := postgres.Migrate(ctx, dsn, log); err != nil {
			return process.AboutDatabase(err)
		}
		store, err := postgres.Open(ctx, dsn, postgres.Options{ApplicationName: "brokkr-broker " + cmd.Name(), MaxOpen: 2})
		if err != nil {
			return process.AboutDatabase(err)
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		first, err := api.Prepare(ctx, store, time.Now, rand.Reader, api.Preset{PAKHash: s.Broker.PAKHash.Reveal(), JoinToken: s.Broker.JoinToken.Reveal()})
		if err != nil {
			return err
		}
		if first != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "This database is new. The admin's PAK, shown this once; keep it safe:\n\n    %s\n\n", first.Reveal())
		}
		return plain(act, fn(ctx, store))
	})
}

// onDatabase runs fn with the DSN of a database that takes connections, for as long as fn takes.
func onDatabase(ctx context.Context, s *settings.Settings, logs io.Writer, fn func(ctx context.Context, dsn string, log *slog.Logger) error) (err error) {
	log, err := startLog(s, logs)
	if err != nil {
		return err
	}
	db, err := database.Open(ctx, database.Options{URL: s.Database.URL.Reveal(), StateDir: s.Broker.StateDir, Log: log, Attach: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(context.WithoutCancel(ctx))) }()
	return fn(ctx, db.URL(), log)
}

// startLog is the log of what happens before telemetry is set up, or without it.
func startLog(s *settings.Settings, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.Log.Level)); err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	opts := &slog.HandlerOptions{Level: level}
	if s.Log.Format == "text" {
		return slog.New(slog.NewTextHandler(w, opts)), nil
	}
	return slog.New(slog.NewJSONHandler(w, opts)), nil
}

// plain leaves of a classified error what is meant for people, and says what was to be done; the way that the error took
// says nothing at a keyboard.
func plain(act string, err error) error {
	if f, ok := fault.As(err); ok && f.Kind != fault.Internal {
		return fmt.Errorf("%s: %s", act, f.Message)
	}
	return err
}

func (a *app) migrate() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema up to date and end",
		Long: `Brings the schema up to date. Several at a time wait for each other; serve does the same at its start. With --wait it waits
for a database that cannot be reached yet.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.settings()
			if err != nil {
				return err
			}
			err = onDatabase(cmd.Context(), s, cmd.ErrOrStderr(), func(ctx context.Context, dsn string, log *slog.Logger) error {
				return process.AboutDatabase(patient(ctx, wait, log, func() error { return postgres.Migrate(ctx, dsn, log) }))
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "the schema is up to date")
			return err
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "how long to wait for a database that cannot be reached, such as 5m")
	return cmd
}

const (
	patience = time.Second      // between tries
	reminder = 10 * time.Second // between lines that say what is waited for
)

// patient does act again each second while it ends as Unavailable, for as long as wait.
func patient(ctx context.Context, wait time.Duration, log *slog.Logger, act func() error) error {
	begin := time.Now()
	var told time.Time
	for {
		err := act()
		if !fault.Is(err, fault.Unavailable) || time.Since(begin)+patience > wait {
			return err
		}
		if time.Since(told) >= reminder {
			log.InfoContext(ctx, "waiting for the database", "error", err.Error(), "at_most", wait.String())
			told = time.Now()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(patience):
		}
	}
}
