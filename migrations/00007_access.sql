-- +goose Up

-- Lists of credentials are newest first; ended ones are found to be purged.
CREATE INDEX credentials_newest ON credentials (created_at DESC, id DESC);
CREATE INDEX credentials_ended ON credentials (LEAST(expires_at, revoked_at))
    WHERE role <> 'admin' AND (expires_at IS NOT NULL OR revoked_at IS NOT NULL);

-- Tokens with which agents join by themselves: only a hash is kept, like of a PAK.
CREATE TABLE join_tokens (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    short        text COLLATE "C" NOT NULL CONSTRAINT join_tokens_short UNIQUE,
    hash         text NOT NULL,
    max_uses     integer NOT NULL CONSTRAINT join_tokens_max_uses CHECK (max_uses BETWEEN 1 AND 100000),
    uses         integer NOT NULL DEFAULT 0 CONSTRAINT join_tokens_uses CHECK (uses BETWEEN 0 AND max_uses),
    labels       text[] NOT NULL DEFAULT '{}',
    annotations  jsonb NOT NULL DEFAULT '{}',
    activate     boolean NOT NULL DEFAULT false,
    created_by   uuid,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    last_used_at timestamptz
);
CREATE INDEX join_tokens_newest ON join_tokens (created_at DESC, id DESC);
CREATE INDEX join_tokens_ended ON join_tokens (LEAST(expires_at, revoked_at));

-- With whose consent a joining agent is registered.
CREATE TABLE join_token_generators (
    token_id     uuid NOT NULL REFERENCES join_tokens ON DELETE CASCADE,
    generator_id uuid NOT NULL REFERENCES generators,
    PRIMARY KEY (token_id, generator_id)
);
CREATE INDEX join_token_generators_generator ON join_token_generators (generator_id);

-- Which agent came by which token. The claim is the hash of a secret of the agent's own, by which it gets a new key if the answer to
-- its join was lost.
CREATE TABLE joins (
    agent_id  uuid PRIMARY KEY REFERENCES agents,
    token_id  uuid NOT NULL REFERENCES join_tokens ON DELETE CASCADE,
    claim     text NOT NULL,
    joined_at timestamptz NOT NULL
);
CREATE INDEX joins_token ON joins (token_id);

-- +goose Down
DROP TABLE joins;
DROP TABLE join_token_generators;
DROP TABLE join_tokens;
DROP INDEX credentials_ended;
DROP INDEX credentials_newest;
