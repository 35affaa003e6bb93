// Rows erased for good: hidden, rewritten, expired, with a receipt; and a search of our own through every
// file of the data folder.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { leftovers } from '../support/leftovers.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const most = process.env.LAKEHOUSE_LONG ? 100000 : 10000;
const env = { LAKEHOUSE_COMPACTION_ENABLED: 'false' };
const person = (at) => `CAND-${String(at).padStart(6, '0')},Surname${at}x of the lakeside,${at}\n`;
const people = (from, count) => `id,name,n\n${Array.from({ length: count }, (_, at) => person(from + at)).join('')}`;
const count = async (lake, from) => (await lake.post('/query/sql', { sql: `SELECT count(*) FROM ${from}` })).body.rows[0][0];
const tombstones = '/catalog/datasets/by-name/people/tombstone';

async function verify(folder) {
  const verified = await run(['verify', '--data', folder, '--json']);
  assert.equal(verified.code, 0, verified.out + verified.err);
  return verified.out;
}

test('erased rows are in no file, the receipt says what went, and the keys go on suppressing', { timeout: 120000 }, async (context) => {
  const folder = temporaryFolder();
  let server = await startServer({ data: folder.path, env });
  context.after(() => server.kill());
  context.after(() => folder.remove());
  let lake = await connect(server);
  await lake.ingest('people', people(0, most), {});
  await lake.ingest('people', people(most, 500), { mode: 'append' });
  const keys = ['CAND-000007', 'CAND-005000', `CAND-${String(most + 100).padStart(6, '0')}`];
  const texts = [...keys, 'Surname7x of', 'Surname5000x', `Surname${most + 100}x`];
  const before = await leftovers(folder.path, texts);
  assert.equal(new Set(before.found.map((one) => one.text)).size, texts.length, 'the search finds what is there');
  const deleted = await lake.post(tombstones, { row_key_column: 'id', row_key_values: keys.slice(0, 1), reason: 'asked' },
    { headers: { 'Idempotency-Key': 'first' } });
  assert.equal(deleted.status, 200, deleted.text);
  const noted = await lake.post('/journal/event', { entity_id: 'people/CAND-005000', action: 'called', reason: 'Surname5000x of the lakeside' });
  assert.ok(noted.status < 300, noted.text);
  await lake.post('/journal/flush', {});

  const told = await lake.post('/catalog/erase', { dataset: 'people', row_key_column: 'id', row_key_values: [...keys, 'CAND-nobody'],
    actor: 'ann', reason: 'a letter' });
  assert.equal(told.status, 200, told.text);
  assert.equal(told.body.state, 'erased', told.text);
  for (const text of texts) assert.ok(!told.text.includes(text), 'the receipt holds a value');
  assert.equal(told.body.datasets[0].keys, 3);
  assert.equal(told.body.datasets[0].objects_removed.length, 2);
  assert.ok(told.body.journal.records >= 2, told.text);
  assert.equal(await count(lake, 'people'), most + 497);
  assert.equal(await count(lake, '__raw__people'), most + 497, 'they are physically gone');
  const after = await leftovers(folder.path, texts);
  assert.deepEqual(after.found, []);
  assert.ok(after.decoded >= 2);

  const past = await lake.post('/query/sql', { sql: 'SELECT count(*) FROM people AT (VERSION => 1)' });
  assert.equal(past.status, 404, past.text);
  assert.match(past.text, /expired/);
  const undone = await lake.post('/catalog/datasets/by-name/people/undo', {});
  assert.equal(undone.status, 409, undone.text);
  const differ = await lake.get('/catalog/datasets/by-name/people/diff?from=1&key=id');
  assert.ok([400, 404].includes(differ.status), differ.text);
  assert.deepEqual((await lake.get(tombstones)).body.items, [], 'erased keys are not listed');
  const again = await lake.post(tombstones, { row_key_column: 'id', row_key_values: ['CAND-000007'] });
  assert.deepEqual([again.status, again.body.values[0].outcome], [200, 'already'], again.text);
  const lifted = await lake.delete(tombstones, { json: { row_key_values: ['CAND-000007'] } });
  assert.equal(lifted.status, 207, lifted.text);
  assert.match(lifted.text, /erased/);
  const history = await lake.get('/journal/history/CAND-005000?dataset=people');
  assert.deepEqual(history.body.items, []);
  const recent = await lake.get('/journal/recent');
  assert.ok(recent.body.items.some((one) => one.action === 'journal.erase'), recent.text);
  assert.ok(recent.body.items.some((one) => /^people\/erased:[0-9a-f]{16}$/.test(one.entity_id)), recent.text);

  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  assert.match(await verify(folder.path), /"erasures": ?1/);
  server = await startServer({ data: folder.path, env });
  lake = await connect(server);
  const back = await lake.ingest('people', `id,name,n\n${person(7)}CAND-new,new,8\n`, { mode: 'append' });
  assert.equal(back.body.suppressed_rows, 1, back.text);
  assert.equal(await count(lake, 'people'), most + 498);
  const id = told.body.erase_id;
  assert.deepEqual((await lake.get(`/catalog/erase/${id}`)).body, told.body);
  const listed = await run(['erasures', 'list', '--server', server.url, '--json']);
  assert.equal(listed.code, 0, listed.err);
  assert.equal(JSON.parse(listed.out).items[0].erase_id, id);
  const resumed = await lake.post(`/catalog/erase/${id}/resume`, {});
  assert.equal(resumed.status, 409, resumed.text);

  // The rows that came since go, too, with the file that brought them.
  const second = await lake.post('/catalog/erase', { dataset: 'people', row_key_column: 'id', row_key_values: ['CAND-000007'] });
  assert.equal(second.body.state, 'erased', second.text);
  assert.deepEqual((await leftovers(folder.path, texts)).found, []);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  await verify(folder.path);
});

