// Buckets besides primary: folders and stores, added and removed at run time, in every door that
// reads or writes data.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';
import { startStore } from '../support/s3-server.mjs';

const quiet = { LAKEHOUSE_LOG_REQUESTS: 'false' };
const rows = (from, count) => `id,name\n${Array.from({ length: count }, (_, at) => `${from + at},n${from + at}`).join('\n')}\n`;
const files = (folder) => (existsSync(folder) ? readdirSync(folder, { withFileTypes: true }).flatMap((one) => (one.isDirectory() ? files(join(folder, one.name)) : [join(folder, one.name)])) : []);
const writeSecrets = (folder, text, mode = 0o600) => {
  writeFileSync(join(folder, 'secrets.toml'), text);
  chmodSync(join(folder, 'secrets.toml'), mode);
};
const bucketOf = (store, more = {}) => ({ name: 'far', backend: 's3', endpoint: store.endpoint, region: store.region, bucket: store.bucket, prefix: 'lake/one', secret: 'warehouse', ...more });

let server;
let lake;
let folder;
let store;
before(async () => {
  folder = temporaryFolder('bucket');
  store = await startStore();
  server = await startServer({ env: quiet });
  writeSecrets(server.data, store.secretsText());
  lake = await connect(server);
  assert.equal((await lake.post('/storage/buckets', { name: 'near', root: folder.path })).status, 201);
  const made = await lake.post('/storage/buckets', bucketOf(store));
  assert.equal(made.status, 201, made.text);
});
after(async () => {
  const ended = await server.stop();
  await store.stop();
  folder.remove();
  assert.deepEqual(ended, { code: 0, signal: null });
});

test('buckets are listed, with where they are but never with a secret', async () => {
  const { body, text } = await lake.get('/storage/buckets');
  assert.deepEqual(body.items.map(({ name, backend, origin, available }) => [name, backend, origin, available]),
    [['primary', 'local', 'builtin', true], ['far', 's3', 'registered', true], ['near', 'local', 'registered', true]]);
  assert.equal(body.items[2].root, folder.path);
  assert.doesNotMatch(text, new RegExp(store.secret.replaceAll(/[/+]/g, '.')));
  assert.doesNotMatch(text, new RegExp(store.accessKey));
  const health = (await lake.get('/storage/bucket-health')).body.items;
  assert.deepEqual(health.map(({ name, available }) => [name, available]), [['primary', true], ['far', true], ['near', true]]);
});

test('files are merged in the bucket where they are', async () => {
  for (const bucket of ['near', 'far']) {
    const name = `merged_${bucket}`;
    for (let at = 0; at < 3; at += 1) {
      const added = await lake.ingest(name, rows(at * 10, 10), { mode: at ? 'append' : 'create', headers: { 'x-lakehouse-bucket': bucket } });
      assert.equal(added.status, 200, added.text);
    }
    const { body: done, status, text } = await lake.post('/query/compact', { dataset: name });
    assert.equal(status, 200, text);
    assert.deepEqual([done.files_before, done.files_after, done.final_rows], [3, 1, 30]);
    const objects = (await lake.get(`/catalog/datasets/by-name/${name}`)).body.objects;
    assert.deepEqual(objects.map((one) => one.bucket), [bucket]);
    assert.deepEqual(await lake.rows(`SELECT count(*), count(DISTINCT id) FROM ${name}`), [[30, 30]]);
    assert.equal((await lake.delete(`/catalog/datasets/by-name/${name}`)).status, 204);
  }
});

