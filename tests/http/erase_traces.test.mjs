// What an erasure must not leave behind besides the rows: in the journal, in lists of tombstones, in kept
// answers, in other datasets, under other names and in other spellings.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { house } from '../support/erase_house.mjs';
import { run } from '../support/server.mjs';

test('a long text goes from the journal to its end, whoever the record is about, and no other text does', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  const long = `Met at the harbour, ${'and they spoke of the weather, '.repeat(20)}then left by the zebra-striped bus.`;
  await at.ingest('people', `id,note\nCAND-000001,"${long}"\nCAND-000002,"a note that stays here"\n`);
  await at.event({ entity_id: 'people/CAND-000001', reason: long });
  await at.event({ entity_id: 'people/CAND-000001', detail: { heard: `before ${long} after` } });
  await at.event({ entity_id: 'somebody', reason: `They say: ${long}` });
  await at.event({ entity_id: 'people/CAND-000002', reason: 'a note that stays here', detail: { kept: 'a note that stays here' } });
  await at.ok(at.lake.post('/journal/update', { entity_id: 'CAND-000001', dataset: 'people', field: 'drinks', old_value: 'tea-41', new_value: 'gin-42' }));
  await at.ok(at.lake.post('/journal/flush'));
  assert.ok((await at.found('zebra-striped bus')).length >= 2, 'it stands there before');
  const told = await at.erase({ dataset: 'people', row_key_column: 'id', row_key_values: ['CAND-000001'] });
  assert.equal(told.body.state, 'erased', told.text);
  assert.deepEqual(await at.found('zebra-striped bus', 'Met at the harbour', 'CAND-000001', 'tea-41', 'gin-42'), []);
  const events = (await at.recent()).filter((one) => one.action === 'called');
  assert.equal(events.length, 4, JSON.stringify(events));
  const kept = events.find((one) => one.entity_id === 'people/CAND-000002');
  assert.deepEqual([kept.reason, kept.detail], ['a note that stays here', { kept: 'a note that stays here' }]);
  assert.ok(events.some((one) => one.detail?.erased === true), JSON.stringify(events));
  await at.end();
});

test('keys go in the spelling in which they were typed, whatever spelling they are asked for in', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  const uuid = '0a1b2c3d-1111-4222-8333-0123456789ab';
  await at.ingest('people', 'id,name\n7,Ann\n8,Bob\n70,Cid\n');
  await at.ingest('cards', `card,name\n${uuid},Ann\n${uuid.replace('0a', '1a')},Bob\n`);
  await at.tombstone('people', 'id', [7]);
  await at.event({ entity_id: '7', dataset: 'people' });
  await at.event({ entity_id: 'people/07', reason: 'nothing' });
  await at.event({ entity_id: '70', dataset: 'people' });
  await at.event({ entity_id: `cards/${uuid.toUpperCase()}`, reason: `about ${uuid.toUpperCase()}` });
  const told = await at.erase({ dataset: 'people', row_key_column: 'id', row_key_values: ['7.0'] });
  assert.equal(told.body.state, 'erased', told.text);
  assert.equal(told.body.datasets[0].keys, 1, told.text);
  const carded = await at.erase({ dataset: 'cards', row_key_column: 'card', row_key_values: [uuid] });
  assert.equal(carded.body.state, 'erased', carded.text);
  const names = (await at.recent()).filter((one) => one.action === 'called').map((one) => one.entity_id);
  assert.ok(names.includes('70'), names.join());
  assert.ok(!names.includes('7') && !names.includes('people/07'), names.join());
  assert.deepEqual(await at.found(uuid, uuid.toUpperCase()), []);
  await at.end();
});

test('short keys go from records that name the dataset as it was called before', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  await at.ingest('folk', 'id,name\n7,Ann\n8,Bob\n');
  await at.event({ entity_id: 'folk/7', reason: 'nothing' });
  await at.event({ entity_id: '7', dataset: 'folk' });
  await at.event({ entity_id: 'others/7', reason: 'nothing' });
  await at.ok(at.lake.post('/catalog/datasets/by-name/folk/rename', { to: 'people' }));
  const told = await at.erase({ dataset: 'people', row_key_column: 'id', row_key_values: [7] });
  assert.equal(told.body.state, 'erased', told.text);
  const names = (await at.recent()).filter((one) => one.action === 'called').map((one) => one.entity_id).sort();
  assert.equal(names.length, 3);
  assert.ok(names.includes('others/7') && !names.includes('7') && !names.includes('folk/7'), names.join());
  await at.end();
});

