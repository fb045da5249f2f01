-- The seal: a deferred constraint trigger fires at COMMIT, and an exception there turns the COMMIT into a rollback
-- (https://www.postgresql.org/docs/current/sql-createtrigger.html, "constraint triggers"). It also stops END,
-- COMMIT AND CHAIN and PREPARE TRANSACTION. Everything is temporary, so that it needs no rights but TEMPORARY on the
-- database and leaves with the session; it is made once for each connection, because a temporary table made for each
-- run costs 7 to 20 ms of catalogue writes, and touching one 0.05 ms.
CREATE TEMPORARY TABLE IF NOT EXISTS fixture_guard_seal (secret pg_catalog.text NOT NULL);
DELETE FROM pg_temp.fixture_guard_seal;
INSERT INTO pg_temp.fixture_guard_seal VALUES ('');

CREATE OR REPLACE FUNCTION pg_temp.fixture_guard_seal() RETURNS pg_catalog.trigger LANGUAGE plpgsql AS $seal$
BEGIN
  -- the guard lifts the seal with the run's own secret, in the message that asks for the damage
  IF pg_catalog.current_setting('fixture_guard.lifted', true) IS DISTINCT FROM NEW.secret THEN
    IF pg_catalog.current_query() ~* '\mset\s+constraints\M' THEN
      RAISE EXCEPTION USING ERRCODE = 'FGS02',
        MESSAGE = 'SET CONSTRAINTS ALL IMMEDIATE fires the seal of fixture-guard too',
        HINT = 'name the constraints, as in SET CONSTRAINTS my_key IMMEDIATE; the guard checks all of them before it commits';
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'FGS01',
      MESSAGE = 'only fixture-guard ends this transaction',
      HINT = 'remove COMMIT and the like from the fixture; everything was rolled back';
  END IF;
  RETURN NULL;
END $seal$;

DROP TRIGGER IF EXISTS fixture_guard_seal ON pg_temp.fixture_guard_seal;
CREATE CONSTRAINT TRIGGER fixture_guard_seal AFTER UPDATE ON pg_temp.fixture_guard_seal
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.fixture_guard_seal();
-- also under session_replication_role = replica
ALTER TABLE pg_temp.fixture_guard_seal ENABLE ALWAYS TRIGGER fixture_guard_seal;

-- The session's own settings, to tell after a commit whether the body left any of them changed. Their names are listed
-- once for each connection: the server's own list takes 0.4 ms, and their values 0.06. What the guard itself changes and
-- gives back is left out, and so is what ends with the transaction; what a transaction set for itself (SET LOCAL) cannot
-- be told from the rest, and costs a new connection.
SELECT pg_catalog.set_config('fixture_guard.settings', pg_catalog.string_agg(s.name, ','), false)
  FROM pg_catalog.pg_show_all_settings() AS s
 WHERE s.context IN ('user', 'superuser')
   AND s.name <> ALL ('{role,default_transaction_read_only,plan_cache_mode,transaction_isolation,transaction_read_only,
                        transaction_deferrable}'::pg_catalog.text[]);

CREATE OR REPLACE FUNCTION pg_temp.fixture_guard_settings() RETURNS pg_catalog.text LANGUAGE plpgsql STABLE AS $settings$
BEGIN
  RETURN (
    SELECT session_user || '|' || pg_catalog.md5(pg_catalog.string_agg(pg_catalog.current_setting(s, true), '|'))
      FROM pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.current_setting('fixture_guard.settings'), ',')) AS s);
EXCEPTION WHEN insufficient_privilege THEN
  RETURN 'not readable';  -- as another user than at first
END $settings$;

-- What neither a commit nor a rollback takes from the session: locks and statements that last longer than both.
CREATE OR REPLACE FUNCTION pg_temp.fixture_guard_leftovers() RETURNS pg_catalog.text LANGUAGE plpgsql VOLATILE AS $leftovers$
BEGIN
  RETURN pg_catalog.concat_ws('|',
    (SELECT pg_catalog.string_agg(pg_catalog.format('%s/%s/%s/%s', l.classid, l.objid, l.objsubid, l.mode), ','
                                  ORDER BY l.classid, l.objid, l.objsubid, l.mode)
       FROM pg_catalog.pg_locks AS l
      WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'advisory'
        -- but for the guard's own turn, which ends with the transaction
        AND NOT (l.classid = 1718188135 AND l.objid = pg_catalog.hashtext(pg_catalog.current_database())::pg_catalog.oid)),
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_cursor() AS c WHERE c.is_holdable),
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statement() AS p WHERE p.from_sql));
END $leftovers$;