test('datasets live where they are told, are appended to there, and are joined across buckets', async () => {
  assert.equal((await lake.ingest('here', rows(0, 10))).status, 200);
  assert.equal((await lake.ingest('there', rows(0, 20), { headers: { 'x-lakehouse-bucket': 'near' } })).status, 200);
  const stored = await lake.ingest('away', rows(0, 30), { headers: { 'x-lakehouse-bucket': 'far' } });
  assert.equal(stored.status, 200, stored.text);
  assert.equal((await lake.ingest('away', rows(30, 5), { mode: 'append' })).status, 200, 'without the header: where the others are');
  const objects = (await lake.get('/catalog/datasets/by-name/away')).body.objects;
  assert.deepEqual(objects.map((one) => one.bucket), ['far', 'far']);
  assert.ok(objects.every((one) => store.objects.has(`lake/one/${one.key}`)));
  assert.deepEqual(await lake.rows('SELECT count(*), count(there.id), count(away.id) FROM away LEFT JOIN there USING (id) LEFT JOIN here USING (id)'), [[35, 20, 35]]);
  const kept = (await lake.get('/catalog/datasets', { headers: { 'x-lakehouse-bucket': 'far' } })).body.items.map((one) => one.name);
  assert.deepEqual(kept, ['away']);
  const unknown = await lake.ingest('nowhere', rows(0, 1), { headers: { 'x-lakehouse-bucket': 'none' } });
  assert.equal(unknown.status, 404);
  assert.match(unknown.body.hint, /primary, far, near/);
  for (const [method, path, json] of [['POST', '/query/sql', { sql: 'SELECT 1' }], ['GET', '/catalog/datasets']]) {
    const reply = await lake.send(method, path, { json, headers: { 'x-lakehouse-bucket': 'none' } });
    assert.equal(reply.status, 404);
    assert.match(reply.body.hint, /near/);
  }
});

test('objects of people live in every bucket', async () => {
  for (const bucket of ['near', 'far']) {
    const at = `/storage/buckets/${bucket}/objects`;
    const bytes = Buffer.alloc(300_000, 'abc€');
    assert.equal((await lake.send('PUT', `${at}/raw/a%20b.txt`, { body: bytes })).status, 201, bucket);
    assert.equal((await lake.send('PUT', `${at}/raw/a%20b.txt`, { body: bytes })).status, 200);
    assert.equal((await lake.send('PUT', `${at}/raw/a%20b.txt`, { body: 'x', headers: { 'if-none-match': '*' } })).status, 412);
    assert.ok((await lake.get(`${at}/raw/a%20b.txt`)).bytes.equals(bytes));
    const part = await lake.get(`${at}/raw/a%20b.txt`, { headers: { range: 'bytes=5-9' } });
    assert.deepEqual([part.status, part.bytes.equals(bytes.subarray(5, 10))], [206, true]);
    assert.equal((await lake.send('PUT', `${at}/raw/b`, { body: 'b' })).status, 201);
    const listed = await lake.get(`${at}?prefix=raw/`);
    assert.equal(listed.status, 200, listed.text);
    assert.deepEqual(listed.body.items.map((one) => one.key), ['raw/a b.txt', 'raw/b']);
    assert.equal((await lake.send('PUT', `${at}/raw/b/c%20%C3%A9+'%26.txt`, { body: 'c' })).status, 201);
    assert.deepEqual((await lake.get(at)).body.items.map((one) => one.key), ['raw/a b.txt', 'raw/b', "raw/b/c é+'&.txt"]);
    assert.equal((await lake.delete(`${at}/raw/b`)).status, 204);
    assert.equal((await lake.get(`${at}/raw/b`)).status, 404);
  }
  assert.equal((await lake.send('PUT', '/storage/buckets/none/objects/a', { body: 'x' })).status, 503);
  assert.equal((await lake.get('/storage/buckets/none/objects')).status, 404);
});

test('a bucket is not removed while something lives there, and is when nothing does', async () => {
  const other = temporaryFolder('bucket');
  try {
    assert.equal((await lake.post('/storage/buckets', { name: 'short:lived', root: join(other.path, 'made', 'anew') })).status, 201);
    assert.equal((await lake.ingest('guest', rows(0, 3), { headers: { 'x-lakehouse-bucket': 'short:lived' } })).status, 200);
    const used = await lake.delete('/storage/buckets/short:lived');
    assert.equal(used.status, 409);
    assert.match(used.body.detail, /'guest'/);
    assert.match(used.body.hint, /\/catalog\/migrate-buckets.*\/move.*\/catalog\/expire/);
    assert.equal((await lake.ingest('guest', rows(0, 4), { headers: { 'x-lakehouse-bucket': 'primary' } })).status, 200);
    assert.equal((await lake.delete('/storage/buckets/short:lived')).status, 409, 'the version before is still there');
    assert.equal((await lake.post('/catalog/expire', { dataset: 'guest', older_than_s: 0 })).status, 200);
    const put = await lake.send('PUT', '/storage/buckets/short:lived/objects/o', { body: 'x' });
    assert.equal(put.status, 201);
    const owned = await lake.delete('/storage/buckets/short:lived');
    assert.equal(owned.status, 409);
    assert.match(owned.body.detail, /'o'/);
    assert.equal((await lake.delete('/storage/buckets/short:lived/objects/o')).status, 204);
    const gone = await lake.delete('/storage/buckets/short:lived');
    assert.equal(gone.status, 204, gone.text);
    assert.ok(existsSync(join(other.path, 'made', 'anew', '_bucket.json')), 'the bytes stay');
    assert.equal((await lake.delete('/storage/buckets/short:lived')).status, 404);
    assert.deepEqual(await lake.rows('SELECT count(*) FROM guest'), [[4]]);
  } finally {
    other.remove();
  }
  assert.equal((await lake.delete('/storage/buckets/primary')).status, 403);
});

