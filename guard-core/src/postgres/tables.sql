-- What would a reset of all tables empty, and what stands in its way? One JSON text. It only reads.
--   kept_names   tables to keep, as `table` or `schema.table`, spelled as in SQL
--   known        names under which migration tools keep their own tables, in any schema
--   schemas      only the tables in these; null for all
--   bound        how many rows of a table are counted
--   sequences    whether the sequences of the tables are wanted
--   here         the schemas of the session's search path, in order
-- Made once for each connection: as a function its plans stay, and planning is most of what asking the catalogue costs.
CREATE FUNCTION pg_temp.fixture_guard_tables(
  kept_names pg_catalog.text[], known pg_catalog.text[], schemas pg_catalog.text[], bound pg_catalog.int4,
  sequences pg_catalog.bool, here pg_catalog.name[]
) RETURNS pg_catalog.text LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET search_path = pg_catalog, pg_temp AS $tables$
DECLARE
  written pg_catalog.text;
  parts pg_catalog.text[];
  matching pg_catalog.oid[];
  unknown pg_catalog.text[] := '{}';
  kept pg_catalog.oid[] := '{}';
  stay pg_catalog.oid[] := '{}';
  relation pg_catalog.record;
  oids pg_catalog.oid[] := '{}';
  counting pg_catalog.text[] := '{}'; -- an expression for each,
  counts pg_catalog.int8[];           -- and its rows; null where they cannot be counted
  emptied pg_catalog.oid[] := '{}';
  abroad pg_catalog.jsonb := '[]';    -- tables with foreign partitions
  tables pg_catalog.json := '[]';
  keys pg_catalog.json := '[]';
  referring pg_catalog.oid[] := '{}'; -- keys of kept tables to rows that would be removed
  refers pg_catalog.bool;
