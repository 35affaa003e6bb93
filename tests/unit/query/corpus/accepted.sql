# One statement per line. Values, types and column names must be those of the engine itself.
# --- literals: numbers keep their type and digits
SELECT 1
SELECT 1.1e0+2.2e0
SELECT 1.1+2.2
SELECT 1e308*10
SELECT 1e-400
SELECT 0.1::DOUBLE + 0.2::DOUBLE AS s, 0.1+0.2 AS d
SELECT 123456789012345678901234567890, 9223372036854775807, -9223372036854775808, 18446744073709551615
SELECT 170141183460469231731687303715884105727
SELECT 1_000_000, 0x1F, .5, 5., 1e3, 1E-3, -0.0, -0e0
SELECT 'it''s', E'tab\there', $$dollar 'quoted'$$, $t$with $$ inside$t$, ''
SELECT 'é' || 'ü' AS "größe", '😀' AS smile
SELECT TRUE, FALSE, NULL, true AND NULL
SELECT DATE '2024-02-29', TIME '12:34:56.789', TIMESTAMP '2024-02-29 12:34:56.789012', TIMESTAMPTZ '2024-02-29 12:00:00+02'
SELECT INTERVAL 3 DAY, INTERVAL '1 month 2 days', INTERVAL (1+1) HOUR, INTERVAL '1' YEAR + INTERVAL 90 MINUTE
SELECT '\xAA\x00'::BLOB, '10101'::BIT, 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID
SELECT [1, 2, NULL], {'a': 1, 'b': 'x'}, MAP {'k': 1, 'l': 2}, (1, 'row'), [[1], []], array_value(1, 2, 3)
SELECT 'NaN'::DOUBLE, 'Infinity'::DOUBLE, '-Infinity'::FLOAT, 1e0/0
SELECT 1::TINYINT, 2::SMALLINT, 3::UTINYINT, 4::UINTEGER, 5::UBIGINT, 6::HUGEINT, 7::UHUGEINT, 1.5::FLOAT
SELECT 12.345::DECIMAL(5,2), -0.05::DECIMAL(3,2), 99999999999999999999999999999999999.99::DECIMAL(38,2)
SELECT 'a'::ENUM('a', 'b'), union_value(n := 3)
SELECT 1 AS a, 2 AS "a", 3 AS A
# --- names of unnamed columns
SELECT 1+1, 2*(3+4), -5, NOT true, 1 = 1, 'a' || 'b'
SELECT id + 1, upper(name), count(*) OVER () FROM packages ORDER BY id LIMIT 3
SELECT max(id), min(size), count(*), count(DISTINCT section), sum(price) FROM packages
SELECT CASE WHEN id > 25 THEN 'big' ELSE 'small' END, COALESCE(section, 'none'), id IS NULL FROM packages ORDER BY id LIMIT 3
SELECT (SELECT max(id) FROM packages)
SELECT (SELECT max(id) FROM packages) + 1, EXISTS(FROM packages), EXISTS (SELECT 1 FROM edges WHERE src > 100)
SELECT id IN (SELECT src FROM edges), 3 IN (SELECT dst FROM edges) FROM packages ORDER BY id LIMIT 4
SELECT (SELECT count(*) FROM packages p WHERE p.section = d.kind), count(*) FROM dependencies d GROUP BY d.kind ORDER BY 2
SELECT ARRAY(SELECT id FROM packages WHERE id < 3 ORDER BY id)
SELECT x FROM (SELECT (SELECT max(dst) FROM edges) AS x)
SELECT * FROM (SELECT (SELECT max(dst) FROM edges), 1)
SELECT (SELECT max(id) FROM packages) - count(*) FROM packages
SELECT (SELECT max(id) FROM packages), count(*) FROM packages GROUP BY (SELECT max(id) FROM packages)
WITH a AS (SELECT 1 AS n) SELECT (SELECT max(id) FROM packages), n FROM a
WITH RECURSIVE a AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM a WHERE n < 3) SELECT (SELECT max(id) FROM packages), n FROM a
SELECT 1 UNION ALL SELECT (SELECT max(id) FROM packages)
SELECT (SELECT max(id) FROM packages) UNION ALL SELECT 1
SELECT (SELECT (SELECT min(dst) FROM edges) FROM packages LIMIT 1)
SELECT (FROM packages SELECT max(id)), 1 IN (SELECT src FROM (TABLE edges)) FROM columns_
SELECT id > ANY(SELECT src FROM edges), id = ALL(SELECT src FROM edges WHERE src = 2) FROM packages WHERE id = 2
SELECT count(*) FILTER (WHERE id IN (SELECT src FROM edges)) FROM packages
SELECT unnest((SELECT tags FROM packages WHERE id = 1))
# --- FROM in all its forms
SELECT * FROM packages
FROM packages
FROM packages SELECT name
FROM packages SELECT name WHERE id < 3
SELECT * FROM Packages WHERE id = 1
SELECT Packages.id FROM PACKAGES WHERE packages.ID = 1
SELECT * FROM "packages" WHERE id = 1
SELECT * FROM "Packages" AS p WHERE p.id = 1
SELECT packages.* FROM packages LIMIT 2
SELECT p.id, p."name" FROM packages AS p LIMIT 2
SELECT p.id FROM packages p LIMIT 2
SELECT a, b FROM packages p(a, b) LIMIT 2
SELECT a, p.b, p.section FROM packages AS p(a, b) LIMIT 2
FROM p: packages SELECT p.id LIMIT 2
FROM p : Packages SELECT id LIMIT 2
TABLE edges
SELECT * FROM (TABLE edges) t
SELECT packages FROM packages LIMIT 2
SELECT p FROM packages p LIMIT 2
SELECT * FROM packages, edges WHERE id = src
SELECT * FROM packages p, edges e WHERE p.id = e.src ORDER BY p.id
SELECT count(*) FROM packages a, packages b
SELECT count(*) FROM packages, packages AS other WHERE packages.id = other.id
SELECT * FROM (packages JOIN edges ON id = src) LIMIT 2
SELECT * FROM (((SELECT * FROM packages))) LIMIT 1
SELECT * FROM (FROM packages) AS q(z) LIMIT 1
SELECT * FROM (SELECT * FROM packages WHERE id > 40) ORDER BY id
SELECT * FROM nothing_yet
SELECT count(*), max(id), min(label) FROM nothing_yet
SELECT * FROM packages LEFT JOIN nothing_yet USING (id) WHERE packages.id < 2
SELECT/**/id/**/FROM/**/packages/**/WHERE/**/id=3
SELECT id FROM packages WHERE id = 3 -- a comment at the end
SELECT /* é 'quote" */ id FROM /* FROM edges */ packages WHERE name = 'pkg-003'
SELECT 'FROM edges', "id" FROM packages WHERE name <> 'FROM packages' AND id < 2
SELECT 'é' AS "é", id FROM packages WHERE name = 'pkg-001' OR name = 'é'
SELECT '日本語' AS j, p.id FROM packages p JOIN "packages" q ON p.id = q.id AND q.name <> '日本' WHERE p.id < 2
SELECT id FROM packages;
SELECT id FROM packages ; ;
   SELECT   id   FROM   packages   LIMIT   1  
