// Datasets and objects in a store that fails as stores do: every fault either ends in success, told
// as such and whole, or in a clear error with nothing changed.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync, chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { startServer, temporaryFolder } from '../support/server.mjs';
import { startStore } from '../support/s3-server.mjs';

const quiet = { LAKEHOUSE_LOG_REQUESTS: 'false' };
const far = { 'x-lakehouse-bucket': 'far' };
const at = '/storage/buckets/far/objects';
const rows = (from, count) => `id,name\n${Array.from({ length: count }, (_, one) => `${from + one},n${from + one}`).join('\n')}\n`;
const files = (folder) => (existsSync(folder) ? readdirSync(folder, { withFileTypes: true }).flatMap((one) => (one.isDirectory() ? files(join(folder, one.name)) : [join(folder, one.name)])) : []);
const isData = (request, url) => /\/datasets\//.test(url.path);

async function open({ store, data, ...more } = {}) {
  const own = data ?? temporaryFolder('lake');
  const place = store ?? await startStore();
  writeFileSync(join(own.path, 'secrets.toml'), place.secretsText());
  chmodSync(join(own.path, 'secrets.toml'), 0o600);
  const server = await startServer({ data: own.path, ...more, env: { ...quiet, ...more.env } });
  const lake = await connect(server);
  const isThere = (await lake.get('/storage/buckets')).body.items.some((one) => one.name === 'far');
  if (!isThere) {
    const made = await lake.post('/storage/buckets', { name: 'far', backend: 's3', endpoint: place.endpoint, region: place.region, bucket: place.bucket, prefix: 'p', secret: 'warehouse' });
    assert.equal(made.status, 201, made.text);
  }
  const cached = () => files(join(own.path, '_cache'));
  const emptyCache = () => { for (const file of cached()) rmSync(file); };
  return { server, lake, store: place, data: own, cached, emptyCache,
    async close() { await server.stop(); if (!store) await place.stop(); if (!data) own.remove(); } };
}

let one;
before(async () => { one = await open(); });
after(async () => { await one.close(); });

// Every way to fail once, at the put of a data file and at the get of it.
const once = {
  'is at its limits': { status: 503, code: 'SlowDown' },
  'has a defect': { status: 500, code: 'InternalError' },
  'hangs up before': { hangUp: true },
  'is slow': { delayMs: 700 },
};
for (const [name, deed] of Object.entries({ ...once, 'hangs up after it is done': { doneThenHangUp: true }, 'answers 500 after it is done': { doneThen: { status: 500, code: 'InternalError' } }, 'meets another put': { status: 409, code: 'ConditionalRequestConflict' } })) {
  test(`a put of a store that ${name} ends as one version, whole`, async () => {
    const { lake, store } = one;
    const dataset = `put_${name.replaceAll(/\W/g, '_')}`;
    const fault = { when: (request, url) => request.method === 'PUT' && isData(request, url), times: 1, deed };
    store.faults = [fault];
    const made = await lake.ingest(dataset, rows(0, 100), { headers: far });
    assert.equal(made.status, 200, made.text);
    assert.equal(fault.struck, 1);
    store.faults = [];
    one.emptyCache();
    assert.deepEqual(await lake.rows(`SELECT count(*), sum(id)::BIGINT FROM ${dataset}`), [[100, 4950]]);
    const { version, objects } = (await lake.get(`/catalog/datasets/by-name/${dataset}`)).body;
    assert.deepEqual([version, objects.length], [1, 1]);
  });
}

for (const [name, deed] of Object.entries({ ...once, 'cuts the body': { truncate: true }, 'sends other bytes once': { corrupt: true } })) {
  test(`a read of a store that ${name} gives every row`, async () => {
    const { lake, store } = one;
    const dataset = `get_${name.replaceAll(/\W/g, '_')}`;
    assert.equal((await lake.ingest(dataset, rows(0, 5000), { headers: far })).status, 200);
    one.emptyCache();
    const fault = { when: (request, url) => request.method === 'GET' && isData(request, url), times: 1, deed };
    store.faults = [fault];
    assert.deepEqual(await lake.rows(`SELECT count(*), sum(id)::BIGINT FROM ${dataset}`), [[5000, 12497500]]);
    assert.equal(fault.struck, 1);
    store.faults = [];
  });
}

test('a cut body is gone on with behind what came, as a range of the same object', async () => {
  const { lake, store } = one;
  const bytes = randomBytes(2_000_000);
  assert.equal((await lake.send('PUT', `${at}/long`, { body: bytes })).status, 201);
  one.emptyCache();
  store.seen.length = 0;
  store.faults = [{ when: (request, url) => request.method === 'GET' && /_objects\/data/.test(url.path), times: 3, deed: { truncate: true } }];
  assert.ok((await lake.get(`${at}/long`)).bytes.equals(bytes));
  store.faults = [];
});

