// Objects: bytes under keys of the caller's choosing, as curl, browsers and attackers use them.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { connect as dial } from 'node:net';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const at = '/storage/buckets/primary/objects';
let server;
let lake;
before(async () => {
  server = await startServer({ env: { LAKEHOUSE_LOG_REQUESTS: 'false' } });
  lake = await connect(server);
});
after(async () => {
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

const encode = (key) => key.split('/').map(encodeURIComponent).join('/');
const put = (key, body, headers = {}) => lake.send('PUT', `${at}/${encode(key)}`, { body, headers });
const get = (key, headers = {}) => lake.get(`${at}/${encode(key)}`, { headers });
const remove = (key, headers = {}) => lake.delete(`${at}/${encode(key)}`, { headers });
const list = async (query = '') => (await lake.get(`${at}${query}`)).body;
const tagOf = (bytes) => `"${createHash('sha256').update(bytes).digest('hex')}"`;
const files = (folder) => (existsSync(folder) ? readdirSync(folder, { withFileTypes: true }).flatMap((one) => (one.isDirectory() ? files(join(folder, one.name)) : [join(folder, one.name)])) : []);

// What fetch would tidy up on its way: the target goes out as it stands here.
function raw(method, target, { body = '', headers = '' } = {}) {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(server.url);
    const socket = dial(port, hostname, () => socket.write(`${method} ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: ${body.length}\r\n${headers}\r\n${body}`));
    let text = '';
    socket.setEncoding('utf8').on('data', (piece) => { text += piece; }).on('error', reject)
      .on('close', () => resolve({ status: Number(text.split(' ')[1]), text }));
  });
}

test('what is put comes back byte for byte, with its type, sum and time', async () => {
  const bytes = randomBytes(3_000_000);
  const made = await put('raw/photo.bin', bytes, { 'content-type': 'image/x-test; v=1' });
  assert.equal(made.status, 201);
  assert.deepEqual([made.body.key, made.body.bytes, made.body.etag, made.body.content_type, made.body.modified_by],
    ['raw/photo.bin', bytes.length, tagOf(bytes), 'image/x-test; v=1', 'local-admin']);
  const reply = await get('raw/photo.bin');
  assert.equal(reply.status, 200);
  assert.ok(reply.bytes.equals(bytes));
  assert.equal(reply.headers.get('etag'), tagOf(bytes));
  assert.equal(reply.headers.get('content-type'), 'image/x-test; v=1');
  assert.equal(reply.headers.get('content-length'), String(bytes.length));
  assert.ok(Math.abs(Date.parse(reply.headers.get('last-modified')) - Date.now()) < 60000);
  const replaced = await put('raw/photo.bin', 'second');
  assert.equal(replaced.status, 200);
  assert.equal((await get('raw/photo.bin')).text, 'second');
  assert.equal((await remove('raw/photo.bin')).status, 204);
  assert.equal((await get('raw/photo.bin')).status, 404);
  assert.equal((await remove('raw/photo.bin')).status, 404);
});

test('an object of no bytes, and one without a type', async () => {
  assert.equal((await put('empty', '')).status, 201);
  const reply = await get('empty');
  assert.deepEqual([reply.status, reply.text, reply.headers.get('content-length'), reply.headers.get('etag')], [200, '', '0', tagOf('')]);
  const { hostname, port } = new URL(server.url);
  for (const [key, type] of [['t.csv', 'text/csv'], ['T.JSON', 'application/json'], ['noend', 'application/octet-stream']]) {
    await new Promise((resolve, reject) => {
      request({ hostname, port, method: 'PUT', path: `${at}/${key}` }, (response) => response.resume().on('end', resolve)).on('error', reject).end('{}');
    });
    assert.equal((await lake.get(`${at}?prefix=${key}`)).body.items[0].content_type, type);
  }
  assert.equal((await lake.send('PUT', `${at}/typed?content_type=text/x-own`, { body: 'x', headers: { 'content-type': 'text/plain' } })).body.content_type, 'text/x-own');
  for (const bad of ['', 'nonsense', '/x', 'text/é', `text/${'x'.repeat(300)}`]) {
    assert.equal((await lake.send('PUT', `${at}/typed?content_type=${encodeURIComponent(bad)}`, { body: 'x' })).status, 400, bad);
  }
});

