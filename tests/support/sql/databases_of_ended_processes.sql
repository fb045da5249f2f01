-- Databases whose name carries the token of a process that holds no lease any more: `storefront_<token>_<number>`.
SELECT d.datname::text
FROM pg_catalog.pg_database AS d
WHERE d.datname ~ '^storefront_[0-9a-f]{8}_[0-9]+$'
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_stat_activity AS a
      WHERE a.application_name = 'fixture-guard lease ' || split_part(d.datname, '_', 2)
  )
