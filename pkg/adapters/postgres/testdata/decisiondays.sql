-- What records of decisions cost to write, to let go and to read: the figures of docs/adr/0055, which says how to run it. The statements
-- are those of commits.go, history.go and decisiondays.go. Where the migration 00030 has been, decisions lie by the day; else in one table.
\set ON_ERROR_STOP on
\set QUIET on
\pset tuples_only on
\pset format unaligned
SELECT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = 'decisions'::regclass) AS days \gset

INSERT INTO generators (id, name, created_at, updated_at) VALUES (gen_random_uuid(), 'measured', now(), now());
INSERT INTO stacks (id, name, generator_id, created_at, updated_at)
    SELECT gen_random_uuid(), 's' || i, (SELECT id FROM generators WHERE name = 'measured'), now(), now() FROM generate_series(1, 10000) i;
INSERT INTO stack_placements (stack_id) SELECT id FROM stacks;
CREATE TEMP TABLE numbered AS SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM stacks;
CREATE TEMP TABLE one_packed AS SELECT decode(string_agg(md5(i::text), ''), 'hex') AS packed FROM generate_series(1, 16) i; -- 256 bytes
ANALYZE;
\if :days
    SELECT format('CREATE TABLE decisions_%s (LIKE decisions INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', to_char(d, 'YYYYMMDD'))
        FROM generate_series(timestamptz '2031-03-01 00:00+00', '2031-03-31', '1 day') d \gexec
    SELECT format('ALTER TABLE decisions ATTACH PARTITION decisions_%s FOR VALUES FROM (%L) TO (%L)', to_char(d, 'YYYYMMDD'), d, d + interval '1 day')
        FROM generate_series(timestamptz '2031-03-01 00:00+00', '2031-03-31', '1 day') d \gexec
\endif

-- decide(day) makes ten records about each stack, 128 stacks at a time, as commits do.
SELECT CASE WHEN :'days' THEN ', day' ELSE '' END AS day_column, CASE WHEN :'days' THEN ', date_trunc(''day'', $2::timestamptz, ''UTC'')' ELSE '' END AS day_value \gset
SELECT set_config('measured.insert', format($f$
    WITH c AS (SELECT id AS stack_id, (SELECT packed FROM one_packed) AS packed FROM numbered WHERE n >= $1 AND n < $1 + 128),
    p AS (UPDATE stack_placements p SET generation = p.generation + 1, hold = NULL, approved = 0, followed = NULL, blocked = NULL,
            moved = ARRAY(SELECT t FROM unnest(p.moved) AS t WHERE t > $2::timestamptz - interval '1 hour' ORDER BY t)
        FROM c WHERE p.stack_id = c.stack_id RETURNING p.stack_id, p.generation)
    INSERT INTO decisions (stack_id, generation, packed, cause, traceparent, decided_at%s)
    SELECT p.stack_id, p.generation, c.packed, 'measured', '', $2::timestamptz%s FROM p JOIN c ON c.stack_id = p.stack_id$f$, :'day_column', :'day_value'), false) \g /dev/null
CREATE OR REPLACE PROCEDURE decide(day timestamptz) LANGUAGE plpgsql AS $$
BEGIN
    FOR round IN 1..10 LOOP
        FOR batch IN 0..9999 BY 128 LOOP
            EXECUTE current_setting('measured.insert') USING batch, day;
            COMMIT;
        END LOOP;
    END LOOP;
END $$;
-- forget(before) deletes what is older and not the newest about its stack, 500 at a time, as the janitor did with one table.
CREATE OR REPLACE PROCEDURE forget(before timestamptz) LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    LOOP
        DELETE FROM decisions WHERE (stack_id, generation) IN (SELECT d.stack_id, d.generation FROM decisions d JOIN stack_placements p ON p.stack_id = d.stack_id
            WHERE d.decided_at < before AND d.generation < p.generation ORDER BY d.decided_at LIMIT 500);
        GET DIAGNOSTICS n = ROW_COUNT;
        COMMIT;
        EXIT WHEN n = 0;
    END LOOP;