test('every dataset with the column is erased from, with its indexes, and numbers are keys, too', { timeout: 120000 }, async (context) => {
  const folder = temporaryFolder();
  const server = await startServer({ data: folder.path, env });
  context.after(() => server.kill());
  context.after(() => folder.remove());
  const lake = await connect(server);
  const notes = (from, to) => `person,text\n${Array.from({ length: to - from }, (_, at) =>
    `${from + at},"Remembers word${from + at}zebra and the river, number ${from + at}."\n`).join('')}`;
  await lake.ingest('notes', notes(0, 300), {});
  await lake.ingest('calls', 'person,said\n41,"Called about unrepeatable41 things"\n42,"Called about unrepeatable42 things"\n', {});
  await lake.ingest('places', 'place,text\n42,elsewhere\n', {});
  const built = await lake.post('/vectors/index', { index_name: 'notes_v1', dataset: 'notes', id_column: 'person', text_columns: ['text'] });
  assert.equal(built.status, 200, built.text);
  const texts = ['word42zebra', 'unrepeatable42'];
  const search = () => lake.post('/vectors/hybrid', { index: 'notes_v1', query: 'word42zebra', k: 5 });
  const first = await search();
  assert.ok(first.text.includes('word42zebra'), first.text);
  assert.ok((await leftovers(folder.path, texts)).found.length >= 4);

  const told = await run(['erase', '--row-key-column', 'person', '--row-key-values', '[42]', '--server', server.url, '--json']);
  assert.equal(told.code, 0, told.out + told.err);
  const receipt = JSON.parse(told.out);
  assert.equal(receipt.state, 'erased', told.out);
  assert.deepEqual(receipt.datasets.map((one) => [one.dataset, one.rows]).sort(), [['calls', 1], ['notes', 1]]);
  assert.deepEqual(receipt.indexes.map((one) => one.index), ['notes_v1']);
  assert.deepEqual((await leftovers(folder.path, texts)).found, []);
  assert.ok(!(await search()).text.includes('word42zebra'));
  assert.equal(await count(lake, 'places'), 1);
  assert.equal(await count(lake, 'notes'), 299);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  await verify(folder.path);
});

