-- What a DELETE or TRUNCATE on the declared tables can touch beyond them, found before the body runs.
--   own    the declared tables
--   every  whether every table in the search path is meant instead
--   here   the schemas of the session's search path, in order
--   reach  findings that were declared, as patterns (LIKE)
-- The others, each its name and what it is, as one JSON text; null if there is none.
-- A TRUNCATE ... CASCADE to tables that only hold a plain foreign key is left to the survey, which rolls it back by name:
-- most fixtures never write it. What is found here either acts without being named, or acts outside of this database.
-- Each question is asked by itself, by an index where the catalogue has one, and only where there is something of its
-- kind: planning all of them as one query took 9 ms, where these take 0.1.
CREATE FUNCTION pg_temp.fixture_guard_reach(
  own pg_catalog.oid[], every pg_catalog.bool, here pg_catalog.name[], reach pg_catalog.text[]
) RETURNS pg_catalog.text LANGUAGE plpgsql STABLE AS $reach$
DECLARE
  findings pg_catalog.json[] := '{}';
  frontier pg_catalog.oid[];
  reached pg_catalog.oid[];  -- own tables, and what else their rows' end reaches
  has pg_catalog.record;
  asked pg_catalog.int4;     -- how many tables that was asked about
  published pg_catalog.bool := EXISTS (SELECT FROM pg_catalog.pg_publication AS p WHERE p.pubdelete OR p.pubtruncate);
