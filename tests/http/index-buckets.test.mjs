// Indexes in other buckets than primary: a store of the S3 protocol that fails as stores do, and a
// folder. What is asked answers alike wherever it is; what is erased is nowhere; a backup has it.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { chmodSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { leftovers } from '../support/leftovers.mjs';
import { program, run, startServer, temporaryFolder } from '../support/server.mjs';
import { startStore } from '../support/s3-server.mjs';

const env = { LAKEHOUSE_SEARCH_GRAPH_ROWS: '500', LAKEHOUSE_LOG_REQUESTS: 'false' };
const words = ['river', 'stone', 'market', 'window', 'garden', 'letter', 'table', 'winter'];
const textOf = (at) => `${words[at % 8]} and ${words[(at >> 3) % 8]} of ${words[(at >> 6) % 8]} number ${at}`;
const csv = (from, to) => `id,text\n${Array.from({ length: to - from }, (_, at) => `KEY-${String(from + at).padStart(5, '0')},${textOf(from + at)}\n`).join('')}`;
const rows = 1200;
const secret = 'KEY-00007';

async function open(context, options) {
  const data = temporaryFolder('lake');
  const near = temporaryFolder('near');
  const store = await startStore(options);
  writeFileSync(join(data.path, 'secrets.toml'), store.secretsText());
  chmodSync(join(data.path, 'secrets.toml'), 0o600);
  const one = { data, near, store };
  context.after(async () => {
    await one.server?.kill();
    await store.stop();
    data.remove();
    near.remove();
  });
  one.start = async () => {
    one.server = await startServer({ data: data.path, env });
    one.lake = await connect(one.server);
  };
  one.again = async () => {
    assert.deepEqual(await one.server.stop(), { code: 0, signal: null });
    await promisify(execFile)(program, ['verify', '--data', data.path]); // the store is this process
    await one.start();
  };
  one.ok = (reply, status = 200) => {
    assert.equal(reply.status, status, reply.text);
    return reply.body;
  };
  one.index = async () => one.ok(await one.lake.get('/vectors/indexes/notes_v1'));
  one.move = (bucket, headers = {}) => one.lake.send('PATCH', '/vectors/indexes/notes_v1', { json: { bucket }, headers });
  one.ask = async (more = {}) => one.ok(await one.lake.post('/vectors/search', { index: 'notes_v1', query: 'river and stone of market', k: 5, ef: 30, ...more }));
  one.ids = async (more) => (await one.ask(more)).items.map(({ id }) => id);
  one.stored = () => [...store.objects.keys()].filter((key) => /^p\/(indexes|_hnsw_)/.test(key));
  // What a folder has of the index, but for its manifests and the keyword leg.
  one.files = (root) => ['indexes', '_hnsw_trials', '_hnsw_promotions', '_hnsw_evals'].flatMap((folder) => {
    const path = join(root, folder);
    return existsSync(path) ? readdirSync(path, { recursive: false }).flatMap((id) => readdirSync(join(path, id)).filter((name) => !name.startsWith('keyword')).map((name) => `${folder}/${name}`)) : [];
  });
  await one.start();
  one.ok(await one.lake.post('/storage/buckets', { name: 'far', backend: 's3', endpoint: store.endpoint, region: store.region, bucket: store.bucket, prefix: 'p', secret: 'warehouse' }), 201);
  one.ok(await one.lake.post('/storage/buckets', { name: 'near', root: near.path }), 201);
  one.ok(await one.lake.ingest('notes', csv(0, rows), { mode: 'create' }));
  one.ok(await one.lake.post('/vectors/index', { index_name: 'notes_v1', dataset: 'notes', id_column: 'id', text_columns: ['text'] }));
  return one;
}

async function tune(one) {
  one.ok(await one.lake.post('/vectors/hnsw/evals/drawn/autogen', { index_name: 'notes_v1', queries: 10, k: 5 }));
  const trial = one.ok(await one.lake.post('/vectors/hnsw/trial', { index_name: 'notes_v1', harness: 'drawn', config: { ef_construction: 40, ef_search: 60 } }));
  one.ok(await one.lake.post(`/vectors/hnsw/promote/notes_v1/${trial.trial_id}`));
  return trial.trial_id;
}

async function isTuned(one, trial) {
  assert.deepEqual(one.ok(await one.lake.get('/vectors/hnsw/trials/notes_v1')).items.map(({ trial_id: id }) => id), [trial]);
  assert.equal(one.ok(await one.lake.get('/vectors/hnsw/promoted/notes_v1')).current.trial_id, trial);
  assert.equal(one.ok(await one.lake.get('/vectors/hnsw/evals/drawn?index_name=notes_v1')).query_count, 10);
}

