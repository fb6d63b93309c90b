-- +goose Up

-- Which clusters decisions are about: the same for thousands of them, and most of what was kept of each (docs/adr/0047).
CREATE TABLE decision_fleets (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    packed bytea NOT NULL,
    put_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE decision_fleets ALTER COLUMN packed SET STORAGE EXTERNAL; -- compressed already
ALTER TABLE decisions ADD COLUMN fleet bigint REFERENCES decision_fleets; -- null: packed has all, as earlier releases kept it
CREATE INDEX decisions_by_fleet ON decisions (fleet) WHERE fleet IS NOT NULL;

-- +goose Down
UPDATE decisions d SET packed = f.packed || d.packed FROM decision_fleets f WHERE f.id = d.fleet;
DROP INDEX decisions_by_fleet;
ALTER TABLE decisions DROP COLUMN fleet;
DROP TABLE decision_fleets;
