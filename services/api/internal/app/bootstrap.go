package app

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/colliery-io/brokkr/pkg/domain/audit"
	"github.com/colliery-io/brokkr/pkg/domain/fault"
	"github.com/colliery-io/brokkr/pkg/domain/join"
	"github.com/colliery-io/brokkr/pkg/domain/pak"
	"github.com/colliery-io/brokkr/pkg/domain/tenancy"
	"github.com/colliery-io/brokkr/pkg/ports"
)

// Names and the fixed id of the first admin credential. The id is fixed so that of two replicas that start at the
// same time on an empty store, the store lets only one insert it.
const (
	bootstrapName                         = "bootstrap"
	presetName                            = "preset"
	bootstrapID      tenancy.CredentialID = "b0074ad0-0000-4000-8000-000000000001"
	bootstrapRetries                      = 5
)

// What a preset join token is good for: agents that are installed beside a new broker.
const (
	firstTokenName  = "first-start"
	firstTokenTTL   = 24 * time.Hour
	firstTokenUses  = 5
	firstTokenLabel = "default"
)

// Preset is what is made outside and known to the first start.
type Preset struct {
	PAKHash   string // of an admin's PAK; empty: the first start mints one
	JoinToken string // by which agents may join for a day; empty: none. Made with the first start on a database, never again
}

// EnsureAdmin makes a store ready for use: the two builtin generators, and an admin credential. Without a preset
// hash, the first start mints a key and returns it, and every other call returns nil. With one (64 hexadecimal
// digits, the SHA-256 of a PAK's long token) that key is an admin's, the former preset key is not any more, and
// nothing is returned; a preset key that was revoked stays revoked, and then nothing changes. Concurrent calls are safe: one makes the key, the others find it.
func (a *App) EnsureAdmin(ctx context.Context, given Preset) (*pak.PAK, error) {
	preset := strings.ToLower(strings.TrimSpace(given.PAKHash))
	if raw, err := hex.DecodeString(preset); preset != "" && (err != nil || len(raw) != 32) {
		return nil, fault.New(fault.Invalid, "invalid_pak_hash", "the preset PAK hash (broker.pak_hash) is not 64 hexadecimal digits (the SHA-256 of the PAK's third part)")
	}
	var err error
	for range bootstrapRetries {
		var key *pak.PAK
		err = a.Store.Write(ctx, func(ctx context.Context, tx ports.Repositories) (err error) {
			key = nil
			if err := a.ensureGenerators(ctx, tx); err != nil {
				return err
			}
			known, err := tx.Credentials().OfSubject(ctx, tenancy.RoleAdmin, "", "")
			if err != nil {
				return fmt.Errorf("list admin credentials: %w", err)
			}
			if len(known) == 0 && given.JoinToken != "" { // nobody has been here yet
				if err := a.firstToken(ctx, tx, given.JoinToken); err != nil {
					return err
				}
			}
			if preset != "" {
				return a.ensurePreset(ctx, tx, preset, known)
			}
			key, err = a.ensureFirst(ctx, tx, known)
			return err
		})
		if err == nil {
			return key, nil
		}
		if !fault.Is(err, fault.Conflict) { // a Conflict says that another replica was faster: look again
			break
		}
	}
	return nil, fmt.Errorf("make the store ready: %w", err)
}

// firstToken stores the preset join token. Agents that join by it are active, registered with the admin-generator, and have
// the label "default".
func (a *App) firstToken(ctx context.Context, tx ports.Repositories, text string) error {
	secret, err := join.Parse(strings.TrimSpace(text))
	if err != nil {
		return fault.New(fault.Invalid, "invalid_join_token", "the preset join token (broker.join_token) is not of the form brokkrjoin_<short>_<long>")
	}
	owner, err := tx.Generators().ByName(ctx, tenancy.AdminGenerator)
	if err != nil {
		return fmt.Errorf("find generator %s: %w", tenancy.AdminGenerator, err)
	}
	at := a.now()
	t := join.Token{
		ID: join.TokenID(newID()), Name: firstTokenName, Short: secret.Short(), Hash: secret.Hash(), MaxUses: firstTokenUses, Activate: true,
		Labels: []string{firstTokenLabel}, Generators: []tenancy.GeneratorID{owner.ID}, CreatedAt: at, ExpiresAt: at.Add(firstTokenTTL),
	}
	if err := tx.JoinTokens().Insert(ctx, t); err != nil {
		return fmt.Errorf("insert the preset join token: %w", err)
	}
	return a.did(ctx, tx, audit.Did(audit.JoinTokenCreated, string(t.ID), nil, joinTokenState(t)).With("name", t.Name))
}

