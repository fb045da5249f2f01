CREATE TABLE categories (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE products (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    category_id integer NOT NULL REFERENCES categories (id),
    name text NOT NULL
);

CREATE TABLE tax_rates (
    country text PRIMARY KEY,
    percent integer NOT NULL
);

INSERT INTO categories (name) VALUES ('left over from yesterday');
INSERT INTO products (category_id, name) VALUES (1, 'last season''s boots');
INSERT INTO tax_rates (country, percent) VALUES ('DE', 19), ('FR', 20);
