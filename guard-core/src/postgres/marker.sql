-- The marker of this database: what ALTER DATABASE ... SET stored, for no role in particular.
SELECT pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)
  FROM pg_catalog.pg_database AS d
  JOIN pg_catalog.pg_db_role_setting AS s ON s.setdatabase = d.oid AND s.setrole = 0,
       pg_catalog.unnest(s.setconfig) AS c
 WHERE d.datname = pg_catalog.current_database() AND pg_catalog.lower(c) LIKE 'fixture\_guard.environment=%'