test('a browser keeps it and never runs it', async () => {
  await put('evil/page.html', '<script>alert(1)</script>', { 'content-type': 'text/html' });
  const { headers } = await get('evil/page.html');
  assert.match(headers.get('content-disposition'), /^attachment; filename\*=UTF-8''page\.html$/);
  assert.equal(headers.get('x-content-type-options'), 'nosniff');
  assert.match(headers.get('content-security-policy'), /sandbox/);
  await put('evil/"; x\u00fc 100%.html', 'x');
  assert.equal((await get('evil/"; x\u00fc 100%.html')).headers.get('content-disposition'), "attachment; filename*=UTF-8''%22%3B%20x%C3%BC%20100%25.html");
});

test('ranges, as RFC 9110 has them', async () => {
  const bytes = Buffer.from('0123456789');
  await put('ten', bytes);
  for (const [range, text, shown] of [
    ['bytes=0-0', '0', '0-0'], ['bytes=2-5', '2345', '2-5'], ['bytes=7-', '789', '7-9'], ['bytes=-3', '789', '7-9'],
    ['bytes=-100', '0123456789', '0-9'], ['bytes=0-100', '0123456789', '0-9'], [' bytes = 1 - 2 ', '12', '1-2'], ['BYTES=9-9', '9', '9-9'],
    ['bytes=9-9223372036854775807', '9', '9-9'],
  ]) {
    const reply = await get('ten', { range });
    assert.deepEqual([reply.status, reply.text, reply.headers.get('content-range')], [206, text, `bytes ${shown}/10`], range);
    assert.equal(reply.headers.get('etag'), tagOf(bytes));
  }
  for (const range of ['bytes=10-', 'bytes=100-200', 'bytes=-0']) {
    const reply = await get('ten', { range });
    assert.deepEqual([reply.status, reply.headers.get('content-range')], [416, 'bytes */10'], range);
  }
  for (const range of ['bytes=5-2', 'bytes=a-b', 'bytes=', 'bytes=--1', 'bytes=0-1,3-4', 'rows=0-1', 'bytes=99999999999999999999-', 'bytes=+1-2']) {
    const reply = await get('ten', { range });
    assert.deepEqual([reply.status, reply.text], [200, '0123456789'], range);
  }
  assert.equal((await get('ten', { range: 'bytes=0-1', 'if-range': tagOf(bytes) })).status, 206);
  assert.equal((await get('ten', { range: 'bytes=0-1', 'if-range': '"other"' })).status, 200);
});

test('HEAD tells what GET would, without the bytes', async () => {
  await put('big/head.bin', randomBytes(5_000_000));
  const [head, full] = [await lake.send('HEAD', `${at}/big/head.bin`), await get('big/head.bin')];
  for (const name of ['content-length', 'etag', 'content-type', 'last-modified', 'accept-ranges', 'content-disposition']) {
    assert.equal(head.headers.get(name), full.headers.get(name), name);
  }
  assert.equal((await lake.send('HEAD', `${at}/nosuch`)).status, 404);
  const part = await lake.send('HEAD', `${at}/big/head.bin`, { headers: { range: 'bytes=0-9' } });
  assert.deepEqual([part.status, part.headers.get('content-length')], [206, '10']);
});

test('conditions: only a new one, only that very one, only if it changed', async () => {
  assert.equal((await put('cond', 'a', { 'if-match': '*' })).status, 412);
  assert.equal((await put('cond', 'a', { 'if-none-match': '*' })).status, 201);
  assert.equal((await put('cond', 'b', { 'if-none-match': '*' })).status, 412);
  assert.equal((await put('cond', 'b', { 'if-match': '"other"' })).status, 412);
  assert.equal((await put('cond', 'b', { 'if-match': `W/${tagOf('a')}` })).status, 412, 'a weak tag is no match');
  assert.equal((await get('cond')).text, 'a');
  assert.equal((await put('cond', 'b', { 'if-match': `"x", ${tagOf('a')}` })).status, 200);
  assert.equal((await put('cond', 'c', { 'if-none-match': tagOf('b') })).status, 412);
  for (const known of [tagOf('b'), `"x", W/${tagOf('b')}`, '*']) {
    const reply = await get('cond', { 'if-none-match': known });
    assert.deepEqual([reply.status, reply.text, reply.headers.get('etag')], [304, '', tagOf('b')], known);
  }
  assert.equal((await get('cond', { 'if-none-match': tagOf('a') })).text, 'b');
  assert.equal((await get('cond', { 'if-match': tagOf('a') })).status, 412);
  assert.equal((await remove('cond', { 'if-match': tagOf('a') })).status, 412);
  assert.equal((await remove('cond', { 'if-match': tagOf('b') })).status, 204);
});

