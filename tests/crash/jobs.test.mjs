// What was accepted with 202 is done once, although the process is killed in between; a cancelled
// job leaves nothing.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const rows = 400000;
const big = () => `id,name,amount\n${Array.from({ length: rows }, (_, at) => `${at},name ${at % 977},${at % 100}.5\n`).join('')}`;

async function ended(lake, id) {
  for (let turn = 0; turn < 600; turn++) {
    const { body } = await lake.get(`/jobs/${id}`);
    if (!['queued', 'running'].includes(body.state)) return body;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`job ${id} does not end`);
}

for (const delay of [0, 5, 30, 120, 300]) {
  test(`an accepted job survives a kill after ${delay} ms and takes effect once`, { timeout: 60000 }, async (context) => {
    const folder = temporaryFolder('jobs');
    const first = await startServer({ data: folder.path });
    context.after(() => first.kill());
    const accepted = await (await connect(first)).ingest('big', big(), { mode: 'create', wait: 'false' });
    assert.equal(accepted.status, 202, accepted.text);
    await new Promise((resolve) => setTimeout(resolve, delay));
    await first.kill();
    const second = await startServer({ data: folder.path });
    context.after(() => second.kill());
    const lake = await connect(second);
    const job = await ended(lake, accepted.body.job_id);
    assert.equal(job.state, 'succeeded', JSON.stringify(job));
    assert.equal(job.result.rows, rows);
    assert.deepEqual(await lake.rows('SELECT count(*), count(DISTINCT id) FROM big'), [[rows, rows]]);
    assert.deepEqual(await second.stop(), { code: 0, signal: null });
    assert.equal((await run(['verify', '--data', folder.path])).code, 0);
    folder.remove();
  });
}

test('the end does not wait for ever for a job: it is named, and run by the next start', { timeout: 120000 }, async (context) => {
  const folder = temporaryFolder('drain');
  context.after(folder.remove);
  let left = 0;
  for (let turn = 0; turn < 5 && !left; turn++) {
    const data = join(folder.path, `lake-${turn}`);
    // No time at all: the job is told to stop, and is not waited for.
    const first = await startServer({ data, args: ['--server-drain-ms', '0'] });
    context.after(() => first.kill());
    const { body } = await (await connect(first)).ingest('big', big(), { mode: 'create', wait: 'false' });
    await new Promise((resolve) => setTimeout(resolve, 60));
    const end = await first.stop();
    assert.equal(end.signal, null);
    left += end.code === 1;
    if (end.code === 1) assert.match(first.log(), new RegExp(`jobs\\.left.*${body.job_id}.*stays queued`));
    else assert.equal(end.code, 0);
    const second = await startServer({ data });
    context.after(() => second.kill());
    const job = await ended(await connect(second), body.job_id);
    assert.equal(job.state, 'succeeded', JSON.stringify(job));
    assert.deepEqual(await second.stop(), { code: 0, signal: null });
    assert.equal((await run(['verify', '--data', data])).code, 0);
  }
  assert.ok(left, 'no job was ever left behind');
});

test('a cancelled job leaves nothing behind', { timeout: 60000 }, async (context) => {
  const server = await startServer();
  context.after(() => server.kill());
  const lake = await connect(server);
  const { body } = await lake.ingest('never', big(), { mode: 'create', wait: 'false' });
  const cancelled = await lake.delete(`/jobs/${body.job_id}`);
  assert.ok([200, 202, 204, 409].includes(cancelled.status), cancelled.text);
  const job = await ended(lake, body.job_id);
  if (cancelled.status !== 409) {
    assert.equal(job.state, 'cancelled', JSON.stringify(job));
    assert.equal((await lake.get('/catalog/datasets/by-name/never')).status, 404);
  }
  assert.deepEqual(readdirSync(join(server.data, '_staging')), []);
  await server.stop();
});