test('what makes no sense as a bucket is refused by what is wrong with it', async () => {
  const bad = [
    [{ name: 'UP', root: '/tmp/x' }, 400, /name/], [{ name: '-a', root: '/tmp/x' }, 400, /name/], [{ name: 'a/b', root: '/tmp/x' }, 400, /name/],
    [{ name: 'rel', root: 'tmp' }, 400, /absolute/], [{ name: 'dots', root: '/tmp/../etc' }, 400, /\.\./], [{ name: 'none' }, 400, /root/],
    [{ name: 'inside', root: join(server.data, 'sub') }, 409, /data folder/], [{ name: 'around', root: join(server.data, '..') }, 409, /data folder/],
    [{ name: 'near', root: '/tmp/other' }, 409, /already/], [{ name: 'twin', root: folder.path }, 409, /very place/],
    [bucketOf(store, { name: 'twin' }), 409, /very place/],
    [bucketOf(store, { name: 's', endpoint: 'ftp://x' }), 400, /endpoint/], [bucketOf(store, { name: 's', endpoint: 'http://u:p@h' }), 400, /endpoint/],
    [bucketOf(store, { name: 's', bucket: '../x' }), 400, /bucket/], [bucketOf(store, { name: 's', prefix: 'a/../b' }), 400, /prefix/],
    [bucketOf(store, { name: 's', root: '/tmp/x' }), 400, /root/], [{ name: 's', root: '/tmp/x', endpoint: 'http://h' }, 400, /local/],
    [bucketOf(store, { name: 's', prefix: 'p', secret: 'unknown' }), 503, /no section \[unknown\]/],
    [bucketOf(store, { name: 's', prefix: 'p', bucket: 'elsewhere' }), 503, /no bucket 'elsewhere'/],
  ];
  for (const [options, status, says] of bad) {
    const reply = await lake.post('/storage/buckets', options);
    assert.equal(reply.status, status, `${JSON.stringify(options)}: ${reply.text}`);
    assert.match(reply.text, says);
  }
  assert.equal((await lake.get('/storage/buckets')).body.items.length, 3);
});

test('another lake does not get the place of this one', async () => {
  const second = await startServer({ env: quiet });
  try {
    const other = await connect(second);
    writeSecrets(second.data, store.secretsText());
    for (const options of [{ name: 'near', root: folder.path }, bucketOf(store), { name: 'lake', root: server.data }]) {
      const reply = await other.post('/storage/buckets', options);
      assert.equal(reply.status, 409, reply.text);
      assert.match(reply.body.detail, /another lake/);
    }
  } finally {
    await second.stop();
  }
});

