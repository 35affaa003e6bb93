// Backups of lakes that keep data in other places too: what is not copied is said before, and a
// restored lake leaves the places of its original alone.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';
import { startStore } from '../support/s3-server.mjs';

const csv = 'id,v\n1,a\n2,b\n';
const put = (lake, bucket, key, body) => lake.send('PUT', `/storage/buckets/${bucket}/objects/${key}`, { body });
const start = async (context, data) => {
  const server = await startServer({ data });
  context.after(() => server.kill());
  return { server, lake: await connect(server) };
};
const place = (context) => {
  const folder = temporaryFolder('backup');
  context.after(() => folder.remove());
  return (name) => join(folder.path, name);
};

test('a backup without other buckets says so wherever it is used', { timeout: 60000 }, async (context) => {
  const at = place(context);
  const to = at('backup');
  const { server, lake } = await start(context, at('lake'));
  for (const name of ['b2', 'b3', 'empty'])
    assert.equal((await lake.post('/storage/buckets', { name, root: at(name) })).status, 201);
  await lake.ingest('here', csv, {});
  const whole = await lake.post('/system/backup', { to });
  assert.equal(whole.status, 200, whole.text);
  assert.deepEqual(whole.body.buckets_not_included, []);

  assert.equal((await lake.ingest('there', csv, { headers: { 'x-lakehouse-bucket': 'b2' } })).status, 200);
  assert.equal((await put(lake, 'b3', 'x', 'an object')).status, 200 + 1);
  const part = await lake.post('/system/backup', { to, primary_only: true });
  assert.equal(part.status, 200, part.text);
  assert.deepEqual(part.body.buckets_not_included, ['b2', 'b3']);
  assert.equal((await server.stop()).code, 0);

  const target = at('target');
  const untold = await run(['restore', '--from', to, '--data', target]);
  assert.equal(untold.code, 1);
  assert.match(untold.err, /'b2', 'b3'/);
  assert.equal(existsSync(target), false, 'the target was made');
  const checked = await run(['restore', '--from', to, '--check']);
  assert.equal(checked.code, 0, checked.err);
  assert.match(checked.err, /'b2', 'b3'/);
  const told = await run(['restore', '--from', to, '--primary-only', '--data', target]);
  assert.match(told.err, /what lay in 'b2', 'b3'/);
  assert.ok(existsSync(join(target, '_lake.json')), told.err);
  const rows = await run(['sql', 'SELECT count(*) FROM here', '--json', '--data', target]);
  assert.equal(JSON.parse(rows.out).rows[0][0], 2, rows.err);
  const earlier = await run(['restore', '--from', to, '--number', '1', '--data', at('first')]);
  assert.equal(earlier.code, 0, `the earlier one is whole: ${earlier.err}`);
});