test('a key that was lifted before goes from the list of tombstones, too', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  const path = '/catalog/datasets/by-name/people/tombstone';
  await at.ingest('people', 'id,name\nCAND-000001,Ann\nCAND-000002,Bob\nCAND-000003,Cid\n');
  await at.tombstone('people', 'id', ['CAND-000001', 'CAND-000002']);
  await at.ok(at.lake.delete(path, { json: { row_key_values: ['CAND-000002'] } }));
  await at.ingest('people', 'id,name\nCAND-000003,Cid\n', { mode: 'replace' });
  await at.ok(at.lake.post('/catalog/expire', { dataset: 'people', older_than_s: 0 })); // no version has it any more
  assert.ok((await at.found('CAND-000002')).some((one) => one.path.endsWith('.tombstones')), 'it stands there before');
  const told = await at.erase({ dataset: 'people', row_key_column: 'id', row_key_values: ['CAND-000002'] });
  assert.equal(told.body.state, 'erased', told.text);
  assert.deepEqual(await at.found('CAND-000002'), []);
  assert.deepEqual((await at.lake.get(path)).body.items, [], 'no version has the other one either: it is a hash, too');
  const again = await at.lake.post(path, { row_key_column: 'id', row_key_values: ['CAND-000001'] });
  assert.equal(again.body.values[0].outcome, 'already', again.text);
  await at.end();
});

test('a row that is left and names the key is told, and a saved query that does, too', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  await at.ingest('people', 'id,note\nalice-key-1,"Is here since spring"\nbob-key-2,"friend of alice-key-1"\n');
  await at.ok(at.lake.post('/query/saved', { name: 'hers', sql: "SELECT * FROM people WHERE id = 'alice-key-1'" }));
  const told = await at.erase({ dataset: 'people', row_key_column: 'id', row_key_values: ['alice-key-1'] });
  assert.equal(told.body.state, 'incomplete', told.text);
  assert.equal(told.status, 207, 'what is not wholly done answers as if it were');
  const read = await at.lake.get(`/catalog/erase/${told.body.erase_id}`);
  assert.deepEqual([read.status, read.body.state], [200, 'incomplete'], 'a receipt that is read is whole');
  const objects = told.body.found.map((one) => one.object);
  assert.ok(objects.some((one) => one.startsWith('datasets/')) && objects.some((one) => one.startsWith('_catalog/queries/')), told.text);
  await at.end();
});

test('what was dropped and can come back stands in the way of an erasure, until it is expired', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  await at.ingest('people', 'id,name\n7,Ann\n8,Bob\n');
  await at.ingest('former', 'id,name\n7,Ann\n9,Cid\n');
  await at.ok(at.lake.delete('/catalog/datasets/by-name/former'));
  const body = { row_key_column: 'id', row_key_values: [7] };
  const refused = await at.erase(body);
  assert.equal(refused.status, 409, refused.text);
  assert.match(refused.text, /'former' was dropped.*expire/);
  await at.ok(at.lake.post('/catalog/expire', { dataset: 'former', older_than_s: 0 }));
  const told = await at.erase(body);
  assert.equal(told.body.state, 'erased', told.text);
  assert.equal((await at.lake.post('/catalog/datasets/by-name/former/undo', {})).status, 409);
  assert.deepEqual((await at.lake.sql('SELECT id FROM people')).body.rows, [[8]]);
  await at.end();
});