END $$;
CREATE OR REPLACE FUNCTION lies() RETURNS text LANGUAGE sql AS $$
    SELECT pg_size_pretty(COALESCE(sum(pg_total_relation_size(c.oid)), 0)) FROM pg_class c WHERE c.relname = 'decisions' OR c.relname LIKE 'decisions\_2%' OR c.relname = 'decisions_rest' $$;

\echo '== insert 100,000 records, 128 at a time'
SELECT pg_current_wal_insert_lsn() AS lsn \gset
\timing on
CALL decide('2031-03-01 12:00+00');
\timing off
SELECT 'WAL ' || pg_size_pretty(pg_current_wal_insert_lsn() - :'lsn'::pg_lsn) || ', they take ' || lies();

CALL decide('2031-03-02 12:00+00'); -- so that no record of the first day is the newest about its stack
\echo '== let the first day go'
SELECT pg_current_wal_insert_lsn() AS lsn \gset
\timing on
\if :days
    BEGIN;
    LOCK TABLE decisions_20310301 IN SHARE ROW EXCLUSIVE MODE;
    UPDATE decisions SET day = '-infinity' WHERE day = '2031-03-01 00:00+00' AND (stack_id, generation) IN (SELECT stack_id, generation FROM stack_placements);
    DROP TABLE decisions_20310301;
    COMMIT;
\else
    CALL forget('2031-03-02 00:00+00');
    VACUUM decisions;
\endif
\timing off
SELECT 'WAL ' || pg_size_pretty(pg_current_wal_insert_lsn() - :'lsn'::pg_lsn) || ', what there is now takes ' || lies();

\if :days
    \echo '== let the second day go, with the newest records about 10,000 stacks'
    SELECT pg_current_wal_insert_lsn() AS lsn \gset
    \timing on
    BEGIN;
    LOCK TABLE decisions_20310302 IN SHARE ROW EXCLUSIVE MODE;
    UPDATE decisions SET day = '-infinity' WHERE day = '2031-03-02 00:00+00' AND (stack_id, generation) IN (SELECT stack_id, generation FROM stack_placements);
    DROP TABLE decisions_20310302;
    COMMIT;
    \timing off
    SELECT 'WAL ' || pg_size_pretty(pg_current_wal_insert_lsn() - :'lsn'::pg_lsn) || ', what there is now takes ' || lies();
\endif

\echo '== read the newest record about a stack: the first of a connection, and two more'
SELECT id AS stack FROM numbered WHERE n = 77 \gset
\connect
EXPLAIN (ANALYZE, SUMMARY, COSTS OFF, TIMING OFF) SELECT d.packed, p.hold FROM decisions d LEFT JOIN decision_fleets f ON f.id = d.fleet JOIN stack_placements p ON p.stack_id = d.stack_id
    WHERE d.stack_id = :'stack' ORDER BY d.generation DESC LIMIT 1 \g |grep -E 'Planning Time|Execution Time'
EXPLAIN (ANALYZE, SUMMARY, COSTS OFF, TIMING OFF) SELECT d.packed, p.hold FROM decisions d LEFT JOIN decision_fleets f ON f.id = d.fleet JOIN stack_placements p ON p.stack_id = d.stack_id
    WHERE d.stack_id = :'stack' ORDER BY d.generation DESC LIMIT 1 \g |grep -E 'Planning Time|Execution Time'
EXPLAIN (ANALYZE, SUMMARY, COSTS OFF, TIMING OFF) SELECT d.packed, p.hold FROM decisions d LEFT JOIN decision_fleets f ON f.id = d.fleet JOIN stack_placements p ON p.stack_id = d.stack_id
    WHERE d.stack_id = :'stack' ORDER BY d.generation DESC LIMIT 1 \g |grep -E 'Planning Time|Execution Time'