func (a *App) ensureGenerators(ctx context.Context, tx ports.Repositories) error {
	for _, g := range []tenancy.Generator{
		{Name: tenancy.SystemGenerator, System: true, RegistrationPolicy: tenancy.PolicyClosed},
		{Name: tenancy.AdminGenerator, RegistrationPolicy: tenancy.PolicyApproval},
	} {
		_, err := tx.Generators().ByName(ctx, g.Name)
		if err == nil {
			continue
		}
		if !fault.Is(err, fault.NotFound) {
			return fmt.Errorf("find generator %s: %w", g.Name, err)
		}
		at := a.now()
		g.ID, g.Active, g.CreatedAt, g.UpdatedAt = tenancy.GeneratorID(newID()), true, at, at
		if err := tx.Generators().Insert(ctx, g); err != nil {
			return fmt.Errorf("insert generator %s: %w", g.Name, err)
		}
		if err := a.did(ctx, tx, audit.Did(audit.GeneratorCreated, string(g.ID), nil, generatorState(g)).With("name", g.Name)); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) ensureFirst(ctx context.Context, tx ports.Repositories, known []tenancy.Credential) (*pak.PAK, error) {
	if len(known) > 0 {
		return nil, nil //nolint:nilnil // the first start was earlier: there is no key to show
	}
	key, err := pak.Generate(a.Random)
	if err != nil {
		return nil, fmt.Errorf("generate the admin PAK: %w", err)
	}
	err = tx.Credentials().Insert(ctx, tenancy.Credential{
		ID: bootstrapID, Name: bootstrapName, Role: tenancy.RoleAdmin, Short: key.Short(), Hash: key.Hash(), CreatedAt: a.now(),
	})
	if err != nil {
		return nil, fmt.Errorf("insert the admin credential: %w", err)
	}
	return &key, a.did(ctx, tx, audit.Did(audit.PAKCreated, string(bootstrapID), nil, nil).With("name", bootstrapName).With("role", string(tenancy.RoleAdmin)))
}

// ensurePreset stores a credential of which only the hash is known: the hash stands for the short token too.
func (a *App) ensurePreset(ctx context.Context, tx ports.Repositories, hash string, known []tenancy.Credential) error {
	at := a.now()
	var keep []tenancy.CredentialID
	for _, c := range known {
		if c.Name != presetName {
			keep = append(keep, c.ID)
		} else if c.Hash == hash {
			return nil
		}
	}
	if _, err := tx.Credentials().Revoke(ctx, tenancy.RoleAdmin, "", "", at, keep...); err != nil {
		return fmt.Errorf("revoke the former preset credential: %w", err)
	}
	c := tenancy.Credential{
		ID: tenancy.CredentialID(newID()), Name: presetName, Role: tenancy.RoleAdmin, Short: hash, Hash: hash, CreatedAt: at,
	}
	if err := tx.Credentials().Insert(ctx, c); err != nil {
		return fmt.Errorf("insert the preset admin credential: %w", err)
	}
	return a.did(ctx, tx, audit.Did(audit.PAKCreated, string(c.ID), nil, nil).With("name", presetName).With("role", string(c.Role)))
}

// RotateAdmin makes a new admin key and ends all other admin keys at once, the preset one too until the next start.
func (a *App) RotateAdmin(ctx context.Context) (pak.PAK, error) {
	var key pak.PAK
	err := a.write(ctx, func(ctx context.Context, tx ports.Repositories) (err error) {
		key, err = a.rotate(ctx, tx, tenancy.Credential{Name: "admin", Role: tenancy.RoleAdmin}, 0)
		return err
	})
	if err != nil {
		return pak.PAK{}, fmt.Errorf("rotate the admin PAK: %w", err)
	}
	return key, nil
}