test('a secrets file that others may read is not used, a wrong secret is refused, and nothing of it is told', async () => {
  const own = await startServer({ env: quiet });
  const strict = await startStore();
  const tell = [];
  try {
    const other = await connect(own);
    const add = async () => {
      const reply = await other.post('/storage/buckets', bucketOf(strict));
      tell.push(reply.text);
      return reply;
    };
    assert.match((await add()).body.detail, /cannot be read/);
    for (const mode of [0o644, 0o640, 0o602]) {
      writeSecrets(own.data, strict.secretsText(), mode);
      const reply = await add();
      assert.deepEqual([reply.status, /chmod 600/.test(reply.body.hint)], [503, true], reply.text);
    }
    assert.equal(strict.seen.length, 0, 'the store was not asked');
    for (const text of ['not toml = = "', '[warehouse]\naccess_key_id = 7\n', `[warehouse]\naccess_key_id = "${strict.accessKey}"\n`,
      `[warehouse]\naccess_key_id = "a\\nb"\nsecret_access_key = "${strict.secret}"\n`, `[warehouse]\nsecret = "${strict.secret}"\n`]) {
      writeSecrets(own.data, text);
      assert.equal((await add()).status, 503, text);
    }
    writeSecrets(own.data, strict.secretsText().replace(strict.secret, 'not/the+secret'));
    const wrong = await add();
    assert.match(wrong.body.detail, /SignatureDoesNotMatch/);
    assert.match(wrong.body.hint, /\[warehouse\]/);
    writeSecrets(own.data, strict.secretsText());
    assert.equal((await add()).status, 201);
    // Rotated while the server runs.
    Object.assign(strict, { secret: 'rotated/secret', token: 'a-session/token==' });
    writeSecrets(own.data, strict.secretsText());
    assert.equal((await other.ingest('t', rows(0, 3), { headers: { 'x-lakehouse-bucket': 'far' } })).status, 200);
    for (const secret of ['test/secret+of/40chars', 'not/the+secret', 'rotated/secret', 'a-session/token==', strict.accessKey]) {
      assert.ok(!tell.join().includes(secret) && !own.log().includes(secret), `${secret} is told`);
      for (const file of files(own.data)) if (!file.endsWith('secrets.toml')) assert.ok(!readFileSync(file).includes(secret), `${secret} is in ${file}`);
    }
  } finally {
    await own.stop();
    await strict.stop();
  }
});

test('a store whose clock differs is spoken to in its own time; one that ignores conditions is refused', async () => {
  const own = await startServer({ env: quiet });
  const late = await startStore({ skewMs: -3 * 3600_000 });
  const lax = await startStore({ ignoresConditions: true });
  try {
    const other = await connect(own);
    writeSecrets(own.data, late.secretsText());
    assert.equal((await other.post('/storage/buckets', bucketOf(late))).status, 201);
    assert.equal(late.refusals.filter((one) => /Skewed/.test(one)).length, 1);
    const refused = await other.post('/storage/buckets', bucketOf(lax, { name: 'lax' }));
    assert.equal(refused.status, 503);
    assert.match(refused.body.hint, /If-None-Match/);
  } finally {
    await own.stop();
    await late.stop();
    await lax.stop();
  }
});

test('buckets outlive the server, and a configured one is as it is written', async () => {
  const data = temporaryFolder('lake');
  const root = temporaryFolder('bucket');
  const config = join(data.path, 'lakehouse.toml');
  const toml = `[storage]\nrescue_bucket = "spare"\n[[storage.buckets]]\nname = "spare"\nroot = "${root.path}/spare"\n[[storage.buckets]]\nname = "s3"\nbackend = "s3"\nendpoint = "${store.endpoint}"\nregion = "${store.region}"\nbucket = "${store.bucket}"\nprefix = "configured"\nsecret = "warehouse"\n`;
  writeFileSync(config, toml);
  writeSecrets(data.path, store.secretsText());
  let own;
  try {
    for (const life of [1, 2]) {
      own = await startServer({ data: data.path, env: quiet });
      const other = await connect(own);
      const listed = (await other.get('/storage/buckets')).body.items;
      if (life === 1) assert.equal((await other.post('/storage/buckets', { name: 'added', root: join(root.path, 'added') })).status, 201);
      else assert.deepEqual(listed.map((one) => [one.name, one.origin, one.rescue]), [['primary', 'builtin', false], ['added', 'registered', false], ['s3', 'configuration', false], ['spare', 'configuration', true]]);
      assert.equal((await other.delete('/storage/buckets/spare')).status, 403);
      assert.equal((await other.delete('/storage/buckets/s3')).status, 403);
      assert.equal((await other.ingest(`t${life}`, rows(0, life), { headers: { 'x-lakehouse-bucket': 's3' } })).status, 200);
      await own.stop();
      own = null;
    }
    const verified = await run(['verify', '--data', data.path, '--json']);
    assert.equal(verified.code, 0, verified.out + verified.err);
    for (const [text, says] of [[toml.replace('"spare"', '"other"'), /rescue bucket 'other'/], [toml.replace('/spare"', '/moved"'), /another place/],
      [`${toml}[[storage.buckets]]\nname = "spare"\nroot = "${root.path}/x"\n`, /twice|another place/], [toml.replace('backend =', 'backnd ='), /backnd/]]) {
      writeFileSync(config, text);
      await assert.rejects(startServer({ data: data.path, env: quiet }), says);
    }
  } finally {
    await own?.stop();
    data.remove();
    root.remove();
  }
});

