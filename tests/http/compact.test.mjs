// Small files become few: on request, as a job, by the command line, and by the server itself.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const csv = (first, count = 10) => `id,v\n${Array.from({ length: count }, (_, at) => `${first + at},x${at}\n`).join('')}`;

async function deltas(lake, name, count) {
  await lake.ingest(name, csv(0), { mode: 'create' });
  for (let at = 1; at < count; at += 1) await lake.ingest(name, csv(at * 10), { mode: 'append' });
}

const files = async (lake, name) => (await lake.get(`/catalog/datasets/by-name/${name}`)).body.objects.length;
const ids = async (lake, name) => (await lake.post('/query/sql', { sql: `SELECT id FROM ${name}` })).body.rows.flat();

test('files are merged on request, once per key, as a job, and all of them', { timeout: 60000 }, async (context) => {
  const folder = temporaryFolder();
  context.after(() => folder.remove());
  const server = await startServer({ data: folder.path, env: { LAKEHOUSE_COMPACTION_ENABLED: 'false' } });
  context.after(() => server.kill());
  const lake = await connect(server);
  await deltas(lake, 'calls', 5);
  await deltas(lake, 'notes', 4);
  const before = await ids(lake, 'calls');

  const told = await lake.post('/query/compact', { dry_run: true });
  assert.equal(told.status, 200, told.text);
  assert.deepEqual([told.body.compacted, told.body.files_before, told.body.files_after], [2, 9, 2]);
  assert.equal(await files(lake, 'calls'), 5, 'a dry run merged something');

  const key = { headers: { 'Idempotency-Key': 'once' } };
  const done = await lake.post('/query/compact', { dataset: 'Calls', reason: 'slow' }, key);
  assert.equal(done.status, 200, done.text);
  assert.deepEqual([done.body.final_rows, done.body.files_after, done.body.tombstones_applied], [50, 1, 0]);
  assert.ok(done.body.bytes_after < done.body.bytes_before);
  const again = await lake.post('/query/compact', { dataset: 'Calls', reason: 'slow' }, key);
  assert.equal(again.text, done.text, 'the key was answered anew');
  assert.deepEqual(await ids(lake, 'calls'), before);
  const versions = (await lake.get('/catalog/datasets/by-name/calls/versions')).body.items;
  assert.equal(versions[0].commits[0].reason, 'slow');
  assert.equal(versions[0].row_count, 50);

  const accepted = await lake.post('/query/compact', { wait: false });
  assert.equal(accepted.status, 202, accepted.text);
  let job;
  do {
    job = (await lake.get(`/jobs/${accepted.body.job_id}`)).body;
    await sleep(20);
  } while (job.state === 'queued' || job.state === 'running');
  assert.equal(job.state, 'succeeded', JSON.stringify(job));
  assert.deepEqual(job.result.datasets.map((one) => one.dataset), ['notes']);
  assert.equal(await files(lake, 'notes'), 1);

  const unknown = await lake.post('/query/compact', { dataset: 'call' });
  assert.equal(unknown.status, 404);
  assert.match(unknown.text, /calls/);
  const history = await lake.get('/journal/recent');
  assert.ok(history.body.items.some((one) => one.action === 'dataset.rewrite' && one.entity_id === 'calls'), history.text);

  await lake.ingest('calls', csv(900), { mode: 'append' });
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  const alone = await run(['compact', 'calls', '--data', folder.path, '--json']);
  assert.equal(alone.code, 0, alone.out + alone.err);
  assert.equal(JSON.parse(alone.out).files_after, 1);
  const verified = await run(['verify', '--journal', '--data', folder.path]);
  assert.equal(verified.code, 0, verified.out + verified.err);
});

test('the server merges by itself what has become many, and leaves alone what it is told to', { timeout: 60000 }, async (context) => {
  const folder = temporaryFolder();
  context.after(() => folder.remove());
  const env = { LAKEHOUSE_COMPACTION_FILES: '3', LAKEHOUSE_COMPACTION_SCHEDULE: 'every 1s' };
  const server = await startServer({ data: folder.path, env });
  context.after(() => server.kill());
  const lake = await connect(server);
  await deltas(lake, 'calls', 14);
  await deltas(lake, 'few', 2);
  for (let at = 0; at < 300 && (await files(lake, 'calls')) > 1; at += 1) await sleep(100);
  assert.equal(await files(lake, 'calls'), 1);
  assert.equal(await files(lake, 'few'), 2);
  assert.equal((await ids(lake, 'calls')).length, 140);
  await server.stop();
  const wrong = await run(['serve', '--data', folder.path, '--listen', '127.0.0.1:0', '--compaction-schedule', 'now and then']);
  assert.notEqual(wrong.code, 0);
  assert.match(wrong.err, /compaction\.schedule|now and then/);
});
