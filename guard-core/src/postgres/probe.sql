-- Who is this? One row, one JSON text.
-- It runs in the body's own transaction, on the body's own connection, after everything that could change the role.
-- The caller sets `search_path` to pg_catalog first, because `search_path=evil,pg_catalog` puts other functions and
-- other operators before the server's own; the session's own path is in `fixture_guard.path`.
-- A plain role can read all of it on PostgreSQL 13 to 18.
SELECT pg_catalog.json_build_object(
  'database',          pg_catalog.current_database(),
  'login_role',        session_user,
  'effective_role',    current_user,
  'superuser',         pg_catalog.current_setting('is_superuser') = 'on',
  'server_address',    pg_catalog.host(pg_catalog.inet_server_addr()),     -- null over a unix socket
  'server_port',       pg_catalog.inet_server_port(),
  'client_address',    pg_catalog.host(pg_catalog.inet_client_addr()),     -- our end, as the server sees it
  'port_setting',      pg_catalog.current_setting('port')::pg_catalog.int4,
  -- an error for a role without the right; CASE evaluates only the branch that it takes
  'socket_directories', CASE WHEN pg_catalog.pg_has_role(current_user, 'pg_read_all_settings', 'USAGE')
                             THEN pg_catalog.current_setting('unix_socket_directories') END,
  'cluster_name',      pg_catalog.current_setting('cluster_name'),         -- only the postmaster can set it
  'version',           pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
  'in_recovery',       pg_catalog.pg_is_in_recovery(),
  'search_path',       pg_catalog.current_setting('fixture_guard.path'),
  -- what the session, its role, its database or its server says; the second is what it said before the guard held it
  'read_only',         pg_catalog.current_setting('default_transaction_read_only') = 'on'
                         OR coalesce(pg_catalog.current_setting('fixture_guard.read_only', true), '') = 'on',
  -- false if a transaction was open before the guard's message
  'began_here',        pg_catalog.transaction_timestamp() = pg_catalog.statement_timestamp(),
  -- what the guard makes on the server would fire them
  'event_triggers',    EXISTS (SELECT FROM pg_catalog.pg_event_trigger AS e WHERE e.evtenabled <> 'D'),
  'owner',             pg_catalog.pg_get_userbyid(d.datdba),
  -- by hand: shobj_description() is planned anew at each call, which takes half as long as all of this
  'comment',           (SELECT c.description FROM pg_catalog.pg_shdescription AS c
                         WHERE c.objoid = d.oid AND c.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass),
  -- Read from the catalogue: `current_setting` says what the client wrote into `options=-c ...`.
  'stored_settings',   (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                                 'setting', c, 'of_database', s.setdatabase <> 0, 'of_role', s.setrole <> 0) ORDER BY c)
                          FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS c
                         WHERE s.setdatabase IN (0, d.oid)
                           AND s.setrole IN (0, pg_catalog.to_regrole(pg_catalog.quote_ident(session_user)))),
  -- a plain role sees no backend_type of another role's session, and sees its user and its application name
  'other_sessions',    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_get_activity(NULL) a
                         WHERE a.datid = d.oid AND a.pid <> pg_catalog.pg_backend_pid()
                           AND (a.backend_type = 'client backend' OR a.backend_type IS NULL AND a.usesysid IS NOT NULL)
                           AND coalesce(a.application_name, '') NOT LIKE 'fixture-guard idle%')
)::pg_catalog.text
FROM pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