SELECT id FROM packages WHERE id = 5
# --- odd names
SELECT * FROM odd
SELECT "select", "a b", "quo""te", "Ünï", file_row_number, filename, "x.y" FROM odd ORDER BY 1
SELECT odd."a b", o2."quo""te" FROM odd JOIN odd o2 USING ("select") WHERE "select" < 3
SELECT max(file_row_number), min(filename) FROM odd
SELECT filename FROM odd WHERE file_row_number = 3
SELECT o."x.y" + 1 FROM odd o LIMIT 2
SELECT "Ünï" FROM odd WHERE "Ünï" LIKE 'é%' ORDER BY 1 DESC LIMIT 2
SELECT * EXCLUDE ("a b", "x.y") FROM odd LIMIT 1
SELECT * FROM columns_
SELECT amount FROM Sales ORDER BY amount DESC LIMIT 3
SELECT "Sales".year, sales.quarter FROM sales LIMIT 1
SELECT SALES.region FROM "Sales" LIMIT 1
SELECT "file_row_number" FROM odd ORDER BY "file_row_number" DESC LIMIT 1
# --- stars
SELECT * EXCLUDE (tags, meta) FROM packages LIMIT 2
SELECT * EXCLUDE tags FROM packages LIMIT 1
SELECT * REPLACE (upper(name) AS name) FROM packages LIMIT 1
SELECT * RENAME (name AS label) FROM packages LIMIT 1
SELECT * EXCLUDE (id) REPLACE (size * 2 AS size) RENAME (section AS sec) FROM packages LIMIT 2
SELECT p.* EXCLUDE (id), e.* FROM packages p JOIN edges e ON p.id = e.src LIMIT 2
SELECT COLUMNS('s.*') FROM packages LIMIT 2
SELECT COLUMNS(c -> c LIKE '%e') FROM packages LIMIT 2
SELECT COLUMNS(lambda c: c LIKE '%e') FROM packages LIMIT 2
SELECT COLUMNS(* EXCLUDE (tags, meta, installed)) FROM packages LIMIT 1
SELECT min(COLUMNS(['id', 'size'])) FROM packages
SELECT max(COLUMNS('^(id|name)$')) FROM packages
SELECT id, COLUMNS('i.')::VARCHAR FROM packages LIMIT 1
SELECT * LIKE '%e' FROM packages LIMIT 1
SELECT COLUMNS(p.*) FROM packages p LIMIT 1
# Without the alias the engine names the column after its own catalog, memory.main.packages: not here.
SELECT coalesce(*COLUMNS(['section', 'name'])) AS c FROM packages LIMIT 5
SELECT * EXCLUDE (p.id) FROM packages p JOIN packages q ON p.id = q.id LIMIT 1
SELECT * REPLACE ((SELECT max(src) FROM edges) AS id) FROM packages LIMIT 1
SELECT *, id AS again FROM packages LIMIT 1
SELECT count(COLUMNS(*)) FROM packages
SELECT COLUMNS('(.)(.*)') AS '\2_\1' FROM edges LIMIT 1
# --- WHERE and expressions
SELECT id FROM packages WHERE size BETWEEN 10 AND 20 ORDER BY id
SELECT id FROM packages WHERE section IN ('net', 'libs') AND NOT installed ORDER BY id
SELECT id FROM packages WHERE section IS NULL ORDER BY id
SELECT id FROM packages WHERE section IS DISTINCT FROM 'net' ORDER BY id LIMIT 5
SELECT name FROM packages WHERE name LIKE 'pkg-00%' ORDER BY name
SELECT name FROM packages WHERE name ILIKE 'PKG-01%' AND name NOT LIKE '%5' ORDER BY name
SELECT name FROM packages WHERE name SIMILAR TO 'pkg-0[12].' ORDER BY name LIMIT 3
SELECT name FROM packages WHERE name ~ '00.$' ORDER BY name LIMIT 3
SELECT name FROM packages WHERE regexp_matches(name, '7$') ORDER BY name
SELECT name FROM packages WHERE name GLOB '*-04?' ORDER BY name
SELECT name LIKE 'pkg~_%' ESCAPE '~', name NOT ILIKE 'X%' FROM packages LIMIT 1
SELECT size / 2, size // 2, id % 7, id ** 2, -id, @(-5), 5 & 3, 5 | 3, xor(5, 3), 1 << 4, 5! FROM packages WHERE id = 9
SELECT id FROM packages WHERE (id, section) IN (SELECT src, 'libs' FROM edges) ORDER BY id
SELECT id FROM packages WHERE EXISTS (SELECT 1 FROM dependencies d WHERE d.package = packages.name AND d.weight = 3) ORDER BY id
SELECT id FROM packages p WHERE NOT EXISTS (FROM dependencies WHERE depends_on = p.name) ORDER BY id
SELECT id FROM packages WHERE id = (SELECT max(src) FROM edges)
SELECT id FROM packages WHERE id > ALL (SELECT dst FROM edges) ORDER BY id LIMIT 2
SELECT id FROM packages WHERE id < ANY (SELECT dst FROM edges) ORDER BY id LIMIT 2
SELECT id FROM packages WHERE id IN (SELECT id FROM (TABLE nothing_yet)) OR id IN (SELECT src FROM (TABLE edges)) ORDER BY id
SELECT TRY_CAST(name AS INTEGER), TRY(CAST(name AS INTEGER)), TRY_CAST('5' AS INTEGER) FROM packages LIMIT 1
SELECT id::VARCHAR, CAST(size AS DECIMAL(6,1)), price::DOUBLE, released::TIMESTAMP, id::BOOLEAN FROM packages WHERE id IN (1, 2) ORDER BY id
SELECT nullif(id, 1), ifnull(size, -1), greatest(id, 2), least(id, 2), if(id > 1, 'y', 'n') FROM packages WHERE id < 3 ORDER BY id
SELECT CASE section WHEN 'net' THEN 1 WHEN 'libs' THEN 2 END AS c, count(*) FROM packages GROUP BY c ORDER BY c
SELECT name COLLATE NOCASE = 'PKG-001' FROM packages WHERE id = 1
SELECT NULL IS NOT DISTINCT FROM section FROM packages WHERE id = 3
SELECT id, id = 1 OR id = 2 AND NOT id = 3 AS b FROM packages WHERE id < 4 ORDER BY id
SELECT a[1], a[-1], a[2:3], a[:2], a[5], a[1:4:2] FROM (SELECT [1, 2, 3, 4] AS a)
SELECT 'hello'[2], 'hello'[2:3], s.x, s['y'] FROM (SELECT {'x': 1, 'y': 2} AS s)
SELECT m['k'], m['z'], map_keys(m) FROM (SELECT MAP {'k': 1} AS m)
SELECT position('k' IN name), substring(name FROM 2 FOR 3), trim(BOTH 'p' FROM name), extract(year FROM released), overlay FROM packages, (SELECT 1 AS overlay) WHERE id = 1
SELECT name.upper().reverse(), (id + 1).sqrt() FROM packages WHERE id = 8
SELECT [x * 2 FOR x IN [1, 2, 3] IF x > 1], list_transform([1, 2], x -> x + 1), list_filter([1, 2, 3], lambda x: x % 2 = 1)
SELECT list_reduce([1, 2, 3], lambda a, b: a + b), list_transform([1, 2], lambda x, i: x * i), list_transform(tags, t -> t || '!') FROM packages WHERE id = 2
SELECT list_filter(tags, lambda t: t IN ('x', 'y')) FROM packages WHERE id < 3 ORDER BY id
SELECT list_transform(range(3), lambda i: i + p.id) FROM packages p WHERE id = 5
SELECT list_sort(tags), list_contains(tags, 'x'), len(tags), tags[1], array_to_string(tags, '/') FROM packages WHERE id < 8 ORDER BY id
SELECT list_aggregate([1, 2, 3], 'sum'), list_sum([1, 2]), flatten([[1], [2, 3]]), list_zip([1], ['a'])
SELECT meta.license, meta.stars + 1, meta['stars'] FROM packages WHERE id < 3 ORDER BY id
SELECT struct_pack(a := id, b := name), row(id, name), struct_extract(meta, 'license') FROM packages WHERE id = 4
SELECT unnest(tags), id FROM packages WHERE id < 4
SELECT unnest(meta) FROM packages WHERE id < 3
SELECT unnest([{'a': 1, 'b': [2, 3]}], recursive := true)
SELECT unnest([1, 2]), unnest([3, 4, 5])
SELECT date_trunc('month', updated), date_part('dow', released), date_diff('day', released, DATE '2024-03-31'), strftime(released, '%d.%m.%Y') FROM packages WHERE id IN (1, 20) ORDER BY id
SELECT updated + INTERVAL 1 MONTH, updated - updated, age(TIMESTAMP '2024-01-01', TIMESTAMP '2023-11-15'), last_day(released) FROM packages WHERE id = 2
SELECT updated AT TIME ZONE 'UTC', timezone('America/New_York', updated) FROM packages WHERE id = 2
SELECT released + 1, released - DATE '2024-01-01', released::VARCHAR, dayname(released), make_date(2024, 2, 29) FROM packages WHERE id = 2
SELECT epoch(updated), epoch_ms(updated), to_timestamp(0), time_bucket(INTERVAL 6 HOUR, updated) FROM packages WHERE id = 2
SELECT format('{}-{}', name, id), printf('%05d', id), lpad(name, 9, '.'), repeat('ab', 2), split_part(name, '-', 2) FROM packages WHERE id = 3
SELECT string_split(name, '-'), regexp_extract(name, '(\d+)'), regexp_replace(name, '\d', 'N', 'g'), concat_ws('|', id, section) FROM packages WHERE id = 3
SELECT md5(name), hash(id) = hash(id), base64(name::BLOB), hex(name), length(name), strlen('é'), length('é'), ord('é') FROM packages WHERE id = 1
SELECT round(size, 1), floor(size), ceil(size), trunc(size), sqrt(size), ln(2), pi(), cos(0), round(price), sign(-3), abs(-2.5) FROM packages WHERE id = 5
SELECT levenshtein('kitten', 'sitting'), jaccard('ab', 'bc'), soundex FROM (SELECT 1 AS soundex)
SELECT json_extract('{"a": [1, 2]}', '$.a[1]'), '{"a": 5}'::JSON -> 'a', '{"a": "x"}'::JSON ->> '$.a', json_object('k', id), to_json(meta) FROM packages WHERE id = 1
SELECT json_structure('{"a": 1}'), json_array_length('[1,2]'), json_valid('{'), json_keys('{"b":1}'), from_json('{"a":1}', '{"a":"INTEGER"}')
SELECT current_date IS NOT NULL, now() IS NOT NULL, typeof(1), pg_typeof(1.5), version() IS NOT NULL
SELECT typeof(id), typeof(tags), typeof(meta), typeof(price) FROM packages LIMIT 1
SELECT error('no') FROM packages WHERE false
# --- GROUP BY, HAVING, grouping sets
SELECT section, count(*) FROM packages GROUP BY section ORDER BY section NULLS LAST
SELECT section, installed, sum(price) FROM packages GROUP BY ALL ORDER BY ALL
SELECT section, count(*) AS n FROM packages GROUP BY 1 HAVING n > 5 ORDER BY n, section
SELECT section, avg(size), median(size), stddev(size), quantile_cont(size, 0.25), mode(installed) FROM packages GROUP BY section ORDER BY section
SELECT region, quarter, sum(amount) FROM Sales GROUP BY ROLLUP (region, quarter) ORDER BY ALL
SELECT region, year, sum(amount) FROM Sales GROUP BY CUBE (region, year) ORDER BY ALL
SELECT region, year, grouping(region, year), grouping_id(region), count(*) FROM Sales GROUP BY GROUPING SETS ((region), (year), ()) ORDER BY ALL
SELECT string_agg(name, ',' ORDER BY id DESC), list(id ORDER BY id), array_agg(DISTINCT section ORDER BY section) FROM packages WHERE id < 6
SELECT first(name ORDER BY id), last(name ORDER BY id), any_value(installed), arg_max(name, size), max_by(name, id), min(name, 2) FROM packages
SELECT count(*) FILTER (WHERE installed), sum(size) FILTER (id > 10), bool_and(installed), bit_xor(id), product(id + 1) FILTER (id < 5) FROM packages
SELECT histogram(id % 3), approx_count_distinct(section) > 0, entropy(section), kurtosis(size), corr(id, size) FROM packages
SELECT sum(DISTINCT weight), count(DISTINCT (package, kind)), avg(weight) FROM dependencies
SELECT max(price), sum(price), avg(price), sum(id), sum(size), fsum(size) FROM packages
SELECT installed, list(name ORDER BY name)[:2] FROM packages GROUP BY installed ORDER BY installed
SELECT id % 2 = 0 AS even, count(*) FROM packages GROUP BY even ORDER BY even
SELECT date_trunc('day', updated) AS d, count(*) FROM packages GROUP BY d ORDER BY d LIMIT 2
SELECT count(*) FROM packages HAVING count(*) > 10
SELECT kind, weight, count(*) FROM dependencies GROUP BY kind, ROLLUP(weight) ORDER BY ALL LIMIT 7
SELECT DISTINCT section FROM packages ORDER BY section
SELECT DISTINCT ON (section) section, id FROM packages ORDER BY section, id DESC
SELECT count(DISTINCT section) FROM packages
# --- windows
SELECT id, row_number() OVER (ORDER BY size DESC NULLS LAST, id) AS r FROM packages ORDER BY id LIMIT 5
SELECT id, section, rank() OVER (PARTITION BY section ORDER BY price DESC), dense_rank() OVER w, ntile(3) OVER w FROM packages WINDOW w AS (PARTITION BY section ORDER BY id) ORDER BY id LIMIT 6
SELECT id, lag(id) OVER (ORDER BY id), lead(id, 2, -1) OVER (ORDER BY id), first_value(name) OVER (ORDER BY id), nth_value(id, 2) OVER (ORDER BY id) FROM packages ORDER BY id LIMIT 4
SELECT id, sum(price) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM packages ORDER BY id LIMIT 5
SELECT ts, sum(amount) OVER (ORDER BY ts RANGE BETWEEN INTERVAL 20 MINUTE PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW) AS s FROM events ORDER BY ts LIMIT 6
SELECT id, avg(size) OVER (PARTITION BY section ORDER BY id GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM packages ORDER BY id LIMIT 5
SELECT id, last_value(size IGNORE NULLS) OVER (ORDER BY id) FROM packages ORDER BY id LIMIT 9
SELECT id, percent_rank() OVER (ORDER BY id), cume_dist() OVER (ORDER BY id) FROM packages ORDER BY id LIMIT 3
SELECT id, section FROM packages QUALIFY row_number() OVER (PARTITION BY section ORDER BY id DESC) = 1 ORDER BY id
SELECT section, count(*) AS n, sum(count(*)) OVER () FROM packages GROUP BY section ORDER BY n, section
SELECT id, count(*) FILTER (WHERE installed) OVER (ORDER BY id) FROM packages ORDER BY id LIMIT 4
SELECT id, string_agg(name, ',') OVER (ORDER BY id ROWS 1 PRECEDING) FROM packages ORDER BY id LIMIT 3
SELECT id, count(DISTINCT section) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM packages ORDER BY id LIMIT 3
# --- joins
SELECT p.id, d.kind FROM packages p JOIN dependencies d ON p.name = d.package ORDER BY ALL LIMIT 6
SELECT p.id, d.depends_on FROM packages p LEFT JOIN dependencies d ON p.name = d.package AND d.weight > 6 ORDER BY ALL LIMIT 6
SELECT p.id, q.id FROM packages p FULL OUTER JOIN packages q ON p.id = q.id + 45 ORDER BY ALL LIMIT 10
SELECT count(*) FROM packages RIGHT JOIN dependencies ON name = depends_on
SELECT id, dst FROM packages JOIN edges ON id = src ORDER BY id
SELECT * FROM edges e1 JOIN edges e2 USING (src) ORDER BY src LIMIT 3
SELECT * FROM edges NATURAL JOIN edges e2 ORDER BY src LIMIT 3
SELECT count(*) FROM edges CROSS JOIN columns_
SELECT p.id FROM packages p SEMI JOIN edges e ON p.id = e.dst ORDER BY 1
SELECT p.id FROM packages p ANTI JOIN edges e ON p.id = e.dst ORDER BY 1 LIMIT 4
SELECT e.ts, e.who, q.price FROM events e ASOF JOIN quotes q ON e.who = q.who AND e.ts >= q.ts ORDER BY e.ts, e.who
SELECT e.ts, q.price FROM events e ASOF LEFT JOIN quotes q USING (who, ts) ORDER BY e.ts LIMIT 6
SELECT * FROM edges POSITIONAL JOIN quotes
SELECT p.id, l.m FROM packages p, LATERAL (SELECT max(weight) AS m FROM dependencies d WHERE d.package = p.name) l ORDER BY p.id LIMIT 4
SELECT p.id, x FROM packages p, (SELECT unnest(p.tags) AS x) WHERE p.id < 4 ORDER BY ALL
SELECT p.id, t.i FROM packages p, range(p.id % 3) t(i) ORDER BY ALL LIMIT 6
SELECT p.id, u.x FROM packages p CROSS JOIN unnest(p.tags) u(x) ORDER BY ALL LIMIT 4
SELECT a.src, c.dst FROM edges a JOIN edges b ON a.dst = b.src JOIN edges c ON b.dst = c.src ORDER BY 1
SELECT p.name, count(*) FROM packages p JOIN dependencies d ON d.depends_on = p.name WHERE p.id IN (SELECT src FROM edges) GROUP BY p.name ORDER BY 2 DESC, 1 LIMIT 3
SELECT * FROM packages p JOIN (SELECT package, count(*) AS n FROM dependencies GROUP BY package) d ON d.package = p.name ORDER BY p.id LIMIT 2
SELECT l.id FROM packages l JOIN packages r ON l.id BETWEEN r.id - 1 AND r.id + 1 AND r.id = 7 ORDER BY l.id
SELECT * FROM packages INNER JOIN edges ON packages.id = edges.src AND packages.installed LIMIT 2
# --- CTEs and their scopes
WITH t AS (SELECT id FROM packages WHERE id < 3) SELECT * FROM t ORDER BY id
WITH packages AS (SELECT 42 AS id) SELECT * FROM packages
WITH packages AS (SELECT id FROM packages WHERE id < 2) SELECT * FROM packages ORDER BY id
WITH RECURSIVE packages AS (SELECT max(id) AS id FROM packages) SELECT * FROM packages
WITH a AS (SELECT max(id) AS m FROM packages), b AS (SELECT m + 1 AS m FROM a) SELECT * FROM a, b
WITH a AS (SELECT count(*) AS n FROM edges), edges AS (SELECT 1 AS src) SELECT a.n, edges.src FROM a, edges
WITH a(x, y) AS (SELECT src, dst FROM edges) SELECT x + y AS s FROM a ORDER BY s LIMIT 2
WITH a AS MATERIALIZED (SELECT id FROM packages) SELECT count(*) FROM a
WITH a AS NOT MATERIALIZED (SELECT id FROM packages) SELECT max(a.id) + min(b.id) AS v FROM a, a AS b
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t
WITH RECURSIVE reach(n) AS (SELECT src FROM edges WHERE src = 0 UNION SELECT dst FROM edges JOIN reach ON src = n) SELECT * FROM reach ORDER BY n
WITH RECURSIVE edges AS (SELECT src, dst FROM edges WHERE src = 0 UNION ALL SELECT src + 1, dst FROM edges WHERE src < 3) SELECT * FROM edges ORDER BY ALL
WITH RECURSIVE t(k, v) USING KEY (k) AS (SELECT 1, 1 UNION SELECT k, v + 1 FROM t WHERE v < 3) SELECT * FROM t
SELECT * FROM edges WHERE src > (WITH edges AS (SELECT 7 AS src) SELECT src FROM edges) ORDER BY src
SELECT * FROM (WITH edges AS (SELECT 1 AS one) FROM edges), edges LIMIT 2
WITH a AS (FROM edges) SELECT (SELECT count(*) FROM a) AS n, (SELECT count(*) FROM edges) AS m
WITH Edges AS (SELECT 5 AS v) SELECT v FROM EDGES
WITH "edges" AS (SELECT 5 AS v) SELECT v FROM edges
WITH sqlite_master AS (SELECT 1 AS q) SELECT * FROM sqlite_master
WITH "x.csv" AS (SELECT 1 AS q) SELECT * FROM "x.csv"
WITH q AS (SELECT 5 AS v) (WITH r AS (FROM q) SELECT * FROM r) UNION ALL SELECT * FROM q
WITH t AS (SELECT * FROM packages), u AS (SELECT * FROM t WHERE id < 3) SELECT t.id FROM t JOIN u USING (id) ORDER BY 1
SELECT (WITH packages AS (FROM packages) SELECT max(id) FROM packages)
WITH a AS (WITH b AS (FROM edges) SELECT max(dst) AS m FROM b) FROM a
# --- set operations, VALUES, ORDER, LIMIT
SELECT id FROM packages WHERE id < 2 UNION SELECT src FROM edges ORDER BY 1
SELECT id FROM packages WHERE id < 2 UNION ALL SELECT src FROM edges ORDER BY id
SELECT id FROM packages INTERSECT SELECT src FROM edges ORDER BY 1
SELECT id FROM packages EXCEPT SELECT src FROM edges ORDER BY 1 LIMIT 3
SELECT dst FROM edges EXCEPT ALL SELECT src FROM edges WHERE src < 3 ORDER BY 1
SELECT id, name FROM packages WHERE id = 1 UNION ALL BY NAME SELECT 'x' AS name, 5 AS extra
SELECT src FROM edges UNION ALL SELECT dst FROM edges UNION ALL SELECT id FROM nothing_yet ORDER BY 1 LIMIT 5
(SELECT id FROM packages ORDER BY id LIMIT 1) UNION ALL (SELECT id FROM packages ORDER BY id DESC LIMIT 1)
((SELECT 1 AS a) UNION (SELECT 2)) ORDER BY a DESC
VALUES (1, 'a'), (2, 'b')
SELECT * FROM (VALUES (1, 'a'), (2, NULL)) v(n, s)
SELECT * FROM (VALUES ((SELECT max(id) FROM packages))) v
SELECT id FROM packages ORDER BY size DESC NULLS FIRST, id LIMIT 4
SELECT id FROM packages ORDER BY ALL DESC LIMIT 2
SELECT * FROM edges ORDER BY ALL
SELECT id FROM packages ORDER BY id LIMIT 10% OFFSET 3
SELECT id FROM packages ORDER BY id OFFSET 47
SELECT id FROM packages ORDER BY id LIMIT (SELECT min(src) + 2 FROM edges)
SELECT id FROM packages ORDER BY (SELECT max(dst) FROM edges WHERE src = id), id LIMIT 3
SELECT id FROM packages ORDER BY id FETCH FIRST 2 ROWS ONLY
SELECT name AS n, id FROM packages ORDER BY n DESC LIMIT 2
SELECT #1, #2 FROM edges LIMIT 1
SELECT id FROM packages ORDER BY name COLLATE NOCASE LIMIT 2
SELECT id FROM packages LIMIT 0
# --- samples
SELECT count(*) FROM packages TABLESAMPLE 7 ROWS
SELECT count(*) FROM packages TABLESAMPLE reservoir(5 ROWS) REPEATABLE (42)
SELECT id FROM packages TABLESAMPLE reservoir(5 ROWS) REPEATABLE (42)
SELECT id FROM packages p TABLESAMPLE bernoulli(50%) REPEATABLE (7)
SELECT id FROM packages USING SAMPLE reservoir(4 ROWS) REPEATABLE (1)
SELECT count(*) FROM packages p(a, b) TABLESAMPLE 3 ROWS
SELECT count(*) FROM packages TABLESAMPLE 100%
SELECT count(*) FROM packages USING SAMPLE 100 PERCENT (system)
# --- pivots
PIVOT Sales ON quarter IN ('Q1', 'Q2') USING sum(amount) GROUP BY year ORDER BY year
PIVOT Sales ON quarter IN ('Q1', 'Q2') USING sum(amount) AS s, count(*) AS n GROUP BY region ORDER BY region
SELECT * FROM Sales PIVOT (sum(amount) FOR quarter IN ('Q1', 'Q3')) ORDER BY ALL
SELECT * FROM Sales PIVOT (sum(amount) AS total FOR year IN (2020, 2021) GROUP BY region) ORDER BY ALL
FROM (PIVOT Sales ON region IN ('north') USING max(amount) GROUP BY year) ORDER BY year
PIVOT (SELECT year, region, amount FROM Sales) ON region IN ('north', 'south') USING sum(amount) ORDER BY year
PIVOT Sales ON year IN (2020), region IN ('north') USING sum(amount) GROUP BY quarter ORDER BY quarter
WITH s AS (FROM Sales) PIVOT s ON region IN ('north') USING count(*) GROUP BY year ORDER BY year
UNPIVOT (SELECT id, size, price::DOUBLE AS price FROM packages WHERE id < 3) ON size, price INTO NAME k VALUE v
UNPIVOT edges ON src, dst INTO NAME k VALUE v
SELECT * FROM edges UNPIVOT (v FOR k IN (src, dst)) LIMIT 4
SELECT * FROM (SELECT id, size FROM packages) UNPIVOT INCLUDE NULLS (v FOR k IN (size)) LIMIT 2
FROM edges UNPIVOT (v FOR k IN (COLUMNS(*))) LIMIT 3
UNPIVOT edges ON COLUMNS(* EXCLUDE src) INTO NAME k VALUE v
# --- table functions
SELECT * FROM range(3)
SELECT * FROM range(1, 10, 4) t(i)
SELECT * FROM generate_series(1, 3)
SELECT * FROM generate_series(TIMESTAMP '2024-01-01', TIMESTAMP '2024-01-02', INTERVAL 12 HOUR)
SELECT * FROM unnest([1, 2, 3]) AS u(x)
SELECT * FROM unnest(['a', 'b']) WITH ORDINALITY AS u(x, n)
SELECT * FROM repeat('x', 2)
SELECT * FROM repeat_row(1, 'a', num_rows = 2)
SELECT i, id FROM range(3) t(i) JOIN packages ON id = i ORDER BY i
SELECT key, value FROM json_each('{"a": 1, "b": 2}')
SELECT count(*) FROM json_tree('{"a": [1, 2]}')
SELECT count(*) FROM test_all_types()
SELECT range(3), generate_series(1, 2)
SELECT r.* FROM range(2) r
# --- types from files
SELECT * FROM kinds
SELECT * EXCLUDE (varchar) FROM kinds ORDER BY bigint NULLS FIRST
SELECT int_array, double_array, date_array, varchar_array, nested_int_array FROM kinds
SELECT struct, struct_of_arrays, array_of_structs, map FROM kinds
SELECT timestamp, timestamp_tz, timestamp_s, timestamp_ms, timestamp_ns, date, time FROM kinds
SELECT float, double, dec_4_1, dec_9_4, dec_18_6, dec38_10, uuid, blob FROM kinds
SELECT max(bigint), min(date), count(uuid), max(dec38_10), min(ubigint) FROM kinds
SELECT typeof(COLUMNS(*)) FROM kinds LIMIT 1
# --- statements about tables
DESCRIBE packages
DESC packages
DESCRIBE "odd"
DESCRIBE TABLE packages
SHOW packages
DESCRIBE SELECT id, name AS n, (SELECT max(src) FROM edges) FROM packages
DESCRIBE FROM packages
SELECT column_name FROM (DESCRIBE packages)
FROM (DESCRIBE SELECT tags FROM packages)
FROM (SHOW packages) SELECT column_type LIMIT 2
SUMMARIZE packages
SUMMARIZE SELECT id, size FROM packages
SUMMARIZE odd
SELECT column_name, min, max FROM (SUMMARIZE edges)
SUMMARIZE nothing_yet
DESCRIBE nothing_yet
SHOW TABLES
WITH t AS (SELECT 1 AS a) SELECT * FROM (DESCRIBE FROM t)
DESCRIBE WITH t AS (SELECT id FROM packages) SELECT * FROM t
# --- longer ones
WITH RECURSIVE walk(node, path, depth) AS (SELECT src, [src], 0 FROM edges WHERE src = 1 UNION ALL SELECT e.dst, list_append(path, e.dst), depth + 1 FROM walk JOIN edges e ON e.src = node WHERE depth < 4 AND NOT list_contains(path, e.dst)) SELECT node, path, depth, (SELECT p.name FROM packages p WHERE p.id = node) AS name FROM walk ORDER BY depth
WITH counts AS (SELECT package, count(*) AS n FROM dependencies GROUP BY package), top AS (FROM counts SELECT package, n, rank() OVER (ORDER BY n DESC) AS r) SELECT p.id, t.n, t.r, p.section FROM top t JOIN packages p ON p.name = t.package WHERE t.r = 1 ORDER BY p.id LIMIT 5
SELECT year, quarter, amount, sum(amount) OVER (PARTITION BY year ORDER BY quarter, amount) AS running, amount / sum(amount) OVER (PARTITION BY year) AS share FROM Sales ORDER BY year, quarter, amount LIMIT 8
SELECT s.section, (SELECT string_agg(name, '+' ORDER BY id) FROM packages p WHERE p.section = s.section AND p.id < 12) AS names FROM (SELECT DISTINCT section FROM packages) s ORDER BY 1 NULLS LAST
SELECT kind, list(struct_pack(p := package, w := weight) ORDER BY weight DESC, package)[1:2] AS top2 FROM dependencies GROUP BY kind ORDER BY kind
SELECT who, count(*) AS n, sum(amount) AS total, max(ts) - min(ts) AS span FROM events GROUP BY who HAVING total > 10 QUALIFY row_number() OVER (ORDER BY total DESC) <= 2 ORDER BY who
SELECT count(*) FROM packages a JOIN packages b USING (id) JOIN packages c USING (id) JOIN packages d USING (id) WHERE a.name IN (SELECT package FROM dependencies) AND EXISTS (SELECT * FROM edges WHERE src = id % 11)
SELECT * FROM (SELECT * FROM (SELECT * FROM (SELECT id, name FROM packages WHERE id < 9) a WHERE id > 2) b WHERE id < 6) c ORDER BY id
SELECT min(x), max(x) FROM (SELECT unnest(list_concat(list(src), list(dst))) AS x FROM edges)
SELECT (SELECT max(id) FROM packages WHERE section = p.section), p.section, p.id FROM packages p WHERE p.id < 4 ORDER BY p.id
# --- what is large, and small enough
SELECT length(repeat('x', 1000000)), len(range(1000000)), len(range(10, 0, -1)), length(lpad('x', 1000, '-'))
SELECT repeat(name, 3), lpad(name, id::INTEGER + 10, '.') FROM packages ORDER BY id LIMIT 3
SELECT levenshtein('kitten', 'sitting'), format('{:10}|', 7), printf('%05d', 42), len([x * 2 FOR x IN range(1000)])
SELECT (SELECT (SELECT (SELECT (SELECT (SELECT (SELECT (SELECT (SELECT (SELECT (SELECT (SELECT (SELECT (SELECT (SELECT (SELECT (SELECT 1)))))))))))))))) AS deep
SELECT 1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1 AS sum
SELECT format('order 20260131 of {} at {:8.2f}', 'Zoe', 3.14159), printf('call 5550123456 for %05d (%s)', 42, 'x')
