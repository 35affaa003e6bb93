// An Idempotency-Key: the same request again is answered with its first result and not done again;
// another request under the same key is refused, and nothing of it is done.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../support/client.mjs';
import { startServer } from '../support/server.mjs';

async function given(context) {
  const server = await startServer();
  context.after(() => server.kill());
  return connect(server);
}
const by = (name) => `/catalog/datasets/by-name/${name}`;
const key = (text) => ({ 'Idempotency-Key': text });
const ingest = (lake, text, dataset, csv, more = {}) => lake.ingest(dataset, csv, { headers: key(text), ...more });
const rows = async (lake, name) => (await lake.post('/query/sql', { sql: `SELECT count(*) FROM ${name}` })).body.rows[0][0];

function isRefused(reply) {
  assert.equal(reply.status, 422, reply.text);
  assert.equal(reply.body.code, 'idempotency_key_reused');
  assert.ok(reply.body.hint);
}

test('an ingest is repeated by its key only if it is the same file, dataset and options', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  const first = await ingest(lake, 'k1', 'first', 'id\n1\n2\n', { mode: 'create' });
  assert.equal(first.status, 200, first.text);
  const again = await ingest(lake, 'k1', 'first', 'id\n1\n2\n', { mode: 'create' });
  assert.equal(again.status, 200, again.text);
  assert.equal(again.body.version, first.body.version);
  isRefused(await ingest(lake, 'k1', 'second', 'id\n1\n2\n', { mode: 'create' }));
  isRefused(await ingest(lake, 'k1', 'first', 'id\n3\n', { mode: 'create' }));
  isRefused(await ingest(lake, 'k1', 'first', 'id\n1\n2\n', { mode: 'append' }));
  assert.equal((await lake.get(by('second'))).status, 404);
  assert.equal(await rows(lake, 'first'), 2);
});

test('a job under a used key with another file fails and says why', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  await ingest(lake, 'k1', 'first', 'id\n1\n');
  const later = await ingest(lake, 'k1', 'first', 'id\n7\n8\n', { mode: 'append', wait: 'false' });
  assert.equal(later.status, 202, later.text);
  let job;
  do job = (await lake.get(`/jobs/${later.body.job_id}`)).body; while (['queued', 'running'].includes(job.state));
  assert.equal(job.state, 'failed', JSON.stringify(job));
  assert.match(JSON.stringify(job), /idempotency_key_reused/);
  assert.equal(await rows(lake, 'first'), 1);
});

test('changes of a dataset are repeated by their key, and only they', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  for (const name of ['one', 'two']) await lake.ingest(name, 'id\n1\n', {});
  const rename = (from, to, text) => lake.post(`${by(from)}/rename`, { to }, { headers: key(text) });
  const renamed = await rename('one', 'uno', 'k1');
  assert.equal(renamed.status, 200, renamed.text);
  const again = await rename('one', 'uno', 'k1');
  assert.equal(again.status, 200, again.text);
  assert.equal(again.body.version, renamed.body.version);
  isRefused(await rename('two', 'dos', 'k1'));
  isRefused(await rename('uno', 'eins', 'k1'));
  isRefused(await lake.delete(by('two'), { headers: key('k1') }));
  isRefused(await lake.patch(`${by('two')}/metadata`, { owner: 'x' }, { headers: key('k1') }));
  const described = await lake.patch(`${by('two')}/metadata`, { owner: 'x' }, { headers: key('k2') });
  assert.equal(described.status, 200, described.text);
  assert.equal((await lake.patch(`${by('two')}/metadata`, { owner: 'x' }, { headers: key('k2') })).body.version, described.body.version);
  isRefused(await lake.patch(`${by('two')}/metadata`, { owner: 'y' }, { headers: key('k2') }));
  assert.equal((await lake.get(by('two'))).body.owner, 'x');
  assert.equal((await lake.get(by('uno'))).status, 200);
});

test('a repeated drop leaves the next dataset of that name alone', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  await lake.ingest('one', 'id\n1\n', {});
  const drop = () => lake.delete(`${by('one')}?cascade=true`, { headers: key('k1') });
  assert.equal((await drop()).status, 204);
  assert.equal((await drop()).status, 204);
  await lake.ingest('one', 'id\n1\n2\n', {});
  assert.equal((await drop()).status, 204);
  assert.equal(await rows(lake, 'one'), 2);
});
