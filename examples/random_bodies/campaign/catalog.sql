-- What else can change: one line each.
SELECT format('relation %s %s.%s %s %s owner %s security %s %s options %s', c.oid, c.relnamespace::regnamespace, c.relname, c.relkind,
              c.relpersistence, c.relowner::regrole, c.relrowsecurity, c.relforcerowsecurity, c.reloptions)
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname !~ '^(pg_|information_schema$)'
UNION ALL SELECT format('column %s.%s %s %s', a.attrelid, a.attname, a.atttypid::regtype, a.attnotnull)
  FROM pg_attribute AS a WHERE a.attrelid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped
   AND (SELECT c.relnamespace NOT IN ('pg_toast'::regnamespace) AND c.relpersistence <> 't' FROM pg_class AS c WHERE c.oid = a.attrelid)
UNION ALL SELECT format('constraint %s.%s %s', k.conrelid, k.conname, k.contype) FROM pg_constraint AS k
  JOIN pg_class AS c ON c.oid = k.conrelid WHERE k.conrelid >= 16384 AND c.relpersistence <> 't'
UNION ALL SELECT format('trigger %s.%s %s', t.tgrelid, t.tgname, t.tgenabled) FROM pg_trigger AS t
  JOIN pg_class AS c ON c.oid = t.tgrelid WHERE t.tgrelid >= 16384 AND c.relpersistence <> 't'
UNION ALL SELECT format('rule %s.%s', w.ev_class, w.rulename) FROM pg_rewrite AS w WHERE w.ev_class >= 16384
UNION ALL SELECT format('policy %s.%s', p.polrelid, p.polname) FROM pg_policy AS p
UNION ALL SELECT format('child %s of %s', i.inhrelid, i.inhparent) FROM pg_inherits AS i
UNION ALL SELECT format('function %s', p.proname) FROM pg_proc AS p
  WHERE p.oid >= 16384 AND p.pronamespace NOT IN (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname ~ '^pg_temp')
UNION ALL SELECT format('schema %s', n.nspname) FROM pg_namespace AS n WHERE n.nspname !~ '^pg_'
UNION ALL SELECT format('sequence %s from %s by %s', s.seqrelid, s.seqstart, s.seqincrement) FROM pg_sequence AS s
 ORDER BY 1
