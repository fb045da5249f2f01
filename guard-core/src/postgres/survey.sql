-- What relations were before the body, from the cursor that keeps the catalogue's old snapshot. It is asked only about
-- relations that are locked exclusively and were not noted: dropped, truncated or created ones.
--   looked  false if the body closed the cursor, so that nothing is known
CREATE FUNCTION pg_temp.fixture_guard_before(level pg_catalog.text, wanted pg_catalog.oid[])
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

-- What did the body do? One JSON text, before the guard commits or undoes anything.
--   level    how deep the run is nested
--   outside  settings that this function has values of its own for; null where a rollback gives back every setting
-- The locks that this backend still holds name every relation that was written, truncated, altered or dropped
-- (https://www.postgresql.org/docs/current/explicit-locking.html): nothing releases them before the end.
CREATE FUNCTION pg_temp.fixture_guard_survey(level pg_catalog.text, outside pg_catalog.text)
RETURNS pg_catalog.text LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET search_path = pg_catalog, pg_temp
-- with thousands of partitions a nested loop compares each with each
SET enable_nestloop = off SET jit = off AS $survey$
DECLARE
  baseline pg_catalog.json := pg_temp.fixture_guard_baseline(level);
  relations pg_catalog.json := coalesce(baseline -> 'relations', '[]');
  known pg_catalog.oid[] := coalesce((baseline ->> 'noted')::pg_catalog.oid[], '{}');
  named pg_catalog.oid[] := known[1:(baseline ->> 'named')::pg_catalog.int4];
  here pg_catalog.name[] := ARRAY(SELECT pg_catalog.json_array_elements_text(coalesce(baseline -> 'here', '[]')));
  counters pg_catalog.bool := coalesce((baseline ->> 'counters')::pg_catalog.bool, false);
  -- whether the server counts the rows that this transaction writes
  counting pg_catalog.bool := coalesce((baseline ->> 'counting')::pg_catalog.bool, false)
                              AND pg_catalog.current_setting('track_counts') = 'on';
  since pg_catalog.int8 := (baseline ->> 'since')::pg_catalog.int8;
  now pg_catalog.int8 := pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text::pg_catalog.int8;
  -- what the catalogue got since then is no older; its rows carry 32 bits of a transaction's number
  youth pg_catalog.int4 := pg_catalog.age((since % 4294967296)::pg_catalog.text::pg_catalog.xid);
  body_since pg_catalog.int8 := (baseline ->> 'body_since')::pg_catalog.int8;
  exact pg_catalog.bool := coalesce(now - body_since <= 2000, false);
  held pg_catalog.record;
  strangers pg_catalog.oid[];
  -- whether a temporary relation was created, altered, truncated or dropped
  of_session pg_catalog.bool := coalesce((baseline ->> 'of_session')::pg_catalog.bool, false);
  before pg_catalog.json := '[]';
  looked pg_catalog.bool := false;
  reshaped pg_catalog.oid[];
  attached pg_catalog.oid[] := '{}';  -- tables that became a partition or a child since
  touched pg_catalog.json;
BEGIN
  -- The counters also have rows of savepoints that were rolled back. Savepoints have numbers of their own, given out
  -- since the body began: if none of these was aborted, there was none. A busy server hands out many; past a bound they
  -- are not looked at.
  IF exact THEN
    FOR number IN body_since .. now - 1 LOOP
      exact := exact AND pg_catalog.pg_xact_status(number::pg_catalog.text::pg_catalog.xid8) IS DISTINCT FROM 'aborted';
    END LOOP;
  END IF;

  held := pg_temp.fixture_guard_holds();
  -- What is locked exclusively and was not declared: it was truncated, dropped, created or altered.
  SELECT coalesce(pg_catalog.array_agg(w.oid), '{}') INTO strangers
    FROM ROWS FROM (pg_catalog.unnest(held.written), pg_catalog.unnest(held.exclusive)) AS w (oid, exclusive)
    LEFT JOIN pg_catalog.unnest(named) AS n (oid) ON n.oid = w.oid
   WHERE w.exclusive AND n.oid IS NULL;
  IF pg_catalog.cardinality(strangers) > 0 THEN
    SELECT coalesce(pg_catalog.array_agg(w.oid) FILTER (WHERE w.matters), '{}'),
           of_session OR coalesce(pg_catalog.bool_or(w.temporary), false)
      INTO strangers, of_session
      FROM (SELECT s.oid, c.persistence = 't' AS temporary,
                   c.oid IS NULL OR pg_temp.fixture_guard_matters(c.kind, c.persistence, c.namespace) AS matters
              FROM pg_catalog.unnest(strangers) AS s (oid)
              LEFT JOIN LATERAL (  -- OFFSET 0 keeps it a look by index, whatever the planner expects
                SELECT c.oid, c.relkind AS kind, c.relpersistence AS persistence, c.relnamespace AS namespace
                  FROM pg_catalog.pg_class AS c WHERE c.oid = s.oid OFFSET 0) AS c ON true) AS w;
    SELECT coalesce(pg_catalog.json_agg(pg_catalog.row_to_json(o)) FILTER (WHERE o.oid <> 0), '[]'), pg_catalog.count(*) > 0,
           of_session OR coalesce(pg_catalog.bool_or(o.temporary), false)
      INTO before, looked, of_session
      FROM pg_temp.fixture_guard_before(level, strangers) AS o;
    -- a partition that was made since is new as a whole: it counts as the table that it belongs to
    attached := ARRAY(SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i
                       WHERE pg_catalog.age(i.xmin) <= youth
                         AND (NOT looked OR i.inhrelid = ANY (known)
                           OR i.inhrelid IN (SELECT (o ->> 'oid')::pg_catalog.oid FROM pg_catalog.json_array_elements(before) AS o)));
  END IF;

  -- TRUNCATE leaves the columns as they are, and an ALTER TABLE that rewrites does not
  reshaped := ARRAY(SELECT DISTINCT a.attrelid
                      FROM ROWS FROM (pg_catalog.unnest(held.written), pg_catalog.unnest(held.exclusive)) AS w (oid, exclusive)
                     CROSS JOIN LATERAL (
                       SELECT a.attrelid, a.xmin FROM pg_catalog.pg_attribute AS a
                        WHERE a.attrelid = w.oid AND a.attnum > 0 OFFSET 0) AS a
                     WHERE w.exclusive AND pg_catalog.age(a.xmin) <= youth);

  SELECT pg_catalog.json_agg(pg_catalog.row_to_json(t)) INTO touched FROM (
    SELECT coalesce(r.name, w.name,
                    CASE WHEN r.whole <> r.oid THEN pg_temp.fixture_guard_shown(r.whole, here) END,
                    r.old_name,
                    pg_temp.fixture_guard_shown(r.oid, here),
                    'an unknown table (oid ' || r.oid::pg_catalog.text || ')') AS name,
           coalesce(r.declared, w.declared, false) AS declared,
           r.kind, r.dropped, r.created, r.rewritten, r.exclusive,
           NOT r.dropped AND (r.younger AND NOT r.rewritten OR r.reshaped) AS reshaped,
           coalesce(r.held, false) AS held, r.maintained, r.noted OR r.created OR counters AS noted,
           CASE
             WHEN NOT r.rewritten OR r.kind <> 'r' THEN NULL
             WHEN r.relpages > 0 THEN false
             -- TRUNCATE counts no page, and neither does an ALTER that rewrites: that one shows
             WHEN r.same_storage AND NOT r.reshaped THEN true
             ELSE pg_catalog.pg_relation_size(r.oid::pg_catalog.regclass) = 0
           END AS empty,
           -- TRUNCATE counts no page, and what rewrites a table with its rows counts them
           r.rewritten AND r.relpages > 0 AS paged,
           -- the body closed the cursor that would tell which file it had, and whether it was there
           r.exclusive AND NOT r.noted AND NOT looked AS unseen,
           r.rows,
           -- VACUUM and ANALYZE write no rows, whatever earlier transactions left in the counters; a TRUNCATE sets
           -- back what was noted
           CASE WHEN r.maintained THEN 0 ELSE greatest(pg_catalog.pg_stat_get_xact_tuples_inserted(r.oid) - coalesce(r.inserted, 0), 0) END AS inserted,
           CASE WHEN r.maintained THEN 0 ELSE greatest(pg_catalog.pg_stat_get_xact_tuples_updated(r.oid) - coalesce(r.updated, 0), 0) END AS updated,
           CASE WHEN r.maintained THEN 0 ELSE greatest(pg_catalog.pg_stat_get_xact_tuples_deleted(r.oid) - coalesce(r.deleted, 0), 0) END AS deleted
      FROM (
        SELECT l.oid, l.exclusive, l.strong, NOT l.changed AS maintained,
               b.name, b.declared, b.held, b.rows, b.inserted, b.updated, b.deleted, b.oid IS NOT NULL AS noted,
               o.name AS old_name, c.relpages, b.storage = c.storage AS same_storage,
               coalesce(c.relkind::pg_catalog.text, b.kind, o.kind) AS kind,
               c.oid IS NULL AS dropped,
               -- neither noted nor in the catalogue's old snapshot
               looked AND b.oid IS NULL AND o.oid IS NULL AND l.exclusive AS created,
               coalesce(coalesce(b.filenode, o.filenode) <> c.relfilenode::pg_catalog.int8, false) AS rewritten,
               coalesce(c.age <= youth, false) AS younger,
               s.oid IS NOT NULL AS reshaped,
               coalesce(c.matters, true) AND NOT coalesce(o.temporary, false) AS matters,
               -- a table's own sequence, and a partition, count as the table that they belonged to when the run began
               coalesce(CASE WHEN c.relispartition THEN pg_temp.fixture_guard_root(l.oid, attached) END, p.owner, o.owner) AS owner,
               coalesce(CASE WHEN c.relispartition THEN pg_temp.fixture_guard_root(l.oid, attached) END,
                        CASE WHEN p.owner IS NOT NULL THEN pg_temp.fixture_guard_root(p.owner, attached) END,
                        o.owner, l.oid) AS whole
          FROM ROWS FROM (pg_catalog.unnest(held.written), pg_catalog.unnest(held.changed), pg_catalog.unnest(held.strong),
                          pg_catalog.unnest(held.exclusive)) AS l (oid, changed, strong, exclusive)
          LEFT JOIN LATERAL (
            SELECT c.oid, c.relkind, c.relfilenode, c.relpages, c.relispartition, pg_catalog.age(c.xmin) AS age,
                   pg_temp.fixture_guard_matters(c.relkind, c.relpersistence, c.relnamespace) AS matters,
                   pg_catalog.concat_ws('/', c.relpersistence, c.reltablespace, c.relam) AS storage
              FROM pg_catalog.pg_class AS c WHERE c.oid = l.oid OFFSET 0) AS c ON true
          LEFT JOIN pg_catalog.json_to_recordset(relations) AS b (
                 oid pg_catalog.oid, name pg_catalog.text, declared pg_catalog.bool, held pg_catalog.bool, kind pg_catalog.text,
                 filenode pg_catalog.int8, storage pg_catalog.text, rows pg_catalog.int8, inserted pg_catalog.int8,
                 updated pg_catalog.int8, deleted pg_catalog.int8)
            ON b.oid = l.oid
          LEFT JOIN pg_catalog.json_to_recordset(before) AS o (
                 oid pg_catalog.oid, kind pg_catalog.text, temporary pg_catalog.bool, filenode pg_catalog.int8,
                 name pg_catalog.text, owner pg_catalog.oid)
            ON o.oid = l.oid
          LEFT JOIN LATERAL (
            SELECT d.refobjid AS owner FROM pg_catalog.pg_depend AS d
             WHERE c.relkind = 'S' AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
               AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')
               AND (pg_catalog.age(d.xmin) > youth OR looked AND b.oid IS NULL AND o.oid IS NULL AND l.exclusive) LIMIT 1) AS p ON true
          LEFT JOIN pg_catalog.unnest(reshaped) AS s (oid) ON s.oid = l.oid
        OFFSET 0) AS r
      LEFT JOIN pg_catalog.json_to_recordset(relations) AS w (oid pg_catalog.oid, name pg_catalog.text, declared pg_catalog.bool)
        ON w.oid = r.whole AND w.declared AND r.whole <> r.oid
     WHERE r.matters
       -- nextval() is no write to a table; ALTER SEQUENCE and RESTART IDENTITY are
       AND (r.kind IS DISTINCT FROM 'S' OR r.dropped OR r.strong)
       AND NOT (r.dropped AND r.created)  -- made and dropped again; an index or the like
       AND NOT (r.dropped AND NOT r.noted AND r.oid = ANY (known))  -- gone already when this run began
       AND NOT (r.owner IS NOT NULL AND r.kind = 'S' AND (r.dropped OR r.created))  -- comes and goes with its table
  ) AS t
  WHERE NOT (t.held OR t.maintained) OR t.dropped OR t.rewritten OR t.reshaped OR t.inserted + t.updated + t.deleted > 0
     OR NOT counting AND NOT t.maintained AND t.kind = 'r';

  RETURN pg_catalog.json_build_object(
    'clean', baseline ->> 'lasting' IS NOT DISTINCT FROM held.lasting
             AND baseline ->> 'catalogs' IS NOT DISTINCT FROM pg_temp.fixture_guard_catalogs()::pg_catalog.text
             -- what a rollback would undo
             AND (outside IS NULL
               OR baseline ->> 'settings' IS NOT DISTINCT FROM pg_temp.fixture_guard_settings(outside) AND NOT of_session),
    'known', baseline IS NOT NULL,
    'counting', counting,
    'exact', exact,
    'touched', coalesce(touched, '[]'))::pg_catalog.text;
END $survey$;

-- The notes of arm: from the setting, or after a RESET ALL in the body from the cursor that has them too.
CREATE FUNCTION pg_temp.fixture_guard_baseline(level pg_catalog.text) RETURNS pg_catalog.json LANGUAGE plpgsql AS $baseline$
DECLARE
  noting pg_catalog.refcursor := 'fixture_guard_noted_' || level;
  noted pg_catalog.text := nullif(pg_catalog.current_setting('fixture_guard.baseline_' || level, true), '');
BEGIN
  IF noted IS NULL AND EXISTS (SELECT FROM pg_catalog.pg_cursor() AS c WHERE c.name = noting::pg_catalog.text) THEN
    FETCH FIRST FROM noting INTO noted;
  END IF;
  RETURN noted;
END $baseline$;

-- The table that a partition belonged to when the run began: the links that are younger do not count.
CREATE FUNCTION pg_temp.fixture_guard_root(relation pg_catalog.oid, attached pg_catalog.oid[])
RETURNS pg_catalog.oid LANGUAGE plpgsql STABLE AS $root$
DECLARE
  ancestor pg_catalog.oid;
  root pg_catalog.oid := relation;
BEGIN
  IF pg_catalog.cardinality(attached) = 0 THEN
    RETURN coalesce(pg_catalog.pg_partition_root(relation)::pg_catalog.oid, relation);
  END IF;
  FOR ancestor IN SELECT a.relid FROM pg_catalog.pg_partition_ancestors(relation) AS a LOOP  -- itself first
    root := ancestor;
    EXIT WHEN ancestor = ANY (attached);
  END LOOP;
  RETURN root;
END $root$;

-- Fires what is deferred, and closes what COMMIT would run, until nothing is due any more. Triggers run with the
-- session's own search path, so that this function has none, and its operators are qualified.
CREATE FUNCTION pg_temp.fixture_guard_settle(ending pg_catalog.text) RETURNS pg_catalog.void LANGUAGE plpgsql AS $settle$
DECLARE
  before pg_catalog.int8 := pg_temp.fixture_guard_command();
  after pg_catalog.int8;
BEGIN
  FOR round IN 1 .. 100 LOOP
    SET CONSTRAINTS ALL IMMEDIATE;
    after := pg_temp.fixture_guard_command();
    -- a trigger is due only because of a row that was written: a round without one was the last
    IF after OPERATOR(pg_catalog.<=) (before OPERATOR(pg_catalog.+) 1) THEN
      PERFORM pg_temp.fixture_guard_give_back(ending);
      RETURN;
    END IF;
    before := after;
  END LOOP;
  RAISE EXCEPTION USING ERRCODE = 'FGD05', MESSAGE = 'deferred triggers go on deferring triggers';
END $settle$;

-- Closes new cursors WITH HOLD, takes a LISTEN back, and gives the session its own role.
CREATE FUNCTION pg_temp.fixture_guard_give_back(ending pg_catalog.text) RETURNS pg_catalog.void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $give_back$
DECLARE
  own pg_catalog.text := nullif(pg_catalog.current_setting('fixture_guard.own', true), '');
BEGIN
  -- COMMIT would run what a new cursor WITH HOLD has not fetched, and the survey would not see what that writes
  PERFORM pg_temp.fixture_guard_close(c.name)
     FROM pg_catalog.pg_cursor() AS c
    WHERE c.is_holdable AND c.creation_time >= pg_catalog.transaction_timestamp();
  IF ending = 'commit' THEN
    -- a LISTEN of the body shows nowhere until it is committed; it is taken back unless the session listened before
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_listening_channels()) THEN
      UNLISTEN *;
    END IF;
    -- after the triggers, one of which may have set a role
    IF own <> pg_catalog.current_setting('role') THEN
      PERFORM pg_catalog.set_config('role', own, false);
    END IF;
  END IF;
