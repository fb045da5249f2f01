-- The rows of a shop of a given size; `schema.sql` comes first, and one of `production.sql` and `staging.sql` before this
-- makes `size`, one row that says how many.

INSERT INTO attributes (name) SELECT 'attribute ' || n FROM size, generate_series(1, attributes) n;
INSERT INTO banners (title, link) SELECT 'banner ' || n, '/sale/' || n FROM size, generate_series(1, banners) n;
INSERT INTO brands (name) SELECT 'brand ' || n FROM size, generate_series(1, brands) n;
-- every tenth is a root, the nine after it are its children
INSERT INTO categories (parent_id, name, slug)
SELECT CASE WHEN n % 10 <> 1 THEN n - (n - 1) % 10 END, 'category ' || n, 'category-' || n
FROM size, generate_series(1, categories) n;
INSERT INTO cms_blocks (identifier, content) SELECT 'block-' || n, repeat('text ', 20) FROM size, generate_series(1, cms_blocks) n;
-- older than now, all of them: the incident's `WHERE created_at < NOW()` takes every one
INSERT INTO coupons (code, percent, created_at)
SELECT 'COUPON' || n, 1 + n % 90, timestamptz '2024-01-01' + n * interval '1 day' FROM size, generate_series(1, coupons) n;
INSERT INTO customers (email, name) SELECT 'customer' || n || '@example.com', 'Customer ' || n FROM size, generate_series(1, customers) n;
INSERT INTO addresses (customer_id, street, city) SELECT id, id || ' Main Street', 'Springfield' FROM customers;
INSERT INTO products (brand_id, sku, name, price)
SELECT 1 + n % brands, 'SKU-' || n, 'product ' || n, 1 + n % 100 FROM size, generate_series(1, products) n;
INSERT INTO carts (customer_id) SELECT id FROM customers WHERE id % 2 = 0;
INSERT INTO cart_items (cart_id, product_id) SELECT c.id, 1 + c.id % products FROM size, carts c;
INSERT INTO discounts (category_id, percent) SELECT id, 10 FROM categories WHERE id % 10 = 1;
INSERT INTO orders (customer_id, placed_at, total)
SELECT 1 + n % customers, timestamptz '2024-01-01' + n * interval '1 hour', 20 + n % 80 FROM size, generate_series(1, orders) n;
INSERT INTO order_items (order_id, product_id, quantity, price)
SELECT o.id, 1 + (o.id + n) % products, n, 10 FROM size, orders o, generate_series(1, 2) n;
INSERT INTO payments (order_id, method, amount, paid_at) SELECT id, 'card', total, placed_at FROM orders;
INSERT INTO product_attributes (product_id, attribute_id, value) SELECT p.id, 1 + p.id % attributes, 'value' FROM size, products p;
INSERT INTO product_categories (product_id, category_id) SELECT p.id, 1 + p.id % categories FROM size, products p;
INSERT INTO reviews (product_id, customer_id, stars) SELECT p.id, 1 + p.id % customers, 1 + p.id % 5 FROM size, products p;
INSERT INTO shipments (order_id, carrier, shipped_at) SELECT id, 'post', placed_at + interval '1 day' FROM orders;
INSERT INTO stock_levels (product_id, on_hand) SELECT id, 100 FROM products;
INSERT INTO stores (name) SELECT 'store ' || n FROM size, generate_series(1, stores) n;
INSERT INTO tax_rates (country, percent) SELECT 'country ' || n, 19 FROM size, generate_series(1, tax_rates) n;
INSERT INTO wishlists (customer_id, product_id) SELECT c.id, 1 + c.id % products FROM size, customers c WHERE c.id % 3 = 0;

DROP TABLE size;