test('what cannot be erased is refused, and what stands elsewhere is told', { timeout: 120000 }, async (context) => {
  const folder = temporaryFolder();
  const server = await startServer({ data: folder.path, env });
  context.after(() => server.kill());
  context.after(() => folder.remove());
  const lake = await connect(server);
  await lake.ingest('people', people(0, 20), {});
  await lake.ingest('copies', people(0, 20), {});
  const ask = (body) => lake.post('/catalog/erase', { row_key_column: 'id', row_key_values: ['CAND-000007'], ...body });
  for (const [body, status] of [[{ dataset: 'peopel' }, 404], [{ row_key_column: 'idd' }, 404], [{ row_key_values: [] }, 400],
    [{ dataset: 'people', reason: 'for CAND-000007' }, 400], [{ dataset: 'people', row_key_values: null }, 400]])
    assert.equal((await ask(body)).status, status, JSON.stringify(body));
  await lake.post(tombstones, { row_key_column: 'n', row_key_values: [3] });
  assert.equal((await lake.get('/catalog/erase')).body.items.length, 0);
  assert.equal((await lake.get('/catalog/erase/nothing')).status, 404);

  const accepted = await lake.post('/catalog/erase', { dataset: 'people', row_key_column: 'n', row_key_values: [7], wait: false });
  assert.equal(accepted.status, 202, accepted.text);
  let receipt;
  do receipt = (await lake.get(`/catalog/erase/${accepted.body.erase_id}`)).body;
  while (['waiting', 'running'].includes(receipt.state));
  assert.equal(receipt.state, 'erased_here', JSON.stringify(receipt));
  assert.deepEqual([receipt.found ?? [], receipt.elsewhere.map((one) => [one.dataset, one.rows])], [[], [['copies', 1]]]);
  assert.match(receipt.hint, /without 'dataset'/);
  assert.equal(await count(lake, 'copies'), 20);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  await verify(folder.path);
});

test('an erasure that is cancelled leaves the rows hidden, and is gone on with', { timeout: 120000 }, async (context) => {
  const folder = temporaryFolder();
  const server = await startServer({ data: folder.path, env });
  context.after(() => server.kill());
  context.after(() => folder.remove());
  const lake = await connect(server);
  await lake.ingest('people', people(0, 2000), {});
  let failed;
  for (let at = 1; at < 20 && !failed; at += 1) {
    const key = `CAND-${String(at).padStart(6, '0')}`;
    const accepted = await lake.post('/catalog/erase', { row_key_column: 'id', row_key_values: [key], wait: false });
    const cancelled = await lake.delete(`/jobs/${accepted.body.job_id}`);
    assert.ok(cancelled.status < 300 || cancelled.status === 409, cancelled.text);
    let state;
    do state = (await lake.get(`/catalog/erase/${accepted.body.erase_id}`)).body;
    while (['waiting', 'running'].includes(state.state));
    assert.equal(await count(lake, `people WHERE id = '${key}'`), 0, `the rows of one that is ${state.state} are hidden`);
    if (state.state === 'failed') failed = { id: accepted.body.erase_id, text: `Surname${at}x of`, key };
  }
  assert.ok(failed, 'none could be cancelled');
  const resumed = await lake.post(`/catalog/erase/${failed.id}/resume`, {});
  assert.equal(resumed.status, 200, resumed.text);
  assert.equal(resumed.body.state, 'erased', resumed.text);
  assert.deepEqual((await leftovers(folder.path, [failed.text, failed.key])).found, []);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  await verify(folder.path);
});

test('an erasure that is killed goes on with the next start, wherever it was', { timeout: 240000 }, async (context) => {
  const folder = temporaryFolder();
  let server = await startServer({ data: folder.path, env });
  context.after(() => server.kill());
  context.after(() => folder.remove());
  let lake = await connect(server);
  await lake.ingest('people', people(0, 3000), {});
  await lake.ingest('people', people(3000, 100), { mode: 'append' });
  const texts = [];
  const waits = process.env.LAKEHOUSE_LONG ? [0, 15, 40, 70, 110, 160] : [20, 90];
  for (const [round, wait] of waits.entries()) {
    const key = `CAND-${String(round * 500 + 1).padStart(6, '0')}`;
    const own = [key, `Surname${round * 500 + 1}x of`];
    texts.push(...own);
    assert.equal(new Set((await leftovers(folder.path, own)).found.map((one) => one.text)).size, 2, 'the search finds what is there');
    const accepted = await lake.post('/catalog/erase', { dataset: 'people', row_key_column: 'id', row_key_values: [key], wait: false });
    assert.equal(accepted.status, 202, accepted.text);
    await new Promise((resolve) => setTimeout(resolve, wait));
    await server.kill();
    server = await startServer({ data: folder.path, env });
    lake = await connect(server);
    let receipt;
    do receipt = (await lake.get(`/catalog/erase/${accepted.body.erase_id}`)).body;
    while (['waiting', 'running'].includes(receipt.state));
    assert.equal(receipt.state, 'erased', JSON.stringify(receipt));
    assert.equal(await count(lake, 'people'), 3100 - round - 1);
    assert.equal(await count(lake, '__raw__people'), 3100 - round - 1);
    assert.deepEqual((await leftovers(folder.path, texts)).found, []);
  }
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  await verify(folder.path);
  assert.deepEqual(readdirSync(join(folder.path, '_erase')).filter((name) => !/\.(receipt|job)\.json$/.test(name)), []);
});

