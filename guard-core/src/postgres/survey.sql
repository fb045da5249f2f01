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
--   level     how deep the run is nested
--   planning  the session's plan_cache_mode; null where a rollback gives back every setting
-- The locks that this backend still holds name every relation that was written, truncated, altered or dropped
-- (https://www.postgresql.org/docs/current/explicit-locking.html): nothing releases them before the end.
CREATE FUNCTION pg_temp.fixture_guard_survey(
  run_secret pg_catalog.text, level pg_catalog.text, planning pg_catalog.text
) RETURNS pg_catalog.text LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $survey$
DECLARE
  baseline pg_catalog.json := nullif(pg_catalog.current_setting('fixture_guard.baseline_' || level, true), '')::pg_catalog.json;
  relations pg_catalog.json :=
    coalesce(nullif(pg_catalog.current_setting('fixture_guard.relations_' || level, true), ''), '[]')::pg_catalog.json;
  known pg_catalog.oid[] := coalesce((baseline ->> 'noted')::pg_catalog.oid[], '{}');
  counters pg_catalog.bool := coalesce((baseline ->> 'counters')::pg_catalog.bool, false);
  since pg_catalog.int8 := (baseline ->> 'since')::pg_catalog.int8;
  now pg_catalog.int8 := pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text::pg_catalog.int8;
  -- what the catalogue got since then is no older; its rows carry 32 bits of a transaction's number
  youth pg_catalog.int4 := pg_catalog.age((since % 4294967296)::pg_catalog.text::pg_catalog.xid);
  -- a body that ended the transaction took the baseline along
  exact pg_catalog.bool := coalesce(now - since <= 2000, false);
  held pg_catalog.record;
  strangers pg_catalog.oid[];
  -- whether a temporary relation was created, altered, truncated or dropped
  of_session pg_catalog.bool := coalesce((baseline ->> 'of_session')::pg_catalog.bool, false);
  before pg_catalog.json := '[]';
  looked pg_catalog.bool := false;
  reshaped pg_catalog.oid[];
  touched pg_catalog.json;
BEGIN
  -- The counters also hold rows of savepoints that were rolled back. Those have numbers of their own, given out since
  -- ours: if none of these was aborted, there was none. A busy server hands out many; past a bound it is not looked at.
  IF exact THEN
    FOR number IN since .. now - 1 LOOP
      exact := exact AND pg_catalog.pg_xact_status(number::pg_catalog.text::pg_catalog.xid8) IS DISTINCT FROM 'aborted';
    END LOOP;
  END IF;

  held := pg_temp.fixture_guard_holds();
  -- What is locked exclusively and was not noted: it was truncated, dropped, created or altered.
  IF NOT held.exclusive <@ known THEN
    SELECT coalesce(pg_catalog.array_agg(r.oid) FILTER (WHERE r.matters), '{}'),
           coalesce(pg_catalog.array_agg(r.oid) FILTER (WHERE r.matters AND r.exclusive), '{}'),
           coalesce(pg_catalog.array_agg(r.oid) FILTER (WHERE r.matters AND r.exclusive AND r.oid <> ALL (known)), '{}'),
           of_session OR coalesce(pg_catalog.bool_or(r.temporary AND r.exclusive), false)
      INTO held.written, held.exclusive, strangers, of_session
      FROM (SELECT w.oid, w.oid = ANY (held.exclusive) AS exclusive, c.persistence = 't' AS temporary,
                   c.oid IS NULL OR pg_temp.fixture_guard_matters(c.kind, c.persistence, c.namespace) AS matters
              FROM (SELECT DISTINCT o AS oid FROM pg_catalog.unnest(held.written) AS o) AS w
              LEFT JOIN LATERAL (  -- OFFSET 0 keeps it a look by index, whatever the planner expects
                SELECT c.oid, c.relkind AS kind, c.relpersistence AS persistence, c.relnamespace AS namespace
                  FROM pg_catalog.pg_class AS c WHERE c.oid = w.oid OFFSET 0) AS c ON true) AS r;
    SELECT coalesce(pg_catalog.json_agg(pg_catalog.row_to_json(o)) FILTER (WHERE o.oid <> 0), '[]'), pg_catalog.count(*) > 0,
           of_session OR coalesce(pg_catalog.bool_or(o.temporary), false)
      INTO before, looked, of_session
      FROM pg_temp.fixture_guard_before(level, strangers) AS o;
  END IF;

  -- TRUNCATE leaves the columns as they are, and an ALTER TABLE that rewrites does not
  reshaped := ARRAY(SELECT DISTINCT a.attrelid FROM pg_catalog.pg_attribute AS a
                     WHERE a.attrelid = ANY (held.exclusive) AND a.attnum > 0 AND pg_catalog.age(a.xmin) <= youth);

  SELECT pg_catalog.json_agg(pg_catalog.row_to_json(t)) INTO touched FROM (
    SELECT coalesce(b.name, whole.noted ->> 'name',
                    CASE WHEN NOT r.dropped THEN whole.oid::pg_catalog.regclass::pg_catalog.text END,
                    o.name, l.oid::pg_catalog.text) AS name,
           coalesce(b.declared, (whole.noted ->> 'declared')::pg_catalog.bool, false) AS declared,
           coalesce(c.relkind::pg_catalog.text, b.kind, o.kind) AS kind,
           r.dropped, r.created, r.rewritten, r.exclusive,
           NOT r.dropped AND (r.younger AND NOT r.rewritten OR l.oid = ANY (reshaped)) AS reshaped,
           coalesce(b.held, false) AS held, r.maintained,
           b.oid IS NOT NULL OR r.created OR counters AS noted,
           CASE
             WHEN NOT r.rewritten OR c.relkind <> 'r' THEN NULL
             WHEN c.relpages > 0 THEN false
             -- TRUNCATE counts no page, and neither does an ALTER that rewrites: that one shows
             WHEN b.storage = c.storage AND l.oid <> ALL (reshaped) THEN true
             ELSE pg_catalog.pg_relation_size(l.oid::pg_catalog.regclass) = 0
           END AS empty,
           b.rows, n.inserted, n.updated, n.deleted
      FROM (SELECT DISTINCT o AS oid FROM pg_catalog.unnest(held.written) AS o) AS l
      LEFT JOIN LATERAL (
        SELECT c.oid, c.relkind, c.relfilenode, c.relpages, pg_catalog.age(c.xmin) AS age,
               pg_temp.fixture_guard_matters(c.relkind, c.relpersistence, c.relnamespace) AS matters,
               pg_catalog.concat_ws('/', c.relpersistence, c.reltablespace, c.relam) AS storage
          FROM pg_catalog.pg_class AS c WHERE c.oid = l.oid OFFSET 0) AS c ON true
      LEFT JOIN pg_catalog.json_to_recordset(relations) AS b (
             oid pg_catalog.oid, name pg_catalog.text, declared pg_catalog.bool, held pg_catalog.bool, kind pg_catalog.text,
             filenode pg_catalog.int8, storage pg_catalog.text, rows pg_catalog.int8, inserted pg_catalog.int8, updated pg_catalog.int8, deleted pg_catalog.int8)
        ON b.oid = l.oid
      LEFT JOIN pg_catalog.json_to_recordset(before) AS o (
             oid pg_catalog.oid, kind pg_catalog.text, temporary pg_catalog.bool, filenode pg_catalog.int8, name pg_catalog.text,
             owner pg_catalog.oid)
        ON o.oid = l.oid
     CROSS JOIN LATERAL (  -- and has the planner write each of these once
        SELECT c.oid IS NULL AS dropped, l.oid = ANY (held.exclusive) AS exclusive, l.oid <> ALL (held.changed) AS maintained,
               -- neither noted nor in the catalogue's old snapshot
               looked AND b.oid IS NULL AND o.oid IS NULL AND l.oid = ANY (held.exclusive) AS created,
               coalesce(coalesce(b.filenode, o.filenode) <> c.relfilenode::pg_catalog.int8, false) AS rewritten,
               coalesce(c.age <= youth, false) AS younger,
               CASE c.relkind WHEN 'S' THEN (
                 SELECT d.refobjid FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
                    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i') LIMIT 1)
               ELSE o.owner END AS owner
        OFFSET 0) AS r
     CROSS JOIN LATERAL (  -- a table's own sequence, and a partition, count as that table
        SELECT w.oid, CASE WHEN w.oid <> l.oid THEN (
                 SELECT e FROM pg_catalog.json_array_elements(relations) AS e
                  WHERE (e ->> 'oid')::pg_catalog.oid = w.oid AND (e ->> 'declared')::pg_catalog.bool) END AS noted
          FROM (SELECT coalesce(pg_catalog.pg_partition_root(coalesce(r.owner, l.oid)), r.owner, l.oid) AS oid OFFSET 0) AS w
        OFFSET 0) AS whole
     CROSS JOIN LATERAL (
        -- Whoever only maintains a table writes no row, whatever the counters hold of earlier; and a TRUNCATE sets back
        -- what was noted.
        SELECT CASE WHEN r.maintained THEN 0 ELSE greatest(pg_catalog.pg_stat_get_xact_tuples_inserted(l.oid) - coalesce(b.inserted, 0), 0) END AS inserted,
               CASE WHEN r.maintained THEN 0 ELSE greatest(pg_catalog.pg_stat_get_xact_tuples_updated(l.oid) - coalesce(b.updated, 0), 0) END AS updated,
               CASE WHEN r.maintained THEN 0 ELSE greatest(pg_catalog.pg_stat_get_xact_tuples_deleted(l.oid) - coalesce(b.deleted, 0), 0) END AS deleted
        OFFSET 0) AS n
     WHERE coalesce(c.matters, true) AND NOT coalesce(o.temporary, false)
       -- nextval() is no write to a table; ALTER SEQUENCE and RESTART IDENTITY are
       AND (c.relkind IS DISTINCT FROM 'S' OR l.oid = ANY (held.strong))
       AND NOT (r.dropped AND r.created)  -- made and dropped again; an index or the like
       AND NOT (r.dropped AND b.oid IS NULL AND l.oid = ANY (known))  -- gone already when this run began
       AND NOT (r.owner IS NOT NULL AND (r.dropped OR r.created))  -- comes and goes with its table
  ) AS t
  WHERE NOT (t.held OR t.maintained) OR t.dropped OR t.rewritten OR t.reshaped OR t.inserted + t.updated + t.deleted > 0;

  RETURN pg_catalog.json_build_object(
    -- a setting that ends with its transaction, and says which one it was made in
    'stamped', coalesce(pg_catalog.current_setting('fixture_guard.transaction', true)
                        = run_secret || ':' || pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text, false),
    'transaction', pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text,
    'clean', baseline ->> 'lasting' IS NOT DISTINCT FROM held.lasting
             -- what a rollback would undo
             AND (planning IS NULL
               OR baseline ->> 'settings' IS NOT DISTINCT FROM pg_temp.fixture_guard_settings(planning) AND NOT of_session),
    'exact', exact,
    'touched', coalesce(touched, '[]'))::pg_catalog.text;
END $survey$;

-- Asks for the damage at the end of a run.
--   ending  what comes next: `commit`, `rehearse` (all that a commit would do is done, and undone), or `undo`
CREATE FUNCTION pg_temp.fixture_guard_end(
  run_secret pg_catalog.text, level pg_catalog.text, ending pg_catalog.text
) RETURNS pg_catalog.text LANGUAGE plpgsql AS $end$
DECLARE
  done pg_catalog.text;
  unfetched pg_catalog.text;
  damage pg_catalog.text;
BEGIN
  IF ending <> 'undo' THEN
    done := pg_catalog.set_config('fixture_guard.lifted', run_secret, true);  -- COMMIT passes the seal
    -- Other deferred triggers may still write, and what they write counts. What one of them defers anew is due as well.
    SET CONSTRAINTS ALL IMMEDIATE;
    SET CONSTRAINTS ALL IMMEDIATE;
    -- COMMIT would run what a new cursor WITH HOLD has not fetched, and nobody would see what that writes
    FOR unfetched IN
      SELECT c.name FROM pg_catalog.pg_cursor() AS c
       WHERE c.is_holdable AND c.creation_time >= pg_catalog.transaction_timestamp()
    LOOP
      EXECUTE pg_catalog.format('CLOSE %I', unfetched);
    END LOOP;
    IF ending = 'commit' THEN
      -- a LISTEN of the body shows nowhere until it is committed; it is taken back unless the session listened before
      IF NOT EXISTS (SELECT FROM pg_catalog.pg_listening_channels()) THEN
        UNLISTEN *;
      END IF;
      -- after the triggers, one of which may have set a role
      PERFORM pg_temp.fixture_guard_let_go();
    END IF;
  END IF;
  damage := pg_temp.fixture_guard_survey(run_secret, level,
    CASE ending WHEN 'commit' THEN pg_catalog.current_setting('plan_cache_mode') END);
  -- Nobody wrote a thing since the body began, so that COMMIT has nothing to wait for but the lock of the guard's own,
  -- which is written ahead. Where arm could not ask for that, it is not asked for here either.
  IF ending = 'commit' AND pg_catalog.current_setting('fixture_guard.wal', true) <> '' THEN
    IF pg_catalog.current_setting('fixture_guard.wal') = pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text
       AND damage::pg_catalog.json ->> 'touched' = '[]' THEN
      done := pg_catalog.set_config('synchronous_commit', 'off', true);
    END IF;
  END IF;
  RETURN damage;
END $end$;