test('a store that fails to the end gives a clear error, and nothing was changed', async () => {
  const { lake, store } = one;
  assert.equal((await lake.ingest('kept', rows(0, 10), { headers: far })).status, 200);
  for (const deed of [{ status: 503, code: 'SlowDown' }, { hangUp: true }]) {
    store.faults = [{ when: (request, url) => isData(request, url), times: Infinity, deed }];
    const refused = await lake.ingest('kept', rows(10, 10), { mode: 'append', headers: far });
    assert.equal(refused.status, 503, refused.text);
    assert.match(refused.body.detail, /'far'/);
    one.emptyCache();
    const read = await lake.sql('SELECT count(*) FROM kept');
    assert.equal(read.status, 503, read.text);
    assert.match(read.body.detail, /'far'/);
    store.faults = [];
    assert.deepEqual(await lake.rows('SELECT count(*) FROM kept'), [[10]]);
    assert.equal((await lake.get('/catalog/datasets/by-name/kept')).body.version, 1);
  }
  const health = (await lake.get('/health')).body;
  assert.equal(health.status, 'ok', JSON.stringify(health));
});

test('bytes that are not what was committed never reach a reader', async () => {
  const { lake, store } = one;
  assert.equal((await lake.ingest('flipped', rows(0, 3000), { headers: far })).status, 200);
  const { key } = (await lake.get('/catalog/datasets/by-name/flipped')).body.objects[0];
  const object = store.objects.get(`p/${key}`);
  const good = object.bytes;
  one.emptyCache();
  for (const bad of [Buffer.from(good).fill(0, 40, 41), good.subarray(0, good.length - 1), Buffer.concat([good, Buffer.from('x')])]) {
    object.bytes = bad;
    const reply = await lake.sql('SELECT * FROM flipped');
    assert.equal(reply.status, 500, reply.text);
    assert.equal(reply.body.code, 'damaged');
  }
  store.objects.delete(`p/${key}`);
  const missing = await lake.sql('SELECT * FROM flipped');
  assert.deepEqual([missing.status, missing.body.code], [404, 'object_missing']);
  assert.match(missing.body.detail, /missing/);
  store.objects.set(`p/${key}`, { ...object, bytes: good });
  assert.deepEqual(await lake.rows('SELECT count(*) FROM flipped'), [[3000]]);
  // And a copy in the cache that somebody touched is not read either.
  const before_ = one.cached();
  for (const file of before_) appendFileSync(file, 'x');
  assert.deepEqual(await lake.rows('SELECT count(*), sum(id)::BIGINT FROM flipped'), [[3000, 4498500]]);
});

test('a large file goes in parts, and is put together or not at all', async () => {
  const { lake, store } = one;
  const bytes = randomBytes(40_000_000);
  const sum = createHash('sha256').update(bytes).digest('hex');
  const faults = { 'a part fails once': { when: (request, url) => url.query.partNumber === '2', times: 1, deed: { status: 503, code: 'SlowDown' } },
    'the end is done and not told': { when: (request, url) => request.method === 'POST' && url.query.uploadId, times: 1, deed: { doneThenHangUp: true } } };
  for (const [name, fault] of Object.entries(faults)) {
    store.faults = [fault];
    const made = await lake.send('PUT', `${at}/large`, { body: bytes });
    assert.ok([200, 201].includes(made.status), `${name}: ${made.text}`);
    assert.equal(fault.struck, 1);
    one.emptyCache();
    store.faults = [];
    assert.equal((await lake.get(`${at}/large`)).headers.get('etag'), `"${sum}"`);
    assert.equal(store.uploads.size, 0);
  }
  store.faults = [{ when: (request, url) => url.query.partNumber === '3', times: Infinity, deed: { hangUp: true } }];
  assert.equal((await lake.send('PUT', `${at}/large`, { body: randomBytes(40_000_000) })).status, 503);
  store.faults = [];
  assert.equal((await lake.get(`${at}/large`)).headers.get('etag'), `"${sum}"`, 'what was there stays');
  assert.equal(store.uploads.size, 0, 'parts that nobody puts together were given up');
});

