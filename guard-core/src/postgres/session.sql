-- The session's own settings, to tell after a commit whether the body left any of them changed. One expression names
-- all of them: the server's own list takes 0.4 ms, and this 0.05. What the guard itself changes and gives back is left
-- out, and so is what ends with the transaction; what a transaction set for itself (SET LOCAL) cannot be told from the
-- rest, and costs a new connection.
--   planning  the session's plan_cache_mode, which the guard's functions have their own of
DO $make$
BEGIN
  EXECUTE pg_catalog.format($function$
    CREATE FUNCTION pg_temp.fixture_guard_settings(planning pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql STABLE AS $settings$
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

-- Waits until no other guarded run is at this database. `fixg` in ASCII, and the database's name.
--   patience  a lock_timeout
CREATE FUNCTION pg_temp.fixture_guard_turn(patience pg_catalog.text) RETURNS pg_catalog.void LANGUAGE plpgsql AS $turn$
DECLARE
  before pg_catalog.text := pg_catalog.current_setting('lock_timeout');
BEGIN
  PERFORM pg_catalog.set_config('lock_timeout', patience, true),
          pg_catalog.pg_advisory_xact_lock(1718188135, pg_catalog.hashtext(pg_catalog.current_database())),
          pg_catalog.set_config('lock_timeout', before, true);
END $turn$;

-- What this session holds, in one look: the server walks through all of its locks for it. A relation may stand in each
-- list more than once, and is not in the catalogue any more if it was dropped.
--   written    relations locked as for a write
--   changed    those that are locked for more than VACUUM, ANALYZE and the like
--   strong     those that nobody else can write to meanwhile
--   exclusive  those that nobody else can read meanwhile
--   lasting    what neither a commit nor a rollback takes from the session: locks, cursors, statements
CREATE FUNCTION pg_temp.fixture_guard_holds(
  OUT written pg_catalog.oid[], OUT changed pg_catalog.oid[], OUT strong pg_catalog.oid[], OUT exclusive pg_catalog.oid[],
  OUT lasting pg_catalog.text
) LANGUAGE plpgsql STABLE AS $holds$
BEGIN
  SELECT coalesce(pg_catalog.array_agg(l.relation) FILTER (WHERE l.relation IS NOT NULL), '{}'),
         coalesce(pg_catalog.array_agg(l.relation) FILTER (WHERE l.relation IS NOT NULL AND l.mode <> 'ShareUpdateExclusiveLock'), '{}'),
         coalesce(pg_catalog.array_agg(l.relation) FILTER (WHERE l.relation IS NOT NULL
           AND l.mode IN ('ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')), '{}'),
         coalesce(pg_catalog.array_agg(l.relation) FILTER (WHERE l.mode = 'AccessExclusiveLock'), '{}'),
         pg_catalog.concat_ws('|',
           -- in whatever order
           pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.concat_ws('/', l.classid, l.objid, l.objsubid, l.mode), 0))
             FILTER (WHERE l.locktype = 'advisory'),
           (SELECT pg_catalog.count(*) FROM pg_catalog.pg_cursor() AS c WHERE c.is_holdable),
           (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statement() AS p WHERE p.from_sql))
    INTO written, changed, strong, exclusive, lasting
    FROM pg_catalog.pg_lock_status() AS l
   WHERE l.pid = pg_catalog.pg_backend_pid()
     AND CASE l.locktype
           WHEN 'relation' THEN l.database <> 0 AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
           -- but for the guard's own turn, which ends with the transaction
           WHEN 'advisory' THEN NOT (l.classid = 1718188135
             AND l.objid = pg_catalog.hashtext(pg_catalog.current_database())::pg_catalog.oid)
         END;
END $holds$;

-- Whether a relation can be damaged: no index and the like, nothing temporary, nothing of the server's own.
CREATE FUNCTION pg_temp.fixture_guard_matters(kind "char", persistence "char", namespace pg_catalog.oid)
RETURNS pg_catalog.bool LANGUAGE sql STABLE AS $matters$
  SELECT kind IN ('r', 'p', 'm', 'f', 'S') AND persistence <> 't'
     AND namespace <> 'pg_catalog'::pg_catalog.regnamespace AND namespace <> 'pg_toast'::pg_catalog.regnamespace
$matters$;

-- DEALLOCATE ALL takes it along, as it does the statements that the driver believes to be prepared here.
DO $prepare$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_prepared_statement() AS p WHERE p.name = 'fixture_guard_witness') THEN
    EXECUTE 'PREPARE fixture_guard_witness AS SELECT';
  END IF;
END $prepare$;
