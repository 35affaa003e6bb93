// Erasures that are asked for at the same time, by clients that wait for the receipt.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

test('clients that wait for erasures at the same time are all answered, and others beside them', { timeout: 60000 }, async (context) => {
  const folder = temporaryFolder();
  const server = await startServer({ data: folder.path, env: { LAKEHOUSE_COMPACTION_ENABLED: 'false', LAKEHOUSE_SERVER_WORKER_THREADS: '4' } });
  context.after(() => server.kill());
  context.after(() => folder.remove());
  const lake = await connect(server);
  const rows = Array.from({ length: 40 }, (_, at) => `somebody-${at + 10},Text of number ${at + 10}\n`).join('');
  await lake.ingest('people', `id,text\n${rows}`, {});
  const asked = [10, 11, 12, 13, 14, 15].map((at) => lake.post('/catalog/erase', { dataset: 'people', row_key_column: 'id',
    row_key_values: [`somebody-${at}`] }, { signal: AbortSignal.timeout(30000) }));
  const added = await lake.ingest('people', 'id,text\nsomebody-99,new\n', { mode: 'append' });
  assert.ok(added.status < 300, added.text);
  const answers = await Promise.all(asked);
  assert.ok(answers.some((one) => one.status === 200), 'nobody was waited for');
  for (const answer of answers) {
    assert.ok([200, 202].includes(answer.status), answer.text);
    let receipt;
    do receipt = (await lake.get(`/catalog/erase/${answer.body.erase_id}`)).body;
    while (['waiting', 'running'].includes(receipt.state));
    assert.equal(receipt.state, 'erased', JSON.stringify(receipt));
    assert.equal(receipt.rows, 1);
  }
  for (const from of ['people', '__raw__people'])
    assert.equal((await lake.post('/query/sql', { sql: `SELECT count(*) FROM ${from}` })).body.rows[0][0], 35);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  const verified = await run(['verify', '--data', folder.path, '--json']);
  assert.equal(verified.code, 0, verified.out + verified.err);
});
