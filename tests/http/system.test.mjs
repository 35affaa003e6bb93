// What the server tells of itself: what went wrong, and where its memory is.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { program, run, startServer, temporaryFolder } from '../support/server.mjs';

let server;
let lake;
before(async () => {
  server = await startServer({ env: { LAKEHOUSE_LOG_REQUESTS: 'false' } });
  lake = await connect(server);
});
after(async () => {
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

const errors = async (query = '') => (await lake.get(`/system/errors${query}`)).body;

test('a failed request is found by its id, with what it was about', async () => {
  const reply = await lake.get('/catalog/datasets/by-name/nosuch?', { headers: { 'x-request-id': 'find-me-1' } });
  assert.equal(reply.status, 404);
  const { items, next } = await errors('?request_id=find-me-1');
  assert.equal(next, null);
  assert.equal(items.length, 1);
  const [one] = items;
  assert.deepEqual([one.operation, one.method, one.path, one.status, one.code, one.side, one.source, one.principal],
    ['datasets.get', 'GET', '/catalog/datasets/by-name/nosuch', 404, 'not_found', 'caller', 'request', 'local-admin']);
  assert.equal(one.message, reply.body.detail);
  assert.ok(Math.abs(Date.parse(one.at) - Date.now()) < 60000);
});

test('what never reached an operation is there too', async () => {
  await lake.get('/no/such/path', { headers: { 'x-request-id': 'find-me-2' } });
  const [one] = (await errors('?request_id=find-me-2')).items;
  assert.deepEqual([one.code, one.path, one.operation], ['no_such_path', '/no/such/path', undefined]);
});

test('filters narrow, pages do not repeat or leave out', async () => {
  for (let i = 0; i < 25; i++) await lake.post('/query/sql', { sql: `SELECT nosuch_${i}` });
  const all = (await errors('?operation=query.sql&code=sql_failed&limit=1000')).items;
  assert.equal(all.length, 25);
  assert.deepEqual(all.map((one) => one.number), all.map((one) => one.number).sort((a, b) => b - a), 'newest first');
  const paged = [];
  for (let after = ''; after !== null;) {
    const page = await errors(`?operation=query.sql&limit=7${after && `&after=${after}`}`);
    assert.ok(page.items.length <= 7);
    paged.push(...page.items);
    after = page.next;
  }
  assert.deepEqual(paged, all);
  assert.equal((await errors('?side=server')).items.length, 0);
  assert.equal((await errors('?source=background')).items.length, 0);
  assert.equal((await errors(`?since=${new Date(Date.now() + 3600e3).toISOString()}`)).items.length, 0);
  assert.equal((await lake.get('/system/errors?after=x')).status, 400);
});

test('secrets are masked, in paths and in words', async () => {
  const key = `lh_${'a'.repeat(16)}_${'b'.repeat(64)}`;
  await lake.get(`/catalog/datasets/by-name/${key}`, { headers: { 'x-request-id': 'masked' } });
  await lake.post('/query/sql', { sql: 'SELECT "postgres://me:hunter2@db/x", "password=hunter3"' }, { headers: { 'x-request-id': 'masked' } });
  const { items } = await errors('?request_id=masked');
  assert.equal(items.length, 2);
  assert.doesNotMatch(JSON.stringify(items), /hunter|b{20}/);
  assert.match(items[1].path, /by-name\/\*\*\*$/);
});

test('a flood of callers\' mistakes is bounded and counted from the newest', async () => {
  for (let i = 0; i < 60; i++) await Promise.all(Array.from({ length: 20 }, () => lake.get('/no/such/path')));
  let count = 0;
  for (let after = ''; after !== null;) {
    const page = await errors(`?limit=1000${after && `&after=${after}`}`);
    count += page.items.length;
    after = page.next;
  }
  assert.equal(count, 1000);
});

test('a job that fails in the background is found', async () => {
  const reply = await lake.ingest('broken', 'PAR1 this is no parquet PAR1', { name: 'x.parquet', wait: 'false' });
  assert.equal(reply.status, 202);
  await lake.get(`/jobs/${reply.body.job_id}?wait_ms=20000`);
  const { items } = await errors('?source=background&operation=jobs.failed');
  assert.equal(items.length, 1);
  assert.match(items[0].message, new RegExp(reply.body.job_id));
});

test('memory adds up and names what was loaded', async () => {
  await lake.ingest('pets', `id,text\n${Array.from({ length: 500 }, (_, i) => `${i},animal number ${i}`).join('\n')}\n`);
  await lake.post('/vectors/index', { index_name: 'pets_v1', dataset: 'pets', id_column: 'id', text_columns: ['text'] });
  assert.equal((await lake.post('/vectors/search', { index: 'pets_v1', query: 'animal', k: 3 })).status, 200);
  const { body, status } = await lake.get('/system/memory');
  assert.equal(status, 200);
  assert.ok(body.process.resident > 10e6 && body.process.resident <= body.process.resident_peak, JSON.stringify(body.process));
  assert.ok(body.process.resident < body.limits.machine);
  assert.ok(Math.abs(body.process.anonymous + body.process.mapped - body.process.resident) < 1e6);
  // A sanitizer's allocator tells nothing.
  assert.ok(body.process.heap_used === 0 || body.process.heap_used > 1e6);
  assert.equal(body.engine.bytes, body.engine.tags.reduce((sum, one) => sum + one.bytes, 0));
  assert.ok(body.limits.engine > 1e6);
  const [index] = body.indexes;
  assert.equal(index.name, 'pets_v1');
  assert.equal(index.entries, 500);
  assert.ok(index.vector_bytes >= 500 * 384 * 4 && index.bytes > index.vector_bytes);
  assert.ok(body.caches.find((one) => one.name === 'arenas').bytes > 0);
});

test('the command line tells both', async () => {
  const server_ = ['--server', server.url];
  const shown = await run(['errors', '--side', 'caller', '--limit', '2', ...server_]);
  assert.equal(shown.code, 0, shown.err);
  assert.match(shown.out, /There are more: --after \d+/);
  const memory = await run(['memory', '--json', ...server_]);
  assert.ok(JSON.parse(memory.out).process.resident > 0);
});

test('the demo has a key where the lake asks for one, and does not show it', async (context) => {
  const folder = temporaryFolder('demo');
  context.after(folder.remove);
  const data = join(folder.path, "it's data");
  mkdirSync(data);
  mkdirSync(join(folder.path, 'bin'));
  writeFileSync(join(data, 'lakehouse.toml'), '[auth]\nenabled = true\n');
  const packages = Array.from({ length: 12 }, (_, i) => `Package: tool-${i}\nVersion: 1.${i}\nSection: utils\nPriority: optional\nArchitecture: all\nMaintainer: A Team <team@lists.test>\nInstalled-Size: ${100 + i}\nSize: ${2000 + i}\nDepends: tool-${(i + 1) % 12}\nDescription: edit photos and images ${i}\n`).join('\n');
  writeFileSync(join(folder.path, 'index.txt'), packages);
  writeFileSync(join(folder.path, 'bin', 'apt-cache'), `#!/bin/sh\ncat '${join(folder.path, 'index.txt')}'\n`, { mode: 0o755 });
  const env = { PATH: `${join(folder.path, 'bin')}:${process.env.PATH}`, LAKEHOUSE_KEY: '' };
  const { code, out, err } = await run(['demo', '--exit', '--data', data, '--listen', '127.0.0.1:0'], { env });
  assert.equal(code, 0, `${out}${err}`);
  assert.match(out, /callers need keys/);
  assert.doesNotMatch(out + err, /lh_[0-9a-f]{16}_/);
  assert.doesNotMatch(out, /is open at/, 'an address that nobody serves any more was told');
  assert.doesNotMatch(err, /http\.request/, 'the log of requests was mixed with the tour');
  const told = out.match(/build\/lakehouse (sql .*)$/m)[1];
  const asked = execFileSync('sh', ['-c', `'${program}' ${told}`], { encoding: 'utf8' });
  assert.match(asked, /3 rows/, told);
  const child = spawn(program, ['demo', '--data', data, '--listen', '127.0.0.1:0'], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'ignore'] });
  context.after(() => child.kill('SIGKILL'));
  let shown = '';
  await new Promise((resolve, reject) => {
    child.stdout.on('data', (text) => { shown += text; if (shown.includes('Ctrl-C')) resolve(); });
    child.on('close', () => reject(new Error(shown)));
  });
  assert.match(shown, /LAKEHOUSE_KEY=\$\(cat /);
  assert.doesNotMatch(shown, /lh_[0-9a-f]{16}_/);
  const [, address, words] = shown.match(/is open at (\S+)[\s\S]*build\/lakehouse (sql .*?)   /);
  assert.match(address, /^http:/);
  assert.match(execFileSync('sh', ['-c', `'${program}' ${words}`], { encoding: 'utf8' }), /3 rows/, words);
  child.removeAllListeners('close');
  const ended = new Promise((resolve) => child.on('close', resolve));
  child.kill('SIGTERM');
  assert.equal(await ended, 0);
  const wrong = await run(['demo', '--exit', '--data', data, '--listen', '127.0.0.1:0'], { env: { ...env, LAKEHOUSE_KEY: 'lh_nonsense' } });
  assert.equal(wrong.code, 1);
});
