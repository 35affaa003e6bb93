// Rows erased from datasets that lie in other buckets: in folders, and in a store that keeps old
// versions, unfinished uploads, and what it is told to lock; searched for by code of our own.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { leftovers } from '../support/leftovers.mjs';
import { program, startServer, temporaryFolder } from '../support/server.mjs';
import { startStore } from '../support/s3-server.mjs';

const env = { LAKEHOUSE_COMPACTION_ENABLED: 'false', LAKEHOUSE_LOG_REQUESTS: 'false' };
const people = (from, count) => `id,name\n${Array.from({ length: count }, (_, at) => `CAND-${String(from + at).padStart(6, '0')},Surname${from + at}x of the lakeside\n`).join('')}`;
const texts = ['CAND-000007', 'Surname7x of'];
const erase = (lake, more = {}) => lake.post('/catalog/erase', { dataset: 'people', row_key_column: 'id', row_key_values: ['CAND-000007'], reason: 'a letter', ...more });

async function open(context, options) {
  const data = temporaryFolder('lake');
  const near = temporaryFolder('near');
  const mirror = temporaryFolder('mirror');
  const store = await startStore(options);
  writeFileSync(join(data.path, 'secrets.toml'), store.secretsText());
  chmodSync(join(data.path, 'secrets.toml'), 0o600);
  writeFileSync(join(data.path, 'lakehouse.toml'), `[storage]\nrescue_bucket = "spare"\n[[storage.buckets]]\nname = "spare"\nroot = "${mirror.path}"\n`);
  const one = { data, near, mirror, store };
  context.after(async () => {
    await one.server?.kill();
    await store.stop();
    for (const folder of [data, near, mirror]) folder.remove();
  });
  one.start = async () => {
    one.server = await startServer({ data: data.path, env });
    one.lake = await connect(one.server);
  };
  one.verify = async () => {
    assert.deepEqual(await one.server.stop(), { code: 0, signal: null });
    await promisify(execFile)(program, ['verify', '--data', data.path]);
  };
  await one.start();
  assert.equal((await one.lake.post('/storage/buckets', { name: 'near', root: near.path })).status, 201);
  const made = await one.lake.post('/storage/buckets', { name: 'far', backend: 's3', endpoint: store.endpoint, region: store.region, bucket: store.bucket, prefix: 'p', secret: 'warehouse' });
  assert.equal(made.status, 201, made.text);
  one.fill = async (bucket) => {
    const headers = { 'x-lakehouse-bucket': bucket };
    assert.equal((await one.lake.ingest('people', people(0, 100), { headers })).status, 200);
    assert.equal((await one.lake.ingest('people', people(100, 50), { mode: 'append', headers })).status, 200);
  };
  // All that the store has of any version, as files; and what lies in folders.
  one.leftovers = async () => {
    const dump = temporaryFolder('dump');
    const versions = [...new Set([...store.objects.keys(), ...store.past.keys()])].flatMap((key) => store.past.get(key) ?? [store.objects.get(key)]);
    versions.filter((version) => !version.isMarker).forEach(({ bytes }, at) => writeFileSync(join(dump.path, String(at)), bytes));
    [...store.uploads.values()].forEach(({ parts }, at) => writeFileSync(join(dump.path, `part${at}`), Buffer.concat([...parts.values()])));
    const found = [];
    for (const folder of [data, near, mirror, dump]) found.push(...(await leftovers(folder.path, texts)).found);
    dump.remove();
    return found.map(({ path, text, where }) => `${path} ${text} ${where}`);
  };
  one.rows = async () => assert.deepEqual(await one.lake.rows('SELECT count(*), count(*) FILTER (id = \'CAND-000007\') FROM people'), [[149, 0]]);
  return one;
}

test('rows go from folders beside the data folder, with trash and copies that nobody names', async (context) => {
  const one = await open(context);
  await one.fill('near');
  const id = readdirSync(join(one.near.path, 'datasets'))[0];
  const from = join(one.near.path, 'datasets', id);
  const [file] = readdirSync(from);
  // A person's copy for rescues, and what a writer left that was killed: both hold the rows.
  mkdirSync(join(one.mirror.path, 'datasets', id), { recursive: true });
  copyFileSync(join(from, file), join(one.mirror.path, 'datasets', id, file));
  copyFileSync(join(from, file), join(from, `${randomUUID()}.parquet`));
  const away = await one.lake.post('/catalog/datasets/by-name/people/move', { to: 'primary', wait: true });
  assert.equal(away.status, 200, away.text); // now the trash of near holds them, too
  const told = await erase(one.lake);
  assert.equal(told.body.state, 'erased', told.text);
  const near = told.body.buckets.find((bucket) => bucket.bucket === 'near');
  assert.ok(near.objects_removed >= 3 && !near.problem, told.text);
  assert.equal(told.body.buckets.find((bucket) => bucket.bucket === 'spare').objects_removed, 1, told.text);
  assert.deepEqual(await one.leftovers(), []);
  await one.rows();
  await one.verify();
});

