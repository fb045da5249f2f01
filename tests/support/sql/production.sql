-- What the incident's production held: 2,847 categories and 412 blocks are the postmortem's numbers, the others plausible.
CREATE TEMPORARY TABLE size AS
SELECT 24 AS attributes, 9 AS banners, 40 AS brands, 2847 AS categories, 412 AS cms_blocks, 365 AS coupons,
       800 AS customers, 1200 AS orders, 600 AS products, 3 AS stores, 27 AS tax_rates;
