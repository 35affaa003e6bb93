// An Idempotency-Key: the same request again is answered with its first result and not done again;
// another request under the same key is refused, and nothing of it is done.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { startServer, temporaryFolder } from '../support/server.mjs';

async function given(context) {
  const server = await startServer();
  context.after(() => server.kill());
  return connect(server);
}
const by = (name) => `/catalog/datasets/by-name/${name}`;
const key = (text) => ({ 'Idempotency-Key': text });
const ingest = (lake, text, dataset, csv, more = {}) => lake.ingest(dataset, csv, { headers: key(text), ...more });
const rows = async (lake, name) => (await lake.post('/query/sql', { sql: `SELECT count(*) FROM ${name}` })).body.rows[0][0];

function isRefused(reply) {
  assert.equal(reply.status, 422, reply.text);
  assert.equal(reply.body.code, 'idempotency_key_reused');
  assert.ok(reply.body.hint);
}

test('an ingest is repeated by its key only if it is the same file, dataset and options', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  const first = await ingest(lake, 'k1', 'first', 'id\n1\n2\n', { mode: 'create' });
  assert.equal(first.status, 200, first.text);
  const again = await ingest(lake, 'k1', 'first', 'id\n1\n2\n', { mode: 'create' });
  assert.equal(again.status, 200, again.text);
  assert.equal(again.body.version, first.body.version);
  isRefused(await ingest(lake, 'k1', 'second', 'id\n1\n2\n', { mode: 'create' }));
  isRefused(await ingest(lake, 'k1', 'first', 'id\n3\n', { mode: 'create' }));
  isRefused(await ingest(lake, 'k1', 'first', 'id\n1\n2\n', { mode: 'append' }));
  assert.equal((await lake.get(by('second'))).status, 404);
  assert.equal(await rows(lake, 'first'), 2);
});

test('a job under a used key with another file is refused before it is one', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  await ingest(lake, 'k1', 'first', 'id\n1\n');
  isRefused(await ingest(lake, 'k1', 'first', 'id\n7\n8\n', { mode: 'append', wait: 'false' }));
  assert.equal(await rows(lake, 'first'), 1);
});

test('changes of a dataset are repeated by their key, and only they', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  for (const name of ['one', 'two']) await lake.ingest(name, 'id\n1\n', {});
  const rename = (from, to, text) => lake.post(`${by(from)}/rename`, { to }, { headers: key(text) });
  const renamed = await rename('one', 'uno', 'k1');
  assert.equal(renamed.status, 200, renamed.text);
  const again = await rename('one', 'uno', 'k1');
  assert.equal(again.status, 200, again.text);
  assert.equal(again.body.version, renamed.body.version);
  isRefused(await rename('two', 'dos', 'k1'));
  isRefused(await rename('uno', 'eins', 'k1'));
  isRefused(await lake.delete(by('two'), { headers: key('k1') }));
  isRefused(await lake.patch(`${by('two')}/metadata`, { owner: 'x' }, { headers: key('k1') }));
  const described = await lake.patch(`${by('two')}/metadata`, { owner: 'x' }, { headers: key('k2') });
  assert.equal(described.status, 200, described.text);
  assert.equal((await lake.patch(`${by('two')}/metadata`, { owner: 'x' }, { headers: key('k2') })).body.version, described.body.version);
  isRefused(await lake.patch(`${by('two')}/metadata`, { owner: 'y' }, { headers: key('k2') }));
  assert.equal((await lake.get(by('two'))).body.owner, 'x');
  assert.equal((await lake.get(by('uno'))).status, 200);
});

test('a repeated drop leaves the next dataset of that name alone', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  await lake.ingest('one', 'id\n1\n', {});
  const drop = () => lake.delete(`${by('one')}?cascade=true`, { headers: key('k1') });
  assert.equal((await drop()).status, 204);
  assert.equal((await drop()).status, 204);
  await lake.ingest('one', 'id\n1\n2\n', {});
  assert.equal((await drop()).status, 204);
  assert.equal(await rows(lake, 'one'), 2);
});