-- What relations were before the body, from the cursor that keeps the catalogue's old snapshot. It is asked only about
-- relations that are locked exclusively and were not noted: dropped, truncated or created ones.
--   looked  false if the body closed the cursor, so that nothing is known
CREATE OR REPLACE FUNCTION pg_temp.fixture_guard_before(level pg_catalog.text, wanted pg_catalog.oid[])
RETURNS TABLE (oid pg_catalog.oid, kind "char", temporary pg_catalog.bool, filenode pg_catalog.int8,
               name pg_catalog.text, owner pg_catalog.oid) LANGUAGE plpgsql VOLATILE AS $before$
DECLARE
  before pg_catalog.refcursor := 'fixture_guard_before_' || level;
BEGIN
  IF pg_catalog.cardinality(wanted) = 0
     OR NOT EXISTS (SELECT FROM pg_catalog.pg_cursor() AS c WHERE c.name = before::pg_catalog.text) THEN
    RETURN;
  END IF;
  -- tells that the cursor was there
  oid := 0;
  RETURN NEXT;
  LOOP
    FETCH before INTO oid, kind, temporary, filenode, name, owner;
    EXIT WHEN NOT FOUND;
    IF oid = ANY (wanted) THEN RETURN NEXT; END IF;
  END LOOP;
END $before$;

-- Ends the guard's own protection in the message that asks for the damage: COMMIT passes the seal.
CREATE OR REPLACE FUNCTION pg_temp.fixture_guard_lift(run_secret pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE plpgsql AS $lift$
BEGIN
  PERFORM pg_catalog.set_config('fixture_guard.lifted', run_secret, true);
  -- a LISTEN of the body shows nowhere until it is committed; it is taken back unless the session listened before
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_listening_channels()) THEN
    UNLISTEN *;
  END IF;
END $lift$;

-- Makes a run ready for its body: seals and stamps the transaction, locks and counts the declared tables, and notes
-- what the survey compares with.
--   names    the declared tables, spelled as the fixture spells them; empty if it declares none
--   budget   how many rows they may hold together; null for any
--   level    how deep this run is nested
--   reach    what its statements may touch beyond the declared tables
--   pending  whether the session's counters may hold what it did earlier
CREATE OR REPLACE FUNCTION pg_temp.fixture_guard_arm(
  run_secret pg_catalog.text, names pg_catalog.text[], budget pg_catalog.int8, level pg_catalog.int4,
  reach pg_catalog.text[], pending pg_catalog.bool
) RETURNS pg_catalog.void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $arm$
DECLARE
  declared pg_catalog.oid[];
  missing pg_catalog.text;
  beyond pg_catalog.text;
  holders pg_catalog.text;
  relation pg_catalog.regclass;
  rows pg_catalog.int8;
  total pg_catalog.int8 := 0;
  counts pg_catalog.jsonb := '{}';
  since pg_catalog.text := pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text;
  here pg_catalog.name[] := pg_catalog.current_schemas(true);
  before pg_catalog.refcursor := 'fixture_guard_before_' || level::pg_catalog.text;