test('numbers are found in columns of numbers, and texts in lists and structs', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  await at.ingest('people', 'tel,name\n491701234567,Ann\n491707654321,Bob\n');
  await at.ingest('calls', 'phone,said\n491701234567,hello\n');
  const told = await at.erase({ dataset: 'people', row_key_column: 'tel', row_key_values: [491701234567] });
  assert.equal(told.body.state, 'erased_here', told.text);
  assert.deepEqual(told.body.elsewhere.map((one) => one.dataset), ['calls'], told.text);

  const lines = (rows) => rows.map((row) => JSON.stringify(row)).join('\n');
  const deep = { id: 'CAND-000001', tags: ['plays the glockenspiel'], home: { street: 'Under the Quince 4', seen: ['with a "red" kite'] } };
  await at.ingest('folk', lines([deep, { id: 'CAND-000002', tags: ['plays nothing'], home: { street: 'Elsewhere 12345', seen: ['never at all'] } }]), { name: 'folk.ndjson' });
  for (const [name, text] of [['first', 'plays the glockenspiel'], ['second', 'Under the Quince 4'], ['third', 'with a "red" kite']])
    await at.ingest(name, lines([{ text, more: { all: [text] } }]), { name: `${name}.ndjson` });
  const nested = await at.erase({ dataset: 'folk', row_key_column: 'id', row_key_values: ['CAND-000001'] });
  assert.equal(nested.body.state, 'erased_here', nested.text);
  assert.deepEqual(nested.body.elsewhere.map((one) => one.dataset).sort(), ['first', 'second', 'third'], nested.text);
  await at.end();
});

test('keys with quotes are found where SQL doubles them, and what is incomplete is resumed until nothing is found', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  await at.ingest('people', "id,name\nO'Brien-77,Ann of the seven lakes\nO'Hara-78,Bob of the river\n");
  await at.ok(at.lake.post('/query/saved', { name: 'his', sql: "SELECT * FROM people WHERE id = 'O''Brien-77'" }));
  await at.ok(at.lake.post('/query/saved', { name: 'hers', sql: "SELECT 'Ann of the seven lakes'" }));
  const body = { dataset: 'people', row_key_column: 'id', row_key_values: ["O'Brien-77"] };
  const resume = () => at.lake.post(`/catalog/erase/${told.body.erase_id}/resume`, {});
  const told = await at.erase(body);
  assert.equal(told.body.state, 'incomplete', told.text);
  assert.deepEqual(told.body.found.map((one) => one.object.split('.')[0]).sort(), ['_catalog/queries/hers', '_catalog/queries/his'], told.text);
  assert.equal((await at.erase(body)).status, 409, 'one that knows nothing of the rows would find nothing');
  await at.ok(at.lake.delete('/query/saved/his'));
  const second = await resume();
  assert.deepEqual([second.status, second.body.state], [207, 'incomplete'], second.text);
  assert.deepEqual(second.body.found.map((one) => one.object.split('.')[0]), ['_catalog/queries/hers'], second.text);
  const health = (await at.lake.get('/health')).body;
  assert.deepEqual([health.status, ...health.problems.map(({ kind, name }) => [kind, name])], ['degraded', ['erasure', told.body.erase_id]]);
  await at.ok(at.lake.send('PUT', '/query/saved/hers', { json: { sql: 'SELECT 1' } }));
  const third = await resume();
  assert.equal(third.status, 200, third.text);
  assert.equal((await at.lake.get('/health')).body.status, 'ok');
  assert.equal(third.body.state, 'erased', third.text);
  assert.equal(third.body.rows, 1, third.text);
  assert.deepEqual(await at.found("O'Brien-77", "O''Brien-77", 'Ann of the seven lakes'), []);
  assert.equal((await resume()).status, 409);
  assert.equal((await at.erase(body)).body.state, 'no_match', 'nothing is left to be found');
  await at.end();
});

test('an erasure that ends incomplete makes its command fail, however it is waited for', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  await at.ingest('people', 'id,note\nalice-key-1,"Is here since spring"\nbob-key-2,"friend of alice-key-1"\ncid-key-3,Cid\n');
  const where = ['--server', at.server.url];
  const asked = ['--row-key-column', 'id', '--row-key-values', '["alice-key-1"]'];
  const told = await run(['erase', 'people', ...asked, '--json', ...where]);
  assert.equal(told.code, 1, told.out + told.err);
  const { erase_id: id, state } = JSON.parse(told.out);
  assert.equal(state, 'incomplete');
  for (const progress of ['never', 'always']) {
    const again = await run(['erasures', 'resume', id, '--progress', progress, ...where]);
    assert.equal(again.code, 1, again.out + again.err);
    assert.match(again.out, /state +incomplete/, `${progress}: ${again.out}`);
    assert.match(again.err, /A part of it failed/);
  }
  const mention = await run(['erase', 'people', ...asked.slice(0, -1), '["bob-key-2"]', '--progress', 'always', '--json', ...where]);
  assert.equal(mention.code, 0, mention.out + mention.err);
  assert.equal(JSON.parse(mention.out).rows, 1, 'what is watched shows its receipt, too');
  const last = await run(['erasures', 'resume', id, '--progress', 'always', ...where]);
  assert.equal(last.code, 0, last.out + last.err);
  assert.match(last.out, /state +erased/);
  await at.end();
});

