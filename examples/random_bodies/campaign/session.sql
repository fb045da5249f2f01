-- What a session has that a transaction does not end: one line each.
SELECT 'setting ' || name || ' = ' || setting FROM pg_settings
 WHERE name NOT LIKE '%.%' AND name NOT LIKE 'transaction_%'
UNION ALL SELECT 'setting app.tenant = ' || coalesce(current_setting('app.tenant', true), '')
UNION ALL SELECT 'users ' || current_user || ' ' || session_user
UNION ALL SELECT 'an open transaction' WHERE now() <> statement_timestamp() OR pg_current_xact_id_if_assigned() IS NOT NULL
UNION ALL SELECT format('advisory lock %s %s', classid, objid) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'
UNION ALL SELECT 'prepared ' || name || ' as ' || statement FROM pg_prepared_statements WHERE from_sql AND name !~ 'fixture_guard'
UNION ALL SELECT 'listens to ' || c FROM pg_listening_channels() AS c
UNION ALL SELECT 'cursor ' || name FROM pg_cursors WHERE is_holdable
UNION ALL SELECT 'temporary relation ' || relname FROM pg_class
 WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'S', 'v') AND relname !~ 'fixture_guard'
UNION ALL SELECT 'temporary type ' || typname FROM pg_type
 WHERE typnamespace = pg_my_temp_schema() AND typname !~ 'fixture_guard' AND typtype IN ('e', 'd')
UNION ALL SELECT 'temporary function ' || proname FROM pg_proc
 WHERE pronamespace = pg_my_temp_schema() AND proname !~ 'fixture_guard'
 ORDER BY 1
