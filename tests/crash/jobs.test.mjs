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

test('an accepted job survives a kill and takes effect once', { timeout: 120000 }, async () => {
  const folder = temporaryFolder('jobs');
  const ids = [];
  for (const delay of [0, 5, 30, 120, 300]) {
    const server = await startServer({ data: folder.path });
    const lake = await connect(server);
    const { status, body, text } = await lake.ingest(`job_${delay}`, big(), { mode: 'create', wait: 'false' });
    assert.equal(status, 202, text);
    ids.push([body.job_id, delay]);
    await new Promise((resolve) => setTimeout(resolve, delay));
    await server.kill();
  }
  const server = await startServer({ data: folder.path });
  const lake = await connect(server);
  for (const [id, delay] of ids) {
    const job = await ended(lake, id);
    assert.equal(job.state, 'succeeded', JSON.stringify(job));
    assert.equal(job.result.rows, rows);
    assert.deepEqual(await lake.rows(`SELECT count(*), count(DISTINCT id) FROM job_${delay}`), [[rows, rows]]);
  }
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  assert.equal((await run(['verify', '--data', folder.path])).code, 0);
  folder.remove();
  console.log(`figure: ${ids.length} accepted jobs, each killed once, each done once`);
});

test('a cancelled job leaves nothing behind', { timeout: 60000 }, async () => {
  const server = await startServer();
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
