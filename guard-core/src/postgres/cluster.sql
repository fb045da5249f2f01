-- Which cluster is this? A managed service may have revoked EXECUTE on pg_control_system(), and then even a CASE
-- around it is an error; so it is asked by itself, and an error is the fact that it cannot be read.
-- A physical copy carries the same number: it tells clusters of different origin apart, and no more.
SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()
