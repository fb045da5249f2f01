-- Makes a run ready for its body: seals and stamps the transaction, locks and counts the declared tables, and notes
-- what the survey compares with.
--   names     the declared tables, spelled as the fixture spells them; empty if it declares none
--   budget    how many rows they may hold together; null for any
--   level     how deep this run is nested
--   reach     what its statements may touch beyond the declared tables
--   pending   whether the session's counters may hold what it did earlier
--   turn      how long to wait for its turn, as a lock_timeout; null if it takes none
--   planning  the session's plan_cache_mode; null where a rollback gives back every setting
-- What can be asked in an expression is asked in one: PL/pgSQL starts no query for it.
CREATE FUNCTION pg_temp.fixture_guard_arm(
  run_secret pg_catalog.text, names pg_catalog.text[], budget pg_catalog.int8, level pg_catalog.int4,
  reach pg_catalog.text[], pending pg_catalog.bool, turn pg_catalog.text, planning pg_catalog.text
) RETURNS pg_catalog.void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $arm$
DECLARE
  done pg_catalog.text;
  written pg_catalog.text;
  relation pg_catalog.regclass;
  declared pg_catalog.oid[] := '{}';
  missing pg_catalog.text;
  beyond pg_catalog.text;
  locking pg_catalog.text;
  partitioned pg_catalog.bool;
  of_session pg_catalog.bool;         -- whether a temporary table is declared: it may be left in any state
  holders pg_catalog.text;
  leaf pg_catalog.record;
  rows pg_catalog.int8;
  total pg_catalog.int8 := 0;
  counted pg_catalog.oid[] := '{}';   -- the tables whose rows were counted, and
  counts pg_catalog.int8[] := '{}';   --   how many they are
  held pg_catalog.record;
  noted pg_catalog.oid[];             -- what the survey compares with, and for each
  tables pg_catalog.text[];           --   the declared table that it counts as
  number pg_catalog.xid;
  since pg_catalog.int8;              -- of the transaction, or of a nested run's savepoint: whatever came before is older
  here pg_catalog.name[] := pg_catalog.current_schemas(true);
  before pg_catalog.refcursor := 'fixture_guard_before_' || level::pg_catalog.text;