// One of each way to change something: [name, first request, the same again is no second one].
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const objects = '/storage/buckets/primary/objects';

test('what was done is answered again, across a restart too, and not done again', { timeout: 120000 }, async (context) => {
  const folder = temporaryFolder('repeat');
  let server = await startServer({ data: folder.path });
  context.after(async () => { await server.kill(); folder.remove(); });
  let lake = await connect(server);
  await lake.ingest('notes', 'id,text\n1,edit photos\n2,play music\n');
  const asks = {
    index: () => lake.post('/vectors/index', { index_name: 'notes_v1', dataset: 'notes', id_column: 'id', text_columns: ['text'] }, { headers: key('a1') }),
    accepted: () => lake.post('/vectors/index', { index_name: 'notes_v2', dataset: 'notes', id_column: 'id', text_columns: ['text'], wait: false }, { headers: key('a2') }),
    refresh: () => lake.post('/vectors/refresh/notes', { index_name: 'notes_v1' }, { headers: key('a3') }),
    put: () => lake.send('PUT', `${objects}/a`, { body: 'one', headers: { ...key('a4'), 'if-none-match': '*' } }),
    remove: () => lake.delete(`${objects}/gone`, { headers: key('a5') }),
    later: () => lake.ingest('later', 'id\n1\n', { headers: key('a6'), wait: 'false' }),
    dropIndex: () => lake.delete('/vectors/indexes/notes_v0', { headers: key('a7') }),
  };
  await lake.send('PUT', `${objects}/gone`, { body: 'x' });
  await lake.post('/vectors/index', { index_name: 'notes_v0', dataset: 'notes', id_column: 'id', text_columns: ['text'] });
  const first = {};
  for (const [name, ask] of Object.entries(asks)) {
    first[name] = await ask();
    assert.ok(first[name].status < 300, `${name}: ${first[name].text}`);
  }
  await lake.send('PUT', `${objects}/gone`, { body: 'another' });
  const same = async (when) => {
    for (const [name, ask] of Object.entries(asks)) {
      const again = await ask();
      assert.deepEqual([again.status, again.text, again.headers.get('etag')], [first[name].status, first[name].text, first[name].headers.get('etag')], `${name} ${when}`);
    }
  };
  await same('at once');
  assert.equal((await lake.get(`${objects}/gone`)).text, 'another', 'the object of after the first delete was deleted too');
  await server.stop();
  server = await startServer({ data: folder.path });
  lake = await connect(server);
  await same('after a restart');
  assert.equal((await lake.get(`${objects}/gone`)).text, 'another');
  isRefused(await lake.send('PUT', `${objects}/a`, { body: 'two', headers: { ...key('a4'), 'if-none-match': '*' } }));
  isRefused(await lake.send('PUT', `${objects}/b`, { body: 'one', headers: { ...key('a4'), 'if-none-match': '*' } }));
  isRefused(await lake.send('PUT', `${objects}/a`, { body: 'one', headers: key('a4') }));
  isRefused(await lake.delete(`${objects}/a`, { headers: key('a4') }));
  assert.equal((await lake.get(`${objects}/a`)).text, 'one');
});

test('a key is made once, and its repetition shows it again', { timeout: 60000 }, async (context) => {
  const folder = temporaryFolder('secret');
  let server = await startServer({ data: folder.path });
  context.after(async () => { await server.kill(); folder.remove(); });
  let lake = await connect(server);
  const ask = () => lake.post('/access/keys', { name: 'once', role: 'reader' }, { headers: key('s1') });
  const first = await ask();
  assert.equal(first.status, 201, first.text);
  assert.equal(first.headers.get('location'), `/access/keys/${first.body.about.id}`);
  const again = await ask();
  assert.deepEqual([again.status, again.body], [201, first.body]);
  const revoke = () => lake.delete(`/access/keys/${first.body.about.id}`, { headers: key('s2') });
  assert.deepEqual((await revoke()).body, (await revoke()).body);
});

