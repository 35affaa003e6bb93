// The doors: problem documents, request ids, limits, health, metrics, and a lake that is taken.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { connect as openSocket } from 'node:net';
import { readFileSync, readdirSync, renameSync, writeFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

let server;
let lake;
before(async () => {
  server = await startServer();
  lake = await connect(server);
  await lake.ingest('door', 'id\n1\n');
});
after(async () => {
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

// Bytes out, bytes back: for requests that no client would send.
// What comes back until the connection ends, or is kept and silent.
function raw(bytes, { timeout = 15000, silence = 300 } = {}) {
  return new Promise((resolve, reject) => {
    const { port, hostname } = new URL(server.url);
    const socket = openSocket({ port: Number(port), host: hostname });
    let answer = '';
    socket.setTimeout(timeout, () => { socket.destroy(); resolve(answer); });
    socket.on('data', (data) => { answer += data; socket.setTimeout(silence); });
    socket.on('end', () => resolve(answer));
    socket.on('error', (error) => (answer ? resolve(answer) : reject(error)));
    socket.write(bytes);
  });
}

test('unknown paths and methods say what there is', async () => {
  const missing = await lake.get('/catalog/dataset');
  assert.equal(missing.status, 404);
  assert.equal(missing.body.code, 'no_such_path');
  assert.match(missing.body.hint, /\/catalog\/datasets/);
  const method = await lake.send('PUT', '/query/sql', { json: {} });
  assert.equal(method.status, 405);
  assert.match(method.headers.get('allow'), /POST/);
});

test('unknown fields, wrong types, wrong bodies: the field is named', async () => {
  const unknown = await lake.post('/query/sql', { sql: 'SELECT 1', limitt: 1 });
  assert.deepEqual([unknown.status, unknown.body.code, unknown.body.field], [400, 'unknown_field', 'limitt']);
  assert.match(`${unknown.body.detail} ${unknown.body.hint ?? ''}`, /`?limit`?/);
  const type = await lake.post('/query/sql', { sql: 7 });
  assert.deepEqual([type.status, type.body.code, type.body.field], [400, 'invalid_argument', 'sql']);
  assert.equal((await lake.post('/query/sql', {})).body.field, 'sql');
  assert.equal((await lake.get('/catalog/datasets?limit=abc')).body.field, 'limit');
  assert.equal((await lake.get('/catalog/datasets?limit=1001')).status, 400);
  assert.equal((await lake.get('/catalog/datasets?lmit=1')).body.code, 'unknown_field');
  for (const body of ['', '{', '[]', '7', '"x"', '{"sql": "SELECT 1"} trailing', '{"sql":"a","sql":"b"}', '\ufeff{}', '\x00', '{"sql": "\\ud800"}']) {
    const answer = await lake.send('POST', '/query/sql', { body, headers: { 'content-type': 'application/json' } });
    assert.equal(answer.status, 400, `${JSON.stringify(body)}: ${answer.text}`);
  }
  const deep = await lake.send('POST', '/query/sql', { body: '['.repeat(100000), headers: { 'content-type': 'application/json' } });
  assert.equal(deep.status, 400);
  const form = await lake.send('POST', '/query/sql', { body: 'sql=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } });
  assert.deepEqual([form.status, form.body.code], [415, 'unsupported_media_type']);
});

test('a JSON body over the limit is refused', async () => {
  const { status, body } = await lake.post('/query/sql', { sql: 'x'.repeat(20 * 1024 * 1024) });
  assert.deepEqual([status, body.code], [413, 'too_large']);
});

test('request ids are kept if sane, made otherwise', async () => {
  assert.equal((await lake.get('/health', { headers: { 'x-request-id': 'abc-123' } })).headers.get('x-request-id'), 'abc-123');
  assert.match((await lake.get('/health')).headers.get('x-request-id'), /^[0-9a-f-]{36}$/);
  const odd = (await lake.get('/health', { headers: { 'x-request-id': 'x'.repeat(500) } })).headers.get('x-request-id');
  assert.ok(odd.length <= 128);
});

test('header and target limits', async () => {
  assert.match(await raw(`GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: x\r\n\r\n`), /^HTTP\/1\.1 414/);
  assert.match(await raw(`GET /health HTTP/1.1\r\nHost: x\r\nX-Big: ${'a'.repeat(17000)}\r\n\r\n`), /^HTTP\/1\.1 431/);
  assert.match(await raw(`GET /health HTTP/1.1\r\nHost: x\r\n${Array.from({ length: 120 }, (_, at) => `X-${at}: 1\r\n`).join('')}\r\n`), /^HTTP\/1\.1 431/);
  assert.match(await raw('GET /catalog/datasets/by-name/%zz HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 400/);
  assert.equal((await lake.get('/health')).status, 200);
});

test('rubbish on the wire hurts nobody', async () => {
  for (const bytes of ['\x00\x01\x02\r\n\r\n', 'GET\r\n\r\n', 'POST /query/sql HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n', `${'A'.repeat(100000)}\r\n\r\n`]) {
    await raw(bytes, { timeout: 1500 }).catch(() => {});
  }
  assert.equal((await lake.get('/health')).status, 200);
});

test('health names what is there, metrics count', async () => {
  const { body } = await lake.get('/health');
  assert.equal(body.status, 'ok');
  assert.match(JSON.stringify(body), /auth/, 'health does not say that there is no authentication');
  const { text, headers } = await lake.get('/metrics');
  assert.match(headers.get('content-type'), /^text\/plain/);
  assert.match(text, /^# TYPE lakehouse_/m);
  assert.match(text, /lakehouse_http_requests_total/);
  assert.equal((await lake.get('/system/info')).status, 200);
});

test('lists come in pages', async () => {
  for (const name of ['page_a', 'page_b', 'page_c']) await lake.ingest(name, 'id\n1\n');
  const names = [];
  let after = '';
  for (let page = 0; page < 50; page++) {
    const { body } = await lake.get(`/catalog/datasets?limit=1${after ? `&after=${encodeURIComponent(after)}` : ''}`);
    names.push(...body.items.map(({ name }) => name));
    if (!body.next) break;
    after = body.next;
  }
  assert.deepEqual(names, ['door', 'page_a', 'page_b', 'page_c']);
});

test('datasets: metadata, rename, drop, and If-Match', async () => {
  await lake.ingest('life', 'id,note\n1,a\n');
  const first = await lake.get('/catalog/datasets/by-name/life');
  const etag = first.headers.get('etag');
  assert.ok(etag);
  const changed = await lake.patch('/catalog/datasets/by-name/life/metadata', { description: 'A generated table.', tags: ['x'], sensitivity: 'confidential' }, { headers: { 'if-match': etag } });
  assert.equal(changed.status, 200, changed.text);
  assert.equal((await lake.patch('/catalog/datasets/by-name/life/metadata', { owner: 'me' }, { headers: { 'if-match': etag } })).status, 412);
  const now = (await lake.get('/catalog/datasets/by-name/LIFE')).body;
  assert.deepEqual([now.description, now.tags, now.sensitivity], ['A generated table.', ['x'], 'confidential']);
  assert.equal((await lake.post('/catalog/datasets/by-name/life/rename', { to: 'door' })).status, 409);
  assert.equal((await lake.post('/catalog/datasets/by-name/life/rename', { to: 'afterlife' })).status, 200);
  assert.deepEqual(await lake.rows('SELECT note FROM afterlife'), [['a']]);
  assert.equal((await lake.get('/catalog/datasets/by-name/life')).status, 404);
  const dropped = await lake.delete('/catalog/datasets/by-name/afterlife');
  assert.ok(dropped.status < 300, dropped.text);
  const gone = await lake.get('/catalog/datasets/by-name/afterlife');
  assert.equal(gone.status, 404);
  assert.equal((await lake.sql('SELECT * FROM afterlife')).status, 404);
  assert.equal((await lake.ingest('afterlife', 'id\n2\n', { mode: 'create' })).status, 200, 'the name of a dropped dataset is free');
});

test('a second server on the same folder is told who has it', async () => {
  const second = await run(['serve', '--data', server.data, '--listen', '127.0.0.1:0']);
  assert.notEqual(second.code, 0);
  assert.match(second.err, new RegExp(String(server.pid)));
});

test('a name or a page that is not let in is told so, whatever its key', async () => {
  for (const head of ['Host: lake.example', 'Host: 127.0.0.1\r\nOrigin: https://evil.example']) {
    const answer = await raw(`GET /health HTTP/1.1\r\n${head}\r\nConnection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 403/);
    const problem = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')));
    assert.match(problem.title, /site/);
    assert.match(problem.detail, /lake\.example|evil\.example/);
  }
});

test('a body that is packed is 415, not read as it is', async () => {
  for (const encoding of ['gzip', 'br', 'GZIP, identity']) {
    const reply = await lake.send('POST', '/query/sql', { body: '{"sql": "SELECT 1"}', headers: { 'content-type': 'application/json', 'content-encoding': encoding } });
    assert.equal(reply.status, 415, reply.text);
    assert.match(`${reply.body.detail} ${reply.body.hint}`, /Content-Encoding/);
  }
  const plain = await lake.send('POST', '/query/sql', { body: '{"sql": "SELECT 1"}', headers: { 'content-type': 'application/json', 'content-encoding': 'identity' } });
  assert.equal(plain.status, 200, plain.text);
});

test('a port in use is named', async () => {
  const folder = temporaryFolder();
  const { host, hostname, port } = new URL(server.url);
  const second = await run(['serve', '--data', folder.path, '--listen', host]);
  assert.notEqual(second.code, 0);
  assert.ok(second.err.includes(hostname) && second.err.includes(port), second.err);
  assert.match(second.err, /--listen/, 'the way out is not told');
  assert.deepEqual(readdirSync(folder.path), [], 'a lake was made for a server that cannot be');
  folder.remove();
});

test('an address that others can reach is refused without authentication', async () => {
  const folder = temporaryFolder();
  const open = await run(['serve', '--data', folder.path, '--listen', '0.0.0.0:0']);
  assert.notEqual(open.code, 0);
  assert.match(open.err, /loopback|auth/);
  folder.remove();
});

test('settings: unknown keys and wrong types carry the line', async () => {
  const folder = temporaryFolder();
  const file = join(folder.path, 'lakehouse.toml');
  for (const [text, words] of [['[server]\nlisten = "127.0.0.1:0"\nworker_thread = 4\n', /3.*worker_threads/s], ['[server]\n\nio_threads = "many"\n', /3/], ['[server\n', /1/], ['[sevrer]\n', /server/]]) {
    writeFileSync(file, text);
    const { code, err } = await run(['serve', '--data', join(folder.path, 'lake'), '--config', file]);
    assert.notEqual(code, 0);
    assert.match(err, words);
  }
  folder.remove();
});

test('a folder of a newer format is left alone', async () => {
  const folder = temporaryFolder();
  const first = await startServer({ data: folder.path });
  await first.stop();
  const file = join(folder.path, '_lake.json');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace(/("format[a-z_]*":\s*)\d+/, '$1999'));
  assert.notEqual(readFileSync(file, 'utf8'), text, 'the folder does not say its format');
  const { code, err } = await run(['serve', '--data', folder.path, '--listen', '127.0.0.1:0']);
  assert.notEqual(code, 0);
  assert.match(err, /newer/);
  folder.remove();
});

test('a folder of something else is not taken over', async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder.path, 'holiday'));
  writeFileSync(join(folder.path, 'holiday', 'list.txt'), 'sun');
  const { code, err } = await run(['serve', '--data', folder.path, '--listen', '127.0.0.1:0']);
  assert.notEqual(code, 0);
  assert.match(err, /not a lake|something else|other files|empty/i);
  folder.remove();
});

test('a statement that the engine cannot stop does not keep the server from ending', async () => {
  const folder = temporaryFolder();
  const server = await startServer({ data: folder.path, args: ['--server-drain-ms', '500'] });
  const client = await connect(server);
  await client.ingest('kept', 'id\n1\n');
  const endless = "SELECT max(levenshtein(a.t, b.t)) FROM (SELECT repeat('ab', 400000) t) a, (SELECT repeat('ba', 400000) t) b";
  const asked = client.sql(endless).catch((error) => error);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const from = Date.now();
  const { code } = await server.stop('SIGTERM');
  const took = Date.now() - from;
  await asked;
  assert.notEqual(code, 0, 'it ended as if all had been well');
  assert.ok(took < 12000, `it took ${took} ms to end`);
  const next = await startServer({ data: folder.path });
  assert.deepEqual((await (await connect(next)).sql('SELECT * FROM kept')).body.rows, [[1]]);
  await next.stop();
  folder.remove();
});

test('a clean end on SIGINT and SIGTERM, and everything is there afterwards', async () => {
  const folder = temporaryFolder();
  for (const signal of ['SIGINT', 'SIGTERM']) {
    const one = await startServer({ data: folder.path });
    const client = await connect(one);
    await client.ingest(`by_${signal.toLowerCase()}`, 'id\n1\n');
    assert.deepEqual(await one.stop(signal), { code: 0, signal: null });
  }
  const last = await startServer({ data: folder.path });
  const client = await connect(last);
  assert.equal((await client.get('/catalog/datasets')).body.items.length, 2);
  await last.stop();
  assert.equal((await run(['verify', '--data', folder.path])).code, 0);
  folder.remove();
});

test('verify finds a flipped bit', async () => {
  const folder = temporaryFolder();
  const one = await startServer({ data: folder.path });
  const client = await connect(one);
  await client.ingest('flipped', `id,text\n${Array.from({ length: 500 }, (_, at) => `${at},t${at}\n`).join('')}`);
  await one.stop();
  const { readdirSync } = await import('node:fs');
  const data = readdirSync(join(folder.path, 'datasets'), { recursive: true }).find((name) => name.endsWith('.parquet'));
  const path = join(folder.path, 'datasets', data);
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1] ^= 4;
  writeFileSync(path, bytes);
  const verdict = await run(['verify', '--data', folder.path, '--json']);
  assert.notEqual(verdict.code, 0);
  assert.ok(JSON.parse(verdict.out).findings.some(({ object }) => object.endsWith(data)), verdict.out);
  const again = await startServer({ data: folder.path });
  const second = await connect(again);
  const { status, body } = await second.sql('SELECT sum(id), max(text) FROM flipped');
  assert.ok(status >= 500, 'rows of a damaged file went out');
  assert.equal(body.code, 'damaged');
  await again.stop();
  folder.remove();
});

test('damage that a statement meets is told by health until the file is good again', async (context) => {
  const folder = temporaryFolder();
  const server = await startServer({ data: folder.path });
  context.after(async () => { await server.stop(); folder.remove(); });
  const client = await connect(server);
  await client.ingest('flipped', 'id,text\n1,a\n2,b\n');
  const { key } = (await client.get('/catalog/datasets/by-name/flipped')).body.objects[0];
  const path = join(folder.path, key);
  const bytes = readFileSync(path);
  const ask = async () => [(await client.sql('SELECT sum(id) FROM flipped')).status, (await client.get('/health')).body];
  const flip = () => { bytes[bytes.length >> 1] ^= 4; writeFileSync(path, bytes); };
  assert.deepEqual([(await ask())[0], (await ask())[1].status], [200, 'ok']);
  flip();
  for (let at = 0; at < 2; at += 1) {
    const [status, health] = await ask();
    assert.deepEqual([status, health.status], [500, 'degraded']);
    assert.equal(JSON.stringify(health).match(/checksum differs/g).length, 1, 'told once');
    assert.match(JSON.stringify(health), /flipped/);
  }
  flip();
  const [status, health] = await ask();
  assert.deepEqual([status, health.status], [200, 'ok']);
});

test('a data folder that is moved away is an error that does not say where it was', { timeout: 60000 }, async (context) => {
  const folder = temporaryFolder();
  const away = `${folder.path}-away`;
  context.after(() => { try { renameSync(away, folder.path); } catch { /* it is back */ } folder.remove(); });
  const server = await startServer({ data: folder.path });
  context.after(() => server.kill());
  const lake = await connect(server); // refuses problems that name the folder
  await lake.ingest('here', 'id\n1\n', {});
  renameSync(folder.path, away);
  for (const reply of [await lake.ingest('here', 'id\n2\n', { mode: 'append' }), await lake.sql('SELECT * FROM here')]) {
    assert.ok(reply.status >= 400, reply.text);
    assert.doesNotMatch(reply.text, new RegExp(folder.path));
  }
  renameSync(away, folder.path);
  assert.deepEqual(await lake.rows('SELECT * FROM here'), [[1]]);
});