test('a bucket that disappears takes down nothing else, and serves again when it is back', async () => {
  const data = temporaryFolder('lake');
  const root = temporaryFolder('bucket');
  const place = join(root.path, 'disk');
  const moved = join(root.path, 'unmounted');
  try {
    let own = await startServer({ data: data.path, env: quiet });
    let other = await connect(own);
    assert.equal((await other.post('/storage/buckets', { name: 'disk', root: place })).status, 201);
    assert.equal((await other.ingest('here', rows(0, 2))).status, 200);
    assert.equal((await other.ingest('there', rows(0, 3), { headers: { 'x-lakehouse-bucket': 'disk' } })).status, 200);
    await own.stop();
    renameSync(place, moved);
    mkdirSync(place); // as an empty mount point is
    own = await startServer({ data: data.path, env: quiet });
    try {
      other = await connect(own);
      assert.deepEqual(await other.rows('SELECT count(*) FROM here'), [[2]]);
      const away = await other.sql('SELECT count(*) FROM there');
      assert.ok(away.status >= 500, away.text);
      assert.match(away.body.detail, /'disk'|'there'/);
      assert.deepEqual(readdirSync(place), [], 'nothing is put into the place of another disk');
      const refused = await other.ingest('there', rows(5, 1), { mode: 'append' });
      assert.equal(refused.status, 503, refused.text);
      assert.equal((await other.get('/storage/buckets')).body.items[1].available, false);
      const health = (await other.get('/health')).body;
      assert.equal(health.status, 'degraded');
      assert.match(JSON.stringify(health), /disk/);
      rmSync(place, { recursive: true });
      renameSync(moved, place);
      await new Promise((resolve) => { setTimeout(resolve, 2100); });
      assert.deepEqual(await other.rows('SELECT count(*) FROM there'), [[3]]);
      assert.equal((await other.ingest('there', rows(5, 1), { mode: 'append' })).status, 200);
      assert.deepEqual(await other.rows('SELECT count(*) FROM there'), [[4]]);
    } finally {
      await own.stop();
    }
  } finally {
    data.remove();
    root.remove();
  }
});

test('a folder that is lost under a running server is told by its name, and serves again as soon as it is back', async () => {
  const data = temporaryFolder('lake');
  const root = temporaryFolder('bucket');
  const place = join(root.path, 'disk');
  const moved = join(root.path, 'unmounted');
  const own = await startServer({ data: data.path, env: quiet });
  try {
    const other = await connect(own);
    const append = (from) => other.ingest('there', rows(from, 1), { mode: 'append' });
    const isAvailable = async (probed) => (await other.get(probed ? '/storage/bucket-health' : '/storage/buckets')).body.items[1].available;
    const isAway = async (reply, words) => {
      assert.equal(reply.status, 503, reply.text);
      assert.match(reply.body.detail, /'disk'/, words);
    };
    assert.equal((await other.post('/storage/buckets', { name: 'disk', root: place })).status, 201);
    assert.equal((await other.ingest('there', rows(0, 3), { headers: { 'x-lakehouse-bucket': 'disk' } })).status, 200);
    const before = files(place).length;
    renameSync(place, moved);
    await isAway(await append(3), 'at once, not when it was last seen a second ago');
    assert.equal(files(moved).length, before, 'nothing was put where nobody looks');
    assert.deepEqual([await isAvailable(true), await isAvailable(false)], [false, false]);
    const health = (await other.get('/health')).body;
    assert.equal(health.status, 'degraded');
    assert.match(JSON.stringify(health), /disk/);
    cpSync(moved, place, { recursive: true });
    assert.equal((await append(3)).status, 200, 'the same under another inode');
    assert.deepEqual(await other.rows('SELECT count(*) FROM there'), [[4]]);
    assert.equal(await isAvailable(false), true);
    assert.equal((await other.get('/health')).body.status, 'ok');
    assert.equal(files(moved).length, before);
    cpSync(place, join(root.path, 'copy'), { recursive: true });
    rmSync(place, { recursive: true });
    await isAway(await other.sql('SELECT count(*) FROM there'), 'a read');
    await isAway(await append(4), 'a write');
    mkdirSync(place);
    await isAway(await append(4), 'an empty mount point');
    assert.deepEqual(readdirSync(place), []);
    rmSync(place, { recursive: true });
    renameSync(join(root.path, 'copy'), place);
    for (let at = 0; at < 80 && (await other.get('/health')).body.status !== 'ok'; at += 1) await new Promise((resolve) => { setTimeout(resolve, 100); });
    assert.equal((await other.get('/health')).body.status, 'ok', 'though nobody asked for it');
    assert.deepEqual(await other.rows('SELECT count(*) FROM there'), [[4]]);
  } finally {
    await own.stop();
    data.remove();
    root.remove();
  }
});

