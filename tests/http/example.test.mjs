// The way of three people out of a lake, from their first deletion to the search for what is left of
// them: the example of the specification, on 100,000 generated rows (fewer without LAKEHOUSE_LONG).
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../support/client.mjs';
import { leftovers } from '../support/leftovers.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const most = process.env.LAKEHOUSE_LONG ? 100000 : 10000;
const gone = [7, most / 2, most - 1];
const key = (at) => `CAND-${String(at).padStart(6, '0')}`;
const trade = ['welder', 'nurse', 'driver', 'carpenter', 'cook'];
const note = (at) => `Profile${at}y is a ${trade[at % trade.length]} from the lakeside`;
const tombstones = '/catalog/datasets/by-name/people/tombstone';

test('three people are deleted, compacted away, and erased with a receipt, and nothing is left of them', { timeout: 600000 }, async (context) => {
  const folder = temporaryFolder();
  let server = await startServer({ data: folder.path });
  context.after(() => server.kill());
  context.after(() => folder.remove());
  let lake = await connect(server);
  const sql = async (text) => {
    const told = await lake.post('/query/sql', { sql: text });
    assert.equal(told.status, 200, told.text);
    return told.body.rows;
  };
  const found = async (path, at) => {
    const told = await lake.post(path, { index: 'people_v1', query: note(at), k: 3 });
    assert.equal(told.status, 200, told.text);
    return told.body.items.some((one) => one.id === key(at));
  };
  const ways = ['/vectors/search', '/vectors/hybrid'];

  await lake.ingest('people', `id,note,n\n${Array.from({ length: most }, (_, at) => `${key(at)},${note(at)},${at}\n`).join('')}`, {});
  const saved = await lake.post('/query/saved', { name: 'how_many', sql: 'SELECT count(*) FROM people WHERE n >= $least', defaults: { least: 0 } });
  assert.equal(saved.status, 201, saved.text);
  const made = await lake.post('/vectors/index', { index_name: 'people_v1', dataset: 'people', id_column: 'id', text_columns: ['note'], wait: true });
  assert.ok(made.status < 300, made.text);
  for (const path of ways) for (const at of gone) assert.ok(await found(path, at), `${path} finds ${at} before`);

  const deleted = await lake.post(tombstones, { row_key_column: 'id', row_key_values: gone.map(key), actor: 'ann', reason: 'asked to leave' });
  assert.equal(deleted.status, 200, deleted.text);
  assert.equal(deleted.body.rows_tombstoned, 3);
  assert.deepEqual(await sql('SELECT count(*) FROM people'), [[most - 3]]);
  assert.deepEqual((await lake.post('/query/saved/how_many/run', {})).body.rows, [[most - 3]]);
  for (const path of ways) for (const at of gone) assert.ok(!await found(path, at), `${path} finds ${at} deleted`);
  const history = await lake.get(`/journal/history/${key(gone[1])}?dataset=people`);
  assert.ok(history.body.items.some((one) => one.action === 'tombstone' && one.actor === 'ann' && one.reason === 'asked to leave'), history.text);
  assert.deepEqual(await sql('SELECT count(*) FROM __raw__people'), [[most]]);

  const compacted = await lake.post('/query/compact', { dataset: 'people', wait: true });
  assert.ok(compacted.status < 300, compacted.text);
  assert.deepEqual(await sql('SELECT count(*) FROM __raw__people'), [[most - 3]], 'deletion is physical');

  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  server = await startServer({ data: folder.path });
  lake = await connect(server);
  assert.deepEqual(await sql('SELECT count(*) FROM people'), [[most - 3]]);
  for (const path of ways) assert.ok(await found(path, 8), 'the others are found');

  const texts = gone.flatMap((at) => [key(at), `Profile${at}y`]);
  const before = await leftovers(folder.path, texts);
  assert.ok(before.found.length > 0, 'old versions, the index and the journal still hold them');
  const erased = await lake.post('/catalog/erase', { row_key_column: 'id', row_key_values: gone.map(key), actor: 'ann', reason: 'a letter', wait: true });
  assert.equal(erased.status, 200, erased.text);
  assert.equal(erased.body.state, 'erased', erased.text);
  const receipt = await lake.get(`/catalog/erase/${erased.body.erase_id}`);
  assert.equal(receipt.body.state, 'erased', receipt.text);
  const after = await leftovers(folder.path, texts);
  assert.deepEqual(after.found, []);
  assert.ok(after.decoded >= 2, 'files were decoded, not only read');
  for (const path of ways) for (const at of gone) assert.ok(!await found(path, at), `${path} finds ${at} erased`);
  assert.deepEqual(await sql('SELECT count(*) FROM people'), [[most - 3]]);

  const again = await lake.ingest('people', `id,note,n\n${key(7)},somebody else,7\n`, { mode: 'append' });
  assert.equal(again.body.suppressed_rows, 1, 'the key goes on suppressing');
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  const verified = await run(['verify', '--data', folder.path]);
  assert.equal(verified.code, 0, verified.out + verified.err);
  context.diagnostic(`figure: example: ${most} rows, 3 erased, ${after.decoded} files decoded, 0 values left of ${texts.length}`);
});
