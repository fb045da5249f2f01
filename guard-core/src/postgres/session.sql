-- Makes the session harmless: its default is read-only and, where the login has the means, its role is powerless. A
-- run's own transaction has its rights back for as long as it lasts, so that a body's statements after the end of that
-- transaction find neither. Only sessions of the guard's own are held; a pooler's server sessions are not.
CREATE FUNCTION pg_temp.fixture_guard_hold() RETURNS pg_catalog.void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $hold$
BEGIN
  -- where the session was held before, a hook or a body changed one of the two, and the other is the guard's own
  PERFORM set_config('fixture_guard.role', CASE current_setting('role')
            WHEN coalesce(current_setting('fixture_guard.held', true), '') THEN current_setting('fixture_guard.role')
            ELSE current_setting('role') END, false),
          set_config('fixture_guard.read_only', CASE
            WHEN coalesce(current_setting('fixture_guard.held', true), '') = '' THEN current_setting('default_transaction_read_only')
            ELSE current_setting('fixture_guard.read_only') END, false),
          set_config('default_transaction_read_only', 'on', false),
          set_config('application_name', 'fixture-guard idle', false),
          set_config('role',
            CASE WHEN current_setting('is_superuser') = 'on' THEN 'pg_monitor'
                 WHEN to_regrole('fixture_guard_powerless') IS NULL THEN current_setting('role')
                 WHEN pg_has_role(session_user, 'fixture_guard_powerless', 'MEMBER') THEN 'fixture_guard_powerless'
                 ELSE current_setting('role') END, false);
  PERFORM set_config('fixture_guard.held', current_setting('role'), false);
  -- no code reads this session's notifications, and the driver takes one for the answer to COMMIT
  UNLISTEN *;
END $hold$;

-- Gives a run's transaction the session's own role and name, and what the session's configuration says of read-only.
-- Raises FGH01 if the session is not held: a hook of the pool, or an earlier body, changed it.
--   subject  the application name to show
--   path     the session's search_path
CREATE FUNCTION pg_temp.fixture_guard_give_rights(subject pg_catalog.text, path pg_catalog.text)
RETURNS pg_catalog.void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $give$
BEGIN
  IF current_setting('fixture_guard.held', true) IS DISTINCT FROM current_setting('role')
     OR current_setting('default_transaction_read_only') <> 'on' THEN
    RAISE EXCEPTION USING ERRCODE = 'FGH01', MESSAGE = 'the session is not held';
  END IF;
  SET LOCAL default_transaction_read_only TO DEFAULT;
  PERFORM set_config('role', current_setting('fixture_guard.role'), true),
          set_config('fixture_guard.own', current_setting('fixture_guard.role'), true),
          set_config('fixture_guard.path', path, true),
          set_config('application_name', subject, true);
END $give$;

-- A relation's name as the session's search path shows it.
--   here  the schemas of that path, in order
CREATE FUNCTION pg_temp.fixture_guard_shown(relation pg_catalog.oid, here pg_catalog.name[])
RETURNS pg_catalog.text LANGUAGE sql STABLE AS $shown$
  SELECT CASE WHEN n.nspname = ANY (here) AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_class AS s JOIN pg_catalog.pg_namespace AS m ON m.oid = s.relnamespace
                 WHERE s.relname = c.relname AND s.oid <> c.oid
                   AND pg_catalog.array_position(here, m.nspname) < pg_catalog.array_position(here, n.nspname))
              THEN '' ELSE pg_catalog.quote_ident(n.nspname) || '.' END || pg_catalog.quote_ident(c.relname)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.oid = relation
$shown$;