test('an index goes to a store and to a folder with all that is its own, and answers alike', { timeout: 180000 }, async (context) => {
  const one = await open(context);
  const trial = await tune(one);
  const before = await one.ask();
  assert.equal(before.method, 'hnsw');
  const version = (await one.index()).version;
  assert.equal((await one.move('far', { 'if-match': `"${version + 7}"` })).status, 412);
  assert.equal((await one.move('nowhere')).status, 404);
  const both = await one.lake.send('PATCH', '/vectors/indexes/notes_v1', { json: { bucket: 'far', description: 'x' } });
  assert.equal(both.status, 400, both.text);

  assert.equal(one.ok(await one.move('far')).bucket, 'far');
  assert.deepEqual(one.files(one.data.path), [], 'copies were left in primary');
  const kinds = new Set(one.stored().map((key) => key.replace(/.*\//, '').replace(/^[^.]*\./, '')));
  assert.deepEqual([...kinds].sort(), ['graph', 'json', 'model', 'parquet']);
  assert.deepEqual((await one.ask()).items, before.items);
  await isTuned(one, trial);
  await one.again();
  const cold = await one.ask();
  assert.equal(cold.method, 'hnsw', 'the graph is mapped from the cache');
  assert.deepEqual(cold.items, before.items);
  await isTuned(one, trial);
  assert.equal((await one.lake.send('DELETE', '/storage/buckets/far')).status, 409, 'an index lives there');

  // What comes later is written there; so is a new generation, and another trial.
  const parts = one.stored().filter((key) => key.endsWith('.parquet')).length;
  one.ok(await one.lake.ingest('notes', csv(rows, rows + 50), { mode: 'append' }));
  one.ok(await one.lake.post('/vectors/refresh/notes', { index_name: 'notes_v1' }));
  assert.ok(one.stored().filter((key) => key.endsWith('.parquet')).length >= parts);
  one.ok(await one.lake.post('/vectors/refresh/notes', { index_name: 'notes_v1', from_scratch: true }));
  assert.deepEqual(one.files(one.data.path), []);
  assert.equal((await one.index()).generation, 2);
  await one.again();
  assert.equal((await one.ask({ k: 2000, ef: undefined })).items.length, rows + 50);

  assert.equal(one.ok(await one.move('near')).bucket, 'near');
  assert.deepEqual(one.stored(), []);
  assert.ok(one.files(one.near.path).length >= 5, one.files(one.near.path).join());
  await one.again();
  await isTuned(one, trial);
  const planned = one.ok(await one.lake.post('/catalog/migrate-buckets', { from: 'near', dry_run: true }));
  assert.equal((await one.index()).bucket, 'near', 'a plan moves nothing');
  assert.deepEqual(planned.indexes.map(({ index, files, bytes }) => [index, files, bytes > rows]), [['notes_v1', one.files(one.near.path).length, true]]);
  const moved = one.ok(await one.lake.post('/catalog/migrate-buckets', { from: 'near', wait: true }));
  assert.deepEqual(moved.indexes, planned.indexes);
  assert.deepEqual(one.files(one.near.path), []);
  assert.equal((await one.index()).bucket, 'primary');
  assert.equal((await one.ask()).method, 'hnsw');
  await isTuned(one, trial);
  await one.again();
  one.ok(await one.lake.send('DELETE', '/storage/buckets/far'), 204);
  const events = one.ok(await one.lake.get('/journal/recent?limit=100')).items.filter(({ action }) => action === 'index.move');
  assert.deepEqual(events.map(({ detail }) => (typeof detail === 'string' ? JSON.parse(detail) : detail)).map(({ from, to }) => `${from}>${to}`).sort(), ['far>near', 'near>primary', 'primary>far']);
});

test('a store that fails half way leaves the index where it was; one that is away is told by its name', { timeout: 120000 }, async (context) => {
  const one = await open(context);
  const { store } = one;
  const before = await one.ids();
  let puts = 0;
  const isOwn = (request, url) => /\/p\/indexes\//.test(url.path);
  store.faults = [{ when: (request, url) => isOwn(request, url) && request.method === 'PUT' && puts++ >= 1, times: Infinity, deed: { status: 503, code: 'SlowDown' } }];
  const refused = await one.move('far');
  assert.equal(refused.status, 503, refused.text);
  assert.match(refused.body.detail, /'far'/);
  assert.equal((await one.index()).bucket, 'primary');
  assert.deepEqual(one.stored(), [], 'what was copied in vain went');
  assert.deepEqual(await one.ids(), before);
  store.faults = [];
  await one.again();
  one.ok(await one.move('far'));
  await one.again();

  // Away before anything was read: said by name, and words are not to be had either.
  store.faults = [{ when: isOwn, times: Infinity, deed: { status: 503, code: 'SlowDown' } }];
  for (const folder of readdirSync(join(one.data.path, '_cache'))) rmSync(join(one.data.path, '_cache', folder), { recursive: true });
  const away = await one.lake.post('/vectors/search', { index: 'notes_v1', query: 'river', k: 5 });
  assert.equal(away.status, 503, away.text);
  assert.match(away.body.detail, /'notes_v1'.*'far'|'far'.*'notes_v1'/s);
  assert.equal((await one.index()).bucket, 'far', 'it is known all the same');
  // Only its graph: everything is looked at, and the answer says so.
  store.faults = [{ when: (request, url) => /\.graph$/.test(url.path), times: Infinity, deed: { status: 503, code: 'SlowDown' } }];
  const exact = await one.ask();
  assert.equal(exact.method, 'exact');
  assert.match(exact.note, /'far'/);
  assert.deepEqual(exact.items.map(({ id }) => id), before);

  // Removed while the store is away: gone for everybody, and from the store when it is back.
  store.faults = [{ when: () => true, times: Infinity, deed: { status: 503, code: 'SlowDown' } }];
  one.ok(await one.lake.send('DELETE', '/vectors/indexes/notes_v1'), 204);
  assert.equal((await one.lake.get('/vectors/indexes/notes_v1')).status, 404);
  assert.ok(one.stored().length > 0);
  store.faults = [];
  await one.again();
  for (let at = 0; at < 400 && one.stored().length; at++) await new Promise((resolve) => setTimeout(resolve, 25));
  assert.deepEqual(one.stored(), []);
  assert.equal((await one.lake.get('/vectors/indexes/notes_v1')).status, 404);
  await one.again();
});


test('a move that is killed while it copies leaves the index whole, and nothing in the store', { timeout: 120000 }, async (context) => {
  const one = await open(context);
  const { store } = one;
  const before = await one.ids();
  store.faults = [{ when: (request, url) => request.method === 'PUT' && /\/indexes\//.test(url.path), times: Infinity, deed: { delayMs: 400 } }];
  const gone = one.move('far').catch(() => null);
  while (one.stored().length < 1) await new Promise((resolve) => setTimeout(resolve, 20));
  await one.server.kill();
  await gone;
  store.faults = [];
  await one.start();
  assert.equal((await one.index()).bucket, 'primary');
  assert.deepEqual(await one.ids(), before);
  for (let at = 0; at < 400 && one.stored().length; at++) await new Promise((resolve) => setTimeout(resolve, 25));
  assert.deepEqual(one.stored(), [], 'the sweep removes what the killed move copied');
  await one.again();
  one.ok(await one.move('far'));
  assert.deepEqual(await one.ids(), before);
  await one.again();
});

test('what is erased is gone from an index in a store that keeps old versions, and a backup brings one back', { timeout: 180000 }, async (context) => {
  const one = await open(context, { versioning: 'Enabled' });
  const { store } = one;
  one.ok(await one.lake.post('/vectors/hnsw/evals', { name: 'ours', index_name: 'notes_v1', k: 3, queries: [{ query: 'who is it', relevant: [secret] }, { query: 'river', relevant: ['KEY-00008'] }] }));
  one.ok(await one.move('far'));
  const whole = one.ok(await one.lake.post('/catalog/erase', { dataset: 'notes', row_key_column: 'id', row_key_values: [secret], reason: 'a letter', wait: true }));
  assert.equal(whole.state, 'erased', JSON.stringify(whole));
  const dump = temporaryFolder('dump');
  context.after(() => dump.remove());
  const versions = [...new Set([...store.objects.keys(), ...store.past.keys()])].flatMap((key) => store.past.get(key) ?? [store.objects.get(key)]);
  versions.filter((version) => !version.isMarker).forEach(({ bytes }, at) => writeFileSync(join(dump.path, String(at)), bytes));
  assert.deepEqual((await leftovers(dump.path, [secret, textOf(7)])).found, []);
  assert.ok(!(await one.ids({ k: 2000, ef: undefined })).includes(secret));
  assert.equal((await one.index()).bucket, 'far');
  await one.again();

  const backup = temporaryFolder('backup');
  context.after(() => backup.remove());
  const to = join(backup.path, 'b');
  one.ok(await one.lake.post('/system/backup', { to }));
  const before = await one.ids();
  await one.server.stop();
  const target = join(backup.path, 'lake');
  const restored = await run(['restore', '--from', to, '--data', target, '--buckets', `far=${join(backup.path, 'far')}`]);
  assert.equal(restored.code, 0, restored.err);
  await promisify(execFile)(program, ['verify', '--data', target]);
  one.server = await startServer({ data: target, env });
  one.lake = await connect(one.server);
  const answer = await one.ask();
  assert.equal(answer.method, 'hnsw');
  assert.deepEqual(answer.items.map(({ id }) => id), before);
  assert.equal(one.ok(await one.lake.get('/vectors/hnsw/evals/ours?index_name=notes_v1')).query_count, 1);
});
