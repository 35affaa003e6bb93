// Keys: who may call what, and what everybody else is told.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';
import { request } from 'node:http';

const folder = temporaryFolder('keys');
writeFileSync(join(folder.path, 'lakehouse.toml'), '[auth]\nenabled = true\n');

let server;
let lake;
let admin;
const keyed = (key) => ({ 'x-api-key': key });
before(async () => {
  server = await startServer({ data: folder.path });
  lake = await connect(server);
  admin = readFileSync(join(folder.path, 'admin.key'), 'utf8').trim();
});
after(async () => {
  await server.stop();
  folder.remove();
});

const as = (key, method, path, rest = {}) => lake.send(method, path, { ...rest, headers: { ...(key ? keyed(key) : {}), ...rest.headers } });
async function makeKey(name, role, rest = {}) {
  const reply = await as(admin, 'POST', '/access/keys', { json: { name, role, ...rest } });
  assert.equal(reply.status, 201);
  return reply.body;
}
const sql = (key, headers = {}) => as(key, 'POST', '/query/sql', { json: { sql: 'SELECT 1' }, headers });

test('the first key lies in the data folder for its owner alone, and is not an object', async () => {
  assert.equal(statSync(join(folder.path, 'admin.key')).mode & 0o777, 0o600);
  assert.match(admin, /^lh_[0-9a-f]{16}_[0-9a-f]{64}$/);
  assert.doesNotMatch(server.log() + server.said.join(), new RegExp(admin));
  assert.match(server.said.join(), /callers need keys/);
  const me = await as(admin, 'GET', '/access/me');
  assert.equal(me.body.role, 'admin');
});

test('health and the description answer everybody, nothing else does', async () => {
  const health = await as(null, 'GET', '/health');
  assert.equal(health.status, 200);
  assert.equal(health.body.authentication, 'keys');
  const document = await (await fetch(`${server.url}/openapi.json`)).json();
  let asked = 0;
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const response = await fetch(server.url + path.replace(/\{[^}]+\}/g, 'x'), { method: method.toUpperCase() });
      const isPublic = operation['x-permission'] === 'public';
      assert.equal(response.status === 401, !isPublic || path === '/access/me', `${method} ${path} answered ${response.status}`);
      if (response.status === 401) assert.match(response.headers.get('www-authenticate'), /^Bearer/);
      await response.arrayBuffer();
      asked++;
    }
  }
  assert.ok(asked > 15);
});

test('an upload without a key is refused before it is read', async () => {
  const { hostname, port } = new URL(server.url);
  const status = await new Promise((resolve, reject) => {
    const sending = request({ hostname, port, method: 'POST', path: '/ingest/file', headers: { 'content-type': 'multipart/form-data; boundary=x', 'content-length': 1 << 30, expect: '100-continue' } });
    sending.on('continue', () => reject(new Error('the server asked for the body')));
    sending.on('response', (response) => { resolve(response.statusCode); sending.destroy(); });
    sending.on('error', reject);
    sending.flushHeaders();
  });
  assert.equal(status, 401);
});

test('a reader reads and changes nothing', async () => {
  const { key } = await makeKey('reports', 'reader');
  await as(admin, 'POST', '/ingest/file', { form: { dataset: 'people', file: { blob: new Blob(['id\n1\n2\n']), name: 'p.csv' } } });
  const rows = await as(key, 'POST', '/query/sql', { json: { sql: 'SELECT count(*) FROM people' } });
  assert.deepEqual(rows.body.rows, [[2]]);
  assert.equal((await as(key, 'GET', '/catalog/datasets')).status, 200);
  for (const [method, path, rest] of [
    ['POST', '/ingest/file', { form: { dataset: 'people', file: { blob: new Blob(['id\n3\n']), name: 'p.csv' } } }],
    ['DELETE', '/catalog/datasets/by-name/people', {}],
    ['POST', '/catalog/datasets/by-name/people/rename', { json: { to: 'x' } }],
    ['POST', '/access/keys', { json: { name: 'n', role: 'admin' } }],
    ['GET', '/access/keys', {}],
  ]) {
    const reply = await as(key, method, path, rest);
    assert.equal(reply.status, 403, `${method} ${path}`);
    assert.match(reply.body.detail, /'reader'/);
  }
});