test('what an incomplete erasure keeps is no finding of another one, but named', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  for (const name of ['people', 'copies'])
    await at.ingest(name, `id,name\nCAND-000001,Ann of the seven lakes\nCAND-000002,Bob${name === 'people' ? ' of CAND-000001' : ''}\n`);
  const ask = (dataset) => at.erase({ dataset, row_key_column: 'id', row_key_values: ['CAND-000001'] });
  const first = await ask('people');
  assert.equal(first.body.state, 'incomplete', first.text);
  const second = await ask('copies');
  assert.equal(second.body.state, 'erased_here', second.text);
  assert.deepEqual(second.body.elsewhere.map((one) => one.dataset), ['people']);
  assert.ok(second.body.not_covered.some((one) => one.includes(first.body.erase_id)), second.text);
  // The row that mentions the key goes; then nothing is found any more.
  const mention = await at.erase({ dataset: 'people', row_key_column: 'id', row_key_values: ['CAND-000002'] });
  assert.equal(mention.body.state, 'erased_here', mention.text);
  const third = await at.lake.post(`/catalog/erase/${first.body.erase_id}/resume`, {});
  assert.equal(third.body.state, 'erased', third.text);
  assert.deepEqual(await at.found('CAND-000001', 'seven lakes'), []);
  await at.end();
});

test('a receipt keeps no reason that names a key or says what a row held', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  await at.ingest('people', 'tel,note\n491701234567,"Sings in the evening"\n42,"Sings in the morning"\n');
  for (const [value, reason] of [[491701234567, 'asked by 491701234567'], [42, 'number 42 asked'], ['42.0', 'it was 42'], [42, 'card (42)']]) {
    const refused = await at.erase({ dataset: 'people', row_key_column: 'tel', row_key_values: [value], reason });
    assert.equal(refused.status, 400, refused.text);
    assert.equal(refused.body.field, 'reason');
  }
  const told = await at.erase({ dataset: 'people', row_key_column: 'tel', row_key_values: [42], reason: 'case 421: Sings in the morning' });
  assert.equal(told.status, 200, told.text);
  assert.equal(told.body.reason, undefined, told.text);
  await at.end();
});

test('a kept answer that names a short key is not given again, and its request not done again', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  await at.ingest('people', 'id,name\n7,Ann\n8,Bob\n9,Cid\n');
  const deleted = (value, key) => at.lake.post('/catalog/datasets/by-name/people/tombstone',
    { row_key_column: 'id', row_key_values: [value] }, { headers: { 'Idempotency-Key': key } });
  const first = await at.ok(deleted(7, 'seven'));
  assert.ok(JSON.stringify(first.body).includes('7'), first.text);
  const told = await at.erase({ dataset: 'people', row_key_column: 'id', row_key_values: [7] });
  assert.equal(told.body.state, 'erased', told.text);
  assert.ok(told.body.answers_removed >= 1, told.text);
  const again = await deleted(7, 'seven');
  assert.equal(again.status, 409, again.text);
  assert.match(again.text, /was done/);
  await at.end();
});

test('what lies in the trash of a dropped index and of a removed query goes with the rows', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  await at.ingest('notes', 'id,text\nCAND-000001,"Remembers the zebra-striped bus"\nCAND-000002,"Remembers the river bank"\n');
  await at.ok(at.lake.post('/vectors/index', { index_name: 'notes_v1', dataset: 'notes', id_column: 'id', text_columns: ['text'] }));
  await at.ok(at.lake.delete('/vectors/indexes/notes_v1'));
  await at.ok(at.lake.post('/query/saved', { name: 'hers', sql: "SELECT 'CAND-000001'" }));
  await at.ok(at.lake.delete('/query/saved/hers'));
  assert.ok((await at.found('CAND-000001')).some((one) => !one.path.includes('/datasets/')), 'it lies there before');
  const told = await at.erase({ dataset: 'notes', row_key_column: 'id', row_key_values: ['CAND-000001'] });
  assert.equal(told.body.state, 'erased', told.text);
  assert.deepEqual(await at.found('CAND-000001', 'zebra-striped bus'), []);
  await at.end();
});

