-- Makes a run ready for its body: seals and stamps the transaction, locks and counts the declared tables, and notes
-- what the survey compares with.
--   names      the declared tables, spelled as the fixture spells them; empty if it declares none
--   relations  what these names mean to the session; null where there is no such table
--   here       the schemas of the session's search path, in order
--   budget     how many rows they may hold together; null for any
--   level      how deep this run is nested
--   reach      patterns (LIKE) of what its statements may touch beyond the declared tables
--   pending    whether the session's counters may have rows of earlier transactions
--   turn       how long to wait for its turn, as a lock_timeout; null if it takes none
--   outside    settings that the guard's functions have values of their own for; null where a rollback gives back every
--              setting
-- What can be asked in an expression is asked in one: PL/pgSQL starts no query for it.
CREATE FUNCTION pg_temp.fixture_guard_arm(
  run_secret pg_catalog.text, names pg_catalog.text[], relations pg_catalog.regclass[], here pg_catalog.name[],
  budget pg_catalog.int8, level pg_catalog.int4, reach pg_catalog.text[], pending pg_catalog.bool, turn pg_catalog.text,
  outside pg_catalog.text
) RETURNS pg_catalog.void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET search_path = pg_catalog, pg_temp SET jit = off AS $arm$
DECLARE
  done pg_catalog.text;
  relation pg_catalog.oid;
  declared pg_catalog.oid[] := '{}';
  missing pg_catalog.text;
  beyond pg_catalog.text;
  locking pg_catalog.text;
  locked pg_catalog.oid[];            -- the declared tables that this role may lock
  partitioned pg_catalog.bool;
  of_session pg_catalog.bool;         -- whether a temporary table is declared: it may be left in any state
  holders pg_catalog.text;
  rows pg_catalog.int8[];
  counting pg_catalog.bool;           -- whether the server counts the rows that this transaction writes
  total pg_catalog.int8 := 0;
  counted pg_catalog.oid[] := '{}';   -- the tables whose rows were counted, and
  counts pg_catalog.int8[] := '{}';   --   how many they are
  batch pg_catalog.record;
  held pg_catalog.record;
  noted pg_catalog.oid[];             -- what the survey compares with, and for each
  tables pg_catalog.text[];           --   the declared table that it counts as
  number pg_catalog.xid;
  since pg_catalog.int8;              -- of the transaction, or of a nested run's savepoint: whatever came before is older
  baseline pg_catalog.text;
  before pg_catalog.refcursor := 'fixture_guard_before_' || level::pg_catalog.text;
  noting pg_catalog.refcursor := 'fixture_guard_noted_' || level::pg_catalog.text;
