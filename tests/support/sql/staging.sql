-- What a staging copy holds: the same tables, a handful of rows in each.
CREATE TEMPORARY TABLE size AS
SELECT 4 AS attributes, 2 AS banners, 3 AS brands, 12 AS categories, 5 AS cms_blocks, 8 AS coupons,
       6 AS customers, 10 AS orders, 7 AS products, 1 AS stores, 2 AS tax_rates;