// Into primary, as somebody does for a rescue; returns the dataset's id, the folder and its files.
function copyBeside(one) {
  const id = readdirSync(join(one.near.path, 'datasets'))[0];
  const from = join(one.near.path, 'datasets', id);
  const to = join(one.data.path, 'datasets', id);
  mkdirSync(to, { recursive: true });
  const files = readdirSync(from);
  for (const file of files) copyFileSync(join(from, file), join(to, file));
  return { id, to, files };
}

test('copies for rescues that lie in primary go with the files that they are of', async (context) => {
  const one = await open(context);
  await one.fill('near');
  const { id, to, files } = copyBeside(one);
  const trial = await erase(one.lake, { dry_run: true });
  assert.ok(trial.body.found.some((place) => place.object.startsWith(`datasets/${id}/`)), trial.text);
  assert.deepEqual(readdirSync(to).sort(), files.sort(), 'a dry run removes nothing');
  const told = await erase(one.lake);
  assert.equal(told.body.state, 'erased', told.text);
  assert.equal(told.body.buckets.find((bucket) => bucket.bucket === 'primary').objects_removed, 2, told.text);
  assert.ok(!readdirSync(to).some((file) => files.includes(file)), 'a copy is still there');
  assert.deepEqual(await one.leftovers(), []);
  await one.rows();
  await one.verify();
});

test('copies for rescues go, too, whose files went with versions that had expired before', async (context) => {
  const one = await open(context);
  await one.fill('near');
  const { to, files } = copyBeside(one);
  assert.equal((await one.lake.post('/query/compact', { dataset: 'people', wait: true })).status, 200);
  const expired = await one.lake.post('/catalog/expire', { dataset: 'people', older_than_s: 0 });
  assert.equal(expired.status, 200, expired.text);
  const told = await erase(one.lake);
  assert.equal(told.body.state, 'erased', told.text);
  assert.ok(!readdirSync(to).some((file) => files.includes(file)), 'a copy is still there');
  assert.ok(told.body.buckets.find((bucket) => bucket.bucket === 'primary').objects_removed >= files.length, told.text);
  assert.deepEqual(await one.leftovers(), []);
  await one.rows();
  await one.verify();
});

test('what people put in another bucket is found there, and told', async (context) => {
  const one = await open(context);
  await one.fill('near');
  const put = await one.lake.send('PUT', '/storage/buckets/near/objects/letters/7.txt', { body: 'Dear CAND-000007, hello' });
  assert.ok(put.status < 300, put.text);
  const told = await erase(one.lake);
  assert.equal(told.body.state, 'incomplete', told.text);
  assert.ok(told.body.found.every((one_) => one_.object.startsWith('near://_objects/')), told.text);
  assert.equal((await one.lake.delete('/storage/buckets/near/objects/letters/7.txt')).status, 204);
  const again = await one.lake.post(`/catalog/erase/${told.body.erase_id}/resume`, { wait: true });
  assert.ok(again.status < 300, again.text);
  await one.verify();
});