test('beside an erasure, rows come and are read, and none that is being erased is seen', { timeout: 120000 }, async (context) => {
  const folder = temporaryFolder();
  const server = await startServer({ data: folder.path, env });
  context.after(() => server.kill());
  context.after(() => folder.remove());
  const lake = await connect(server);
  await lake.ingest('people', people(0, 3000), {});
  const keys = ['CAND-000007', 'CAND-001500'];
  const seen = `people WHERE id IN ('${keys.join("','")}')`;
  assert.equal(await count(lake, seen), 2);
  const ask = (wait) => lake.post('/catalog/erase', { dataset: 'people', row_key_column: 'id', row_key_values: keys, wait });
  const accepted = await ask(false);
  assert.equal(accepted.status, 202, accepted.text);
  let rounds = 0, receipt;
  do {
    const [came, event, hidden] = await Promise.all([
      lake.ingest('people', `id,name,n\n${person(5000 + rounds)}${person(7)}`, { mode: 'append' }),
      lake.post('/journal/event', { entity_id: `people/CAND-${String(100 + rounds)}`, action: 'called', reason: 'Surname9x of the lakeside' }),
      count(lake, seen)]);
    assert.ok(came.status < 300 && event.status < 300, came.text + event.text);
    assert.equal(hidden, 0);
    rounds += 1;
    receipt = (await lake.get(`/catalog/erase/${accepted.body.erase_id}`)).body;
  } while (['waiting', 'running'].includes(receipt.state));
  assert.ok(rounds > 1, 'something was done beside it');
  assert.ok(['erased', 'incomplete'].includes(receipt.state), JSON.stringify(receipt));
  assert.equal(receipt.state === 'erased', receipt.found === undefined || receipt.found.length === 0);
  assert.equal(await count(lake, 'people'), 2998 + rounds);
  // The rows that came after it had looked are hidden; once nothing comes any more, they are gone.
  const last = receipt.state === 'erased' ? await ask(true) : await lake.post(`/catalog/erase/${accepted.body.erase_id}/resume`, {});
  assert.equal(last.body.state, 'erased', last.text);
  assert.deepEqual((await leftovers(folder.path, [...keys, 'Surname7x of', 'Surname1500x'])).found, []);
  assert.equal(await count(lake, '__raw__people'), 2998 + rounds);
  const kept = (await lake.get('/journal/recent?limit=500')).body.items.filter((one) => one.action === 'called');
  assert.ok(kept.length > 0 && kept.every((one) => one.reason === 'Surname9x of the lakeside'), 'what others hold stays in the journal');
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  await verify(folder.path);
});

test('a receipt that is damaged hides no other one from the list', { timeout: 60000 }, async (context) => {
  const folder = temporaryFolder();
  const server = await startServer({ data: folder.path, env });
  context.after(() => server.kill());
  context.after(() => folder.remove());
  const lake = await connect(server);
  await lake.ingest('people', people(0, 5), {});
  const ids = [];
  for (const at of [1, 2]) {
    const told = await lake.post('/catalog/erase', { row_key_column: 'id', row_key_values: [`CAND-00000${at}`] });
    assert.equal(told.body.state, 'erased', told.text);
    ids.push(told.body.erase_id);
  }
  writeFileSync(join(folder.path, '_erase', `${ids[0]}.receipt.json`), 'rubbish');
  const alone = await lake.get(`/catalog/erase/${ids[0]}`);
  assert.ok(alone.status >= 500, alone.text);
  const listed = await lake.get('/catalog/erase');
  assert.equal(listed.status, 200, listed.text);
  const [newest, damaged] = listed.body.items;
  assert.deepEqual([newest.erase_id, newest.state, damaged.erase_id, damaged.state, damaged.problem], [ids[1], 'erased', ids[0], 'failed', alone.body.detail]);
});
