// Rows hidden by one column and erased by another, as a user would: tombstones by id, an erasure by e-mail,
// tombstones by a third column, through searches, kept statements, a compaction, a move, a backup and a kill.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { leftovers } from '../support/leftovers.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const env = { LAKEHOUSE_COMPACTION_ENABLED: 'false' };
const path = '/catalog/datasets/by-name/people/tombstone';
const mail = (at) => `person${at}@example.org`;
const person = (at) => `CAND-${String(at).padStart(6, '0')},${mail(at)},"Surname${at}x of the lakeside",${at}\n`;
const people = (from, count) => `id,mail,note,n\n${Array.from({ length: count }, (_, at) => person(from + at)).join('')}`;

test('tombstones by two columns and an erasure by a third live in one dataset', { timeout: 120000 }, async (context) => {
  const folder = temporaryFolder();
  const other = temporaryFolder('backup');
  let server = await startServer({ data: folder.path, env });
  context.after(() => server.kill());
  context.after(() => folder.remove());
  context.after(() => other.remove());
  let lake = await connect(server);
  const count = async (from = 'people') => (await lake.post('/query/sql', { sql: `SELECT count(*) FROM ${from}` })).body.rows[0][0];
  const hide = async (column, values, rows) => {
    const told = await lake.post(path, { row_key_column: column, row_key_values: values, reason: `${mail(7)} asked`, another_key_column: true });
    assert.deepEqual([told.status, told.body.rows_tombstoned], [200, rows], told.text);
  };
  const search = async (word) => (await lake.post('/vectors/hybrid', { index: 'people_v1', query: word, k: 5 })).text;
  await lake.ingest('people', people(0, 300), {});
  await lake.ingest('people', people(300, 20), { mode: 'append' });
  const built = await lake.post('/vectors/index', { index_name: 'people_v1', dataset: 'people', id_column: 'id', text_columns: ['note'] });
  assert.equal(built.status, 200, built.text);
  assert.ok((await search('Surname7x')).includes('Surname7x'));

  await hide('id', ['CAND-000007', 'CAND-000008', 'CAND-000305'], 3);
  assert.equal(await count(), 317);
  const second = await lake.post(path, { row_key_column: 'n', row_key_values: [9] });
  assert.deepEqual([second.status, second.body.code, second.body.field], [409, 'conflict', 'row_key_column'], second.text);
  assert.match(second.body.detail, /name rows by 'id'; 'n' would be another key column/);
  assert.match(second.body.hint, /another_key_column: true/);
  const words = ['datasets', 'tombstone', 'people', '--row-key-column', 'n', '--row-key-values', '[9]', '--server', server.url];
  assert.equal((await run(words)).code, 1);
  await hide('n', [9, 8], 1); // 8 is hidden already
  assert.equal(await count(), 316);
  assert.equal(await count('people AT (VERSION => 1)'), 297);
  assert.equal(await count('__raw__people'), 320);
  assert.ok(!(await search('Surname9x')).includes('Surname9x'));

  const texts = [mail(7), 'Surname7x of', 'CAND-000007', mail(10), 'Surname10x of', 'CAND-000010'];
  const told = await lake.post('/catalog/erase', { dataset: 'people', row_key_column: 'mail', row_key_values: [mail(7), mail(10)], reason: 'a letter' });
  assert.equal(told.status, 200, told.text);
  assert.equal(told.body.state, 'erased', told.text);
  assert.deepEqual([told.body.datasets[0].keys, told.body.datasets[0].rows], [2, 1], told.text);
  assert.deepEqual((await leftovers(folder.path, texts)).found, []);
  assert.equal(await count(), 315);

  server.kill('SIGKILL');
  await server.stop().catch(() => {});
  server = await startServer({ data: folder.path, env });
  lake = await connect(server);
  assert.equal(await count(), 315);
  await hide('note', ['Surname20x of the lakeside'], 1);
  await hide('id', ['CAND-000030'], 1);
  const again = await lake.ingest('people', `id,mail,note,n\nCAND-000007,x,x,1007\ny,${mail(10)},x,1010\nz,z,z,9\nfresh,f,f,1\n`, { mode: 'append' });
  assert.equal(again.body.suppressed_rows, 3, again.text);
  assert.equal(await count(), 314);
  const list = async (query) => (await lake.get(`${path}?${query}`)).body;
  const first = await list('limit=1');
  assert.ok(first.next, 'there are more');
  const keys = [...first.items, ...(await list(`after=${encodeURIComponent(first.next)}`)).items];
  assert.deepEqual(keys.map((one) => `${one.row_key_column}=${one.row_key_value}`), ['id=CAND-000030', 'note=Surname20x of the lakeside'],
    'keys whose rows are gone are hashes');
  assert.equal((await list('row_key_column=note')).items.length, 1);

  assert.equal((await lake.delete(path, { json: { row_key_values: [9] } })).status, 400, 'of which column?');
  const lifted = await lake.delete(path, { json: { row_key_column: 'n', row_key_values: [9] } });
  assert.deepEqual([lifted.status, lifted.body.rows_restored], [200, 1], lifted.text);
  assert.equal((await lake.delete(path, { json: { row_key_column: 'mail', row_key_values: [mail(10)] } })).body.failures[0].code, 'erased');
  assert.equal(await count(), 315);
  const compacted = await lake.post('/query/compact', { dataset: 'people', wait: true });
  assert.equal(compacted.status, 200, compacted.text);
  assert.equal(await count('__raw__people'), 315);
  assert.equal((await lake.post('/storage/buckets', { name: 'far', backend: 'local', root: join(other.path, 'far') })).status, 201);
  const moved = await lake.post('/catalog/datasets/by-name/people/move', { to: 'far', wait: true });
  assert.equal(moved.status, 200, moved.text);
  assert.equal(await count(), 315);
  assert.equal((await lake.ingest('people', `id,mail,note,n\na,${mail(7)},x,2\n`, { mode: 'append' })).body.suppressed_rows, 1);
  const home = await lake.post('/catalog/datasets/by-name/people/move', { to: 'primary', wait: true });
  assert.equal(home.status, 200, home.text);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });

  const verified = await run(['verify', '--data', folder.path, '--json']);
  assert.equal(verified.code, 0, verified.out + verified.err);
  const kept = await run(['backup', '--to', join(other.path, 'kept'), '--data', folder.path]);
  assert.equal(kept.code, 0, kept.out + kept.err);
  const restored = join(other.path, 'restored');
  const back = await run(['restore', '--from', join(other.path, 'kept'), '--data', restored]);
  assert.equal(back.code, 0, back.out + back.err);
  assert.equal((await run(['rebuild', '--data', restored])).code, 0);
  server = await startServer({ data: restored, env });
  lake = await connect(server);
  assert.equal(await count(), 315);
  assert.equal((await lake.ingest('people', `id,mail,note,n\nb,${mail(10)},x,2\n`, { mode: 'append' })).body.suppressed_rows, 1);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});