for (const versioning of [null, 'Enabled', 'Suspended']) {
  test(`rows go from a store whose versioning is ${versioning ?? 'off'}, from every version and upload`, async (context) => {
    const one = await open(context, { versioning });
    const { store } = one;
    store.pageSize = 3;
    await one.fill('far');
    assert.deepEqual(await one.lake.rows('SELECT count(*) FROM people'), [[150]]); // it is in the cache
    assert.equal((await one.lake.post('/catalog/datasets/by-name/people/move', { to: 'primary', wait: true })).status, 200);
    assert.equal((await one.lake.post('/catalog/datasets/by-name/people/move', { to: 'far', wait: true })).status, 200);
    const [key] = [...store.objects.keys()].filter((name) => /^p\/datasets\//.test(name));
    const before = store.objects.size;
    const none = await erase(one.lake, { row_key_values: ['CAND-999999'] });
    assert.equal(none.body.state, 'no_match', none.text);
    assert.deepEqual(await one.lake.rows('SELECT count(*) FROM people AT (VERSION => 1)'), [[100]], 'nothing was changed');
    assert.equal(store.objects.size, before);
    store.uploads.set('left', { key: `${key}.part`, parts: new Map([[1, Buffer.from('PAR1 CAND-000007')]]), meta: {} });
    const trial = await erase(one.lake, { dry_run: true });
    assert.ok(trial.body.found.some((one_) => /^far:\/\/datasets\//.test(one_.object)), trial.text);
    assert.equal(store.uploads.size, 1, 'a dry run removes nothing');
    const kept = [...store.past.values()].flat().length;
    const told = await erase(one.lake);
    assert.equal(told.status, 200, told.text);
    assert.equal(told.body.state, 'erased', told.text);
    const far = told.body.buckets.find((bucket) => bucket.bucket === 'far');
    assert.ok(far.objects_removed >= (versioning ? 5 : 2), told.text);
    assert.equal(far.uploads_removed, 1);
    assert.ok(far.files >= 2, told.text);
    if (versioning) assert.ok([...store.past.values()].flat().length < kept);
    assert.equal(store.uploads.size, 0);
    assert.deepEqual(await one.leftovers(), []);
    await one.rows();
    await one.verify();
    await one.start();
    await one.rows();
  });
}

test('a store that does not tell or give up all it holds leaves an erasure incomplete, with the reason', async (context) => {
  const one = await open(context, { versioning: 'Enabled' });
  const { store } = one;
  await one.fill('far');
  const ways = [
    [() => store.denies.add('versions'), /does not list them/],
    [() => { store.lacks.add('versions'); store.lacks.add('versioning'); }, null],
    [() => { store.denies.add('versions').add('versioning'); }, /does not tell/],
    [() => store.denies.add('uploads'), /uploads that were never ended/],
    [() => { store.faults = [{ when: (request) => request.url.includes('versions'), times: Infinity, deed: { status: 503, code: 'SlowDown' } }]; }, /503 SlowDown/],
  ];
  let erasure;
  const attempt = async () => {
    const told = erasure ? await one.lake.post(`/catalog/erase/${erasure}/resume`, { wait: true }) : await erase(one.lake);
    erasure = told.body.erase_id ?? erasure;
    return told;
  };
  for (const [arrange, reason] of ways.filter(([, one_]) => one_)) {
    arrange();
    const told = await attempt();
    assert.equal(told.body.state, 'incomplete', told.text);
    const found = told.body.found.find((one_) => one_.object.startsWith('far://'));
    assert.match(found.what, /'far'/);
    assert.match(found.what, reason);
    assert.match(told.body.buckets.find((bucket) => bucket.bucket === 'far').problem, reason);
    store.denies.clear();
    store.lacks.clear();
    store.faults = [];
  }
  store.lock = (key) => (/_trash/.test(key) ? { until: '2031-01-02T03:04:05.000Z' } : null);
  const locked = await attempt();
  assert.equal(locked.body.state, 'incomplete', locked.text);
  assert.ok(locked.body.found.some((one_) => /far:\/\/_trash.*versionId=/.test(one_.object) && /locked until 2031-01-02/.test(one_.what)), locked.text);
  store.lock = () => null;
  const done = await attempt();
  assert.equal(done.body.state, 'erased', done.text);
  assert.deepEqual(await one.leftovers(), []);
  await one.rows();
});

test('a bucket that is away leaves an erasure incomplete until it is back', async (context) => {
  const one = await open(context);
  await one.fill('primary');
  assert.deepEqual(await one.server.stop(), { code: 0, signal: null });
  renameSync(one.near.path, `${one.near.path}.away`);
  await one.start();
  one.store.isGone = true;
  const told = await erase(one.lake);
  assert.equal(told.body.state, 'incomplete', told.text);
  assert.deepEqual(told.body.found.map((one_) => one_.object), ['far://', 'near://'], told.text);
  assert.match(told.body.found[0].what, /no bucket 'warehouse' any more/);
  assert.match(told.body.found[1].what, /'near' is not there/);
  assert.match(JSON.stringify((await one.lake.get('/health')).body), /or a place could not be looked into/);
  renameSync(`${one.near.path}.away`, one.near.path);
  one.store.isGone = false;
  const health = async () => (await one.lake.get('/storage/bucket-health')).body.items;
  while (!(await health()).every((bucket) => bucket.available)) await new Promise((resolve) => { setTimeout(resolve, 100); });
  const again = await one.lake.post(`/catalog/erase/${told.body.erase_id}/resume`, { wait: true });
  assert.equal(again.body.state, 'erased', again.text);
  assert.deepEqual(await one.leftovers(), []);
});
