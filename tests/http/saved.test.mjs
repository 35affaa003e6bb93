// Saved queries: made, listed, run with named parameters, replaced, deleted; durable, and checked.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { program, startServer, temporaryFolder } from '../support/server.mjs';

let server;
let lake;
const folder = temporaryFolder('saved');
before(async () => {
  server = await startServer({ data: folder.path });
  lake = await connect(server);
  await lake.ingest('people', 'id,name,city,age\n1,Sample One,Utrecht,20\n2,Sample Two,Delft,31\n3,Sample Three,Utrecht,44\n');
});
after(async () => {
  await server.stop();
  folder.remove();
});

const byCity = 'SELECT name FROM people WHERE city = $city AND age >= $age ORDER BY id';
const rows = (reply) => reply.body.rows.map(([name]) => name);

test('a saved query runs with values by name, and with its defaults', async () => {
  const made = await lake.post('/query/saved', { name: 'People_of', sql: byCity, defaults: { age: 18 }, description: 'Grown-ups of a city' });
  assert.deepEqual([made.status, made.headers.get('location'), made.headers.get('etag')], [201, '/query/saved/People_of', '"1"']);
  assert.deepEqual([made.body.parameters, made.body.defaults, made.body.version], [['city', 'age'], { age: 18 }, 1]);
  assert.deepEqual(rows(await lake.post('/query/saved/people_of/run', { parameters: { city: 'Utrecht' } })), ['Sample One', 'Sample Three']);
  assert.deepEqual(rows(await lake.post('/query/saved/PEOPLE_OF/run', { parameters: { City: 'Utrecht', age: 40 } })), ['Sample Three']);
  assert.deepEqual(rows(await lake.post('/query/saved/people_of/run', { parameters: { city: 'Utrecht' }, limit: 1 })), ['Sample One']);
  const csv = await lake.post('/query/saved/people_of/run', { parameters: { city: 'Delft' }, format: 'csv' });
  assert.equal(csv.text, 'name\r\nSample Two\r\n');
  // A value is a value, never text of the statement.
  assert.deepEqual(rows(await lake.post('/query/saved/people_of/run', { parameters: { city: "Utrecht' OR 1=1 --" } })), []);
});

test('a query without parameters runs without any', async () => {
  assert.equal((await lake.post('/query/saved', { name: 'how_many', sql: 'SELECT count(*) AS n FROM people' })).status, 201);
  assert.deepEqual((await lake.post('/query/saved/how_many/run', {})).body.rows, [[3]]);
  assert.deepEqual((await lake.post('/query/saved/how_many/run', { as_of: { people: 1 } })).body.versions, { people: 1 });
});

test('values that are missing or unknown are named', async () => {
  const problem = async (path, json) => {
    const { status, body } = await lake.post(path, json);
    return [status, body.code, body.field, body.detail, body.hint];
  };
  assert.deepEqual((await problem('/query/saved/people_of/run', {})).slice(0, 4), [400, 'invalid_argument', 'parameters', "The query 'People_of' needs a value for $city."]);
  const unknown = await problem('/query/saved/people_of/run', { parameters: { city: 'Delft', agee: 3 } });
  assert.deepEqual([unknown[0], unknown[4]], [400, 'Did you mean $age?']);
  assert.equal((await problem('/query/saved/people_of/run', { parameters: [1, 2] }))[0], 400);
  const missing = await problem('/query/saved/people_off/run', {});
  assert.deepEqual([missing[0], missing[1], missing[4]], [404, 'not_found', "Did you mean 'People_of'?"]);
});

test('what could not run is not saved', async () => {
  const refused = async (json) => {
    const { status, body } = await lake.post('/query/saved', json);
    return [status, body.code];
  };
  assert.deepEqual(await refused({ name: 'bad', sql: 'SELEC 1' }), [400, 'sql_syntax']);
  assert.deepEqual(await refused({ name: 'bad', sql: 'SELECT nope FROM people' }), [400, 'sql_failed']);
  assert.deepEqual(await refused({ name: 'bad', sql: 'FROM nowhere' }), [404, 'not_found']);
  assert.equal((await refused({ name: 'bad', sql: "SELECT * FROM read_csv('/etc/passwd')" }))[1], 'statement_refused');
  assert.deepEqual(await refused({ name: 'bad', sql: 'SELECT ?::INTEGER' }), [400, 'invalid_argument']);
  assert.deepEqual(await refused({ name: 'bad', sql: 'SELECT $a::INTEGER', defaults: { b: 1 } }), [400, 'invalid_argument']);
  assert.deepEqual(await refused({ name: 'bad', sql: 'SELECT $a::INTEGER', defaults: [1] }), [400, 'invalid_argument']);
  for (const name of ['1st', 'a.b', '../x', 'a b', '__x', 'é']) assert.deepEqual(await refused({ name, sql: 'SELECT 1' }), [400, 'invalid_argument'], name);
  assert.equal((await refused({ name: 'x'.repeat(64), sql: 'SELECT 1' }))[0], 400);
  assert.deepEqual(await refused({ name: 'PEOPLE_OF', sql: 'SELECT 1' }), [409, 'already_exists']);
  assert.equal((await lake.get('/query/saved/bad')).status, 404);
});

