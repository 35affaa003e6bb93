// The same promises against a store that somebody else wrote and that checks signatures: versitygw over
// a folder. `deps/install --store` builds it where there is Go; without it this is skipped, and said so.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { root, startServer, temporaryFolder } from '../support/server.mjs';

const built = join(root, 'deps', 'fetched', 'bin', 'versitygw');
const program = existsSync(built) ? built : spawnSync('sh', ['-c', 'command -v versitygw']).stdout?.toString().trim();
const keys = { id: 'AKIDREALSTORE', secret: 'real/secret+of=a/store' };

const freePort = () => new Promise((resolve) => {
  const probe = createServer().listen(0, '127.0.0.1', () => { const { port } = probe.address(); probe.close(() => resolve(port)); });
});

async function startReal(folder) {
  const port = await freePort();
  for (const name of ['data', 'data/warehouse', 'side']) mkdirSync(join(folder, name), { recursive: true });
  const child = spawn(program, ['--port', `127.0.0.1:${port}`, '--region', 'eu-real-1', '--keep-alive', '--quiet', 'posix', '--sidecar', join(folder, 'side'), join(folder, 'data')],
    { env: { PATH: process.env.PATH, ROOT_ACCESS_KEY: keys.id, ROOT_SECRET_KEY: keys.secret }, stdio: 'ignore' });
  const ended = new Promise((resolve) => { child.on('close', resolve); });
  const endpoint = `http://127.0.0.1:${port}`;
  for (let at = 0; at < 100; at++) {
    try { await fetch(endpoint); break; } catch { await new Promise((resolve) => { setTimeout(resolve, 100); }); }
  }
  return { endpoint, stop: async () => { child.kill('SIGTERM'); await ended; } };
}

test('datasets and objects live in a store that somebody else wrote', { skip: program ? false : 'skipped: there is no versitygw; deps/install --store builds it' }, async () => {
  const folder = temporaryFolder('store');
  const store = await startReal(folder.path);
  const server = await startServer({ env: { LAKEHOUSE_LOG_REQUESTS: 'false' } });
  const secrets = (secret) => {
    writeFileSync(join(server.data, 'secrets.toml'), `[real]\naccess_key_id = "${keys.id}"\nsecret_access_key = "${secret}"\n`);
    chmodSync(join(server.data, 'secrets.toml'), 0o600);
  };
  const emptyCache = () => rmSync(join(server.data, '_cache'), { recursive: true, force: true });
  try {
    const lake = await connect(server);
    const options = { name: 'real', backend: 's3', endpoint: store.endpoint, region: 'eu-real-1', bucket: 'warehouse', prefix: 'lake', secret: 'real' };
    secrets('another');
    const refused = await lake.post('/storage/buckets', options);
    assert.deepEqual([refused.status, /SignatureDoesNotMatch/.test(refused.body.detail)], [503, true], refused.text);
    secrets(keys.secret);
    const made = await lake.post('/storage/buckets', options);
    assert.equal(made.status, 201, made.text);
    const headers = { 'x-lakehouse-bucket': 'real' };
    const rows = `id,name\n${Array.from({ length: 5000 }, (_, at) => `${at},name ${at}`).join('\n')}\n`;
    const taken = await lake.ingest('places', rows, { headers });
    assert.equal(taken.status, 200, taken.text);
    assert.equal((await lake.ingest('places', 'id,name\n9000,late\n', { mode: 'append' })).status, 200);
    assert.equal((await lake.ingest('here', 'id\n7\n9000\n')).status, 200);
    emptyCache();
    assert.deepEqual(await lake.rows('SELECT count(*), min(p.id), max(p.id) FROM places p JOIN here USING (id)'), [[2, 7, 9000]]);
    const at = '/storage/buckets/real/objects';
    const bytes = randomBytes(40_000_000);
    const sum = `"${createHash('sha256').update(bytes).digest('hex')}"`;
    for (const key of ['raw/a%20b+c=%C3%A9%27(1)*.bin', 'raw/a', 'raw/a/b', 'raw/~x!@$,;:&.txt']) {
      const put = await lake.send('PUT', `${at}/${key}`, { body: key.endsWith('.bin') ? bytes : `bytes of ${key}` });
      assert.equal(put.status, 201, `${key}: ${put.text}`);
    }
    assert.equal((await lake.get(`${at}/raw/a%20b+c=%C3%A9%27(1)*.bin`)).headers.get('etag'), sum);
    assert.equal((await lake.get(`${at}/raw/a/b`)).text, 'bytes of raw/a/b');
    assert.deepEqual((await lake.get(`${at}?prefix=raw/`)).body.items.map((one) => one.key), ['raw/a', 'raw/a/b', "raw/a b+c=é'(1)*.bin", 'raw/~x!@$,;:&.txt']);
    assert.equal((await lake.send('PUT', `${at}/raw/a`, { body: 'x', headers: { 'if-none-match': '*' } })).status, 412);
    assert.equal((await lake.delete(`${at}/raw/a`)).status, 204);
    assert.equal((await lake.get(`${at}/raw/a`)).status, 404);
    assert.ok(existsSync(join(folder.path, 'data', 'warehouse', 'lake', '_trash')));
    assert.equal((await lake.delete('/storage/buckets/real')).status, 409);
    const health = (await lake.get('/storage/bucket-health')).body.items;
    assert.deepEqual(health.map((one) => one.available), [true, true]);
    await server.stop();
    assert.ok(readdirSync(join(folder.path, 'data', 'warehouse', 'lake')).includes('_bucket.json'));
  } finally {
    await server.stop();
    await store.stop();
    folder.remove();
  }
});