test('the secret of a key lies nowhere on the disk', { timeout: 60000 }, async (context) => {
  const folder = temporaryFolder('secret');
  let server = await startServer({ data: folder.path });
  context.after(async () => { await server.kill(); folder.remove(); });
  let lake = await connect(server);
  const ask = () => lake.post('/access/keys', { name: 'once', role: 'reader' }, { headers: key('s1') });
  const first = await ask();
  await ask();
  const secret = first.body.key.slice(-40);
  const found = spawnSync('grep', ['-rl', secret, folder.path], { encoding: 'utf8' });
  assert.deepEqual([found.status, found.stdout], [1, '']);
  await server.stop();
  server = await startServer({ data: folder.path });
  lake = await connect(server);
  const late = await ask();
  assert.deepEqual([late.status, late.body.code], [409, 'conflict']);
  assert.match(late.body.detail, new RegExp(first.body.about.id));
  assert.equal((await lake.get('/access/keys')).body.items.length, 1);
});

test('twice at once is done once', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  const bytes = 'x'.repeat(4_000_000);
  for (let round = 0; round < 5; round++) {
    const replies = await Promise.all(Array.from({ length: 6 }, () => lake.send('PUT', `${objects}/twice-${round}`, { body: bytes, headers: { ...key(`t${round}`), 'if-none-match': '*' } })));
    for (const reply of replies) {
      assert.ok(reply.status === 201 || (reply.status === 409 && reply.body.retryable), reply.text);
    }
    assert.ok(replies.some((one) => one.status === 201));
    await pause(10);
    assert.equal((await lake.send('PUT', `${objects}/twice-${round}`, { body: bytes, headers: { ...key(`t${round}`), 'if-none-match': '*' } })).status, 201);
  }
});

test('a key is of its caller alone, and a failure does not use it up', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  const body = { to: 'new_name' };
  assert.equal((await lake.post(`${by('nosuch')}/rename`, body, { headers: key('f1') })).status, 404);
  await lake.ingest('nosuch', 'id\n1\n');
  assert.equal((await lake.post(`${by('nosuch')}/rename`, body, { headers: key('f1') })).status, 200);
  for (const text of ['', '\u00e9'.repeat(3), 'a b', '../../x', '"quoted"']) {
    const reply = await lake.send('PUT', `${objects}/k`, { body: 'x', headers: key(encodeURI(text)) });
    assert.ok([200, 201].includes(reply.status), `${text}: ${reply.text}`);
  }
});

test('an object that came by a request is known by it even when that was never noted', { timeout: 60000 }, async (context) => {
  const folder = temporaryFolder('unnoted');
  const server = await startServer({ data: folder.path });
  context.after(async () => { await server.kill(); folder.remove(); });
  const lake = await connect(server);
  const put = (text, body = 'one', more = { 'if-none-match': '*' }) => lake.send('PUT', `${objects}/u`, { body, headers: { ...key(text), ...more } });
  const first = await put('u1');
  assert.equal(first.status, 201);
  rmSync(join(folder.path, '_idempotency'), { recursive: true }); // as if the server had died before it wrote it
  const again = await put('u1');
  assert.deepEqual([again.status, again.text], [201, first.text]);
  rmSync(join(folder.path, '_idempotency'), { recursive: true });
  assert.equal((await put('u2')).status, 412);
  assert.equal((await put('u1', 'two')).status, 412, 'another content is another request');
  const swapped = await put('u3', 'three', { 'if-match': first.headers.get('etag') });
  assert.equal(swapped.status, 200);
  rmSync(join(folder.path, '_idempotency'), { recursive: true });
  assert.deepEqual([(await put('u3', 'three', { 'if-match': first.headers.get('etag') })).text, (await put('u1')).status], [swapped.text, 412]);
  assert.equal((await lake.get(`${objects}/u`)).text, 'three');
});