test('lists are pages by name', async () => {
  await lake.post('/query/saved', { name: 'a_first', sql: 'SELECT 1' });
  const page = (await lake.get('/query/saved?limit=2')).body;
  assert.deepEqual(page.items.map(({ name }) => name), ['a_first', 'how_many']);
  const rest = (await lake.get(`/query/saved?limit=2&after=${page.next}`)).body;
  assert.deepEqual([rest.items.map(({ name }) => name), rest.next], [['People_of'], null]);
});

test('replacing and deleting heed If-Match, and a name can come again', async () => {
  const got = await lake.get('/query/saved/how_many');
  assert.equal(got.headers.get('etag'), '"1"');
  const put = (json, headers) => lake.send('PUT', '/query/saved/how_many', { json, headers });
  assert.equal((await put({ sql: 'SELECT 2 AS n' }, { 'if-match': '"7"' })).status, 412);
  const replaced = await put({ sql: 'SELECT 2 AS n' }, { 'if-match': '"1"' });
  assert.deepEqual([replaced.status, replaced.headers.get('etag'), replaced.body.parameters], [200, '"2"', []]);
  assert.deepEqual((await lake.post('/query/saved/how_many/run', {})).body.rows, [[2]]);
  assert.equal((await lake.send('PUT', '/query/saved/never', { json: { sql: 'SELECT 1' } })).status, 404);
  assert.equal((await lake.delete('/query/saved/how_many', { headers: { 'if-match': '"1"' } })).status, 412);
  assert.equal((await lake.delete('/query/saved/how_many')).status, 204);
  assert.equal((await lake.get('/query/saved/how_many')).status, 404);
  assert.equal((await lake.delete('/query/saved/how_many')).status, 404);
  assert.equal((await lake.post('/query/saved/how_many/run', {})).status, 404);
  const again = await lake.post('/query/saved', { name: 'how_many', sql: 'SELECT 4 AS n' });
  assert.deepEqual([again.status, again.body.version], [201, 4]);
});

test('of many who save one name at once one is first', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => lake.post('/query/saved', { name: 'contested', sql: `SELECT ${i} AS n` })));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [201, ...Array(19).fill(409)]);
  const winner = answers.findIndex(({ status }) => status === 201);
  assert.deepEqual((await lake.post('/query/saved/contested/run', {})).body.rows, [[winner]]);
  const puts = await Promise.all(Array.from({ length: 20 }, (_, i) => lake.send('PUT', '/query/saved/contested', { json: { sql: `SELECT ${i} AS n` }, headers: { 'if-match': '"1"' } })));
  assert.equal(puts.filter(({ status }) => status === 200).length, 1);
});

test('a dataset that is gone is told when the query runs', async () => {
  await lake.ingest('brief', 'a\n1\n');
  await lake.post('/query/saved', { name: 'of_brief', sql: 'SELECT a FROM brief' });
  await lake.delete('/catalog/datasets/by-name/brief');
  const { status, body } = await lake.post('/query/saved/of_brief/run', {});
  assert.deepEqual([status, body.code], [404, 'not_found']);
});

test('queries outlive the server; a damaged record is told, by health and verify, and can be saved anew', async () => {
  await server.kill();
  server = await startServer({ data: folder.path });
  lake = await connect(server);
  assert.deepEqual(rows(await lake.post('/query/saved/people_of/run', { parameters: { city: 'Utrecht' } })), ['Sample One', 'Sample Three']);
  assert.equal((await lake.get('/query/saved/how_many')).body.version, 4);
  await server.stop();
  const report = () => {
    try {
      return JSON.parse(execFileSync(program, ['verify', '--data', folder.path, '--json']));
    } catch (error) {
      return JSON.parse(error.stdout);
    }
  };
  assert.deepEqual([report().is_sound, report().saved_queries], [true, 5]);
  const records = join(folder.path, '_catalog', 'queries');
  const [file] = readdirSync(records).filter((name) => name.startsWith('contested.')).sort().slice(-1);
  writeFileSync(join(records, file), '{"name": "contested", "sql": "SELECT 666", "version": 9}');
  assert.equal(report().is_sound, false);
  server = await startServer({ data: folder.path });
  lake = await connect(server);
  const health = (await lake.get('/health')).body;
  assert.equal(health.status, 'degraded');
  const broken = await lake.post('/query/saved/contested/run', {});
  assert.deepEqual([broken.status, broken.body.code], [500, 'damaged']);
  assert.equal((await lake.send('PUT', '/query/saved/contested', { json: { sql: 'SELECT 5 AS n' } })).status, 200);
  assert.deepEqual((await lake.post('/query/saved/contested/run', {})).body.rows, [[5]]);
  assert.equal((await lake.get('/health')).body.status, 'ok');
});

test('the command line saves and runs', () => {
  const run = (...args) => execFileSync(program, [...args, '--server', server.url], { encoding: 'utf8' });
  run('queries', 'create', 'twice', '--sql', 'SELECT $n::INTEGER * 2 AS n', '--defaults', '{"n": 4}');
  assert.match(run('queries', 'list'), /twice/);
  assert.equal(run('queries', 'run', 'twice', '--format', 'csv'), 'n\r\n8\r\n');
  assert.equal(run('queries', 'run', 'twice', '--parameters', '{"n": 21}', '--format', 'csv'), 'n\r\n42\r\n');
  run('queries', 'delete', 'twice');
});