test('the roles are listed with what they may', async () => {
  const { items } = (await as(admin, 'GET', '/access/roles')).body;
  assert.deepEqual(items.map((one) => one.name), ['admin', 'reader', 'agent']);
  assert.ok(items[0].permissions.includes('access.write'));
  assert.ok(!items[1].permissions.some((name) => name.endsWith('.write') || name === 'ingest'));
});

test('an agent gets 403 for SQL', async () => {
  const { key } = await makeKey('bot', 'agent');
  assert.equal((await sql(key)).status, 403);
  assert.equal((await as(key, 'GET', '/catalog/datasets')).status, 403);
  assert.equal((await as(key, 'GET', '/health')).status, 200);
});

test('forged, doubled, revoked, expired and malformed keys open nothing and say little', async () => {
  const { key, about } = await makeKey('lost', 'admin');
  const forged = `${key.slice(0, -1)}${key.endsWith('0') ? '1' : '0'}`;
  const unknown = `lh_${'0'.repeat(16)}_${'0'.repeat(64)}`;
  const [a, b] = await Promise.all([sql(forged), sql(unknown)]);
  assert.equal(a.status, 401);
  const nobody = await (await fetch(`${server.url}/catalog/datasets`)).json();
  assert.match(nobody.hint, /X-API-Key.*LAKEHOUSE_KEY/);
  assert.equal(a.body.detail, b.body.detail, 'a known id is not told from an unknown one');
  assert.doesNotMatch(a.text, new RegExp(forged.slice(3, 19)));
  for (const text of ['', 'x', 'lh_', admin.toUpperCase(), `${admin} `.repeat(2), '🔑', admin.slice(3)]) {
    const reply = await fetch(`${server.url}/catalog/datasets`, { headers: { 'x-api-key': encodeURI(text) } });
    assert.equal(reply.status, 401, text);
    await reply.text();
  }
  assert.equal((await lake.send('GET', '/catalog/datasets', { headers: { 'x-api-key': key, authorization: `Bearer ${key}` } })).status, 400);
  assert.equal((await lake.send('GET', '/catalog/datasets', { headers: { authorization: 'Basic YTpi' } })).status, 401);
  assert.equal((await lake.send('GET', '/catalog/datasets', { headers: { authorization: `bearer ${key}` } })).status, 200);
  assert.equal((await as(admin, 'POST', '/access/keys', { json: { name: 'lost', role: 'reader' } })).status, 409);

  assert.equal((await sql(key)).status, 200);
  assert.equal((await as(admin, 'DELETE', `/access/keys/${about.id}`)).body.state, 'revoked');
  const revoked = await sql(key);
  assert.equal(revoked.status, 401);
  assert.match(revoked.body.detail, /revoked/);

  const short = await makeKey('short', 'reader', { expires_in_s: 1 });
  assert.equal((await sql(short.key)).status, 200);
  await new Promise((resolve) => { setTimeout(resolve, 1100); });
  const expired = await sql(short.key);
  assert.equal(expired.status, 401);
  assert.match(expired.body.detail, /expired/);

  const { items } = (await as(admin, 'GET', '/access/keys?limit=1000')).body;
  assert.deepEqual(items.filter((one) => ['lost', 'short'].includes(one.name)).map((one) => one.state).sort(), ['expired', 'revoked']);
  assert.doesNotMatch(JSON.stringify(items), /sha256|lh_/);
});

test('a role header lowers a caller for one request and never raises', async () => {
  const { key } = await makeKey('lowly', 'reader');
  assert.equal((await as(admin, 'GET', '/access/me', { headers: { 'x-lakehouse-role': 'reader' } })).body.role, 'reader');
  assert.equal((await as(admin, 'GET', '/access/keys', { headers: { 'x-lakehouse-role': 'reader' } })).status, 403);
  assert.equal((await sql(admin, { 'x-lakehouse-role': 'agent' })).status, 403);
  assert.equal((await sql(key, { 'x-lakehouse-role': 'admin' })).status, 403);
  assert.equal((await sql(key, { 'x-lakehouse-role': 'king' })).status, 400);
  assert.equal((await sql(key)).status, 200);
});