-- The session's own settings, to tell after a commit whether the body left any of them changed. One expression names
-- all of them: the server's own list takes 0.4 ms, and this 0.05. Left out are the settings that the guard changes, and
-- those that end with the transaction; a setting that a body made with SET LOCAL cannot be distinguished from a lasting one, and
-- costs a new connection.
--   outside  the settings that the guard's functions have values of their own for
DO $make$
BEGIN
  EXECUTE pg_catalog.format($function$
    CREATE FUNCTION pg_temp.fixture_guard_settings(outside pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql STABLE AS $settings$
    BEGIN
      RETURN pg_catalog.md5(pg_catalog.array_to_string(ARRAY[session_user::pg_catalog.text, outside, %s], '|', '?'));
    EXCEPTION WHEN insufficient_privilege THEN
      RETURN 'not readable';  -- as another user than at first
    END $settings$ $function$, (
    SELECT pg_catalog.string_agg(pg_catalog.format('pg_catalog.current_setting(%L, true)', s.name), ', ')
      FROM pg_catalog.pg_show_all_settings() AS s
     WHERE s.context IN ('user', 'superuser')
       AND s.name <> ALL ('{role,default_transaction_read_only,plan_cache_mode,search_path,enable_nestloop,jit,
         transaction_isolation,transaction_read_only,transaction_deferrable,check_function_bodies,client_min_messages}'::pg_catalog.text[])));
END $make$;

-- Settings that the guard's functions have values of their own for, as the session has them.
CREATE FUNCTION pg_temp.fixture_guard_outside() RETURNS pg_catalog.text LANGUAGE plpgsql STABLE AS $outside$
BEGIN
  RETURN pg_catalog.concat_ws('|', pg_catalog.current_setting('plan_cache_mode'), pg_catalog.current_setting('search_path'),
    pg_catalog.current_setting('enable_nestloop'), pg_catalog.current_setting('jit'));
END $outside$;

-- Rows of the catalogs that this session wrote and has not reported yet, also in transactions that were rolled back.
-- A changed number tells that types, columns or functions changed: what the driver remembers of them may be stale.
CREATE FUNCTION pg_temp.fixture_guard_catalogs() RETURNS pg_catalog.int8 LANGUAGE sql STABLE AS $catalogs$
  SELECT pg_catalog.sum(pg_catalog.pg_stat_get_xact_tuples_inserted(c) + pg_catalog.pg_stat_get_xact_tuples_updated(c)
                        + pg_catalog.pg_stat_get_xact_tuples_deleted(c))::pg_catalog.int8
    FROM pg_catalog.unnest('{pg_catalog.pg_type,pg_catalog.pg_attribute,pg_catalog.pg_enum,pg_catalog.pg_proc}'::pg_catalog.regclass[]) AS c
$catalogs$;

-- The number of the command that writes now. Two calls that follow each other differ by one; a greater difference tells
-- that something was written between them (https://www.postgresql.org/docs/current/ddl-system-columns.html, "cmin").
CREATE FUNCTION pg_temp.fixture_guard_command() RETURNS pg_catalog.int8 LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $command$
DECLARE
  number pg_catalog.cid;
BEGIN
  UPDATE pg_temp.fixture_guard_seal SET secret = secret RETURNING cmin INTO number;
  RETURN number::text::int8;
END $command$;

-- Waits until no other guarded run is at this database. `fixg` in ASCII, and the database's name.
--   patience  a lock_timeout
CREATE FUNCTION pg_temp.fixture_guard_turn(patience pg_catalog.text) RETURNS pg_catalog.void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $turn$
DECLARE
  before pg_catalog.text := pg_catalog.current_setting('lock_timeout');
BEGIN
  PERFORM pg_catalog.set_config('lock_timeout', patience, true),
          pg_catalog.pg_advisory_xact_lock(1718188135, pg_catalog.hashtext(pg_catalog.current_database())),
          pg_catalog.set_config('lock_timeout', before, true);
END $turn$;

-- What this session holds, in one look: the server walks through all of its locks for it. A relation that was dropped
-- is not in the catalogue any more.
--   written    relations locked as for a write, and for each of them:
--   changed    whether it is locked for more than VACUUM, ANALYZE and the like
--   strong     whether no other session can write to it meanwhile
--   exclusive  whether no other session can read it meanwhile
--   lasting    what neither a commit nor a rollback takes from the session: locks, cursors, statements
CREATE FUNCTION pg_temp.fixture_guard_holds(
  OUT written pg_catalog.oid[], OUT changed pg_catalog.bool[], OUT strong pg_catalog.bool[], OUT exclusive pg_catalog.bool[],
  OUT lasting pg_catalog.text
) LANGUAGE plpgsql STABLE AS $holds$
BEGIN
  SELECT coalesce(pg_catalog.array_agg(l.relation) FILTER (WHERE l.relation IS NOT NULL), '{}'),
         coalesce(pg_catalog.array_agg(l.changed) FILTER (WHERE l.relation IS NOT NULL), '{}'),
         coalesce(pg_catalog.array_agg(l.strong) FILTER (WHERE l.relation IS NOT NULL), '{}'),
         coalesce(pg_catalog.array_agg(l.exclusive) FILTER (WHERE l.relation IS NOT NULL), '{}'),
         pg_catalog.concat_ws('|',
           pg_catalog.sum(l.advisory) FILTER (WHERE l.relation IS NULL),
           (SELECT pg_catalog.count(*) FROM pg_catalog.pg_cursor() AS c WHERE c.is_holdable),
           (SELECT pg_catalog.sum(pg_catalog.hashtextextended(p.name || '/' || p.statement, 0))
              FROM pg_catalog.pg_prepared_statement() AS p WHERE p.from_sql))
    INTO written, changed, strong, exclusive, lasting
    FROM (
      SELECT l.relation,
             pg_catalog.bool_or(l.mode <> 'ShareUpdateExclusiveLock') AS changed,
             pg_catalog.bool_or(l.mode IN ('ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')) AS strong,
             pg_catalog.bool_or(l.mode = 'AccessExclusiveLock') AS exclusive,
             -- in whatever order
             pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.concat_ws('/', l.classid, l.objid, l.objsubid, l.mode), 0))
               FILTER (WHERE l.locktype = 'advisory') AS advisory
        FROM pg_catalog.pg_lock_status() AS l
       WHERE l.pid = pg_catalog.pg_backend_pid()
         AND CASE l.locktype
               WHEN 'relation' THEN l.database <> 0 AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
               -- but for the guard's own turn, which ends with the transaction
               WHEN 'advisory' THEN NOT (l.classid = 1718188135
                 AND l.objid = pg_catalog.hashtext(pg_catalog.current_database())::pg_catalog.oid)
             END
       GROUP BY l.relation) AS l;
END $holds$;

-- Whether a relation can be damaged: no index and the like, nothing temporary, nothing of the server's own.
CREATE FUNCTION pg_temp.fixture_guard_matters(kind "char", persistence "char", namespace pg_catalog.oid)
RETURNS pg_catalog.bool LANGUAGE sql STABLE AS $matters$
  SELECT kind IN ('r', 'p', 'm', 'f', 'S') AND persistence <> 't'
     AND namespace <> 'pg_catalog'::pg_catalog.regnamespace AND namespace <> 'pg_toast'::pg_catalog.regnamespace
$matters$;
