DO $$ BEGIN
  CREATE ROLE bodies_other;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
GRANT bodies_other TO storefront_app;
GRANT USAGE ON SCHEMA public TO bodies_other;
ALTER TABLE others OWNER TO bodies_other;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON others TO storefront_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO bodies_other;