test('a bucket that is gone, keys that are refused and a store that is down are told apart', async () => {
  const two = await open();
  try {
    const { lake, store } = two;
    assert.equal((await lake.ingest('t', rows(0, 10), { headers: far })).status, 200);
    assert.equal((await lake.ingest('here', rows(0, 2))).status, 200);
    two.emptyCache();
    store.isGone = true;
    assert.match((await lake.sql('SELECT * FROM t')).body.detail, /no bucket 'warehouse' any more/);
    store.isGone = false;
    store.secret = 'changed';
    assert.match((await lake.sql('SELECT * FROM t')).text, /SignatureDoesNotMatch.*secrets file/);
    store.secret = 'test/secret+of/40chars';
    store.skewMs = 3600_000;
    assert.deepEqual(await lake.rows('SELECT count(*) FROM t'), [[10]]);
    two.emptyCache();
    const from = Date.now();
    await store.stop();
    const down = await lake.sql('SELECT * FROM t');
    assert.equal(down.status, 503);
    assert.match(down.body.detail, /connection/);
    assert.ok(Date.now() - from < 10000);
    assert.deepEqual(await lake.rows('SELECT count(*) FROM here'), [[2]]);
    const health = (await lake.get('/storage/bucket-health')).body.items;
    assert.deepEqual(health.map((each) => [each.name, each.available]), [['primary', true], ['far', false]]);
    assert.equal((await lake.get('/health')).body.status, 'degraded');
  } finally {
    await two.server.stop();
    two.data.remove();
  }
});

test('the cache makes room, says when it cannot, and a restart keeps what is good', async () => {
  const data = temporaryFolder('lake');
  const store = await startStore();
  const cache = { env: { LAKEHOUSE_STORAGE_CACHE_BYTES: '300KB' } };
  let two;
  try {
    two = await open({ store, data, ...cache });
    for (const name of ['a', 'b', 'c', 'd']) {
      const made = await two.lake.ingest(name, `x\n${Array.from({ length: 4000 }, () => randomBytes(12).toString('hex')).join('\n')}\n`, { headers: far });
      assert.equal(made.status, 200, made.text);
    }
    for (const name of ['a', 'b', 'c', 'd', 'a']) assert.deepEqual(await two.lake.rows(`SELECT count(*) FROM ${name}`), [[4000]]);
    const size = two.cached().reduce((sum, file) => sum + statSync(file).size, 0);
    assert.ok(size > 0 && size <= 300_000, `${size} bytes`);
    const full = await two.lake.sql('SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), (SELECT count(*) FROM c), (SELECT count(*) FROM d)');
    assert.equal(full.status, 503, full.text);
    assert.match(full.body.hint, /cache_bytes/);
    const big = await two.lake.ingest('big', `x\n${Array.from({ length: 20000 }, () => randomBytes(12).toString('hex')).join('\n')}\n`, { headers: far });
    assert.equal(big.status, 200, 'it is stored');
    const large = await two.lake.sql('SELECT count(*) FROM big');
    assert.deepEqual([large.status, /cache_bytes/.test(large.body.hint)], [413, true], large.text);
    assert.deepEqual(await two.lake.rows('SELECT count(*) FROM d'), [[4000]]);
    await two.server.stop();
    two = await open({ store, data, ...cache });
    store.seen.length = 0;
    assert.deepEqual(await two.lake.rows('SELECT count(*) FROM d'), [[4000]]);
    assert.equal(store.seen.filter((line) => /^GET .*datasets/.test(line)).length, 0, 'it was in the cache');
    for (const file of two.cached()) { const bytes = readFileSync(file); bytes[50] ^= 1; writeFileSync(file, bytes); }
    await two.server.stop();
    two = await open({ store, data, ...cache });
    assert.deepEqual(await two.lake.rows('SELECT count(*) FROM d'), [[4000]]);
    assert.equal(store.seen.filter((line) => /^GET .*datasets/.test(line)).length, 1, 'a copy that changed is fetched again');
  } finally {
    await two?.server.stop();
    await store.stop();
    data.remove();
  }
});

test('many statements that want the same object fetch it once, over few connections', async () => {
  const { lake, store } = one;
  assert.equal((await lake.ingest('crowd', rows(0, 2000), { headers: far })).status, 200);
  one.emptyCache();
  store.seen.length = 0;
  const before_ = store.connections;
  store.faults = [{ when: (request, url) => request.method === 'GET' && isData(request, url), times: 1, deed: { delayMs: 300 } }];
  const all = await Promise.all(Array.from({ length: 12 }, () => lake.rows('SELECT sum(id) FROM crowd')));
  assert.ok(all.every(([[sum]]) => Number(sum) === 1999000), JSON.stringify(all));
  assert.equal(store.seen.filter((line) => /^GET .*datasets/.test(line)).length, 1);
  assert.ok(store.connections - before_ <= 4, `${store.connections - before_} connections`);
});

test('what is dropped goes to the trash of the store and out of the cache', async () => {
  const { lake, store, data } = one;
  assert.equal((await lake.ingest('passing', rows(0, 50), { headers: far })).status, 200);
  const { key } = (await lake.get('/catalog/datasets/by-name/passing')).body.objects[0];
  assert.deepEqual(await lake.rows('SELECT count(*) FROM passing'), [[50]]);
  const cachedBefore = one.cached().length;
  assert.equal((await lake.delete('/catalog/datasets/by-name/passing')).status, 204);
  assert.equal((await lake.post('/catalog/expire', { dataset: 'passing', older_than_s: 0 })).status, 200);
  assert.ok(!store.objects.has(`p/${key}`));
  assert.ok([...store.objects.keys()].some((name) => name.startsWith('p/_trash/') && name.endsWith(key)));
  assert.equal(one.cached().length, cachedBefore - 1);
  assert.ok(!files(data.path).some((file) => file.endsWith('.fetch')));
});