test('a backup has what lies in every bucket, and a restored lake has it in folders of its own', { timeout: 90000 }, async (context) => {
  const at = place(context);
  const to = at('backup');
  const store = await startStore();
  context.after(() => store.stop());
  let { server, lake } = await start(context, at('lake'));
  writeFileSync(join(at('lake'), 'secrets.toml'), store.secretsText(), { mode: 0o600 });
  assert.equal((await lake.post('/storage/buckets', { name: 'near', root: at('near') })).status, 201);
  assert.equal((await lake.post('/storage/buckets', { name: 'far', backend: 's3', endpoint: store.endpoint, region: store.region, bucket: store.bucket, prefix: 'p', secret: 'warehouse' })).status, 201);
  await lake.ingest('here', csv, {});
  for (const bucket of ['near', 'far']) {
    assert.equal((await lake.ingest(`in_${bucket}`, csv, { headers: { 'x-lakehouse-bucket': bucket } })).status, 200);
    assert.equal((await lake.ingest(`in_${bucket}`, 'id,v\n3,c\n', { mode: 'append' })).status, 200);
    assert.equal((await put(lake, bucket, 'photos/x', `of ${bucket}`)).status, 201);
  }
  // One that was moved, with a version from before.
  await lake.ingest('moved', csv, {});
  await lake.ingest('moved', 'id,v\n9,z\n', { mode: 'replace' });
  assert.equal((await lake.post('/catalog/datasets/by-name/moved/move', { to: 'far', wait: true })).status, 200);
  // The store fails once on the way: it is asked again.
  store.faults = [{ when: (request, url) => request.method === 'GET' && /\/datasets\//.test(url.path), times: 1, deed: { truncate: true } }];
  const first = await lake.post('/system/backup', { to });
  assert.equal(first.status, 200, first.text);
  assert.deepEqual(first.body.buckets_not_included, []);
  store.faults = [];
  // What is in it already is not read again, from wherever.
  assert.equal((await put(lake, 'far', 'photos/y', 'later')).status, 201);
  store.seen.length = 0;
  const second = await lake.post('/system/backup', { to });
  assert.equal(second.status, 200, second.text);
  assert.equal(store.seen.filter((one) => /^GET/.test(one.method ?? one) && /\/datasets\//.test(one.path ?? one)).length, 0);
  assert.ok(second.body.copied_files < first.body.copied_files, second.text);
  assert.equal((await server.stop()).code, 0);

  const homeless = await run(['restore', '--from', to, '--data', at('copy')]);
  assert.equal(homeless.code, 1, homeless.out);
  assert.match(homeless.err, /'(far|near)'/);
  assert.match(homeless.err, /--buckets/);
  assert.equal(existsSync(at('copy')), false, 'the target was made');
  const inside = await run(['restore', '--from', to, '--data', at('copy'), '--buckets', `far=${at('copy')}/far,near=${at('near2')}`]);
  assert.equal(inside.code, 1, inside.out);
  const taken = await run(['restore', '--from', to, '--data', at('copy0'), '--buckets', `far=${at('far2')},near=${at('near')}`]);
  assert.equal(taken.code, 1, taken.out);
  assert.match(taken.err, /not empty/);

  const part = await run(['restore', '--from', to, '--primary-only', '--data', at('part')]);
  assert.match(part.err, /what lay in 'far', 'near'/);
  assert.ok(existsSync(join(at('part'), '_lake.json')));

  const restored = await run(['restore', '--from', to, '--data', at('copy'), '--buckets', `far=${at('far3')},near=${at('near3')}`]);
  assert.equal(restored.code, 0, restored.err + restored.out);
  await store.stop(); // nothing of the original is needed
  ({ server, lake } = await start(context, at('copy')));
  for (const bucket of ['near', 'far']) {
    assert.deepEqual(await lake.rows(`SELECT count(*) FROM in_${bucket}`), [[3]]);
    assert.deepEqual(await lake.rows(`SELECT count(*) FROM in_${bucket} AT (VERSION => 1)`), [[2]]);
    assert.equal((await lake.get(`/storage/buckets/${bucket}/objects/photos/x`)).text, `of ${bucket}`);
    assert.equal((await lake.ingest(`in_${bucket}`, 'id,v\n4,d\n', { mode: 'append' })).status, 200);
  }
  assert.equal((await lake.get('/storage/buckets/far/objects/photos/y')).text, 'later');
  assert.deepEqual(await lake.rows('SELECT id FROM moved'), [[9]]);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM moved AT (VERSION => 1)'), [[2]]);
  assert.equal((await server.stop()).code, 0);
  const verified = await run(['verify', '--data', at('copy')]);
  assert.equal(verified.code, 0, verified.out);
});

test('a bucket that does not answer is not taken for an empty one', { timeout: 60000 }, async (context) => {
  const at = place(context);
  const first = await start(context, at('lake'));
  assert.equal((await first.lake.post('/storage/buckets', { name: 'b2', root: at('b2') })).status, 201);
  assert.equal((await first.server.stop()).code, 0);
  writeFileSync(join(at('b2'), '_bucket.json'), 'no mark');
  const { server, lake } = await start(context, at('lake'));
  const refused = await lake.post('/system/backup', { to: at('backup') });
  await server.kill(); // before its folder is removed: it writes down what is wrong with b2
  assert.equal(refused.status, 409, refused.text);
  assert.match(refused.text, /'b2'/);
});

test('a file that is missing in another bucket is named as damage; one in its trash is backed up', { timeout: 60000 }, async (context) => {
  const at = place(context);
  const { lake } = await start(context, at('lake'));
  assert.equal((await lake.post('/storage/buckets', { name: 'near', root: at('near') })).status, 201);
  assert.equal((await lake.ingest('t', csv, { headers: { 'x-lakehouse-bucket': 'near' } })).status, 200);
  const id = readdirSync(join(at('near'), 'datasets'))[0];
  const [file] = readdirSync(join(at('near'), 'datasets', id));
  const path = join(at('near'), 'datasets', id, file);
  const trash = join(at('near'), '_trash', '0198c0de-0000-7000-8000-000000000000', 'datasets', id);
  mkdirSync(trash, { recursive: true });
  renameSync(path, join(at('near'), 'away'));
  const missing = await lake.post('/system/backup', { to: at('backup') });
  assert.equal(missing.body.code, 'damaged', missing.text);
  assert.match(missing.body.detail, new RegExp(`datasets/${id}/${file}.*'near'`));
  assert.match(missing.body.hint, /rescue bucket/);
  renameSync(join(at('near'), 'away'), join(trash, file)); // as a move, or an expiry, would
  const made = await lake.post('/system/backup', { to: at('backup') });
  assert.equal(made.status, 200, made.text);
});

test('a backup is not put inside a bucket of the lake, nor behind a link to one', { timeout: 60000 }, async (context) => {
  const at = place(context);
  const { lake } = await start(context, at('lake'));
  assert.equal((await lake.post('/storage/buckets', { name: 'b2', root: at('b2') })).status, 201);
  symlinkSync(at('b2'), at('link'));
  for (const to of [at('b2'), join(at('b2'), 'backup'), join(at('link'), 'backup')]) {
    const refused = await lake.post('/system/backup', { to });
    assert.equal(refused.status, 409, `${to}: ${refused.text}`);
    assert.match(refused.text, /inside the lake's bucket/);
  }
  assert.deepEqual(readdirSync(at('b2')).filter((one) => !one.startsWith('_')), [], 'something was put into the bucket');
  const beside = await lake.post('/system/backup', { to: at('b2-backup') });
  assert.equal(beside.status, 200, beside.text);
});

test('a restore follows the chain of the journal before it calls the lake sound', { timeout: 60000 }, async (context) => {
  const at = place(context);
  const { server, lake } = await start(context, at('lake'));
  for (let one = 0; one < 4; one += 1) await lake.ingest(`t${one}`, csv, {});
  assert.equal((await server.stop()).code, 0);
  assert.equal((await run(['backup', at('whole'), '--data', at('lake')])).code, 0);
  const sound = await run(['restore', '--from', at('whole'), '--data', at('sound'), '--json']);
  assert.equal(sound.code, 0, sound.err);
  assert.ok(JSON.parse(sound.out).journal_records >= 4, sound.out);

  // A list whose sums are right and whose journal is not: damaged before it was copied.
  const writer = await start(context, at('lake'));
  const log = readdirSync(join(at('lake'), '_journal', 'log')).sort()[0];
  const path = join(at('lake'), '_journal', 'log', log);
  const bytes = readFileSync(path);
  bytes[Math.floor(bytes.length / 2)] ^= 1;
  writeFileSync(path, bytes);
  const made = await writer.lake.post('/system/backup', { to: at('broken') });
  assert.equal(made.status, 200, made.text);
  await writer.server.kill();
  const broken = await run(['restore', '--from', at('broken'), '--data', at('again')]);
  assert.equal(broken.code, 1, broken.out);
  assert.match(broken.err, /_journal/);
});

test('a restored lake leaves the buckets of its original alone until it adopts them', { timeout: 90000 }, async (context) => {
  const at = place(context);
  const store = await startStore();
  context.after(() => store.stop());
  const objects = '/storage/buckets';
  const secrets = (data) => writeFileSync(join(data, 'secrets.toml'), store.secretsText(), { mode: 0o600 });
  let original = await start(context, at('lake'));
  secrets(at('lake'));
  assert.equal((await original.lake.post(objects, { name: 'near', root: at('near') })).status, 201);
  const far = await original.lake.post(objects, { name: 'far', backend: 's3', endpoint: store.endpoint, region: store.region, bucket: store.bucket, prefix: 'one', secret: 'warehouse' });
  assert.equal(far.status, 201, far.text);
  for (const bucket of ['near', 'far']) {
    assert.equal((await put(original.lake, bucket, 'x', `of ${bucket}`)).status, 201);
    assert.equal((await original.lake.ingest(`in_${bucket}`, csv, { headers: { 'x-lakehouse-bucket': bucket } })).status, 200);
  }
  const made = await original.lake.post('/system/backup', { to: at('backup'), primary_only: true });
  assert.equal(made.status, 200, made.text);
  await run(['restore', '--from', at('backup'), '--primary-only', '--data', at('copy')]);
  secrets(at('copy'));
  let copy = await start(context, at('copy'));
  const ids = await Promise.all([original, copy].map(async ({ lake }) => (await lake.get('/system/info')).body.lake_id));
  assert.notEqual(ids[0], ids[1], 'two lakes have one id');

  for (const bucket of ['near', 'far']) {
    const key = `${objects}/${bucket}/objects/x`;
    for (const answer of [await copy.lake.delete(key), await put(copy.lake, bucket, 'x', 'mine'), await put(copy.lake, bucket, 'new', 'mine'), await copy.lake.ingest('more', csv, { headers: { 'x-lakehouse-bucket': bucket } })])
      assert.ok(answer.status >= 500, `${bucket}: ${answer.status} ${answer.text}`);
    assert.match((await put(copy.lake, bucket, 'x', 'mine')).text, /restored from/);
    assert.equal((await original.lake.get(key)).text, `of ${bucket}`, 'the copy reached the object of its original');
    assert.equal((await original.lake.get(`${objects}/${bucket}/objects/new`)).status, 404);
    assert.deepEqual(await original.lake.rows(`SELECT count(*) FROM in_${bucket}`), [[2]]);
  }
  // Taking it out and in again is no way around.
  await copy.lake.delete(`${objects}/near`);
  assert.equal((await copy.lake.post(objects, { name: 'again', root: at('near') })).status, 409);
  assert.equal((await original.server.stop()).code, 0);
  assert.equal((await copy.server.stop()).code, 0);

  copy = await start(context, at('copy')); // still not, after a restart
  assert.ok((await copy.lake.delete(`${objects}/far/objects/x`)).status >= 500);
  for (const bucket of ['near', 'far']) {
    const adopted = await copy.lake.post(`${objects}/${bucket}/adopt`);
    assert.equal(adopted.status, 204, adopted.text);
    assert.equal((await copy.lake.post(`${objects}/${bucket}/adopt`)).status, 204, 'a second time');
    assert.equal((await copy.lake.get(`${objects}/${bucket}/objects/x`)).text, `of ${bucket}`);
    assert.deepEqual(await copy.lake.rows(`SELECT count(*) FROM in_${bucket}`), [[2]]);
    assert.equal((await put(copy.lake, bucket, 'new', 'mine')).status, 201);
  }
  assert.equal((await copy.lake.post(`${objects}/none/adopt`)).status, 404);
  assert.equal((await copy.server.stop()).code, 0);
  const verified = await run(['verify', '--data', at('copy')]);
  assert.equal(verified.code, 0, verified.out);
  original = await start(context, at('lake')); // it was told to stay away
  assert.ok((await original.lake.delete(`${objects}/near/objects/x`)).status >= 500);
  assert.ok((await put(original.lake, 'far', 'x', 'mine')).status >= 400);

  copy = await start(context, at('copy'));
  assert.equal((await copy.lake.get(`${objects}/near/objects/x`)).text, 'of near');
});
