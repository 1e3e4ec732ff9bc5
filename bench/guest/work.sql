-- SPDX-License-Identifier: BSD-2-Clause
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price INTEGER);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8000)
INSERT INTO item SELECT i, 'item ' || (i * 7919 % 8000), i * 31 % 1000 FROM n;
CREATE INDEX by_name ON item (name);
SELECT count(*), sum(a.price) FROM item a JOIN item b
	ON b.name = 'item ' || a.id WHERE b.price > 300;
SELECT price % 10, max(name), avg(price) FROM item GROUP BY 1 ORDER BY 2;
UPDATE item SET price = price + 1 WHERE name LIKE '%7%';
DELETE FROM item WHERE id % 3 = 0;
