-- +goose Up

-- The records of decisions lie by the day (UTC) of the decision, so that retention drops whole days (docs/adr/0055). The days are
-- made by the program (pkg/adapters/postgres). What there is goes on as the part without a day, which also takes what the
-- program has no day for, and what is kept longer than its day: the newest record about each stack. An earlier release writes there.
-- That a stack has one record of a generation is no constraint over the days: stack_placements counts them, under a lock.
ALTER TABLE decisions RENAME TO decisions_rest;
ALTER TABLE decisions_rest
    ADD COLUMN day timestamptz NOT NULL DEFAULT '-infinity',
    DROP CONSTRAINT decisions_pkey,
    ADD CONSTRAINT decisions_rest_pkey PRIMARY KEY (stack_id, generation, day),
    ADD CONSTRAINT decisions_rest_day CHECK (day = '-infinity');
ALTER INDEX decisions_by_time RENAME TO decisions_rest_by_time;
ALTER INDEX decisions_by_fleet RENAME TO decisions_rest_by_fleet;

CREATE TABLE decisions (
    stack_id    uuid NOT NULL CONSTRAINT decisions_stack_id_fkey REFERENCES stacks,
    generation  bigint NOT NULL,
    object_id   uuid,
    decision    jsonb,
    cause       text NOT NULL DEFAULT '',
    traceparent text NOT NULL DEFAULT '',
    decided_at  timestamptz NOT NULL,
    packed      bytea,
    fleet       bigint CONSTRAINT decisions_fleet_fkey REFERENCES decision_fleets,
    day         timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (stack_id, generation, day),
    CONSTRAINT decisions_object_id_stack_id_fkey FOREIGN KEY (object_id, stack_id) REFERENCES deployment_objects (id, stack_id),
    CONSTRAINT decisions_content CHECK (num_nonnulls(decision, packed) = 1)
) PARTITION BY RANGE (day);
ALTER TABLE decisions ALTER COLUMN packed SET STORAGE EXTERNAL; -- compressed already
CREATE INDEX decisions_by_fleet ON decisions (fleet) WHERE fleet IS NOT NULL;
ALTER TABLE decisions ATTACH PARTITION decisions_rest FOR VALUES FROM (MINVALUE) TO ('1970-01-01 00:00:00+00');

-- +goose Down
UPDATE decisions SET day = '-infinity' WHERE day > '-infinity';
ALTER TABLE decisions DETACH PARTITION decisions_rest;
DROP TABLE decisions;
ALTER INDEX decisions_rest_by_time RENAME TO decisions_by_time;
ALTER INDEX decisions_rest_by_fleet RENAME TO decisions_by_fleet;
ALTER TABLE decisions_rest
    DROP COLUMN day,
    ADD CONSTRAINT decisions_pkey PRIMARY KEY (stack_id, generation);
ALTER TABLE decisions_rest RENAME TO decisions;
