// Parquet that is stored already, in the data folder and in a store of the S3 protocol, becomes datasets,
// by HTTP and by the command.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { program, startServer, temporaryFolder } from '../support/server.mjs';
import { startStore } from '../support/s3-server.mjs';

const command = promisify(execFile);

test('objects of a store and of the folder are one dataset, whatever becomes of them', async (context) => {
  const data = temporaryFolder('lake');
  const store = await startStore();
  let server;
  context.after(async () => {
    await server?.stop();
    await store.stop();
    data.remove();
  });
  writeFileSync(join(data.path, 'secrets.toml'), store.secretsText());
  chmodSync(join(data.path, 'secrets.toml'), 0o600);
  const start = async () => {
    server = await startServer({ data: data.path, env: { LAKEHOUSE_LOG_REQUESTS: 'false' } });
    return connect(server);
  };
  let lake = await start();
  const bucket = { name: 'far', backend: 's3', endpoint: store.endpoint, region: store.region, bucket: store.bucket, prefix: 'p', secret: 'warehouse' };
  assert.equal((await lake.post('/storage/buckets', bucket)).status, 201);
  const put = async (where, key, sql) => {
    const file = await lake.post('/query/sql', { sql, format: 'parquet' });
    assert.equal(file.status, 200, file.text);
    const reply = await lake.send('PUT', `/storage/buckets/${where}/objects/${key}`, { body: file.bytes });
    assert.equal(reply.status, 201, reply.text);
  };
  await put('far', 'raw/a.parquet', 'SELECT i AS id FROM range(1000) t(i)');
  await put('primary', 'raw/b.parquet', 'SELECT i + 1000 AS id FROM range(500) t(i)');
  const objects = [{ bucket: 'far', key: 'raw/a.parquet' }, { bucket: 'primary', key: 'raw/b.parquet' }];
  const made = await lake.send('POST', '/catalog/datasets', { body: JSON.stringify({ name: 'readings', objects }), headers: { 'content-type': 'application/json', 'x-lakehouse-bucket': 'far' } });
  assert.equal(made.status, 201, made.text);
  assert.deepEqual([made.body.rows, made.body.version, made.headers.get('location'), made.headers.get('etag')], [1500, 1, '/catalog/datasets/by-name/readings', '"1"']);
  assert.equal((await lake.post('/catalog/datasets', { name: 'readings', objects })).status, 409);
  const missing = await lake.post('/catalog/datasets', { name: 'more', objects: [{ bucket: 'far', key: 'raw/z.parquet' }] });
  assert.equal(missing.status, 404);
  assert.match(missing.text, /raw\/z\.parquet/);
  assert.match((await command(program, ['datasets', 'register', '--help'])).stdout, /a JSON list, --objects '\[\{…\}, …\]'/);
  const { stdout } = await command(program, ['datasets', 'register', 'again', '--objects', JSON.stringify([objects[1]]), '--server', server.url, '--json']);
  assert.equal(JSON.parse(stdout).rows, 500);
  for (const { bucket: where, key } of objects)
    assert.equal((await lake.delete(`/storage/buckets/${where}/objects/${key}`)).status, 204);
  const file = (await lake.get('/catalog/datasets/by-name/readings')).body.objects;
  assert.deepEqual(file.map((one) => one.bucket), ['far']);
  await server.stop();
  await command(program, ['verify', '--data', data.path]);
  lake = await start();
  assert.deepEqual(await lake.rows('SELECT count(*), sum(id)::BIGINT FROM readings'), [[1500, 1124250]]);
  assert.deepEqual(await lake.rows('SELECT count(*), min(id) FROM again'), [[500, 1000]]);
});
