// Who lost the connection during a long ingest comes back and learns how it ended: after a restart, and
// after a kill right behind its commit; an erasure leaves nothing of the rows in what is kept for that.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { leftovers } from '../support/leftovers.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const slow = { LAKEHOUSE_JOBS_WRITE_MS: '60000' };

async function house(context, env = {}) {
  const folder = temporaryFolder('history');
  context.after(folder.remove);
  const open = async (more = env) => {
    const server = await startServer({ data: folder.path, env: more });
    context.after(() => server.kill());
    return { server, lake: await connect(server) };
  };
  return { path: folder.path, open };
}

// What it was doing last is not kept of a failed one.
const lasting = (job) => ({ ...job, progress: { ...job.progress, phase: null } });

function batches(path) {
  const folder = join(path, '_jobs');
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.ends.jsonl')) : [];
}

async function until(what, probe) {
  for (let turn = 0; turn < 200; turn++) {
    if (probe()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(what);
}

test('how an ingest ended that was waited for is told after a restart, a failure too', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  const first = await at.open();
  const good = await first.lake.ingest('people', 'id,name\n1,Ann\n2,Bob\n');
  assert.ok(good.status < 300, good.text);
  const bad = await first.lake.ingest('people', 'id,name\n3,Cid\n', { mode: 'create' });
  assert.equal(bad.status, 409, bad.text);
  const listed = (await first.lake.get('/jobs')).body.items;
  assert.equal(listed.length, 2);
  assert.deepEqual(await first.server.stop(), { code: 0, signal: null });
  assert.equal(batches(at.path).length, 1);
  const second = await at.open();
  assert.deepEqual((await second.lake.get('/jobs')).body.items.map(lasting), listed.map(lasting));
  const { body } = await second.lake.get(`/jobs/${good.body.job_id}`);
  assert.deepEqual([body.state, body.dataset, body.result.rows, body.result.version], ['succeeded', 'people', 2, 1]);
  assert.deepEqual(await second.server.stop(), { code: 0, signal: null });
  assert.equal((await run(['verify', '--data', at.path])).code, 0);
});

test('a kill behind the end: what was written is told, and what was not is told by its commit', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  const first = await at.open({ LAKEHOUSE_JOBS_WRITE_MS: '50' });
  assert.ok((await first.lake.ingest('people', 'id,name\n0,Zoe\n')).status < 300);
  const failed = await first.lake.ingest('people', 'id,name\n0,Zoe\n', { mode: 'create' });
  assert.equal(failed.status, 409, failed.text);
  const job = (await first.lake.get('/jobs')).body.items[0];
  await until('it is not written', () => batches(at.path).some((name) => readFileSync(join(at.path, '_jobs', name)).includes(job.id)));
  await first.server.kill();
  const second = await at.open(slow);
  assert.deepEqual(lasting((await second.lake.get(`/jobs/${job.id}`)).body), lasting(job), failed.text);
  const lost = await second.lake.ingest('people', 'id,name\n1,Ann\n2,Bob\n', { mode: 'append' });
  assert.ok(lost.status < 300, lost.text);
  await second.server.kill();
  const third = await at.open(slow);
  const told = await third.lake.get(`/jobs/${lost.body.job_id}?wait_ms=100`);
  assert.equal(told.status, 200, told.text);
  assert.deepEqual([told.body.kind, told.body.state, told.body.dataset, told.body.result.rows],
    ['ingest.file', 'succeeded', 'people', 2]);
  // The start behind a kill may have made the commit once more, as a version of its own.
  assert.ok(told.body.result.version >= lost.body.version, told.text);
  assert.equal((await third.lake.get('/jobs/0193e3a0-0000-7000-8000-000000000000')).status, 404);
  assert.deepEqual(await third.server.stop(), { code: 0, signal: null });
  assert.equal((await run(['verify', '--data', at.path])).code, 0);
});

test('ended jobs are forgotten by number, and a damaged record of some is told and stops nothing', { timeout: 60000 }, async (context) => {
  const at = await house(context);
  const few = { LAKEHOUSE_JOBS_KEEP: '2' };
  const first = await at.open(few);
  const ids = [];
  for (const name of ['a', 'b', 'c']) ids.push((await first.lake.ingest(name, 'id\n1\n')).body.job_id);
  assert.deepEqual((await first.lake.get('/jobs')).body.items.map((one) => one.id), [ids[2], ids[1]]);
  assert.deepEqual(await first.server.stop(), { code: 0, signal: null });
  const [name] = batches(at.path);
  const path = join(at.path, '_jobs', name);
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1] ^= 4;
  writeFileSync(path, bytes);
  const verified = await run(['verify', '--data', at.path]);
  assert.notEqual(verified.code, 0);
  assert.match(verified.out + verified.err, /ends\.jsonl/);
  const second = await at.open(few);
  assert.deepEqual((await second.lake.get('/jobs')).body.items, []);
  assert.match(second.server.log(), /jobs\.damaged.*ends\.jsonl/);
  assert.equal((await second.lake.ingest('d', 'id\n1\n')).status < 300, true);
  assert.deepEqual(await second.server.stop(), { code: 0, signal: null });
});

test('an erasure finds its rows in results that were kept, written or not', { timeout: 60000 }, async (context) => {
  const at = await house(context, slow);
  const first = await at.open();
  const rows = 'id,name,age\nCAND-000001,Wilhelmina Zebrastripe,41\nCAND-000002,Bob,42\nCAND-000003,Cid,43\n';
  assert.ok((await first.lake.ingest('people', rows)).status < 300);
  const marked = await first.lake.ingest('people', 'id,name,age\nCAND-000005,Eve,Wilhelmina Zebrastripe\nCAND-000004,Dan,44\n', { mode: 'append' });
  assert.ok(marked.status < 300, marked.text);
  assert.match(JSON.stringify(marked.body.rejected_reasons), /Zebrastripe/);
  const before = (await first.lake.get('/jobs')).body.items;
  assert.match(JSON.stringify(before), /Zebrastripe/);
  const told = await first.lake.post('/catalog/erase', { dataset: 'people', row_key_column: 'id', row_key_values: ['CAND-000001'] });
  assert.equal(told.body.state, 'erased', told.text);
  const after = (await first.lake.get('/jobs')).body.items;
  assert.doesNotMatch(JSON.stringify(after), /Zebrastripe/);
  assert.ok(after.some((one) => one.id === before.at(-1).id), 'the others stay');
  assert.deepEqual(await first.server.stop(), { code: 0, signal: null });
  assert.deepEqual((await leftovers(at.path, ['Wilhelmina Zebrastripe', 'CAND-000001'])).found, []);
  const second = await at.open();
  assert.ok((await second.lake.get('/jobs')).body.items.some((one) => one.id === before.at(-1).id));
  assert.deepEqual(await second.server.stop(), { code: 0, signal: null });
  assert.equal((await run(['verify', '--data', at.path])).code, 0);
});