BEGIN
  FOREACH written IN ARRAY kept_names LOOP
    parts := pg_catalog.parse_ident(written);
    SELECT pg_catalog.array_agg(c.oid) INTO matching
      FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'f') AND c.relname = parts[pg_catalog.cardinality(parts)]
       AND (pg_catalog.cardinality(parts) = 1 OR pg_catalog.cardinality(parts) = 2 AND n.nspname = parts[1]);
    IF matching IS NULL THEN unknown := unknown || written; ELSE kept := kept || matching; END IF;
  END LOOP;
  unknown := unknown || ARRAY(SELECT s || '.*' FROM pg_catalog.unnest(schemas) AS s
                               WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_namespace AS n WHERE n.nspname = s));

  FOR relation IN
    SELECT c.oid, c.relkind = 'p' AS root, pg_catalog.format('%I.%I', n.nspname, c.relname) AS sql,
           CASE c.relkind WHEN 'r' THEN pg_catalog.pg_relation_size(c.oid) END AS size,
           pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
             AND NOT (c.relrowsecurity AND pg_catalog.row_security_active(c.oid)) AS countable,
           c.relname = ANY (known) OR c.oid = ANY (kept) AS stays
      FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.oid >= 16384  -- below are the server's own (access/transam.h, FirstNormalObjectId)
       AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND (schemas IS NULL OR n.nspname = ANY (schemas))
       -- what an extension owns is the extension's
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.deptype = 'e' AND d.objid = c.oid AND d.objid >= 16384
                        AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass)
     ORDER BY c.oid  -- in which TRUNCATE locks them too, so that two resets cannot wait for each other
  LOOP
    IF relation.stays THEN
      stay := stay || relation.oid;
      CONTINUE;
    END IF;
    IF relation.root THEN
      SELECT pg_catalog.array_agg(p.relid) FILTER (WHERE c.relkind = 'f'), pg_catalog.sum(pg_catalog.pg_relation_size(p.relid))
        INTO matching, relation.size
        FROM pg_catalog.pg_partition_tree(relation.oid::pg_catalog.regclass) AS p JOIN pg_catalog.pg_class AS c ON c.oid = p.relid;
      IF matching IS NOT NULL THEN
        -- not even counted: that would ask the other server
        abroad := abroad || pg_catalog.jsonb_build_object('table', pg_temp.fixture_guard_shown(relation.oid, here),
          'partitions', ARRAY(SELECT pg_temp.fixture_guard_shown(f, here) FROM pg_catalog.unnest(matching) AS f));
        CONTINUE;
      END IF;
    END IF;
    oids := oids || relation.oid;
    -- a file without a page holds no row
    counting := counting || CASE WHEN relation.size = 0 THEN '0' WHEN NOT relation.countable THEN 'NULL'
      ELSE pg_catalog.format('(SELECT pg_catalog.count(*) FROM (SELECT FROM %s%s LIMIT %s) AS bounded)',
                             CASE WHEN relation.root THEN '' ELSE 'ONLY ' END, relation.sql, bound + 1) END;
  END LOOP;
  IF pg_catalog.cardinality(oids) > 0 THEN
    EXECUTE pg_catalog.format('SELECT ARRAY[%s]::pg_catalog.int8[]', pg_catalog.array_to_string(counting, ', ')) INTO counts;
    emptied := ARRAY(SELECT t.oid FROM ROWS FROM (pg_catalog.unnest(oids), pg_catalog.unnest(counts)) AS t (oid, rows)
                      WHERE t.rows IS DISTINCT FROM 0);
  END IF;

  IF pg_catalog.cardinality(emptied) > 0 THEN
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
             'id', c.oid::pg_catalog.int8, 'rows', t.rows,
             'name', pg_temp.fixture_guard_shown(c.oid, here),
             'sql', CASE c.relkind WHEN 'r' THEN 'ONLY ' ELSE '' END || pg_catalog.format('%I.%I', n.nspname, c.relname),
             'truncates', pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'TRUNCATE'),
             -- where row security hides rows, or a trigger or rule of the user's has a say, DELETE may leave rows
             'deletes', pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'DELETE')
               AND NOT (c.relrowsecurity AND pg_catalog.row_security_active(c.oid))
               AND NOT (c.relhasrules AND EXISTS (SELECT FROM pg_catalog.pg_rewrite AS r
                                                   WHERE r.ev_class = c.oid AND r.ev_type = '4' AND r.ev_enabled <> 'D'))
               AND NOT (c.relhastriggers AND EXISTS (SELECT FROM pg_catalog.pg_trigger AS g
                                                      WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D'
                                                        AND g.tgtype & 8 <> 0)),
             -- TRUNCATE refuses a table with a deferred check that is due
             'defers', c.relhastriggers AND EXISTS (SELECT FROM pg_catalog.pg_trigger AS g
                                                     WHERE g.tgrelid = c.oid AND g.tgdeferrable AND g.tgenabled <> 'D'))
             ORDER BY c.oid)
      INTO tables
      FROM ROWS FROM (pg_catalog.unnest(oids), pg_catalog.unnest(counts)) AS t (oid, rows)
      JOIN pg_catalog.pg_class AS c ON c.oid = t.oid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace;

    SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('name', f.name, 'child', f.child::pg_catalog.int8,
             'child_name', pg_temp.fixture_guard_shown(f.child, here), 'parent', f.parent::pg_catalog.int8, 'id', f.oid::pg_catalog.int8)), '[]'),
           coalesce(pg_catalog.array_agg(f.oid) FILTER (WHERE f.child <> ALL (oids) AND f.parent = ANY (emptied)), '{}')
      INTO keys, referring
      FROM (SELECT k.oid, k.conname AS name,
                   CASE WHEN r.relispartition THEN pg_catalog.pg_partition_root(r.oid)::pg_catalog.oid ELSE r.oid END AS child,
                   CASE WHEN p.relispartition THEN pg_catalog.pg_partition_root(p.oid)::pg_catalog.oid ELSE p.oid END AS parent
              FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS r ON r.oid = k.conrelid
              JOIN pg_catalog.pg_class AS p ON p.oid = k.confrelid
             WHERE k.oid >= 16384 AND k.contype = 'f' AND k.conparentid = 0  -- not those that partitions inherit
            OFFSET 0) AS f
     WHERE f.parent = ANY (oids);
    FOR relation IN
      SELECT k.oid, pg_catalog.format('SELECT EXISTS (SELECT FROM %I.%I WHERE %s)', n.nspname, c.relname,
                      -- a key with a null in it refers to nothing
                      pg_catalog.string_agg(pg_catalog.format('%I IS NOT NULL', a.attname), ' AND ')) AS question
        FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
       WHERE k.oid = ANY (referring) GROUP BY k.oid, n.nspname, c.relname
    LOOP
      BEGIN
        EXECUTE relation.question INTO refers;
      EXCEPTION WHEN insufficient_privilege THEN
        refers := true;  -- what cannot be learned speaks against it
      END;
      IF NOT refers THEN referring := pg_catalog.array_remove(referring, relation.oid); END IF;
    END LOOP;
  END IF;

  RETURN pg_catalog.json_build_object(
    'looked_at', pg_catalog.cardinality(oids),
    'unknown', unknown,
    'abroad', abroad,
    'tables', tables,
    'keys', keys,
    'referring', referring::pg_catalog.int8[],
    'kept', ARRAY(SELECT pg_temp.fixture_guard_shown(s, here) FROM pg_catalog.unnest(stay) AS s),
    -- a partition cannot stay while its table is emptied
    'partitions', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                                     'partition', pg_temp.fixture_guard_shown(c.oid, here),
                                     'root', pg_temp.fixture_guard_shown(pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid, here)))
                              FROM pg_catalog.pg_class AS c
                             WHERE c.oid = ANY (kept) AND c.relispartition AND pg_catalog.pg_partition_root(c.oid) = ANY (oids)), '[]'),
    -- those that have handed out a number
    'sequences', CASE WHEN sequences THEN ARRAY(
                   SELECT pg_catalog.format('%I.%I', n.nspname, s.relname)
                     FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
                     JOIN pg_catalog.pg_namespace AS n ON n.oid = s.relnamespace
                     JOIN pg_catalog.pg_class AS c ON c.oid = d.refobjid
                    WHERE d.objid >= 16384 AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = d.classid
                      AND d.deptype IN ('a', 'i')
                      AND CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid ELSE c.oid END = ANY (oids)
                      AND (NOT pg_catalog.has_sequence_privilege(s.oid, 'SELECT, USAGE')
                           OR pg_catalog.pg_sequence_last_value(s.oid) IS NOT NULL)
                    ORDER BY s.oid) ELSE '{}' END
  )::pg_catalog.text;
END $tables$;