test('the command line uses the folder’s own key, or the one it is given', async () => {
  const { key } = await makeKey('cli', 'reader');
  const own = await run(['whoami', '--data', folder.path, '--json']);
  assert.equal(JSON.parse(own.out).role, 'admin', own.err);
  const given = await run(['whoami', '--data', folder.path, '--json'], { env: { LAKEHOUSE_KEY: key } });
  assert.equal(JSON.parse(given.out).name, 'cli', given.err);
  const remote = await run(['sql', 'SELECT 1', '--server', server.url]);
  assert.equal(remote.code, 1);
  assert.match(remote.err, /needs a key/);
});

test('a listed origin hears what browsers ask for, others hear nothing', async (context) => {
  const other = temporaryFolder('cors');
  const open = await startServer({ data: other.path, args: ['--server-cors-origins', 'https://reports.test'] });
  context.after(async () => { await open.stop(); other.remove(); });
  const ask = (origin, method = 'OPTIONS') => fetch(`${open.url}/query/sql`, { method, headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' } });
  const listed = await ask('https://reports.test');
  assert.equal(listed.headers.get('access-control-allow-origin'), 'https://reports.test');
  assert.match(listed.headers.get('access-control-allow-methods'), /POST/);
  const foreign = await ask('https://evil.test');
  assert.equal(foreign.status, 403);
  assert.equal(foreign.headers.get('access-control-allow-origin'), null);
});

test('another address than loopback is served with keys only', async (context) => {
  const other = temporaryFolder('open');
  context.after(() => other.remove());
  const refused = await run(['serve', '--data', other.path, '--listen', '0.0.0.0:0']);
  assert.notEqual(refused.code, 0);
  assert.match(refused.err, /auth/);
  const open = await startServer({ data: other.path, listen: '0.0.0.0:0', args: ['--auth-enabled', 'true'] });
  const stopped = open.stop;
  const port = new URL(open.url).port;
  const reply = await fetch(`http://127.0.0.1:${port}/catalog/datasets`);
  assert.equal(reply.status, 401);
  await stopped();
});

test('the command line finds the key of the folder, also where only the server was told to ask for keys', async (context) => {
  const own = temporaryFolder('told');
  const told = await startServer({ data: own.path, args: ['--auth-enabled', 'true'] });
  context.after(async () => { await told.kill(); own.remove(); });
  const without = await run(['whoami', '--server', told.url]);
  assert.equal(without.code, 1, without.out);
  const found = await run(['whoami', '--json', '--data', own.path]);
  assert.equal(found.code, 0, found.err);
  assert.equal(JSON.parse(found.out).role, 'admin');
  await told.stop();
  const open = await startServer({ data: own.path });
  context.after(() => open.kill());
  assert.equal((await run(['whoami', '--data', own.path])).code, 0, 'the key that is left of it is in the way');
});

test('a restart keeps keys, and an admin key that was lost to revocation is made anew', async (context) => {
  const other = temporaryFolder('anew');
  context.after(() => other.remove());
  const env = { LAKEHOUSE_AUTH_ENABLED: 'true' };
  const readKey = () => readFileSync(join(other.path, 'admin.key'), 'utf8').trim();
  let one = await startServer({ data: other.path, env });
  const first = readKey();
  await one.stop();
  one = await startServer({ data: other.path, env });
  assert.equal(readKey(), first);
  const me = await (await fetch(`${one.url}/access/me`, { headers: keyed(first) })).json();
  const gone = await fetch(`${one.url}/access/keys/${me.key_id}`, { method: 'DELETE', headers: keyed(first) });
  assert.equal(gone.status, 200);
  await one.stop();
  one = await startServer({ data: other.path, env });
  assert.notEqual(readKey(), first);
  assert.equal((await fetch(`${one.url}/catalog/datasets`, { headers: keyed(first) })).status, 401);
  assert.equal((await fetch(`${one.url}/catalog/datasets`, { headers: keyed(readKey()) })).status, 200);
  await one.stop();
});
