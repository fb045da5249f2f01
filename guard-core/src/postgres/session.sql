-- The session's own settings, to tell after a commit whether the body left any of them changed. One expression names
-- all of them: the server's own list takes 0.4 ms, and this 0.05. What the guard itself changes and gives back is left
-- out, and so is what ends with the transaction; what a transaction set for itself (SET LOCAL) cannot be told from the
-- rest, and costs a new connection.
--   planning  the session's plan_cache_mode, which the guard's functions have their own of
DO $make$
BEGIN
  EXECUTE pg_catalog.format($function$
    CREATE OR REPLACE FUNCTION pg_temp.fixture_guard_settings(planning pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql STABLE AS $settings$
    BEGIN
      RETURN pg_catalog.md5(pg_catalog.array_to_string(ARRAY[session_user::pg_catalog.text, planning, %s], '|', '?'));
    EXCEPTION WHEN insufficient_privilege THEN
      RETURN 'not readable';  -- as another user than at first
    END $settings$ $function$, (
    SELECT pg_catalog.string_agg(pg_catalog.format('pg_catalog.current_setting(%L, true)', s.name), ', ')
      FROM pg_catalog.pg_show_all_settings() AS s
     WHERE s.context IN ('user', 'superuser')
       AND s.name <> ALL ('{role,default_transaction_read_only,plan_cache_mode,transaction_isolation,transaction_read_only,
                            transaction_deferrable}'::pg_catalog.text[])));
END $make$;

-- What this session holds, in one look: the server walks through all of its locks for it.
--   written    relations locked as for a write: tables, sequences, and whatever is not in the catalogue any more
--   changed    those that are locked for more than VACUUM, ANALYZE and the like
--   strong     those that nobody else can write to meanwhile
--   exclusive  those that nobody else can read meanwhile
--   temporary  whether a temporary relation was created, altered, truncated or dropped
--   lasting    what neither a commit nor a rollback takes from the session: locks, cursors, statements
CREATE OR REPLACE FUNCTION pg_temp.fixture_guard_holds(
  OUT written pg_catalog.oid[], OUT changed pg_catalog.oid[], OUT strong pg_catalog.oid[], OUT exclusive pg_catalog.oid[],
  OUT temporary pg_catalog.bool, OUT lasting pg_catalog.text
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $holds$
BEGIN
  SELECT pg_catalog.array_agg(DISTINCT r.oid) FILTER (WHERE r.matters),
         pg_catalog.array_agg(DISTINCT r.oid) FILTER (WHERE r.matters AND l.mode <> 'ShareUpdateExclusiveLock'),
         pg_catalog.array_agg(DISTINCT r.oid) FILTER (WHERE r.matters
           AND l.mode IN ('ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')),
         pg_catalog.array_agg(DISTINCT r.oid) FILTER (WHERE r.matters AND l.mode = 'AccessExclusiveLock'),
         coalesce(pg_catalog.bool_or(r.temporary AND l.mode = 'AccessExclusiveLock'), false),
         pg_catalog.string_agg(pg_catalog.concat_ws('/', l.classid, l.objid, l.objsubid, l.mode), ','
           ORDER BY l.classid, l.objid, l.objsubid, l.mode) FILTER (WHERE l.locktype = 'advisory')
    INTO written, changed, strong, exclusive, temporary, lasting
    FROM pg_catalog.pg_lock_status() AS l
    LEFT JOIN LATERAL (  -- OFFSET 0 keeps it a look by index, whatever the planner expects
      SELECT c.relkind, c.relpersistence = 't' AS temporary,
             c.relnamespace IN ('pg_catalog'::pg_catalog.regnamespace, 'pg_toast'::pg_catalog.regnamespace) AS internal
        FROM pg_catalog.pg_class AS c WHERE c.oid = l.relation OFFSET 0) AS c ON true
   CROSS JOIN LATERAL (
      SELECT l.relation AS oid, c.temporary,
             l.locktype = 'relation' AND (c.relkind IS NULL OR c.relkind IN ('r', 'p', 'm', 'f', 'S') AND NOT c.temporary
                                          AND NOT c.internal) AS matters) AS r
   WHERE l.pid = pg_catalog.pg_backend_pid()
     AND CASE l.locktype
           WHEN 'relation' THEN l.database <> 0 AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
           -- but for the guard's own turn, which ends with the transaction
           WHEN 'advisory' THEN NOT (l.classid = 1718188135
             AND l.objid = pg_catalog.hashtext(pg_catalog.current_database())::pg_catalog.oid)
         END;
  written := coalesce(written, '{}');
  changed := coalesce(changed, '{}');
  strong := coalesce(strong, '{}');
  exclusive := coalesce(exclusive, '{}');
  lasting := pg_catalog.concat_ws('|', lasting,
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_cursor() AS c WHERE c.is_holdable),
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statement() AS p WHERE p.from_sql));
END $holds$;

-- DEALLOCATE ALL takes it along, as it does the statements that the driver believes to be prepared here.
DO $prepare$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_prepared_statement() AS p WHERE p.name = 'fixture_guard_witness') THEN
    EXECUTE 'PREPARE fixture_guard_witness AS SELECT';
  END IF;
END $prepare$;