BEGIN
  IF every THEN
    -- Only the tables that anything can follow from: pg_class itself is the longest catalogue, and TRUNCATE leaves
    -- dead rows in it.
    own := ARRAY(
      SELECT t.tgrelid FROM pg_catalog.pg_trigger AS t WHERE NOT t.tgisinternal
      UNION ALL SELECT w.ev_class FROM pg_catalog.pg_rewrite AS w WHERE w.ev_type = '4'
      UNION ALL SELECT f.ftrelid FROM pg_catalog.pg_foreign_table AS f
      UNION ALL SELECT e FROM pg_catalog.pg_inherits AS i, LATERAL (VALUES (i.inhparent), (i.inhrelid)) AS v (e)
      UNION ALL SELECT e FROM pg_catalog.pg_constraint AS k, LATERAL (VALUES (k.confrelid), (k.conrelid)) AS v (e)
             WHERE k.contype = 'f' AND k.confdeltype IN ('c', 'n', 'd')
      UNION ALL SELECT c.oid FROM pg_catalog.pg_class AS c WHERE published AND c.relkind IN ('r', 'p'));
    own := ARRAY(SELECT c.oid FROM pg_catalog.pg_class AS c
                  WHERE c.oid = ANY (own) AND c.relkind IN ('r', 'p', 'f')
                    AND c.relnamespace IN (SELECT n.oid FROM pg_catalog.pg_namespace AS n
                                            WHERE n.nspname = ANY (here) AND n.nspname !~ '^pg_'));
  END IF;
  -- whether there may be anything of a kind, for all tables at once
  SELECT pg_catalog.bool_or(c.relhassubclass) AS children, pg_catalog.bool_or(c.relhastriggers) AS triggers,
         pg_catalog.bool_or(c.relhasrules) AS rules, pg_catalog.bool_or(c.relkind = 'f') AS foreign_tables,
         pg_catalog.bool_or(c.relkind = 'v') AS views
    INTO has FROM pg_catalog.pg_class AS c WHERE c.oid = ANY (own);
  asked := pg_catalog.cardinality(own);

  -- partitions count as the table they belong to
  frontier := own;
  WHILE has.children LOOP
    frontier := ARRAY(SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i
                       WHERE i.inhparent = ANY (frontier) AND i.inhrelid <> ALL (own)
                         AND (SELECT c.relispartition FROM pg_catalog.pg_class AS c WHERE c.oid = i.inhrelid));
    EXIT WHEN pg_catalog.cardinality(frontier) = 0;
    own := own || frontier;
  END LOOP;

  frontier := CASE WHEN has.children OR has.triggers THEN own ELSE '{}' END;
  reached := own;
  WHILE pg_catalog.cardinality(frontier) > 0 LOOP
    frontier := ARRAY(
      -- Rows that a foreign key deletes or changes when ours go: the key's trigger stands on the referenced table, and
      -- its function says which it is.
      SELECT t.tgconstrrelid FROM pg_catalog.pg_trigger AS t
       WHERE t.tgrelid = ANY (frontier) AND t.tgisinternal
         AND t.tgfoid IN ('pg_catalog."RI_FKey_cascade_del"'::pg_catalog.regproc,
                          'pg_catalog."RI_FKey_setnull_del"'::pg_catalog.regproc,
                          'pg_catalog."RI_FKey_setdefault_del"'::pg_catalog.regproc)
         AND t.tgconstrrelid <> ALL (reached)
      UNION  -- tables that inherit: DELETE and TRUNCATE without ONLY go there too
      SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i
       WHERE i.inhparent = ANY (frontier) AND i.inhrelid <> ALL (reached));
    reached := reached || frontier;
  END LOOP;
  IF pg_catalog.cardinality(reached) > asked THEN
    SELECT pg_catalog.bool_or(c.relhastriggers), pg_catalog.bool_or(c.relhasrules), pg_catalog.bool_or(c.relkind = 'f')
      INTO has.triggers, has.rules, has.foreign_tables FROM pg_catalog.pg_class AS c WHERE c.oid = ANY (reached);
  END IF;

  IF pg_catalog.cardinality(reached) > pg_catalog.cardinality(own) THEN
    findings := ARRAY(
      SELECT pg_catalog.json_build_object(
               'finding', CASE WHEN i.inhrelid IS NULL THEN 'cascade:' ELSE 'inherits:' END || c.relname,
               'what', CASE WHEN i.inhrelid IS NULL
                         THEN 'a foreign key of ' || pg_temp.fixture_guard_shown(c.oid, here) || ' deletes or changes its rows too'
                         ELSE pg_temp.fixture_guard_shown(c.oid, here) || ' inherits from ' || pg_temp.fixture_guard_shown(i.inhparent, here) END)
        FROM pg_catalog.pg_class AS c LEFT JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = c.oid AND i.inhparent = ANY (reached)
       WHERE c.oid = ANY (reached) AND c.oid <> ALL (own));
  END IF;

  IF has.triggers THEN
    findings := findings || ARRAY(
      SELECT pg_catalog.json_build_object(
               'finding', 'trigger:' || t.tgname,
               'what', 'a trigger on ' || pg_temp.fixture_guard_shown(t.tgrelid, here) || ' calls '
                         || CASE WHEN n.nspname = ANY (here) THEN '' ELSE pg_catalog.quote_ident(n.nspname) || '.' END
                         || pg_catalog.quote_ident(p.proname) || ' on DELETE or TRUNCATE')
        FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
       WHERE t.tgrelid = ANY (reached) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
         AND (t.tgtype & 40) <> 0  -- 8 is DELETE, 32 is TRUNCATE
         AND t.tgparentid = 0);    -- a partition's copy of its parent's trigger
  END IF;

  IF has.rules THEN
    findings := findings || ARRAY(
      SELECT pg_catalog.json_build_object(
               'finding', 'rule:' || w.rulename,
               'what', 'a rule on ' || pg_temp.fixture_guard_shown(w.ev_class, here) || ' rewrites DELETE')
        FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class = ANY (reached) AND w.ev_type = '4' AND w.ev_enabled <> 'D');
  END IF;

  IF has.foreign_tables THEN
    findings := findings || ARRAY(
      SELECT pg_catalog.json_build_object(
               'finding', 'foreign:' || c.relname,
               'what', pg_temp.fixture_guard_shown(c.oid, here) || ' lives on another server (' || s.srvname || ')')
        FROM pg_catalog.pg_foreign_table AS f JOIN pg_catalog.pg_class AS c ON c.oid = f.ftrelid
        JOIN pg_catalog.pg_foreign_server AS s ON s.oid = f.ftserver WHERE f.ftrelid = ANY (reached));
  END IF;

  IF has.views THEN
    findings := findings || ARRAY(
      SELECT pg_catalog.json_build_object(
               'finding', 'view:' || d.relname,
               'what', 'the declared view ' || d.view || ' stands for ' || pg_temp.fixture_guard_shown(d.oid, here))
        FROM (SELECT DISTINCT v.relname AS view, c.oid, c.relname
                FROM pg_catalog.pg_class AS v JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = v.oid
                JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
                 AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                JOIN pg_catalog.pg_class AS c ON c.oid = d.refobjid
               WHERE v.oid = ANY (own) AND v.relkind = 'v' AND c.oid <> ALL (own)) AS d);
  END IF;

  IF published THEN
    findings := findings || ARRAY(
      SELECT pg_catalog.json_build_object(
               'finding', 'publication:' || p.pubname,
               'what', 'the publication ' || p.pubname || ' sends DELETE or TRUNCATE to its subscribers')
        FROM pg_catalog.pg_publication AS p
       WHERE (p.pubdelete OR p.pubtruncate)
         AND (p.puballtables OR EXISTS (
               SELECT FROM pg_catalog.pg_publication_tables AS t JOIN pg_catalog.pg_namespace AS n ON n.nspname = t.schemaname
                 JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.tablename
                WHERE t.pubname = p.pubname AND c.oid = ANY (reached))));
  END IF;

  findings := findings || ARRAY(
    SELECT pg_catalog.json_build_object(
             'finding', 'extension:' || e.extname,
             'what', 'the extension ' || e.extname || ' can act outside of this transaction')
      FROM pg_catalog.pg_extension AS e WHERE e.extname IN ('dblink', 'http', 'pg_background', 'pg_net', 'plsh'));

  IF pg_catalog.cardinality(findings) > 0 THEN
    RETURN (SELECT pg_catalog.json_agg(f ORDER BY f ->> 'finding')
              FROM pg_catalog.unnest(findings) AS f WHERE f ->> 'finding' NOT LIKE ALL (reach));
  END IF;
  RETURN NULL;
END $reach$;
