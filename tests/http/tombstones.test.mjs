// Rows deleted by key, over HTTP and from the command line: three of 100,000, in every version, told in the
// journal, after a kill too.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const path = '/catalog/datasets/by-name/people/tombstone';
const rows = Array.from({ length: 100000 }, (_, at) => `CAND-${at},name ${at},${at}\n`);

test('three of 100,000 rows are gone everywhere, with who and why, after a kill too', { timeout: 120000 }, async (context) => {
  const folder = temporaryFolder();
  context.after(() => folder.remove());
  let server = await startServer({ data: folder.path });
  context.after(() => server.kill());
  let lake = await connect(server);
  const count = async (from = 'people') =>
    (await lake.post('/query/sql', { sql: `SELECT count(*) FROM ${from}` })).body.rows[0][0];
  await lake.ingest('people', `id,name,n\n${rows.join('')}`, {});
  assert.equal(await count(), 100000);

  const keys = ['CAND-7', 'CAND-50000', 'CAND-99999'];
  const told = await lake.post(path, { row_key_column: 'id', row_key_values: keys, actor: 'ann', reason: 'asked for' });
  assert.equal(told.status, 200, told.text);
  assert.deepEqual([told.body.rows_tombstoned, told.body.keys_tombstoned, told.body.failed], [3, 3, 0]);
  assert.equal(told.headers.get('etag'), '"2"');
  assert.equal(await count(), 99997);
  assert.equal(await count('people AT (VERSION => 1)'), 99997, 'time travel shows deleted rows');
  assert.equal(await count('__raw__people'), 100000);
  assert.equal((await lake.get('/catalog/datasets/by-name/people')).body.row_count, 99997);

  const versions = (await lake.get('/catalog/datasets/by-name/people/versions')).body.items;
  assert.deepEqual(versions.map((one) => [one.version, one.row_count, one.hidden_rows]), [[2, 100000, 3], [1, 100000, undefined]]);
  const { committer: does } = versions[0].commits[0];
  assert.deepEqual(versions[0].commits.map((one) => [one.action, one.actor, one.reason]), [['tombstone', 'ann', 'asked for']]);
  assert.ok(does && does !== 'ann', 'who did it is told beside who wanted it');
  assert.deepEqual(versions[1].commits.map((one) => [one.actor, one.committer]), [[does, undefined]], 'who does it for himself is told once');

  const list = await lake.get(path);
  assert.deepEqual(list.body.items.map((one) => [one.row_key_value, one.actor, one.reason]).sort(),
    keys.map((key) => [key, 'ann', 'asked for']).sort());
  const history = await lake.get('/journal/history/CAND-50000?dataset=people');
  assert.equal(history.status, 200, history.text);
  assert.ok(history.body.items.some((one) => one.action === 'tombstone'), history.text);

  const partly = await lake.post(path, { row_key_column: 'id', row_key_values: ['CAND-8', 'nobody', null] });
  assert.equal(partly.status, 207, partly.text);
  assert.deepEqual(partly.body.failures.map((one) => one.code), ['no_match', 'null']);
  assert.deepEqual(partly.body.values.map((one) => one.outcome), ['done', 'no_match', 'null']);
  assert.equal(await count(), 99996);
  assert.equal((await lake.post(path, { row_key_column: 'idd', row_key_values: ['x'] })).status, 400);

  server.kill('SIGKILL');
  await server.stop().catch(() => {});
  server = await startServer({ data: folder.path });
  lake = await connect(server);
  assert.equal(await count(), 99996);
  const again = await lake.ingest('people', 'id,name,n\nCAND-7,back,7\nCAND-new,new,8\n', { mode: 'append' });
  assert.equal(again.body.suppressed_rows, 1, again.text);
  assert.equal(await count(), 99997);

  const lifted = await run(['datasets', 'lift', 'people', '--row-key-values', '["CAND-7", "CAND-9"]', '--server',
    server.url, '--json']);
  assert.equal(lifted.code, 1, lifted.out + lifted.err);
  const reply = JSON.parse(lifted.out);
  assert.deepEqual([reply.rows_restored, reply.keys_lifted, reply.failed], [2, 1, 1]);
  assert.equal(await count(), 99999);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  const verified = await run(['verify', '--data', folder.path]);
  assert.equal(verified.code, 0, verified.out + verified.err);
});

test('a repeated request under its Idempotency-Key deletes once', { timeout: 60000 }, async (context) => {
  const server = await startServer({});
  context.after(() => server.kill());
  const lake = await connect(server);
  await lake.ingest('people', 'id\n1\n2\n', {});
  const body = { row_key_column: 'id', row_key_values: [1] };
  const first = await lake.post(path, body, { headers: { 'idempotency-key': 'one' } });
  assert.equal((await lake.delete(path, { json: { row_key_values: [1] } })).status, 200);
  const second = await lake.post(path, body, { headers: { 'idempotency-key': 'one' } });
  assert.deepEqual(second.body, first.body);
  assert.equal((await lake.post('/query/sql', { sql: 'SELECT count(*) FROM people' })).body.rows[0][0], 2);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('a lift says where rows may still be read that a compaction left out', { timeout: 60000 }, async (context) => {
  const server = await startServer({ env: { LAKEHOUSE_COMPACTION_ENABLED: 'false' } });
  context.after(() => server.kill());
  const lake = await connect(server);
  await lake.ingest('people', 'id,name\n1,a\n2,b\n', {});
  const lift = (key) => lake.delete(path, { json: { row_key_values: [key] } });
  assert.equal((await lake.post(path, { row_key_column: 'id', row_key_values: [1, 2] })).status, 200);
  const seen = await lift(2);
  assert.deepEqual([seen.body.rows_restored, seen.body.note], [1, undefined], seen.text);
  const compacted = await lake.post('/query/compact', { dataset: 'people' });
  assert.equal(compacted.status, 200, compacted.text);
  const lifted = await lift(1);
  assert.deepEqual([lifted.status, lifted.body.keys_lifted, lifted.body.rows_restored], [200, 1, 0], lifted.text);
  assert.match(lifted.body.note, /^Of 1 lifted keys .* SELECT \* FROM people AT \(VERSION => n\) reads one\.$/);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM people'), [[1]]);
  assert.deepEqual(await lake.rows('SELECT id FROM people AT (VERSION => 1) ORDER BY 1'), [[1], [2]]);
});

test('a key is echoed as it was given, and a wrong time says what a time is', { timeout: 60000 }, async (context) => {
  const server = await startServer({});
  context.after(() => server.kill());
  const lake = await connect(server);
  await lake.ingest('people', 'price,at\n99.99,2024-02-29 12:00:00\n1.5,2024-03-01 12:00:00\n', {});
  const told = await lake.post(path, { row_key_column: 'price', row_key_values: [99.99, 0.1] });
  assert.match(told.text, /"row_key_value":99\.99,/);
  assert.match(told.text, /"row_key_value":0\.1,/);
  assert.deepEqual(told.body.values.map((one) => one.outcome), ['done', 'no_match']);
  const times = await lake.post(path, { row_key_column: 'at', row_key_values: ['2024-03-01 12:00:00Z', '2024-02-29 13:00:00+01:00'], another_key_column: true });
  assert.equal(times.status, 207, times.text);
  assert.deepEqual(times.body.failures.map((one) => one.code), ['wrong_type']);
  assert.match(times.body.failures[0].message, /no offset but Z: give it in UTC/);
});
