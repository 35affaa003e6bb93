// Datasets between the data folder and a store of the S3 protocol, and back, while the store fails as
// stores do; the lake is verified offline after each.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { program, startServer, temporaryFolder } from '../support/server.mjs';
import { startStore } from '../support/s3-server.mjs';

const quiet = { LAKEHOUSE_LOG_REQUESTS: 'false' };
const rows = (from, count) => `id,name\n${Array.from({ length: count }, (_, one) => `${from + one},n${from + one}`).join('\n')}\n`;
const isData = (request, url) => /\/datasets\//.test(url.path);

async function open(context) {
  const data = temporaryFolder('lake');
  const store = await startStore();
  writeFileSync(join(data.path, 'secrets.toml'), store.secretsText());
  chmodSync(join(data.path, 'secrets.toml'), 0o600);
  const one = { data, store };
  context.after(async () => {
    await one.server?.stop();
    await store.stop();
    data.remove();
  });
  one.start = async () => {
    one.server = await startServer({ data: data.path, env: quiet });
    one.lake = await connect(one.server);
  };
  one.verify = async () => {
    await one.server.stop();
    await promisify(execFile)(program, ['verify', '--data', data.path]); // the store is this process
    await one.start();
  };
  one.stored = () => [...store.objects.keys()].filter((key) => /^p\/datasets\//.test(key));
  one.move = (to, more = {}) => one.lake.post('/catalog/datasets/by-name/t/move', { to, wait: true, ...more });
  one.buckets = async () => [...new Set((await one.lake.get('/catalog/datasets/by-name/t')).body.objects.map((object) => object.bucket))];
  one.answers = async () => {
    assert.deepEqual(await one.lake.rows('SELECT count(*), sum(id)::BIGINT FROM t'), [[299, 44830]]);
    assert.deepEqual(await one.lake.rows('SELECT count(*) FROM t AT (VERSION => 1)'), [[99]]);
  };
  await one.start();
  const made = await one.lake.post('/storage/buckets', { name: 'far', backend: 's3', endpoint: store.endpoint, region: store.region, bucket: store.bucket, prefix: 'p', secret: 'warehouse' });
  assert.equal(made.status, 201, made.text);
  for (const [from, mode] of [[0, 'create'], [100, 'append'], [200, 'append']])
    assert.equal((await one.lake.ingest('t', rows(from, 100), { mode })).status, 200);
  const hidden = await one.lake.post('/catalog/datasets/by-name/t/tombstone', { row_key_column: 'id', row_key_values: [20], reason: 'asked' });
  assert.equal(hidden.status, 200, hidden.text);
  return one;
}

test('a dataset goes to a flaky store and back, and every version answers alike', async (context) => {
  const one = await open(context);
  const { store } = one;
  const deeds = [{ status: 503, code: 'SlowDown' }, { hangUp: true }, { doneThenHangUp: true }, { status: 409, code: 'ConditionalRequestConflict' }];
  store.faults = deeds.map((deed) => ({ when: (request, url) => request.method === 'PUT' && isData(request, url), times: 1, deed }));
  const there = await one.move('far');
  assert.equal(there.status, 200, there.text);
  assert.equal(there.body.files, 3);
  assert.deepEqual(await one.buckets(), ['far']);
  assert.equal(one.stored().length, 3);
  await one.answers();
  await one.verify();
  await one.answers();
  store.faults = [{ truncate: true }, { corrupt: true }, { status: 500, code: 'InternalError' }, { hangUp: true }].map((deed) => ({ when: (request, url) => request.method === 'GET' && isData(request, url), times: 1, deed }));
  const back = await one.move('primary');
  assert.equal(back.status, 200, back.text);
  assert.deepEqual(await one.buckets(), ['primary']);
  assert.equal(one.stored().length, 0);
  store.faults = [];
  await one.answers();
  await one.verify();
  await one.answers();
});

test('a store that goes away half way leaves the dataset where it was, whole', async (context) => {
  const one = await open(context);
  const { store } = one;
  let puts = 0;
  const isLate = (request, url) => isData(request, url) && (puts >= 1 || (request.method === 'PUT' && puts++ >= 1));
  store.faults = [{ when: isLate, times: Infinity, deed: { status: 503, code: 'SlowDown' } }];
  const refused = await one.move('far');
  assert.equal(refused.status, 503, refused.text);
  assert.match(refused.body.detail, /'far'/);
  assert.deepEqual(await one.buckets(), ['primary']);
  await one.answers();
  const failures = (await one.lake.get('/storage/errors?bucket=far')).body.items;
  assert.ok(failures.length > 0);
  store.faults = [];
  await one.verify();
  assert.equal((await one.move('far')).status, 200);
  assert.equal(one.stored().length, 3);
  await one.answers();
  await one.verify();
});

test('a move that is killed while it copies goes on at the next start', async (context) => {
  const one = await open(context);
  const { store } = one;
  store.faults = [{ when: (request, url) => request.method === 'PUT' && isData(request, url), times: Infinity, deed: { delayMs: 400 } }];
  const accepted = await one.lake.post('/catalog/datasets/by-name/t/move', { to: 'far' });
  assert.equal(accepted.status, 202, accepted.text);
  while (one.stored().length < 1) await new Promise((resolve) => setTimeout(resolve, 20));
  await one.server.kill();
  store.faults = [];
  await one.start();
  const job = (await one.lake.get(`/jobs/${accepted.body.job_id}?wait_ms=20000`)).body;
  assert.equal(job.state, 'succeeded', JSON.stringify(job));
  assert.deepEqual(await one.buckets(), ['far']);
  assert.equal(one.stored().length, 3);
  await one.answers();
  await one.verify();
});

test('a move that is cancelled leaves nothing in the store', async (context) => {
  const one = await open(context);
  const { store } = one;
  store.faults = [{ when: (request, url) => request.method === 'PUT' && isData(request, url), times: Infinity, deed: { delayMs: 400 } }];
  const accepted = await one.lake.post('/catalog/datasets/by-name/t/move', { to: 'far' });
  while (one.stored().length < 1) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok((await one.lake.send('DELETE', `/jobs/${accepted.body.job_id}`)).status < 300);
  const job = (await one.lake.get(`/jobs/${accepted.body.job_id}?wait_ms=20000`)).body;
  assert.equal(job.state, 'cancelled', JSON.stringify(job));
  assert.deepEqual(await one.buckets(), ['primary']);
  assert.equal(one.stored().length, 0);
  await one.answers();
});
