// A key that stands in the lake within other words: in the name of a file, behind "_", between quotation
// marks. An erasure takes it out, or says where it stands and what to do.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { writeFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { house } from '../support/erase_house.mjs';

const jane = 'jane.doe@sample.invalid';
const eraseFrom = (at, column, value) => at.erase({ dataset: 'people', row_key_column: column, row_key_values: [value] });
const resume = (at, id) => at.lake.post(`/catalog/erase/${id}/resume`);

test('a key in the name of the ingested file becomes a pseudonym there, in every version', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  await at.ingest('people', `email,n\n${jane},1\nbob@sample.invalid,2\n`, { name: `cv_${jane}.csv` });
  await at.ingest('people', 'email,n\ncid@sample.invalid,3\n', { name: `export${jane}2.csv`, mode: 'append' });
  assert.ok((await at.found(jane)).length > 0, 'it stands there before');
  const told = await eraseFrom(at, 'email', jane);
  assert.equal(told.body.state, 'erased', told.text);
  assert.deepEqual(await at.found(jane), []);
  const dataset = (await at.lake.get('/catalog/datasets/by-name/people')).body;
  assert.match(dataset.lineage.source_file, /^exporterased:[0-9a-f]{16}2\.csv$/);
  assert.equal(dataset.row_count, 2);
  await at.end();
});

for (const [how, text] of [
  ['between quotation marks of another language', (key) => `asked for by \u201c${key}\u201d in May`],
  ['behind "_"', (key) => `export_${key}`],
  ['before "-"', (key) => `${key}-old`],
  ['beside letters with accents', (key) => `caf\u00e9${key}\u00e9`],
  ['behind the end of a line', (key) => `asked for by\n${key}`],
])
  for (const key of [jane, 'CAND-71'])
    test(`${key} in a description ${how} is told, with what to do`, { timeout: 60000 }, async (context) => {
      const at = await house(context);
      await at.ingest('people', `id,n\n${key},1\nanother,2\n`);
      await at.describe('people', { description: text(key) });
      const told = await eraseFrom(at, 'id', key);
      assert.equal(told.body.state, 'incomplete', told.text);
      const what = told.body.found.map((one) => one.what).join();
      assert.match(what, /in the description of the dataset 'people'.*PATCH .*metadata.*resume/);
      await at.describe('people', { description: 'of nobody' });
      const again = await resume(at, told.body.erase_id);
      assert.equal(again.body.state, 'erased', again.text);
      assert.deepEqual(await at.found(key), []);
      await at.end();
    });

test('a key in the description of a dataset that was not asked for is told as elsewhere, with what to do', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  await at.ingest('people', `id,n\n${jane},1\nanother,2\n`);
  await at.ingest('calls', 'who,n\n1,1\n');
  await at.describe('calls', { description: `of_${jane}` });
  const told = await eraseFrom(at, 'id', jane);
  assert.equal(told.body.state, 'erased_here', told.text);
  assert.deepEqual(told.body.elsewhere.map((one) => one.dataset), ['calls']);
  assert.match(told.body.hint, /description, tags\), PATCH .*metadata/);
  await at.end();
});

test('another one whose key ends alike stays what it is, and is no finding', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  await at.ingest('people', 'id,n\nann@sample.invalid,1\njoann@sample.invalid,2\n', { name: 'of_joann@sample.invalid.csv' });
  await at.ingest('calls', 'who,n\ndiann@sample.invalid,1\n');
  await at.ok(at.lake.post('/journal/event', { action: 'called', entity_id: 'people/joann@sample.invalid' }));
  const told = await eraseFrom(at, 'id', 'ann@sample.invalid');
  assert.equal(told.body.state, 'erased', told.text);
  assert.ok(told.body.not_covered.some((one) => one.includes('within longer words')), told.text);
  const events = (await at.lake.get('/journal/recent?limit=500')).body.items;
  assert.ok(events.some((one) => one.entity_id === 'people/joann@sample.invalid'), JSON.stringify(events));
  assert.equal((await at.lake.get('/catalog/datasets/by-name/people')).body.lineage.source_file, 'of_joann@sample.invalid.csv');
  await at.end();
});

test('a short number in dates, decimals and names of others is no finding', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  await at.ingest('people', 'id,day,share\n7,2024-01-07,0.7\n8,2024-07-07,7.5\n');
  await at.describe('people', { description: 'as of 2024-01-07 07:07, version 0.7.1, CAND-7' });
  const told = await eraseFrom(at, 'id', 7);
  assert.equal(told.body.state, 'erased', told.text);
  assert.equal(told.body.values[0].proof, 'compared');
  await at.end();
});

test('a receipt says no key, not even of a file that is called so; what was deleted goes from the trash', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  await at.ingest('people', `email,n\n${jane},1\nbob@sample.invalid,2\n`);
  const path = `/storage/buckets/primary/objects/notes/${jane}.txt`;
  const put = await at.lake.send('PUT', path, { body: 'a note' });
  assert.ok(put.status < 300, put.text);
  const told = await eraseFrom(at, 'email', jane);
  assert.equal(told.body.state, 'incomplete', told.text);
  assert.ok(told.body.found.length > 0 && !told.text.includes(jane), told.text);
  assert.ok(told.body.found.some((one) => /notes.*erased:[0-9a-f]{16}/.test(one.object)), told.text);
  await at.ok(at.lake.delete(path));
  const again = await resume(at, told.body.erase_id);
  assert.equal(again.body.state, 'erased', again.text);
  assert.deepEqual(await at.found(jane), []);
  await at.end();
});

test('the receipt of one that was given up holds no key, and an older one that does is mended', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  await at.ingest('people', `email,n\n${jane},1\nbob@sample.invalid,2\n`);
  await at.describe('people', { description: `of ${jane}` });
  const told = await eraseFrom(at, 'email', jane);
  assert.equal(told.body.state, 'incomplete', told.text);
  const given = await at.ok(at.lake.delete(`/catalog/erase/${told.body.erase_id}`));
  assert.equal(given.body.state, 'given_up', given.text);
  await at.describe('people', { description: 'of nobody' });
  // As an earlier release wrote it.
  const receipt = join(at.folder, '_erase', `${told.body.erase_id}.receipt.json`);
  const kept = JSON.parse(readFileSync(receipt, 'utf8'));
  assert.ok(!JSON.stringify(kept).includes(jane));
  kept.found = [{ object: `_objects/heads/+notes/=${jane}.txt`, what: 'A key stands in it.' }];
  writeFileSync(receipt, JSON.stringify(kept));
  const again = await eraseFrom(at, 'email', jane);
  assert.equal(again.body.state, 'erased', again.text);
  assert.deepEqual(await at.found(jane), []);
  const old = await at.ok(at.lake.get(`/catalog/erase/${told.body.erase_id}`));
  assert.match(old.body.found[0].object, /^_objects\/heads\/\+notes\/=erased:[0-9a-f]{16}\.txt$/);
  await at.end();
});
