// Indexes whose files are not what was written, or whose bucket is away: told before anybody
// searches, by every door, until they are good again.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const csv = `id,text\n${Array.from({ length: 60 }, (_, at) => `${at},river and stone number ${at}\n`).join('')}`;

async function given(context, bucket) {
  const data = temporaryFolder('lake');
  const near = temporaryFolder('near');
  const one = { data, near };
  context.after(async () => {
    await one.server?.kill();
    data.remove();
    near.remove();
  });
  one.start = async () => {
    one.server = await startServer({ data: data.path });
    one.lake = await connect(one.server);
  };
  one.again = async (meanwhile) => {
    assert.deepEqual(await one.server.stop(), { code: 0, signal: null });
    await meanwhile();
    await one.start();
  };
  one.index = async (name = 'notes_v1') => (await one.lake.get(`/vectors/indexes/${name}`)).body;
  one.problems = async (kind = 'index') => (await one.lake.get('/health')).body.problems.filter((problem) => problem.kind === kind);
  one.search = () => one.lake.post('/vectors/search', { index: 'notes_v1', query: 'river', k: 3 });
  one.part = () => {
    const root = bucket ? near.path : data.path;
    const id = readdirSync(join(root, 'indexes'))[0];
    return join(root, 'indexes', id, readdirSync(join(root, 'indexes', id)).find((name) => name.endsWith('.parquet')));
  };
  await one.start();
  if (bucket) assert.equal((await one.lake.post('/storage/buckets', { name: bucket, root: near.path })).status, 201);
  await one.lake.ingest('notes', csv, { mode: 'create', headers: bucket ? { 'x-lakehouse-bucket': bucket } : {} });
  const made = await one.lake.post('/vectors/index', { index_name: 'notes_v1', dataset: 'notes', id_column: 'id', text_columns: ['text'] });
  assert.equal(made.status, 200, made.text);
  if (bucket) assert.equal((await one.lake.patch('/vectors/indexes/notes_v1', { bucket })).status, 200);
  return one;
}

const hint = /POST \/vectors\/refresh\/notes \{"index_name": "notes_v1", "from_scratch": true\}/;

test('an index with a file missing is told at the start, and made anew', { timeout: 60000 }, async (context) => {
  const one = await given(context);
  assert.equal((await one.index()).state, 'ready');
  await one.again(() => rmSync(one.part()));
  const index = await one.index();
  assert.equal(index.state, 'damaged');
  assert.match(index.problem, /parquet is missing/);
  await one.lake.ingest('notes', 'id,text\n900,one more\n', { mode: 'append' });
  const stale = await one.lake.get('/vectors/stale');
  assert.deepEqual([stale.status, stale.body.items.map(({ index_name: name }) => name)], [200, ['notes_v1']], stale.text);
  assert.match(stale.body.items[0].problem, /parquet is missing/);
  assert.deepEqual((await one.lake.get('/vectors/indexes')).body.items.map(({ state }) => state), ['damaged']);
  const problems = await one.problems();
  assert.equal(problems.length, 1, JSON.stringify(problems));
  assert.equal(problems[0].name, 'notes_v1');
  assert.match(problems[0].detail, hint);

  const refused = await one.search();
  assert.equal(refused.status, 500);
  assert.match(refused.body.hint, hint);
  assert.equal((await one.problems()).length, 1, 'told once');

  const refreshed = await one.lake.post('/vectors/refresh/notes', { index_name: 'notes_v1', from_scratch: true });
  assert.equal(refreshed.status, 200, refreshed.text);
  assert.deepEqual(await one.problems(), []);
  assert.equal((await one.index()).state, 'ready');
  assert.equal((await one.index()).problem, undefined);
  assert.equal((await one.search()).status, 200);
});

test('damage that only a search meets is told from then on, until the file is good again', { timeout: 60000 }, async (context) => {
  const one = await given(context);
  const part = one.part();
  const kept = join(one.data.path, '..', `kept-${process.pid}.parquet`);
  copyFileSync(part, kept);
  context.after(() => rmSync(kept, { force: true }));
  await one.again(() => {
    const bytes = readFileSync(part);
    bytes[Math.floor(bytes.length / 2)] ^= 1;
    writeFileSync(part, bytes);
  });
  assert.equal((await one.index()).state, 'ready', 'a start does not read what is in it');
  const refused = await one.search();
  assert.equal(refused.status, 500, refused.text);
  assert.match(refused.body.hint, hint);
  assert.equal((await one.index()).state, 'damaged');
  assert.match((await one.problems())[0].detail, /is not what was written/);

  copyFileSync(kept, part);
  assert.equal((await one.search()).status, 200);
  assert.equal((await one.index()).state, 'ready');
  assert.deepEqual(await one.problems(), []);
});

test('an index in a bucket that is away is unavailable, and nothing is told twice', { timeout: 60000 }, async (context) => {
  const one = await given(context, 'near');
  const away = `${one.near.path}-away`;
  context.after(() => rmSync(away, { recursive: true, force: true }));
  await one.again(() => renameSync(one.near.path, away));
  const index = await one.index();
  assert.equal(index.state, 'unavailable');
  assert.match(index.problem, /bucket 'near' is not available/);
  assert.deepEqual((await one.problems()).map(({ name }) => name), ['notes_v1']);
  assert.notEqual((await one.search()).status, 200);
  assert.notEqual((await one.lake.sql('SELECT count(*) FROM notes')).status, 200);
  await new Promise((resolve) => setTimeout(resolve, 1500)); // who looks after the lake has read it
  assert.deepEqual((await one.problems('dataset')).map(({ name }) => name), ['notes']);
  assert.deepEqual((await one.problems()).map(({ name }) => name), ['notes_v1']);
  await one.again(() => renameSync(away, one.near.path));
  assert.equal((await one.index()).state, 'ready');
  assert.equal((await one.search()).status, 200);
  assert.deepEqual([...await one.problems(), ...await one.problems('dataset')], []);
});

test('a lake restored without a bucket tells each thing of it once', { timeout: 60000 }, async (context) => {
  const one = await given(context, 'near');
  const to = join(one.data.path, '..', `backup-${process.pid}`);
  const target = `${to}-restored`;
  context.after(() => [to, target].forEach((path) => rmSync(path, { recursive: true, force: true })));
  assert.equal((await one.lake.post('/system/backup', { to, primary_only: true })).status, 200);
  assert.deepEqual(await one.server.stop(), { code: 0, signal: null });
  await run(['restore', '--from', to, '--primary-only', '--data', target]);
  one.server = await startServer({ data: target });
  one.lake = await connect(one.server);
  assert.equal((await one.index()).state, 'unavailable');
  assert.notEqual((await one.search()).status, 200);
  assert.notEqual((await one.lake.sql('SELECT count(*) FROM notes')).status, 200);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.deepEqual((await one.problems('dataset')).map(({ name }) => name), ['notes'], JSON.stringify(await one.problems('dataset')));
  assert.deepEqual((await one.problems()).map(({ name }) => name), ['notes_v1']);
});