test('rows that were not taken go, too, if they are of an erased key', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  const rows = Array.from({ length: 50 }, (_, one) => `CAND-0000${10 + one},Somebody,${one}\n`).join('');
  const came = await at.ingest('people', `id,name,n\n${rows}CAND-000010,Ann of the lakes,1,2,3\nCAND-000011,Bob of the river,1,2,3\n`);
  assert.equal(came.body.rejected_rows, 2, came.text);
  assert.ok((await at.found('CAND-000010', 'Bob of the river')).some((one) => one.path.includes('/rejects/')), 'it is kept');
  const aside = async () => (await at.lake.sql('SELECT line, raw FROM __rejects__people ORDER BY line')).body.rows;
  const bob = [53, 'CAND-000011,Bob of the river,1,2,3'];
  assert.deepEqual(await aside(), [[52, 'CAND-000010,Ann of the lakes,1,2,3'], bob]);
  const told = await at.erase({ dataset: 'people', row_key_column: 'id', row_key_values: ['CAND-000010'] });
  assert.equal(told.body.state, 'erased', told.text);
  assert.deepEqual(await aside(), [[52, 'erased'], bob]);
  assert.deepEqual(await at.found('CAND-000010', 'lakes'), []);
  assert.ok((await at.found('Bob of the river')).some((one) => one.path.includes('/rejects/')), 'those of others stay');
  assert.deepEqual((await at.lake.sql('SELECT count(*) FROM people')).body.rows, [[49]]);
  const again = await at.erase({ dataset: 'people', row_key_column: 'id', row_key_values: ['CAND-000011'] });
  assert.equal(again.body.state, 'erased', again.text);
  assert.deepEqual(await aside(), [[52, 'erased'], [53, 'erased']]);
  await at.end();
});

test('a flipped bit in rows that were not taken is found before one leaves, also in a file that was written anew', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  const rows = Array.from({ length: 50 }, (_, one) => `CAND-0000${10 + one},Somebody,${one}\n`).join('');
  const came = await at.ingest('people', `id,name,n\n${rows}CAND-000010,Ann of the lakes,1,2,3\nCAND-000011,Bob of the river,1,2,3\n`);
  const file = join(at.folder, came.body.rejects);
  const aside = () => at.lake.sql('SELECT line, raw, reason FROM __rejects__people ORDER BY line');
  const eachFlip = async (step) => {
    const good = readFileSync(file);
    const right = (await aside()).body.rows;
    assert.equal(right.length, 2);
    for (let byte = 0; byte < good.length; byte += step) {
      const bytes = Buffer.from(good);
      bytes[byte] ^= 1 << (byte % 8);
      writeFileSync(file, bytes);
      const told = await aside();
      assert.equal(told.status, 500, `byte ${byte} of ${good.length}: ${told.text}`);
      assert.equal(told.body.code, 'damaged');
      assert.match(told.body.detail, /rejected rows 'datasets\/.*' is not what was written/);
    }
    writeFileSync(file, good);
    assert.deepEqual((await aside()).body.rows, right);
  };
  await eachFlip(7);
  assert.equal((await at.erase({ dataset: 'people', row_key_column: 'id', row_key_values: ['CAND-000010'] })).body.state, 'erased');
  assert.equal((await aside()).body.rows[0][1], 'erased');
  await eachFlip(5);
  assert.equal((await at.erase({ dataset: 'people', row_key_column: 'id', row_key_values: ['CAND-000011'] })).body.state, 'erased');
  await eachFlip(97);
  await at.end();
  const bytes = readFileSync(file);
  bytes[20] ^= 4;
  writeFileSync(file, bytes);
  const verified = await run(['verify', '--data', at.folder, '--json']);
  assert.equal(verified.code, 1, verified.err);
  assert.match(verified.out, /The file of rejected rows [^"]* is not what was written/);
});
