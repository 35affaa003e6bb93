// SQL over HTTP: values, parameters, limits, time travel, and everything that must be refused.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../support/client.mjs';
import { program, startServer } from '../support/server.mjs';

let server;
let lake;
before(async () => {
  server = await startServer();
  lake = await connect(server);
  await lake.ingest('people', 'id,name,rate\n1,Ann,10.5\n2,Bob,11\n3,,12\n', { name: 'people.csv' });
  await lake.ingest('people', 'id,name,rate\n4,Dan,9\n', { mode: 'append' });
  await lake.ingest('jobs_done', 'person,hours\n1,4\n1,6\n2,8\n');
});
after(async () => {
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

const refused = async (sql, status, code, words, more) => {
  const { status: got, body, text } = await lake.sql(sql, more);
  assert.equal(got, status, `${sql.slice(0, 80)}: ${text}`);
  assert.equal(body.code, code, `${sql.slice(0, 80)}: ${text}`);
  if (words) assert.match(`${body.detail} ${body.hint ?? ''}`, words);
  return body;
};

test('the answer carries columns, rows, counts and the versions it rests on', async () => {
  const { body } = await lake.sql('SELECT p.name, sum(hours) AS hours FROM people p JOIN jobs_done j ON j.person = p.id GROUP BY p.name ORDER BY hours');
  assert.deepEqual(body.columns, [{ name: 'name', type: 'VARCHAR' }, { name: 'hours', type: 'HUGEINT' }]);
  assert.deepEqual(body.rows, [['Bob', '8'], ['Ann', '10']]);
  assert.equal(body.row_count, 2);
  assert.equal(body.truncated, false);
  assert.deepEqual(body.versions, { people: 2, jobs_done: 1 });
  assert.ok(body.elapsed_ms >= 0);
});

test('values: decimals and huge integers as text, others as themselves', async () => {
  const rows = await lake.rows(`SELECT 1.50::DECIMAL(5,2), 170141183460469231731687303715884105727::HUGEINT, 9007199254740993::BIGINT,
    'NaN'::DOUBLE, 'Infinity'::DOUBLE, 0.1::DOUBLE, DATE '2024-02-29', TIMESTAMP '2024-01-02 03:04:05.678', 'ab'::BLOB,
    [1, NULL, 3], {'a': 1, 'b': 'x'}, true, NULL, 'Zoë "quoted" \\ 😀'`);
  const [row] = rows;
  assert.equal(row[0], '1.50');
  assert.equal(row[1], '170141183460469231731687303715884105727');
  assert.equal(row[3], 'NaN');
  assert.match(row[4], /^Inf/);
  assert.equal(row[5], 0.1);
  assert.equal(row[6], '2024-02-29');
  assert.match(row[7], /^2024-01-02T03:04:05\.678/);
  assert.equal(row[8], 'YWI=');
  assert.deepEqual(row.slice(9), [[1, null, 3], { a: 1, b: 'x' }, true, null, 'Zoë "quoted" \\ 😀']);
  assert.match((await lake.sql('SELECT 9007199254740993::BIGINT')).text, /9007199254740993/);
});

// Every type as the README of src/query says that JSON tells it: smallest, largest, NULL.
const everyType = {
  bool: ['BOOLEAN', false, true],
  tinyint: ['TINYINT', -128, 127],
  smallint: ['SMALLINT', -32768, 32767],
  int: ['INTEGER', -2147483648, 2147483647],
  hugeint: ['HUGEINT', '-170141183460469231731687303715884105728', '170141183460469231731687303715884105727'],
  uhugeint: ['UHUGEINT', '0', '340282366920938463463374607431768211455'],
  utinyint: ['UTINYINT', 0, 255],
  usmallint: ['USMALLINT', 0, 65535],
  uint: ['UINTEGER', 0, 4294967295],
  bignum: ['BIGNUM', /^-179769\d{303}$/, /^179769\d{303}$/],
  date: ['DATE', '5877642-06-25 (BC)', '5881580-07-10'],
  time: ['TIME', '00:00:00', '24:00:00'],
  timestamp: ['TIMESTAMP', '290309-12-22 (BC) 00:00:00', '294247-01-10 04:00:54.775806'],
  timestamp_s: ['TIMESTAMP_S', '290309-12-22 (BC) 00:00:00', '294247-01-10 04:00:54'],
  timestamp_ms: ['TIMESTAMP_MS', '290309-12-22 (BC) 00:00:00', '294247-01-10 04:00:54.775'],
  timestamp_ns: ['TIMESTAMP_NS', '1677-09-22T00:00:00Z', '2262-04-11T23:47:16.854775806Z'],
  time_tz: ['TIME WITH TIME ZONE', '00:00:00+15:59:59', '24:00:00-15:59:59'],
  timestamp_tz: ['TIMESTAMP WITH TIME ZONE', '290309-12-22 (BC) 00:00:00+00', '294247-01-10 04:00:54.775806+00'],
  float: ['FLOAT', -3.4028235e38, 3.4028235e38],
  double: ['DOUBLE', -Number.MAX_VALUE, Number.MAX_VALUE],
  dec_4_1: ['DECIMAL(4,1)', '-999.9', '999.9'],
  dec_9_4: ['DECIMAL(9,4)', '-99999.9999', '99999.9999'],
  dec_18_6: ['DECIMAL(18,6)', '-999999999999.999999', '999999999999.999999'],
  dec38_10: ['DECIMAL(38,10)', '-9999999999999999999999999999.9999999999', '9999999999999999999999999999.9999999999'],
  uuid: ['UUID', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
  interval: ['INTERVAL', '00:00:00', '83 years 3 months 999 days 00:16:39.999999'],
  varchar: ['VARCHAR', '🦆🦆🦆🦆🦆🦆', 'goo\0se'],
  blob: ['BLOB', 'dGhpc2lzYWxvbmdibG9iAHdpdGhudWxsYnl0ZXM=', 'AAAAYQ=='],
  bit: ['BIT', '0010001001011100010101011010111', '10101'],
  small_enum: [/^ENUM\('DUCK_DUCK_ENUM', 'GOOSE'\)$/, 'DUCK_DUCK_ENUM', 'GOOSE'],
  medium_enum: [/^ENUM\('enum_0', /, 'enum_0', 'enum_299'],
  large_enum: [/^ENUM\('enum_0', /, 'enum_0', 'enum_69999'],
  int_array: ['INTEGER[]', [], [42, 999, null, null, -42]],
  double_array: ['DOUBLE[]', [], [42, 'NaN', 'Infinity', '-Infinity', null, -42]],
  date_array: ['DATE[]', [], ['1970-01-01', 'infinity', '-infinity', null, '2022-05-12']],
  timestamp_array: ['TIMESTAMP[]', [], ['1970-01-01T00:00:00Z', 'infinity', '-infinity', null, '2022-05-12T16:23:45Z']],
  timestamptz_array: ['TIMESTAMP WITH TIME ZONE[]', [], ['1970-01-01T00:00:00Z', 'infinity', '-infinity', null, '2022-05-12T23:23:45Z']],
  varchar_array: ['VARCHAR[]', [], ['🦆🦆🦆🦆🦆🦆', 'goose', null, '']],
  nested_int_array: ['INTEGER[][]', [], [[], [42, 999, null, null, -42], null, [], [42, 999, null, null, -42]]],
  struct: ['STRUCT(a INTEGER, b VARCHAR)', { a: null, b: null }, { a: 42, b: '🦆🦆🦆🦆🦆🦆' }],
  struct_of_arrays: ['STRUCT(a INTEGER[], b VARCHAR[])', { a: null, b: null }, { a: [42, 999, null, null, -42], b: ['🦆🦆🦆🦆🦆🦆', 'goose', null, ''] }],
  array_of_structs: ['STRUCT(a INTEGER, b VARCHAR)[]', [], [{ a: null, b: null }, { a: 42, b: '🦆🦆🦆🦆🦆🦆' }, null]],
  map: ['MAP(VARCHAR, VARCHAR)', {}, { key1: '🦆🦆🦆🦆🦆🦆', key2: 'goose' }],
  union: ['UNION("name" VARCHAR, age SMALLINT)', 'Frank', 5],
  fixed_int_array: ['INTEGER[3]', [null, 2, 3], [4, 5, 6]],
  fixed_varchar_array: ['VARCHAR[3]', ['a', null, 'c'], ['d', 'e', 'f']],
  fixed_nested_int_array: ['INTEGER[3][3]', [[null, 2, 3], null, [null, 2, 3]], [[4, 5, 6], [null, 2, 3], [4, 5, 6]]],
  fixed_nested_varchar_array: ['VARCHAR[3][3]', [['a', null, 'c'], null, ['a', null, 'c']], [['d', 'e', 'f'], ['a', null, 'c'], ['d', 'e', 'f']]],
  fixed_struct_array: ['STRUCT(a INTEGER, b VARCHAR)[3]', [{ a: null, b: null }, { a: 42, b: '🦆🦆🦆🦆🦆🦆' }, { a: null, b: null }],
    [{ a: 42, b: '🦆🦆🦆🦆🦆🦆' }, { a: null, b: null }, { a: 42, b: '🦆🦆🦆🦆🦆🦆' }]],
  struct_of_fixed_array: ['STRUCT(a INTEGER[3], b VARCHAR[3])', { a: [null, 2, 3], b: ['a', null, 'c'] }, { a: [4, 5, 6], b: ['d', 'e', 'f'] }],
  fixed_array_of_int_list: ['INTEGER[][3]', [[], [42, 999, null, null, -42], []], [[42, 999, null, null, -42], [], [42, 999, null, null, -42]]],
  list_of_fixed_int_array: ['INTEGER[3][]', [[null, 2, 3], [4, 5, 6], [null, 2, 3]], [[4, 5, 6], [null, 2, 3], [4, 5, 6]]],
  time_ns: ['TIME_NS', '00:00:00', '24:00:00'],
  geometry: ['VARCHAR', 'POINT EMPTY', /^GEOMETRYCOLLECTION \(POINT \(1 2\), POINT EMPTY, LINESTRING \(0 0, 1 1\), /],
};
// JavaScript cannot hold these; their digits are looked for in the text.
const wideTypes = { bigint: ['BIGINT', '-9223372036854775808', '9223372036854775807'], ubigint: ['UBIGINT', '0', '18446744073709551615'] };

test('every type of the engine comes out', async () => {
  const { status, body, text } = await lake.sql('SELECT * FROM test_all_types()');
  assert.equal(status, 200, text.slice(0, 600));
  assert.deepEqual(body.columns.map(({ name }) => name).filter((name) => !wideTypes[name]), Object.keys(everyType));
  assert.equal(body.rows.length, 3);
  const is = (value, wanted, what) => (wanted instanceof RegExp ? assert.match(value, wanted, what) : assert.deepEqual(value, wanted, what));
  for (const [at, { name, type }] of body.columns.entries()) {
    const [wantedType, least, most] = everyType[name] ?? wideTypes[name];
    is(type, wantedType, `the type of ${name}`);
    assert.equal(body.rows[2][at], null, name);
    if (wideTypes[name]) {
      for (const digits of [least, most]) assert.match(text, new RegExp(`[,[]${digits}[,\\]]`), name);
      continue;
    }
    is(body.rows[0][at], least, `the first ${name}`);
    is(body.rows[1][at], most, `the second ${name}`);
  }
});

test('parameters are bound, never pasted', async () => {
  assert.deepEqual(await lake.rows('SELECT name FROM people WHERE id = $1 OR name = $2 ORDER BY id', { parameters: [1, "Bob' OR '1'='1"] }), [['Ann']]);
  assert.deepEqual(await lake.rows('SELECT name FROM people WHERE id = $id', { parameters: { id: 2 } }), [['Bob']]);
  assert.deepEqual(await lake.rows('SELECT $1 + 1, $2 IS NULL, $3', { parameters: [41, null, 'x'] }), [[42, true, 'x']]);
  await refused('SELECT $1', 400, 'invalid_argument', /parameter/i);
  await refused('SELECT $1', 400, 'invalid_argument', /parameter/i, { parameters: [1, 2] });
});

test('limit cuts and says so', async () => {
  const { body } = await lake.sql('SELECT * FROM range(100)', { limit: 10 });
  assert.deepEqual([body.row_count, body.truncated], [10, true]);
  assert.equal((await lake.sql('SELECT * FROM range(10)', { limit: 10 })).body.truncated, false);
  await refused('SELECT 1', 400, 'invalid_argument', /limit/, { limit: 0 });
  await refused('SELECT 1', 400, 'invalid_argument', /10000000|10,000,000/, { limit: 10000001 });
});

test('time travel: by version in SQL, by as_of in the request', async () => {
  assert.deepEqual(await lake.rows('SELECT count(*) FROM people'), [[4]]);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM people AT (VERSION => 1)'), [[3]]);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM people', { as_of: { people: 1 } }), [[3]]);
  const versions = (await lake.get('/catalog/datasets/by-name/people/versions')).body.items;
  assert.deepEqual(versions.map(({ version }) => version), [2, 1]);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM people', { as_of: versions[1].committed_at ?? versions[1].time }), [[3]]);
  await refused('SELECT * FROM people AT (VERSION => 99)', 404, 'not_found', /99/);
  await refused('SELECT * FROM people', 404, 'not_found', null, { as_of: '1999-01-01T00:00:00Z' });
});

test('EXPLAIN, DESCRIBE and SUMMARIZE work and show no path', async () => {
  for (const sql of ['EXPLAIN SELECT * FROM people WHERE id = 1', 'EXPLAIN ANALYZE SELECT count(*) FROM people', 'DESCRIBE people', 'SUMMARIZE people', 'SHOW TABLES']) {
    const { status, text } = await lake.sql(sql);
    assert.equal(status, 200, `${sql}: ${text}`);
    assert.doesNotMatch(text, /\.parquet|read_parquet|datasets\//, sql);
  }
  assert.equal((await lake.post('/query/explain', { sql: 'SELECT * FROM people' })).status, 200);
});

test('what is not a question is refused, and says why', async () => {
  for (const sql of ['CREATE TABLE x (a INT)', 'DROP TABLE people', 'INSERT INTO people VALUES (5)', 'DELETE FROM people', 'UPDATE people SET id = 1',
    "COPY people TO '/tmp/x.csv'", "ATTACH '/tmp/x.db'", 'INSTALL httpfs', 'LOAD httpfs', "SET memory_limit = '1TB'", 'PRAGMA database_list', 'CALL pragma_version()', 'BEGIN', 'VACUUM', 'CHECKPOINT']) {
    await refused(sql, 403, 'statement_refused');
  }
  for (const sql of ["SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM 'file.parquet'", 'SELECT * FROM "/etc/passwd"', "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM glob('/*')", "SELECT * FROM query('SELECT 1')", 
    "SELECT current_setting('temp_directory')", "SELECT * FROM parquet_metadata('x')", "SELECT * FROM query_table('people')", 'SELECT * FROM sqlite_master', 'SELECT * FROM main.people',
    'SELECT * FROM information_schema.tables']) {
    const { status, body, text } = await lake.sql(sql);
    assert.ok([403, 404].includes(status), `${sql}: ${text}`);
    assert.ok(['statement_refused', 'not_found', 'forbidden'].includes(body.code), `${sql}: ${text}`);
  }
  // A function that may not be called, and that no file hint fits, answers like one that does not exist.
  for (const sql of ["SELECT getenv('HOME')", 'SELECT * FROM pragma_database_list()', 'SELECT * FROM duckdb_settings()']) {
    const { status, body, text } = await lake.sql(sql);
    assert.ok((status === 400 && /no (table )?function/.test(body.detail)) || (status === 403 && body.code === 'statement_refused'), `${sql}: ${text}`);
  }
});

test('two statements are one too many', async () => {
  await refused('SELECT 1; SELECT 2', 403, 'statement_refused', /one is run at a time/);
  assert.deepEqual(await lake.rows('SELECT 1;'), [[1]]);
  await refused('', 400, 'invalid_argument', /sql/);
  await refused('  -- nothing', 400, 'sql_syntax');
});

test("errors speak of the caller's own text", async () => {
  const syntax = await refused('SELECT FROM WHERE', 400, 'sql_syntax');
  assert.equal(typeof syntax.position, 'number');
  const name = await refused('SELECT id, nmae FROM people', 400, 'sql_failed', /nmae/);
  assert.match(`${name.detail} ${name.hint}`, /name/);
  assert.equal(name.position, 11);
  assert.doesNotMatch(name.detail, /parquet|read_/);
  const table = await refused('SELECT * FROM pepole', 404, 'not_found', /people/);
  assert.equal(table.position, 14);
  const refusal = await refused("SELECT 1,\n  2 AS b\nFROM read_csv('/etc/passwd')", 403, 'statement_refused');
  assert.deepEqual([refusal.line, refusal.position], [3, 24]);
  const deep = await refused(`SELECT ${'('.repeat(20000)}1${')'.repeat(20000)}`, 413, 'too_large', /nests .* 512 levels/);
  assert.equal(deep.retryable, false);
  await refused("SELECT 'x'::INT", 400, 'sql_failed', /'x'|INT/);
  await refused("SELECT error('boom')", 400, 'sql_failed', /boom/);
});

test('60 KB of 1+1+… nests too deeply, 64 KB of text is an answer, 100 KB is too long', async () => {
  await refused(`SELECT ${'1+'.repeat(30000)}1`, 413, 'too_large', /nests .* too deeply.* 512 levels/);
  const text = 'x'.repeat(65000);
  assert.deepEqual(await lake.rows(`SELECT length('${text}')`), [[65000]]);
  await refused(`SELECT '${'x'.repeat(100000)}'`, 413, 'too_large', /65536|64/);
  assert.equal((await lake.get('/health')).status, 200);
});

test('a statement is stopped at its time limit', async () => {
  const started = performance.now();
  await refused('SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range = 7', 504, 'deadline_exceeded', null, { timeout_ms: 300 });
  assert.ok(performance.now() - started < 3000);
});

test('what no time limit would reach is refused at once', async () => {
  const started = performance.now();
  for (const sql of ['SELECT len(range(200000000))', "SELECT levenshtein(repeat('a', 50000), repeat('b', 50000))", "SELECT length(repeat('x', 1500000000))",
    'SELECT len(list_transform(range(20000000), x -> x + 1))', `SELECT ${'1+'.repeat(400)}1`, `SELECT ${'(SELECT '.repeat(40)}1${')'.repeat(40)}`]) {
    const { hint } = await refused(sql, 413, 'too_large', /at most/i, { timeout_ms: 300 });
    assert.ok(hint, sql.slice(0, 60));
  }
  assert.ok(performance.now() - started < 6000);
});

test('a value that is larger than the process may have fails its statement alone', async (context) => {
  if (/[at]san/.test(program)) return context.skip('the shadow memory of sanitizers counts: there is no such limit');
  const small = await startServer({ env: { LAKEHOUSE_ENGINE_MEMORY_LIMIT: '256MB' } });
  context.after(() => small.kill());
  const other = await connect(small);
  const { status, body, text } = await other.sql("SELECT length(repeat('x', n)) FROM (SELECT 3000000000 + range AS n FROM range(1))");
  assert.equal(status, 503, text);
  assert.equal(body.code, 'busy');
  assert.deepEqual(await other.rows('SELECT 1'), [[1]]);
  assert.deepEqual(await small.stop(), { code: 0, signal: null });
});

test('a client that hangs up stops its statement', async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 200);
  await assert.rejects(fetch(`${server.url}/query/sql`, {
    method: 'POST', signal: controller.signal, headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sql: 'SELECT count(*) FROM range(100000000) a, range(1000000) b WHERE a.range * b.range = 7', timeout_ms: 600000 }),
  }));
  for (let turn = 0; ; turn++) {
    const metrics = (await lake.get('/metrics')).text;
    const busy = Number(metrics.match(/^lakehouse_engine_connections_busy (\d+)/m)?.[1] ?? NaN);
    assert.ok(!Number.isNaN(busy), 'the metrics do not say how many connections are busy');
    if (busy === 0) break;
    assert.ok(turn < 50, 'the engine still works for a client that is gone');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

test('a long answer is streamed whole', async () => {
  const { body } = await lake.sql("SELECT range AS n, 'row ' || range AS t FROM range(300000)", { limit: 1000000 });
  assert.equal(body.rows.length, 300000);
  assert.deepEqual(body.rows[299999], [299999, 'row 299999']);
  assert.equal(body.row_count, 300000);
});

test('an error after the first rows ends the JSON with an error member', async () => {
  const response = await fetch(`${server.url}/query/sql`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sql: "SELECT CASE WHEN range = 4000000 THEN CAST('x' || range AS INT) ELSE range END FROM range(5000000)", limit: 10000000 }),
  });
  const text = await response.text();
  assert.equal(response.status, 200, text.slice(0, 600));
  const body = JSON.parse(text);
  assert.equal(body.error.code, 'sql_failed', 'the answer looks complete');
  assert.match(body.error.detail, /x4000000/);
  assert.ok(body.row_count > 0 && body.row_count < 4000000, `${body.row_count} rows`);
  assert.equal(body.rows.length, body.row_count);
  assert.deepEqual(body.rows[body.row_count - 1], [body.row_count - 1]);
});

test('an error before the first rows is a problem with its own status', async () => {
  await refused("SELECT CASE WHEN range = 400 THEN CAST('x' || range AS INT) ELSE range END FROM range(500)", 400, 'sql_failed', /x400/);
});

test('statements run beside each other', async () => {
  const answers = await Promise.all(Array.from({ length: 32 }, (_, at) => lake.rows(`SELECT ${at} + count(*) FROM people`)));
  assert.deepEqual(answers.map(([[value]]) => value), Array.from({ length: 32 }, (_, at) => at + 4));
});