BEGIN
  IF level = 0 THEN
    UPDATE pg_temp.fixture_guard_seal SET secret = run_secret;
    PERFORM pg_catalog.set_config('fixture_guard.transaction',
      run_secret || ':' || pg_catalog.pg_current_xact_id()::pg_catalog.text, true);
    since := pg_catalog.pg_current_xact_id()::pg_catalog.text;
    -- A client that was killed takes its running statement and its locks with it, and so does one whose machine has
    -- gone, in seconds instead of hours. Not every server can.
    BEGIN
      PERFORM pg_catalog.set_config('client_connection_check_interval', '200ms', true)
        FROM pg_catalog.current_setting('client_connection_check_interval', true) AS known WHERE known IS NOT NULL;
      PERFORM pg_catalog.set_config('tcp_keepalives_idle', '5', true), pg_catalog.set_config('tcp_keepalives_interval', '5', true),
              pg_catalog.set_config('tcp_keepalives_count', '2', true);
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END IF;

  IF pg_catalog.cardinality(names) > 0 THEN
    SELECT pg_catalog.string_agg(n, ', ') INTO missing
      FROM pg_catalog.unnest(names) AS n WHERE pg_catalog.to_regclass(n) IS NULL;
    IF missing IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'FGD03', MESSAGE = missing;
    END IF;
  END IF;
  -- a nested run without tables of its own is within what its outer run was asked about
  IF level = 0 OR pg_catalog.cardinality(names) > 0 THEN
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object('finding', r.finding, 'what', r.what) ORDER BY r.finding)
      INTO beyond FROM pg_temp.fixture_guard_reach(names) AS r WHERE r.finding <> ALL (reach);
    IF beyond IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'FGR01', MESSAGE = beyond;
    END IF;
  END IF;

  IF pg_catalog.cardinality(names) > 0 THEN
    -- always in the same order, so that two runs cannot wait for each other
    SELECT pg_catalog.array_agg(DISTINCT pg_catalog.to_regclass(n)::pg_catalog.oid) INTO declared
      FROM pg_catalog.unnest(names) AS n;
    BEGIN
      -- PostgreSQL locks neither materialised views nor foreign tables by hand
      EXECUTE coalesce((
        SELECT 'LOCK TABLE ' || pg_catalog.string_agg(c.oid::pg_catalog.regclass::pg_catalog.text, ', ' ORDER BY c.oid)
               || ' IN ACCESS EXCLUSIVE MODE'
          FROM pg_catalog.unnest(declared) AS o CROSS JOIN LATERAL (
                 SELECT c.oid, c.relkind FROM pg_catalog.pg_class AS c WHERE c.oid = o OFFSET 0) AS c
         WHERE c.relkind IN ('r', 'p', 'v')), 'SELECT 1');
    EXCEPTION WHEN lock_not_available THEN
      SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('pid %s (%s, user %s, %s since %s)', a.pid,
               coalesce(nullif(a.application_name, ''), 'no application name'), a.usename, coalesce(a.state, 'unknown'),
               pg_catalog.to_char(coalesce(a.xact_start, a.backend_start), 'HH24:MI:SS')), ', ') INTO holders
        FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
       WHERE l.granted AND l.pid <> pg_catalog.pg_backend_pid() AND l.locktype = 'relation'
         AND l.relation IN (SELECT o FROM pg_catalog.unnest(declared) AS o
                            UNION SELECT p.relid FROM pg_catalog.unnest(declared) AS o,
                                         pg_catalog.pg_partition_tree(o::pg_catalog.regclass) AS p);
      RAISE EXCEPTION USING ERRCODE = 'FGD02', MESSAGE = coalesce(holders, 'a session that has gone since');
    END;
    IF budget IS NOT NULL THEN
      FOR relation IN  -- what holds rows: the table itself, or the leaves of a partitioned one
        SELECT c.oid FROM pg_catalog.unnest(declared) AS o JOIN pg_catalog.pg_class AS c ON c.oid = o
         WHERE c.relkind = 'r'
        UNION
        SELECT p.relid FROM pg_catalog.unnest(declared) AS o, pg_catalog.pg_partition_tree(o::pg_catalog.regclass) AS p
          JOIN pg_catalog.pg_class AS c ON c.oid = p.relid
         WHERE p.isleaf AND c.relkind = 'r'
      LOOP
        -- bounded, so that the cost does not grow with what a production table holds
        EXECUTE pg_catalog.format('SELECT pg_catalog.count(*) FROM (SELECT FROM ONLY %s LIMIT %s) AS bounded',
                                  relation, budget + 1 - total) INTO rows;
        total := total + rows;
        IF total > budget THEN
          RAISE EXCEPTION USING ERRCODE = 'FGD01', MESSAGE = relation::pg_catalog.text;
        END IF;
        counts := counts || pg_catalog.jsonb_build_object(relation::pg_catalog.oid::pg_catalog.text, rows);
      END LOOP;
    END IF;
  END IF;

  -- Note the declared tables, their partitions, and whatever is locked for writing already. Counters may hold what
  -- earlier transactions of this session did and had not flushed yet, of any table; a run that declares none notes them
  -- wherever there are any, and one that does, whose other tables are refused anyway, has them told as a bound.
  -- OFFSET 0 keeps each look into the catalogue a look by index, whatever number of tables the planner expects.
  PERFORM pg_catalog.set_config('fixture_guard.baseline_' || level::pg_catalog.text, pg_catalog.jsonb_build_object(
    'since', since,
    'leftovers', CASE WHEN level = 0 THEN pg_temp.fixture_guard_leftovers() END,
    'settings', CASE WHEN level = 0 THEN pg_temp.fixture_guard_settings() END,
    'noted', NOT pending OR pg_catalog.cardinality(names) = 0,
    'relations', (
      SELECT coalesce(pg_catalog.jsonb_object_agg(c.oid::pg_catalog.text, pg_catalog.jsonb_build_object(
               'name', b.name, 'declared', b.declared, 'held', b.held,
               'kind', c.relkind, 'filenode', c.relfilenode::pg_catalog.int8, 'rows', counts -> c.oid::pg_catalog.text,
               'ins', pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid),
               'upd', pg_catalog.pg_stat_get_xact_tuples_updated(c.oid),
               'del', pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid))), '{}')
        FROM (SELECT DISTINCT ON (r.oid) r.oid, r.name, r.declared, r.held FROM (
                SELECT o AS oid, o::pg_catalog.regclass::pg_catalog.text AS name, true AS declared, true AS held, 0 AS distance
                  FROM pg_catalog.unnest(declared) AS o
                UNION ALL  -- partitions count as their parent, unless they are declared themselves
                SELECT p.relid, o::pg_catalog.regclass::pg_catalog.text, true, true, 1 + p.level
                  FROM pg_catalog.unnest(declared) AS o CROSS JOIN LATERAL (
                         SELECT c.relkind FROM pg_catalog.pg_class AS c WHERE c.oid = o OFFSET 0) AS k
                  CROSS JOIN LATERAL pg_catalog.pg_partition_tree(o::pg_catalog.regclass) AS p WHERE k.relkind = 'p'
                UNION ALL
                SELECT l.relation, NULL, false, true, 1000
                  FROM pg_catalog.pg_locks AS l
                 WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation'
                   AND l.mode IN ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
                                  'ExclusiveLock', 'AccessExclusiveLock')
                UNION ALL
                SELECT c.oid, NULL, false, false, 2000
                  FROM pg_catalog.pg_class AS c
                 WHERE pg_catalog.cardinality(names) = 0 AND c.relkind IN ('r', 'm') AND c.oid >= 16384
                   AND pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
                       + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) > 0) AS r
               ORDER BY r.oid, r.distance) AS b
       CROSS JOIN LATERAL (SELECT c.oid, c.relkind, c.relfilenode FROM pg_catalog.pg_class AS c WHERE c.oid = b.oid OFFSET 0) AS c
    ))::pg_catalog.text, true);

  -- Not read unless the survey finds a relation that it knows nothing about: the cursor keeps the catalogue's snapshot,
  -- so that a table which the body dropped still has its name there, and one that it truncated its old file.
  IF EXISTS (SELECT FROM pg_catalog.pg_cursor() AS c WHERE c.name = before::pg_catalog.text) THEN
    CLOSE before;
  END IF;
  OPEN before NO SCROLL FOR
    SELECT c.oid, c.relkind, c.relpersistence = 't', c.relfilenode::pg_catalog.int8,
           CASE WHEN n.nspname = ANY (here) THEN '' ELSE pg_catalog.quote_ident(n.nspname) || '.' END
             || pg_catalog.quote_ident(c.relname),
           CASE WHEN c.relkind = 'S' THEN (
             SELECT d.refobjid FROM pg_catalog.pg_depend AS d
              WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
                AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i') LIMIT 1) END
      FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'm', 'f', 'v', 'S') AND n.nspname <> ALL ('{pg_catalog,information_schema}');
END $arm$;

-- Statements of an earlier preparation, if there are any; PREPARE has no OR REPLACE.
DO $forget$
DECLARE statement pg_catalog.text;
BEGIN
  FOR statement IN SELECT p.name FROM pg_catalog.pg_prepared_statements AS p WHERE p.name LIKE 'fixture\_guard\_%' LOOP
    EXECUTE 'DEALLOCATE ' || statement;
  END LOOP;
END $forget$;
