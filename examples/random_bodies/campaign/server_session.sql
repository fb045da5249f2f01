BEGIN;
SELECT 'process ' || pg_backend_pid()
UNION ALL SELECT 'role ' || current_setting('role') WHERE current_setting('role') <> 'none'
UNION ALL SELECT 'default_transaction_read_only' WHERE current_setting('default_transaction_read_only')::bool
UNION ALL SELECT 'statement_timeout ' || current_setting('statement_timeout') WHERE current_setting('statement_timeout') <> '0'
UNION ALL SELECT format('advisory lock %s %s', classid, objid) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'
UNION ALL SELECT 'object ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relname ~ 'fixture_guard' AND relkind = 'r'
UNION ALL SELECT 'object ' || proname FROM pg_proc WHERE pronamespace = pg_my_temp_schema() AND proname ~ 'fixture_guard'
