-- Every relation of the users: oid, schema, name, kind, table that it counts as, whether its rows have `uid`, file of a sequence.
SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text,
       coalesce((SELECT o.relname FROM pg_class AS o
                  WHERE o.oid = CASE WHEN c.relispartition THEN pg_partition_root(c.oid)
                                     ELSE (SELECT d.refobjid FROM pg_depend AS d
                                            WHERE c.relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid
                                              AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
                                            LIMIT 1) END), c.relname)::text,
       EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'uid'),
       CASE WHEN c.relkind = 'S' THEN c.relfilenode::int8 ELSE 0 END
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^(pg_|information_schema$)' AND c.relkind IN ('r', 'p', 'm', 'S')