test('lists by prefix and page, in the order of parts, whatever the keys are', async () => {
  const keys = ['l/a', 'l/a/b', 'l/a/b/c', 'l/a-b', 'l/a b', 'l/\u00e4', 'l/.hidden', 'l/+x', 'l/=x', 'l/x.json', 'l/x.json/y', 'l/%2F', 'l/A', 'l/"q"', "l/o'n", 'l/日本/語'];
  for (const key of keys) assert.equal((await put(key, key)).status, 201, key);
  const order = (a, b) => {
    const [x, y] = [a.split('/'), b.split('/')];
    for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return Buffer.compare(Buffer.from(x[i]), Buffer.from(y[i]));
    return x.length - y.length;
  };
  const wanted = [...keys].sort(order);
  const all = await list('?prefix=l/&limit=1000');
  assert.deepEqual(all.items.map((one) => one.key), wanted);
  assert.equal(all.next, null);
  for (const size of [1, 3, 7]) {
    const paged = [];
    for (let behind = ''; behind !== null;) {
      const page = await list(`?prefix=l/&limit=${size}${behind && `&after=${encodeURIComponent(behind)}`}`);
      assert.ok(page.items.length <= size);
      paged.push(...page.items.map((one) => one.key));
      behind = page.next;
    }
    assert.deepEqual(paged, wanted, `pages of ${size}`);
  }
  for (const prefix of ['l/a', 'l/a/', 'l/a/b', 'l/x', 'l/日', 'l', 'l/nosuch', 'l/a/b/c/d', '/', 'l//', '..', '_objects', '+l']) {
    const { items } = await list(`?prefix=${encodeURIComponent(prefix)}&limit=1000`);
    assert.deepEqual(items.map((one) => one.key).filter((key) => key.startsWith('l')), wanted.filter((key) => key.startsWith(prefix)), prefix);
  }
  for (const [i, key] of wanted.entries()) {
    assert.deepEqual((await list(`?prefix=l/&after=${encodeURIComponent(key)}`)).items.map((one) => one.key), wanted.slice(i + 1), key);
    assert.equal((await get(key)).text, key);
  }
  assert.deepEqual((await list('?prefix=l/&after=l/a/zzz')).items.map((one) => one.key), wanted.filter((key) => order(key, 'l/a/zzz') > 0), 'behind a key that is not there');
});

test('hostile keys lead nowhere', async () => {
  const before_ = files(server.data).length;
  const refusedKeys = ['..', '../x', 'a/../b', 'a/..', './a', 'a/./b', 'a//b', '/a', 'a/', 'a\\b', 'a\u0001b', 'a\u007f', 'a\u0085b',
    '_x', '_access/keys/x.json', '_catalog/x', '_lake.json', '_lock', '_objects/heads/=a', 'admin.key', 'admin.key.new', 'lakehouse.toml', 'secrets.toml', '_staging/x',
    'x'.repeat(255), 'x/'.repeat(60) + 'x', `${'y'.repeat(200)}/`.repeat(5)];
  for (const key of refusedKeys) {
    const target = `${at}/${key.split('/').map((part) => encodeURIComponent(part).replaceAll('.', '%2e')).join('/')}`;
    for (const [method, how] of [['PUT', { body: 'x' }], ['GET', {}], ['DELETE', {}]]) {
      const reply = await raw(method, target, how);
      assert.ok([400, 404].includes(reply.status), `${method} ${key} answered ${reply.status}`);
      assert.doesNotMatch(reply.text, /lh_[0-9a-f]{16}/);
    }
  }
  for (const target of [`${at}/../../../../etc/passwd`, `${at}/..%2f..%2fetc%2fpasswd`, `${at}/%2e%2e/%2e%2e/admin.key`, `${at}/a%00b`, `${at}/%ff`, `${at}/%c0%ae%c0%ae/x`, `${at}/a%5c..%5cb`, `${at}/a%2f%2e%2e%2fb`, `${at}/%2fetc/passwd`, `${at}//etc/passwd`, '/storage/buckets/..%2f../objects/x', '/storage/buckets/_objects/objects/x', `${at}/${'z'.repeat(9000)}`]) {
    for (const method of ['PUT', 'GET', 'DELETE']) {
      const reply = await raw(method, target, method === 'PUT' ? { body: 'x' } : {});
      assert.ok([400, 404, 414, 503].includes(reply.status), `${method} ${target.slice(0, 80)} answered ${reply.status}`);
    }
  }
  // An escaped slash is the same as a plain one.
  assert.equal((await put('s/t', 'slash')).status, 201);
  assert.equal((await lake.get(`${at}/s%2Ft`)).text, 'slash');
  await remove('s/t');
  assert.ok(files(server.data).filter((name) => !name.includes('_trash')).length <= before_, 'something was left behind');
});

