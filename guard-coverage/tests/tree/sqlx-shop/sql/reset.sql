-- TRUNCATE nothing here
INSERT INTO a VALUES (1);
TRUNCATE carts, orders CASCADE;