END $give_back$;

-- COMMIT waits for the disk only if something was written since the body began: of the guard's own it writes a lock
-- ahead, which may be lost. Where arm could not ask for the log's position, COMMIT waits.
CREATE FUNCTION pg_temp.fixture_guard_spare_the_disk(damage pg_catalog.text) RETURNS pg_catalog.void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $spare$
BEGIN
  IF coalesce(pg_catalog.current_setting('fixture_guard.wal', true), '') <> '' THEN
    IF pg_catalog.current_setting('fixture_guard.wal') = pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text
       AND damage::pg_catalog.json ->> 'touched' = '[]' THEN
      PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
    END IF;
  END IF;
END $spare$;

-- Asks for the damage at the end of a run.
--   ending  what comes next: `commit`, `rehearse` (all that a commit would do is done, and undone), or `undo`
-- It has no search path of its own, so its operators are qualified.
CREATE FUNCTION pg_temp.fixture_guard_end(
  run_secret pg_catalog.text, level pg_catalog.text, ending pg_catalog.text
) RETURNS pg_catalog.text LANGUAGE plpgsql AS $end$
DECLARE
  damage pg_catalog.text;
  commits pg_catalog.bool := ending OPERATOR(pg_catalog.=) 'commit';
BEGIN
  IF ending OPERATOR(pg_catalog.<>) 'undo' THEN
    PERFORM pg_catalog.set_config('fixture_guard.lifted', run_secret, true);  -- COMMIT passes the seal
    PERFORM pg_temp.fixture_guard_settle(ending);
  END IF;
  damage := pg_temp.fixture_guard_survey(level, CASE WHEN commits THEN pg_temp.fixture_guard_outside() END);
  IF commits THEN
    PERFORM pg_temp.fixture_guard_spare_the_disk(damage);
  END IF;
  RETURN damage;
END $end$;
