-- What did the body do? One row, one JSON text, before the guard commits or undoes anything.
--   $1  the run's secret
--   $2  how deep the run is nested
-- The locks that this backend still holds name every relation that was written, truncated, altered or dropped
-- (https://www.postgresql.org/docs/current/explicit-locking.html): nothing releases them before the end.
WITH baseline AS MATERIALIZED (
  SELECT nullif(pg_catalog.current_setting('fixture_guard.baseline_' || $2, true), '')::pg_catalog.jsonb AS b
), began AS MATERIALIZED (
  SELECT (b ->> 'since')::pg_catalog.int8 AS since,
         -- the same as the 32 bits that rows carry
         ((b ->> 'since')::pg_catalog.int8 % 4294967296)::pg_catalog.text::pg_catalog.xid AS mark,
         pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text::pg_catalog.int8 AS now
    FROM baseline
), base AS MATERIALIZED (
  SELECT key::pg_catalog.oid AS oid, value ->> 'name' AS name, (value ->> 'declared')::pg_catalog.bool AS declared,
         (value ->> 'held')::pg_catalog.bool AS held, value ->> 'kind' AS kind,
         (value ->> 'filenode')::pg_catalog.int8 AS filenode, (value ->> 'rows')::pg_catalog.int8 AS rows,
         (value ->> 'ins')::pg_catalog.int8 AS ins, (value ->> 'upd')::pg_catalog.int8 AS upd,
         (value ->> 'del')::pg_catalog.int8 AS del
    FROM baseline, pg_catalog.jsonb_each(b -> 'relations')
), locked AS MATERIALIZED (
  SELECT l.relation AS oid, pg_catalog.bool_or(l.mode = 'AccessExclusiveLock') AS exclusive,
         pg_catalog.bool_or(l.mode IN ('ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')) AS strong,
         -- ANALYZE and the like
         pg_catalog.bool_and(l.mode = 'ShareUpdateExclusiveLock') AS maintained
    FROM pg_catalog.pg_locks AS l
   WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation'
     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
     AND l.mode IN ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
                    'ExclusiveLock', 'AccessExclusiveLock')
   GROUP BY l.relation
), before AS MATERIALIZED (
  SELECT o.* FROM pg_temp.fixture_guard_before($2, ARRAY(
    SELECT r.oid FROM locked AS r LEFT JOIN pg_catalog.pg_class AS c ON c.oid = r.oid
     WHERE r.exclusive AND NOT EXISTS (SELECT FROM base AS b WHERE b.oid = r.oid)
       AND (c.oid IS NULL OR c.relkind IN ('r', 'p', 'm', 'f', 'S')))) AS o
), relations AS (
  SELECT r.oid, r.exclusive, r.maintained, c.oid IS NULL AS dropped,
         coalesce(c.relkind::pg_catalog.text, b.kind, o.kind::pg_catalog.text) AS kind,
         -- neither noted nor in the catalogue's old snapshot
         b.oid IS NULL AND r.exclusive AND EXISTS (SELECT FROM before) AND o.oid IS NULL AS created,
         coalesce(coalesce(b.filenode, o.filenode) <> c.relfilenode::pg_catalog.int8, false) AS rewritten,
         coalesce(pg_catalog.age(c.xmin) <= pg_catalog.age((SELECT mark FROM began)), false) AS touched,
         CASE c.relkind WHEN 'S' THEN (
           SELECT d.refobjid FROM pg_catalog.pg_depend AS d
            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
              AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i') LIMIT 1)
         ELSE o.owner END AS owner,
         o.name AS name_before
    FROM locked AS r LEFT JOIN base AS b ON b.oid = r.oid LEFT JOIN pg_catalog.pg_class AS c ON c.oid = r.oid
    LEFT JOIN before AS o ON o.oid = r.oid
   WHERE c.oid IS NULL AND NOT coalesce(o.temporary, false)
      OR c.relkind IN ('r', 'p', 'm', 'f') AND c.relpersistence <> 't'
         AND c.relnamespace NOT IN ('pg_catalog'::pg_catalog.regnamespace, 'pg_toast'::pg_catalog.regnamespace)
      -- nextval() is no write to a table; ALTER SEQUENCE and RESTART IDENTITY are
      OR c.relkind = 'S' AND c.relpersistence <> 't' AND r.strong
), touched AS (
  SELECT coalesce(b.name, w.name,
                  CASE WHEN NOT r.dropped THEN whole.oid::pg_catalog.regclass::pg_catalog.text END,
                  r.name_before, r.oid::pg_catalog.text) AS name,
         coalesce(b.declared, w.declared, false) AS declared,
         r.kind, r.dropped, r.created, r.rewritten, r.exclusive,
         -- TRUNCATE leaves the columns as they are, and an ALTER TABLE that rewrites does not
         NOT r.dropped AND (r.touched AND NOT r.rewritten OR r.exclusive AND EXISTS (
           SELECT FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = r.oid AND pg_catalog.age(a.xmin) <= pg_catalog.age((SELECT mark FROM began)))) AS reshaped,
         coalesce(b.held, false) AS held, r.maintained, coalesce(b.oid IS NOT NULL OR r.created OR n.noted, false) AS noted,
         CASE WHEN r.exclusive AND r.kind IN ('r', 'm')
              THEN pg_catalog.pg_relation_size(r.oid::pg_catalog.regclass) = 0 END AS empty,
         b.rows AS rows,
         -- a TRUNCATE sets back what was noted
         greatest(s.inserted - coalesce(b.ins, 0), 0) AS inserted,
         greatest(s.updated - coalesce(b.upd, 0), 0) AS updated,
         greatest(s.deleted - coalesce(b.del, 0), 0) AS deleted
    FROM relations AS r LEFT JOIN base AS b ON b.oid = r.oid
   CROSS JOIN (SELECT (b ->> 'noted')::pg_catalog.bool AS noted FROM baseline) AS n
   CROSS JOIN LATERAL (  -- whoever only maintains a table writes no row, whatever the counters hold of earlier
     SELECT CASE WHEN r.maintained THEN 0 ELSE pg_catalog.pg_stat_get_xact_tuples_inserted(r.oid) END AS inserted,
            CASE WHEN r.maintained THEN 0 ELSE pg_catalog.pg_stat_get_xact_tuples_updated(r.oid) END AS updated,
            CASE WHEN r.maintained THEN 0 ELSE pg_catalog.pg_stat_get_xact_tuples_deleted(r.oid) END AS deleted) AS s
   -- a table's own sequence, and a partition, count as that table
   CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.pg_partition_root(coalesce(r.owner, r.oid)), r.owner, r.oid) AS oid) AS whole
    LEFT JOIN base AS w ON w.oid = whole.oid AND w.declared
   WHERE NOT (r.dropped AND r.created)  -- made and dropped again; an index or the like
     -- comes and goes with its table
     AND NOT (r.owner IS NOT NULL AND (r.dropped OR r.created))
)
SELECT pg_catalog.json_build_object(
  -- a setting that ends with its transaction, and says which one it was made in
  'stamped',  coalesce(pg_catalog.current_setting('fixture_guard.transaction', true)
                       = $1 || ':' || pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text, false),
  'transaction', pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text,
  'clean',    (SELECT b ->> 'leftovers' IS NOT DISTINCT FROM pg_temp.fixture_guard_leftovers() FROM baseline)
              -- what a rollback would undo
              AND (pg_catalog.current_setting('fixture_guard.lifted', true) IS DISTINCT FROM $1
                OR (SELECT b ->> 'settings' IS NOT DISTINCT FROM pg_temp.fixture_guard_settings() FROM baseline)
                   AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
                                     LEFT JOIN before AS o ON o.oid = l.relation
                                    WHERE l.pid = pg_catalog.pg_backend_pid() AND l.mode = 'AccessExclusiveLock'
                                      AND coalesce(c.relpersistence = 't', o.temporary))),
  -- The counters also hold rows of savepoints that were rolled back. Those have numbers of their own, given out since
  -- ours: if none of these was aborted, there was none. A busy server hands out many; past a bound it is not looked at.
  'exact',    (SELECT CASE WHEN now - since > 2000 THEN false ELSE NOT EXISTS (
                        SELECT FROM pg_catalog.generate_series(since, now - 1) AS x
                         WHERE pg_catalog.pg_xact_status(x::pg_catalog.text::pg_catalog.xid8) = 'aborted') END FROM began),
  'touched',  coalesce((SELECT pg_catalog.json_agg(pg_catalog.row_to_json(t) ORDER BY t.name) FROM touched AS t
                WHERE NOT (t.held OR t.maintained) OR t.dropped OR t.rewritten OR t.reshaped
                   OR t.inserted + t.updated + t.deleted > 0), '[]')
)::pg_catalog.text