BEGIN
  IF turn IS NOT NULL THEN
    PERFORM pg_temp.fixture_guard_turn(turn);
  END IF;
  UPDATE pg_temp.fixture_guard_seal SET secret = run_secret RETURNING xmin INTO number;
  since := pg_catalog.pg_current_xact_id()::pg_catalog.text::pg_catalog.int8;
  -- rows carry 32 bits of a number, and a savepoint's is never lower than its transaction's
  since := since + (number::pg_catalog.text::pg_catalog.int8 - since % 4294967296 + 4294967296) % 4294967296;
  IF level = 0 THEN
    done := pg_catalog.set_config('fixture_guard.transaction', run_secret || ':' || since::pg_catalog.text, true);
    -- A client that was killed takes its running statement and its locks with it, and so does one whose machine has
    -- gone, in seconds instead of hours. Not every server can.
    BEGIN
      IF pg_catalog.current_setting('client_connection_check_interval', true) IS NOT NULL THEN
        done := pg_catalog.set_config('client_connection_check_interval', '200ms', true);
      END IF;
      done := pg_catalog.set_config('tcp_keepalives_idle', '5', true);
      done := pg_catalog.set_config('tcp_keepalives_interval', '5', true);
      done := pg_catalog.set_config('tcp_keepalives_count', '2', true);
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END IF;

  FOREACH written IN ARRAY names LOOP
    relation := pg_catalog.to_regclass(written);
    IF relation IS NULL THEN
      missing := pg_catalog.concat_ws(', ', missing, written);
    ELSIF relation::pg_catalog.oid <> ALL (declared) THEN
      declared := declared || relation::pg_catalog.oid;
    END IF;
  END LOOP;
  IF missing IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'FGD03', MESSAGE = missing;
  END IF;
  -- a nested run without tables of its own is within what its outer run was asked about
  IF level = 0 OR pg_catalog.cardinality(names) > 0 THEN
    beyond := pg_temp.fixture_guard_reach(declared, pg_catalog.cardinality(names) = 0, reach);
    IF beyond IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'FGR01', MESSAGE = beyond;
    END IF;
  END IF;

  IF pg_catalog.cardinality(names) > 0 THEN
    -- always in the same order, so that two runs cannot wait for each other; neither materialised views nor foreign
    -- tables can be locked by hand
    SELECT pg_catalog.string_agg(c.oid::pg_catalog.regclass::pg_catalog.text, ', ' ORDER BY c.oid)
             FILTER (WHERE c.relkind IN ('r', 'p', 'v')),
           pg_catalog.bool_or(c.relkind = 'p'), pg_catalog.bool_or(c.relpersistence = 't')
      INTO locking, partitioned, of_session
      FROM pg_catalog.pg_class AS c WHERE c.oid = ANY (declared);
    BEGIN
      IF locking IS NOT NULL THEN
        EXECUTE 'LOCK TABLE ' || locking || ' IN ACCESS EXCLUSIVE MODE';
      END IF;
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
  END IF;

  -- What the survey compares with: the declared tables, their partitions, which count as their parent unless they are
  -- declared themselves, and whatever is locked for writing already.
  noted := declared;
  tables := declared::pg_catalog.regclass[]::pg_catalog.text[];
  IF partitioned THEN
    FOR leaf IN
      SELECT p.relid::pg_catalog.oid AS oid, o::pg_catalog.regclass::pg_catalog.text AS name
        FROM pg_catalog.unnest(declared) AS o, pg_catalog.pg_partition_tree(o::pg_catalog.regclass) AS p ORDER BY p.level
    LOOP
      IF leaf.oid <> ALL (noted) THEN
        noted := noted || leaf.oid;
        tables := tables || leaf.name;
      END IF;
    END LOOP;
  END IF;

  IF budget IS NOT NULL AND pg_catalog.cardinality(noted) > 0 THEN
    FOR relation IN SELECT c.oid FROM pg_catalog.pg_class AS c WHERE c.oid = ANY (noted) AND c.relkind = 'r' LOOP
      -- bounded, so that the cost does not grow with what a production table holds
      EXECUTE pg_catalog.format('SELECT pg_catalog.count(*) FROM (SELECT FROM ONLY %s LIMIT %s) AS bounded',
                                relation, budget + 1 - total) INTO rows;
      total := total + rows;
      IF total > budget THEN
        RAISE EXCEPTION USING ERRCODE = 'FGD01', MESSAGE = relation::pg_catalog.text;
      END IF;
      counted := counted || relation::pg_catalog.oid;
      counts := counts || rows;
    END LOOP;
  END IF;

  held := pg_temp.fixture_guard_holds();
  noted := noted || ARRAY(
    SELECT DISTINCT o FROM pg_catalog.unnest(held.written) AS o
      -- OFFSET 0 keeps each look into the catalogue a look by index, whatever the planner expects
      LEFT JOIN LATERAL (SELECT pg_temp.fixture_guard_matters(c.relkind, c.relpersistence, c.relnamespace) AS matters
                           FROM pg_catalog.pg_class AS c WHERE c.oid = o OFFSET 0) AS c ON true
     WHERE o <> ALL (noted) AND coalesce(c.matters, true));
  -- Counters may hold what earlier transactions of this session did and had not flushed yet, of any table; a run that
  -- declares none notes them wherever there are any, and one that does, whose other tables are refused anyway, has them
  -- told as a bound.
  IF pending AND pg_catalog.cardinality(names) = 0 THEN
    FOR relation IN
      SELECT c.oid FROM pg_catalog.pg_class AS c
       WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.oid >= 16384
         AND pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
             + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) > 0
    LOOP
      IF relation::pg_catalog.oid <> ALL (noted) THEN noted := noted || relation::pg_catalog.oid; END IF;
    END LOOP;
  END IF;
  done := pg_catalog.set_config('fixture_guard.baseline_' || level::pg_catalog.text, pg_catalog.json_build_object(
    'since', since,
    'lasting', CASE WHEN level = 0 THEN held.lasting END,
    'of_session', of_session,
    'settings', CASE WHEN planning IS NOT NULL THEN pg_temp.fixture_guard_settings(planning) END,
    'counters', NOT pending OR pg_catalog.cardinality(names) = 0,
    'noted', noted::pg_catalog.text)::pg_catalog.text, true);
  done := pg_catalog.set_config('fixture_guard.relations_' || level::pg_catalog.text, coalesce((
    SELECT pg_catalog.json_agg(pg_catalog.row_to_json(n))
      FROM (SELECT c.oid, b.name, b.name IS NOT NULL AS declared, b.name IS NOT NULL OR c.oid = ANY (held.written) AS held,
                   c.relkind AS kind, c.relfilenode AS filenode, c.storage, counts[pg_catalog.array_position(counted, c.oid)] AS rows,
                   pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) AS inserted,
                   pg_catalog.pg_stat_get_xact_tuples_updated(c.oid) AS updated,
                   pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) AS deleted
              FROM ROWS FROM (pg_catalog.unnest(noted), pg_catalog.unnest(tables)) AS b (oid, name)
             CROSS JOIN LATERAL (
               SELECT c.oid, c.relkind, c.relfilenode,
                      pg_catalog.concat_ws('/', c.relpersistence, c.reltablespace, c.relam) AS storage
                 FROM pg_catalog.pg_class AS c WHERE c.oid = b.oid OFFSET 0) AS c) AS n
    )::pg_catalog.text, '[]'), true);

  -- Not read unless the survey finds a relation that it knows nothing about: the cursor keeps the catalogue's snapshot,
  -- so that a table which the body dropped still has its name there, and one that it truncated its old file.
  IF level > 0 AND EXISTS (SELECT FROM pg_catalog.pg_cursor() AS c WHERE c.name = before::pg_catalog.text) THEN
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
  IF level = 0 THEN
    BEGIN
      done := pg_catalog.set_config('fixture_guard.wal', pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text, true);
    EXCEPTION WHEN OTHERS THEN
      NULL;  -- not every service says
    END;
  END IF;
END $arm$;