test('unknown buckets: 404 to read, 503 to write, with the names there are', async () => {
  const missing = await lake.get('/storage/buckets/nosuch/objects/x');
  assert.equal(missing.status, 404);
  assert.match(missing.body.hint, /primary/);
  assert.equal((await lake.get('/storage/buckets/nosuch/objects')).status, 404);
  const put = await lake.send('PUT', '/storage/buckets/nosuch/objects/x', { body: 'x' });
  assert.deepEqual([put.status, put.body.code, put.body.retryable], [503, 'no_such_bucket', false], put.text);
  assert.match(put.body.detail, /no bucket 'nosuch'/);
  assert.equal((await lake.delete('/storage/buckets/nosuch/objects/x')).status, 404);
});

test('of many racing to make one object, one wins; of many replacing it, none is torn', async () => {
  for (let round = 0; round < 5; round++) {
    const replies = await Promise.all(Array.from({ length: 12 }, (_, i) => put(`race/new-${round}`, `${i}`.repeat(1000), { 'if-none-match': '*' })));
    assert.deepEqual(replies.map((one) => one.status).sort(), [201, ...Array(11).fill(412)]);
    const winner = replies.findIndex((one) => one.status === 201);
    assert.equal((await get(`race/new-${round}`)).text, `${winner}`.repeat(1000));
  }
  // A compare-and-swap counter: every success is counted once.
  await put('race/count', '0');
  const worker = async () => {
    for (let done = 0; done < 8;) {
      const now = await get('race/count');
      const next = await put('race/count', `${Number(now.text) + 1}`, { 'if-match': now.headers.get('etag') });
      assert.ok([200, 412].includes(next.status));
      done += next.status === 200;
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
  assert.equal((await get('race/count')).text, '32');
  // Readers while writers replace: always one of the versions, whole.
  const size = 400_000;
  await put('race/torn', 'a'.repeat(size));
  let writing = true;
  const writer = async (letter) => { for (let i = 0; i < 12; i++) assert.equal((await put('race/torn', letter.repeat(size))).status, 200); };
  const reader = async () => {
    let seen = 0;
    while (writing) {
      const reply = await get('race/torn');
      assert.equal(reply.status, 200);
      assert.equal(reply.headers.get('etag'), tagOf(reply.bytes));
      assert.match(reply.text, /^(a+|b+|c+)$/);
      seen++;
    }
    assert.ok(seen > 0);
  };
  const readers = [reader(), reader()];
  await Promise.all([writer('b'), writer('c')]);
  writing = false;
  await Promise.all(readers);
});

test('what is left of a client that hangs up in the middle is nothing', async () => {
  const { hostname, port } = new URL(server.url);
  await put('hang', 'before');
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => {
      const socket = dial(port, hostname, () => {
        socket.write(`PUT ${at}/hang HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n${'x'.repeat(3_000_000)}`);
        setTimeout(() => { socket.destroy(); resolve(); }, 50);
      });
      socket.on('error', () => {});
    });
  }
  assert.equal((await get('hang')).text, 'before');
  for (let tries = 0; readdirSync(join(server.data, '_staging')).length && tries < 50; tries++) await new Promise((resolve) => { setTimeout(resolve, 50); });
  assert.deepEqual(readdirSync(join(server.data, '_staging')), []);
  // And a reader that leaves early costs nothing but its own reply.
  await put('long', randomBytes(30_000_000));
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => {
      const asking = request({ hostname, port, path: `${at}/long` }, (response) => response.once('data', () => { response.destroy(); resolve(); }));
      asking.on('error', resolve);
      asking.end();
    });
  }
  assert.equal((await get('hang')).text, 'before');
});

