-- The seal: a deferred constraint trigger fires at COMMIT, and an exception there turns the COMMIT into a rollback
-- (https://www.postgresql.org/docs/current/sql-createtrigger.html, "constraint triggers"). It also stops END,
-- COMMIT AND CHAIN and PREPARE TRANSACTION. Everything is temporary, so that it needs no rights but TEMPORARY on the
-- database and leaves with the session; it is made once for each connection, because a temporary table made for each
-- run costs 7 to 20 ms of catalogue writes, and touching one 0.05 ms.
CREATE TEMPORARY TABLE fixture_guard_seal (secret pg_catalog.text NOT NULL);
INSERT INTO pg_temp.fixture_guard_seal VALUES ('');
-- Hooks of a pool may give each run another role. The secret tells these runs from a body that forges an update.
GRANT SELECT, UPDATE, DELETE ON pg_temp.fixture_guard_seal TO PUBLIC;

CREATE FUNCTION pg_temp.fixture_guard_seal() RETURNS pg_catalog.trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $seal$
BEGIN
  -- the guard lifts the seal with the run's own secret, in the message that asks for the damage
  IF pg_catalog.current_setting('fixture_guard.lifted', true) IS DISTINCT FROM NEW.secret THEN
    IF pg_catalog.current_query() ~* '\mset\s+constraints\M' THEN
      RAISE EXCEPTION USING ERRCODE = 'FGS02',
        MESSAGE = 'SET CONSTRAINTS ALL IMMEDIATE fires the seal of fixture-guard too',
        HINT = 'name the constraints, as in SET CONSTRAINTS my_key IMMEDIATE; the guard checks all of them before it commits';
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'FGS01',
      MESSAGE = 'only fixture-guard ends this transaction',
      HINT = 'remove COMMIT and the like from the fixture; everything was rolled back';
  END IF;
  RETURN NULL;
END $seal$;

CREATE CONSTRAINT TRIGGER fixture_guard_seal AFTER UPDATE ON pg_temp.fixture_guard_seal
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.fixture_guard_seal();
-- also under session_replication_role = replica
ALTER TABLE pg_temp.fixture_guard_seal ENABLE ALWAYS TRIGGER fixture_guard_seal;

-- A reset that deletes from every table of pg_tables deletes from this one too: the row stays, and the reset works.
CREATE FUNCTION pg_temp.fixture_guard_keep() RETURNS pg_catalog.trigger LANGUAGE plpgsql AS $keep$
BEGIN
  RETURN NULL;
END $keep$;

CREATE TRIGGER fixture_guard_keep BEFORE DELETE ON pg_temp.fixture_guard_seal
  FOR EACH ROW EXECUTE FUNCTION pg_temp.fixture_guard_keep();
ALTER TABLE pg_temp.fixture_guard_seal ENABLE ALWAYS TRIGGER fixture_guard_keep;