test('what a store lost is read from the rescue bucket, if it is the very same, and the reply says so', async () => {
  const data = temporaryFolder('lake');
  const root = temporaryFolder('bucket');
  writeFileSync(join(data.path, 'lakehouse.toml'), `[storage]\nrescue_bucket = "spare"\n[[storage.buckets]]\nname = "spare"\nroot = "${root.path}"\n`);
  writeSecrets(data.path, store.secretsText());
  const own = await startServer({ data: data.path, env: quiet });
  try {
    const other = await connect(own);
    assert.equal((await other.post('/storage/buckets', bucketOf(store, { prefix: 'rescued' }))).status, 201);
    assert.equal((await other.ingest('t', rows(0, 50), { headers: { 'x-lakehouse-bucket': 'far' } })).status, 200);
    const { key } = (await other.get('/catalog/datasets/by-name/t')).body.objects[0];
    const ask = () => other.sql('SELECT count(*) FROM t');
    const plain = await ask();
    assert.deepEqual([plain.status, plain.headers.get('x-lakehouse-rescue-used')], [200, null]);
    const { bytes } = store.objects.get(`rescued/${key}`);
    const copy = join(root.path, key);
    mkdirSync(join(copy, '..'), { recursive: true });
    store.objects.delete(`rescued/${key}`);
    const emptyCache = () => files(join(data.path, '_cache')).forEach((file) => rmSync(file));
    emptyCache();
    const nowhere = await ask();
    assert.deepEqual([nowhere.status, nowhere.body.code], [404, 'object_missing'], `missing everywhere: ${nowhere.text}`);
    assert.match(nowhere.body.detail, /is missing in the bucket 'far'/);
    assert.match(nowhere.body.hint, /rescue bucket/);
    const stale = Buffer.from(bytes);
    stale[9] ^= 1;
    writeFileSync(copy, stale);
    const refused = await ask();
    assert.deepEqual([refused.status, refused.headers.get('x-lakehouse-rescue-used')], [404, null], 'a stale copy does not count');
    writeFileSync(copy, bytes);
    const rescued = await ask();
    assert.deepEqual([rescued.status, rescued.body.rows, rescued.headers.get('x-lakehouse-rescue-used'), rescued.headers.get('x-lakehouse-rescue-original-bucket'), rescued.headers.get('x-lakehouse-rescue-reason')],
      [200, [[50]], 'true', 'far', 'not_found'], rescued.text);
    const at = '/storage/buckets/primary/objects/kept.txt';
    assert.equal((await other.send('PUT', at, { body: 'what was put' })).status, 201);
    const [lost] = files(join(data.path, '_objects', 'data'));
    const saved = join(root.path, lost.slice(data.path.length + 1));
    mkdirSync(join(saved, '..'), { recursive: true });
    renameSync(lost, saved);
    const given = await other.get(at);
    assert.deepEqual([given.status, given.text, given.headers.get('x-lakehouse-rescue-original-bucket')], [200, 'what was put', 'primary']);
    writeFileSync(saved, 'what was PUT');
    assert.equal((await other.get(at)).status, 500, 'other bytes do not count');
    store.objects.set(`rescued/${key}`, { bytes, etag: '"x"', meta: {} });
    emptyCache();
    assert.equal((await ask()).headers.get('x-lakehouse-rescue-used'), null, 'the bucket has it again');
  } finally {
    await own.stop();
    data.remove();
    root.remove();
  }
});