test('readers that do not read hold nobody else up', async (context) => {
  const { hostname, port } = new URL(server.url);
  await put('slow/big', randomBytes(40_000_000));
  const sockets = Array.from({ length: 10 }, () => {
    const socket = dial(port, hostname, () => socket.write(`GET ${at}/slow/big HTTP/1.1\r\nHost: localhost\r\n\r\n`));
    socket.on('error', () => {});
    return socket.pause();
  });
  context.after(() => sockets.forEach((socket) => socket.destroy()));
  await new Promise((resolve) => { setTimeout(resolve, 700); });
  const from = Date.now();
  assert.equal((await put('slow/small', 'x')).status, 201);
  assert.equal((await get('slow/small')).text, 'x');
  assert.deepEqual(await lake.rows('SELECT 1'), [[1]]);
  assert.ok(Date.now() - from < 5000, `${Date.now() - from} ms`);
});

test('bytes that changed on the disk never pass for the object', async (context) => {
  const folder = temporaryFolder('damaged');
  const own = await startServer({ data: folder.path, env: { LAKEHOUSE_LOG_REQUESTS: 'false' } });
  context.after(async () => { await own.stop(); folder.remove(); });
  const client = await connect(own);
  await client.send('PUT', `${at}/flip`, { body: randomBytes(1_000_000) });
  const [data] = files(join(folder.path, '_objects', 'data'));
  const bytes = readFileSync(data);
  bytes[500_000] ^= 4;
  writeFileSync(data, bytes);
  await assert.rejects(async () => { await (await fetch(`${own.url}${at}/flip`)).arrayBuffer(); }, 'a damaged body ended well');
  truncateSync(data, 10);
  assert.deepEqual([(await client.get(`${at}/flip`)).status, (await client.get(`${at}/flip`)).body.code], [500, 'damaged']);
  rmSync(data);
  assert.equal((await client.get(`${at}/flip`)).body.code, 'damaged');
  await client.send('PUT', `${at}/ok`, { body: 'fine' });
  const head = files(join(folder.path, '_objects', 'heads')).find((name) => name.endsWith('=flip'));
  appendFileSync(head, 'x');
  assert.equal((await client.get(`${at}/flip`)).body.code, 'damaged');
  const { items } = (await client.get(at)).body;
  assert.deepEqual(items.map((one) => [one.key, Boolean(one.problem)]), [['flip', true], ['ok', false]]);
  await own.stop();
  const verify = await run(['verify', '--data', folder.path]);
  assert.equal(verify.code, 1);
  assert.match(verify.out, /=flip/);
  const again = await startServer({ data: folder.path });
  const second = await connect(again);
  for (let tries = 0; tries < 40; tries++) {
    const health = (await second.get('/health')).body;
    if (health.problems.some((one) => one.kind === 'objects')) break;
    assert.ok(tries < 39, JSON.stringify(health));
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  assert.equal((await second.send('PUT', `${at}/flip`, { body: 'mended' })).status, 201);
  assert.equal((await second.get(`${at}/flip`)).text, 'mended');
  await again.stop();
  assert.equal((await run(['verify', '--data', folder.path])).code, 0);
});

test('killed at any moment: every key has what it had or what was put, and nothing is left over', async (context) => {
  const folder = temporaryFolder('killed');
  context.after(folder.remove);
  const acknowledged = new Map();
  const sent = new Map();
  for (let round = 0; round < 12; round++) {
    const own = await startServer({ data: folder.path, env: { LAKEHOUSE_LOG_REQUESTS: 'false' } });
    let isDead = false;
    const work = async (name) => {
      for (let i = 0; !isDead; i++) {
        const key = `k/${name}-${i % 4}`;
        const isDelete = i % 5 === 4;
        const text = `${round}.${name}.${i}.`.repeat(i % 3 === 0 ? 20000 : 20);
        sent.set(key, [...(sent.get(key) ?? []), isDelete ? null : text]);
        try {
          const response = await fetch(`${own.url}${at}/${key}`, isDelete ? { method: 'DELETE' } : { method: 'PUT', body: text });
          await response.arrayBuffer();
          if (isDelete ? [204, 404].includes(response.status) : response.ok) {
            acknowledged.set(key, isDelete ? null : text);
            sent.set(key, []);
          }
        } catch {
          return;
        }
      }
    };
    const workers = ['a', 'b', 'c'].map(work);
    await new Promise((resolve) => { setTimeout(resolve, 30 + Math.random() * 250); });
    await own.kill();
    isDead = true;
    await Promise.all(workers);
    const next = await startServer({ data: folder.path, env: { LAKEHOUSE_LOG_REQUESTS: 'false' } });
    for (const [key, text] of acknowledged) {
      const response = await fetch(`${next.url}${at}/${key}`);
      const body = response.ok ? await response.text() : (await response.arrayBuffer(), null);
      assert.ok(response.ok || response.status === 404, `${key}: ${response.status}`);
      assert.ok([text, ...sent.get(key)].includes(body), `${key} is neither what was acknowledged nor what was sent: ${String(body).slice(0, 40)}`);
      acknowledged.set(key, body);
      sent.set(key, []);
    }
    await new Promise((resolve) => { setTimeout(resolve, 400); }); // the sweep
    await next.stop();
    const verify = await run(['verify', '--data', folder.path, '--json']);
    assert.equal(verify.code, 0, verify.out);
    assert.equal(JSON.parse(verify.out).orphans, 0, verify.out);
    assert.deepEqual(readdirSync(join(folder.path, '_staging')), []);
  }
});

test('one object, and all of them together, are held to their limits', async (context) => {
  const own = await startServer({ env: { LAKEHOUSE_LOG_REQUESTS: 'false', LAKEHOUSE_STORAGE_OBJECTS_BYTES_MAX: '10000', LAKEHOUSE_SERVER_UPLOAD_BYTES_MAX: '8000' } });
  context.after(() => own.stop());
  const client = await connect(own);
  const send = (key, bytes, headers) => client.send('PUT', `${at}/${key}`, { body: 'x'.repeat(bytes), headers });
  assert.equal((await send('big', 8001)).status, 413);
  assert.equal((await send('a', 6000)).status, 201);
  const full = await send('b', 4001);
  assert.deepEqual([full.status, full.body.code], [507, 'no_space']);
  assert.match(full.body.hint, /objects_bytes_max/);
  assert.equal((await client.get(`${at}/b`)).status, 404);
  assert.equal((await send('b', 4000)).status, 201);
  assert.equal((await send('b', 1)).status, 507, 'what replaces another needs its room beside it');
  assert.equal((await client.delete(`${at}/a`)).status, 204);
  assert.equal((await send('b', 10, { 'if-none-match': '*' })).status, 412);
  assert.equal((await send('b', 5)).status, 200);
  const replies = await Promise.all(Array.from({ length: 12 }, (_, i) => send(`many/${i}`, 2000)));
  assert.deepEqual(replies.map((one) => one.status).sort(), [...Array(4).fill(201), ...Array(8).fill(507)]);
  const { items } = (await client.get(at)).body;
  assert.ok(items.reduce((sum, one) => sum + one.bytes, 0) <= 10000);
});

test('the command line puts, gets, lists and deletes, on a server and on the folder alone', async (context) => {
  const here = mkdtempSync(join(tmpdir(), 'lakehouse-cli-'));
  context.after(() => rmSync(here, { recursive: true, force: true }));
  const bytes = randomBytes(2_000_000);
  const file = join(here, 'my file.bin');
  writeFileSync(file, bytes);
  for (const where of [['--server', server.url], ['--data', join(here, 'lake')]]) {
    const made = await run(['objects', 'put', 'primary', 'c/d e/ü.bin', file, '--content-type', 'image/png', '--json', ...where]);
    assert.equal(made.code, 0, made.err);
    assert.deepEqual([JSON.parse(made.out).etag, JSON.parse(made.out).content_type], [tagOf(bytes), 'image/png']);
    assert.equal(statSync(file).size, bytes.length, 'the user’s own file was taken away');
    const again = await run(['objects', 'put', 'primary', 'c/d e/ü.bin', file, '--if-none-match', '*', ...where]);
    assert.equal(again.code, 1);
    const part = await run(['objects', 'get', 'primary', 'c/d e/ü.bin', '--range', 'bytes=0-9', ...where]);
    assert.equal(part.code, 0, part.err);
    const listed = await run(['objects', 'list', 'primary', 'c/', ...where]);
    assert.match(listed.out, /c\/d e\/ü\.bin/);
    assert.equal((await run(['objects', 'delete', 'primary', 'c/d e/ü.bin', ...where])).code, 0);
    assert.equal((await run(['objects', 'get', 'primary', 'c/d e/ü.bin', ...where])).code, 1);
    assert.equal((await run(['objects', 'get', 'primary', '../x', ...where])).code, 1);
  }
});