test('rows of a store are hidden by tombstones, also when nothing of it is here, and come back', async () => {
  const { lake } = one;
  assert.equal((await lake.ingest('graves', rows(0, 100), { headers: far })).status, 200);
  const path = '/catalog/datasets/by-name/graves/tombstone';
  assert.equal((await lake.post(path, { row_key_column: 'id', row_key_values: [3, 5], reason: 'test' })).status, 200);
  one.emptyCache();
  assert.deepEqual(await lake.rows('SELECT count(*) FROM graves'), [[98]]);
  const again = await lake.ingest('graves', 'id,name\n3,back\n200,new\n', { mode: 'append' });
  assert.deepEqual([again.status, again.body.suppressed_rows], [200, 1], again.text);
  one.emptyCache();
  assert.deepEqual(await lake.rows('SELECT count(*) FROM graves'), [[99]]);
});

test('the small files of a dataset in a store are merged there, and rows replaced by key', async () => {
  const { lake } = one;
  for (let at = 0; at < 4; at++) assert.equal((await lake.ingest('pieces', rows(at * 10, 10), { mode: at ? 'append' : 'create', ...(at ? {} : { headers: far }) })).status, 200);
  one.emptyCache();
  const upsert = await lake.ingest('pieces', 'id,name\n1,changed\n', { mode: 'upsert', options: { key: 'id' } });
  assert.equal(upsert.status, 200, upsert.text);
  assert.deepEqual(await lake.rows('SELECT count(*), count(*) FILTER (name = \'changed\') FROM pieces'), [[40, 1]]);
  one.emptyCache();
  const compacted = await lake.post('/query/compact', { dataset: 'pieces' });
  assert.ok(compacted.status < 300, compacted.text);
  one.emptyCache();
  assert.deepEqual(await lake.rows('SELECT count(*), sum(id)::BIGINT, count(*) FILTER (name = \'changed\') FROM pieces'), [[40, 780, 1]]);
  const { objects } = (await lake.get('/catalog/datasets/by-name/pieces')).body;
  assert.deepEqual(objects.map((each) => each.bucket), ['far']);
});

test('what went wrong with a bucket is listed, over restarts, and made one file', async () => {
  const data = temporaryFolder('lake');
  const store = await startStore();
  let two;
  try {
    two = await open({ store, data });
    assert.equal((await two.lake.ingest('t', rows(0, 10), { headers: far })).status, 200);
    assert.deepEqual((await two.lake.get('/storage/errors')).body.items, []);
    store.secret = 'changed';
    two.emptyCache();
    for (let at = 0; at < 3; at++) assert.equal((await two.lake.sql('SELECT * FROM t')).status, 503);
    const [first] = (await two.lake.get('/storage/errors?bucket=far')).body.items.filter((each) => /datasets/.test(each.key));
    assert.deepEqual([first.bucket, first.code], ['far', 'io_error']);
    assert.match(first.message, /SignatureDoesNotMatch/);
    assert.deepEqual((await two.lake.get('/storage/errors?bucket=primary')).body.items, []);
    assert.ok((await two.lake.send('POST', '/storage/errors/flush')).body.written >= 0);
    await two.server.stop();
    two = await open({ store, data });
    assert.ok((await two.lake.get('/storage/errors')).body.items.length >= 1);
    store.secret = 'changed again'; // the file has the one before
    two.emptyCache();
    assert.equal((await two.lake.sql('SELECT * FROM t')).status, 503);
    await two.server.stop();
    two = await open({ store, data });
    // Background sweeps may fail beside the statement: how many there are is not fixed.
    const all = (await two.lake.get('/storage/errors')).body.items;
    assert.ok(all.length >= 2 && all.every((each, at) => !at || each.id < all[at - 1].id));
    const page = (await two.lake.get('/storage/errors?limit=1')).body;
    const rest = (await two.lake.get(`/storage/errors?after=${page.next}`)).body;
    assert.deepEqual([...page.items, ...rest.items], all);
    const made = (await two.lake.send('POST', '/storage/errors/compact')).body;
    assert.deepEqual([made.batches_before >= 2, made.batches_after, made.kept >= 2, made.dropped], [true, 1, true, 0]);
    assert.ok((await two.lake.get('/storage/errors')).body.items.length >= all.length);
  } finally {
    await two?.server.stop();
    await store.stop();
    data.remove();
  }
});