BEGIN
  IF turn IS NOT NULL THEN
    PERFORM pg_temp.fixture_guard_turn(turn);
  END IF;
  UPDATE pg_temp.fixture_guard_seal SET secret = run_secret RETURNING xmin INTO number;
  IF number IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_table', MESSAGE = 'the seal is empty';  -- it is made again
  END IF;
  since := pg_catalog.pg_current_xact_id()::pg_catalog.text::pg_catalog.int8;
  -- rows carry 32 bits of a number, and a savepoint's is never lower than its transaction's
  since := since + (number::pg_catalog.text::pg_catalog.int8 - since % 4294967296 + 4294967296) % 4294967296;
  IF level = 0 THEN
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
    IF pg_catalog.current_setting('track_counts') <> 'on' THEN
      BEGIN
        done := pg_catalog.set_config('track_counts', 'on', true);
      EXCEPTION WHEN insufficient_privilege THEN
        NULL;
      END;
    END IF;
  END IF;
  counting := pg_catalog.current_setting('track_counts') = 'on';
  IF budget IS NOT NULL AND NOT counting THEN
    RAISE EXCEPTION USING ERRCODE = 'FGD04', MESSAGE = 'track_counts is off';
  END IF;

  FOR n IN 1 .. pg_catalog.cardinality(names) LOOP
    IF relations[n] IS NULL THEN
      missing := pg_catalog.concat_ws(', ', missing, names[n]);
    ELSIF relations[n]::pg_catalog.oid <> ALL (declared) THEN
      declared := declared || relations[n]::pg_catalog.oid;
    END IF;
  END LOOP;
  IF missing IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'FGD03', MESSAGE = missing;
  END IF;
  -- a nested run without tables of its own is within what its outer run was asked about
  IF level = 0 OR pg_catalog.cardinality(names) > 0 THEN
    beyond := pg_temp.fixture_guard_reach(declared, pg_catalog.cardinality(names) = 0, here, reach);
    IF beyond IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'FGR01', MESSAGE = beyond;
    END IF;
  END IF;

  IF pg_catalog.cardinality(names) > 0 THEN
    -- Always in the same order, so that two runs cannot wait for each other. Neither materialized views nor foreign
    -- tables can be locked by hand, and a role that may only insert cannot lock a table.
    SELECT pg_catalog.string_agg(pg_catalog.format('%I.%I', n.nspname, c.relname), ', ' ORDER BY c.oid) FILTER (WHERE c.may_lock),
           coalesce(pg_catalog.array_agg(c.oid) FILTER (WHERE c.may_lock), '{}'),
           pg_catalog.bool_or(c.relkind = 'p'), pg_catalog.bool_or(c.relpersistence = 't')
      INTO locking, locked, partitioned, of_session
      FROM (SELECT c.*, c.relkind IN ('r', 'p', 'v')
                          AND pg_catalog.has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE') AS may_lock
              FROM pg_catalog.pg_class AS c WHERE c.oid = ANY (declared)) AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace;
    BEGIN
      IF locking IS NOT NULL THEN
        EXECUTE 'LOCK TABLE ' || locking || ' IN ACCESS EXCLUSIVE MODE';
      END IF;
    EXCEPTION WHEN lock_not_available THEN
      SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('pid %s (%s, user %s, %s since %s)', a.pid,
               coalesce(nullif(a.application_name, ''), 'no application name'), a.usename, coalesce(a.state, 'state unknown'),
               coalesce(pg_catalog.to_char(coalesce(a.xact_start, a.backend_start), 'HH24:MI:SS'), 'an unknown time')), ', ') INTO holders
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
  tables := ARRAY(SELECT pg_temp.fixture_guard_shown(d.oid, here)
                    FROM pg_catalog.unnest(declared) WITH ORDINALITY AS d (oid, position) ORDER BY d.position);
  IF partitioned THEN
    SELECT noted || coalesce(pg_catalog.array_agg(p.oid ORDER BY p.oid), '{}'),
           tables || coalesce(pg_catalog.array_agg(p.name ORDER BY p.oid), '{}')
      INTO noted, tables
      FROM (SELECT DISTINCT ON (p.relid) p.relid::pg_catalog.oid AS oid, t.name
              FROM ROWS FROM (pg_catalog.unnest(declared), pg_catalog.unnest(tables)) AS t (oid, name),
                   pg_catalog.pg_partition_tree(t.oid::pg_catalog.regclass) AS p
             WHERE p.relid::pg_catalog.oid <> ALL (declared)
             ORDER BY p.relid, p.level) AS p;
  END IF;

  IF budget IS NOT NULL AND pg_catalog.cardinality(noted) > 0 THEN
    -- Bounded, so that the cost does not grow with the rows of a production table; many at a time, because planning one
    -- count takes longer than a count of few rows. Where the role may not read every row, the number is unknown.
    FOR batch IN
      SELECT pg_catalog.array_agg(c.oid) AS oids, pg_catalog.min(c.name) AS first,
             pg_catalog.string_agg(CASE WHEN c.size = 0 THEN '0' ELSE pg_catalog.format(
               '(SELECT pg_catalog.count(*) FROM (SELECT FROM ONLY %s LIMIT $1) AS bounded)', c.name) END, ', ') AS question
        FROM (SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
                     pg_catalog.pg_relation_size(c.oid) AS size,
                     (pg_catalog.row_number() OVER (ORDER BY c.oid) - 1) / 100 AS batch
                FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
               WHERE c.oid = ANY (noted) AND c.relkind = 'r'
                 AND NOT (c.relrowsecurity AND pg_catalog.row_security_active(c.oid))
                 AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')) AS c
       GROUP BY c.batch ORDER BY c.batch
    LOOP
      EXECUTE 'SELECT ARRAY[' || batch.question || ']::pg_catalog.int8[]' INTO rows USING budget + 1 - total;
      counted := counted || batch.oids;
      counts := counts || rows;
      total := total + (SELECT pg_catalog.sum(r) FROM pg_catalog.unnest(rows) AS r);
      IF total > budget THEN
        RAISE EXCEPTION USING ERRCODE = 'FGD01', MESSAGE = (
          SELECT pg_temp.fixture_guard_shown(c.oid, here) FROM ROWS FROM (pg_catalog.unnest(batch.oids), pg_catalog.unnest(rows)) AS c (oid, rows)
           ORDER BY c.rows DESC LIMIT 1);
      END IF;
    END LOOP;
  END IF;

  held := pg_temp.fixture_guard_holds();
  noted := noted || ARRAY(
    SELECT o FROM pg_catalog.unnest(held.written) AS o
      -- OFFSET 0 keeps each look into the catalogue a look by index, whatever the planner expects
      LEFT JOIN LATERAL (SELECT pg_temp.fixture_guard_matters(c.relkind, c.relpersistence, c.relnamespace) AS matters
                           FROM pg_catalog.pg_class AS c WHERE c.oid = o OFFSET 0) AS c ON true
     WHERE o <> ALL (noted) AND coalesce(c.matters, true));
  -- Counters may hold what earlier transactions of this session did and had not flushed yet, of any table. A run that
  -- declares none notes them wherever there are any; the tables that a run does not declare are refused anyway, and
  -- their counts are reported as bounds.
  IF pending AND pg_catalog.cardinality(names) = 0 THEN
    FOR relation IN
      SELECT c.oid FROM pg_catalog.pg_class AS c
       WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.oid >= 16384
         AND pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
             + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) > 0
    LOOP
      IF relation <> ALL (noted) THEN noted := noted || relation; END IF;
    END LOOP;
  END IF;
  baseline := pg_catalog.json_build_object(
    'since', since,
    'body_since', pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text::pg_catalog.int8,
    'here', here,
    'counting', counting,
    'lasting', CASE WHEN level = 0 THEN held.lasting END,
    'catalogs', CASE WHEN level = 0 THEN pg_temp.fixture_guard_catalogs() END,
    'of_session', of_session,
    'settings', CASE WHEN outside IS NOT NULL THEN pg_temp.fixture_guard_settings(outside) END,
    'counters', NOT pending OR pg_catalog.cardinality(names) = 0,
    'noted', noted::pg_catalog.text,
    'named', pg_catalog.cardinality(tables),
    'relations', coalesce((
    SELECT pg_catalog.json_agg(pg_catalog.row_to_json(n))
      FROM (SELECT c.oid, b.name, b.name IS NOT NULL AS declared,
                   h.oid IS NOT NULL OR b.name IS NOT NULL AND c.relkind NOT IN ('r', 'p', 'v') AS held,
                   c.relkind AS kind, c.relfilenode AS filenode, c.storage, k.rows,
                   pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) AS inserted,
                   pg_catalog.pg_stat_get_xact_tuples_updated(c.oid) AS updated,
                   pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) AS deleted
              FROM ROWS FROM (pg_catalog.unnest(noted), pg_catalog.unnest(tables)) AS b (oid, name)
             CROSS JOIN LATERAL (
               SELECT c.oid, c.relkind, c.relfilenode,
                      pg_catalog.concat_ws('/', c.relpersistence, c.reltablespace, c.relam) AS storage
                 FROM pg_catalog.pg_class AS c WHERE c.oid = b.oid OFFSET 0) AS c
              LEFT JOIN pg_catalog.unnest(held.written) AS h (oid) ON h.oid = c.oid
              LEFT JOIN ROWS FROM (pg_catalog.unnest(counted), pg_catalog.unnest(counts)) AS k (oid, rows) ON k.oid = c.oid) AS n
    ), '[]'))::pg_catalog.text;
  done := pg_catalog.set_config('fixture_guard.baseline_' || level::pg_catalog.text, baseline, true);

  -- Two cursors. One has the baseline, for the survey after a RESET ALL in the body. The other keeps the catalogue's
  -- snapshot and is not read unless the survey finds a relation that it knows nothing about: a table that the body
  -- dropped still has its name there, and one that it truncated its old file.
  IF level > 0 THEN
    PERFORM pg_temp.fixture_guard_close(c.name)
       FROM pg_catalog.pg_cursor() AS c WHERE c.name IN (before::pg_catalog.text, noting::pg_catalog.text);
  END IF;
  OPEN noting SCROLL FOR SELECT baseline;
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

-- Closes a cursor of this name.
CREATE FUNCTION pg_temp.fixture_guard_close(cursor_name pg_catalog.text) RETURNS pg_catalog.void LANGUAGE plpgsql AS $close$
BEGIN
  EXECUTE pg_catalog.format('CLOSE %I', cursor_name);
END $close$;
