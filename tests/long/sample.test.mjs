// What a new user does with the sample, on all of it: its index is tuned, promoted, rolled back, kept over a
// restart, asked through a profile; rows are appended, brought up to date, and one is deleted.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const index = 'packages_v1';
const added = 640;
const [k, ways] = [10, ['/vectors/search', '/vectors/hybrid']];
const ok = (reply, status = 200) => {
  assert.equal(reply.status, status, reply.text);
  return reply.body;
};
// Words of their own, so that each row is the best answer to what it says.
const told = (at) => `Lantern${at}x counts moonbeams`;
const row = (at) => JSON.stringify({ name: `generated-lantern-${at}`, summary: told(at), description: `Generated for a test. ${told(at)}.` });

test('the index of the sample is tuned, promoted, rolled back, scoped, and follows its rows', { timeout: 1800000 }, async (context) => {
  const folder = temporaryFolder();
  context.after(() => folder.remove());
  const loaded = await run(['demo', '--exit', '--data', folder.path, '--listen', '127.0.0.1:0']);
  assert.equal(loaded.code, 0, loaded.err);
  let server = await startServer({ data: folder.path });
  context.after(() => server.kill());
  let lake = await connect(server);
  const rows = (await lake.rows('SELECT count(*) FROM packages'))[0][0];
  const finds = async (path, at) => ok(await lake.post(path, { index, query: told(at), k: 3 })).items.some(({ id }) => id === `generated-lantern-${at}`);

  const set = ok(await lake.post('/vectors/hnsw/evals/usual/autogen', { index_name: index, queries: 100, k }));
  assert.equal(set.query_count, 100);
  const before = ok(await lake.get(`/vectors/indexes/${index}`));
  const tuned = ok(await lake.post('/vectors/hnsw/autotune', { index_name: index, harness: 'usual', wait: true }));
  const winner = tuned.trials.find((trial) => trial.trial_id === tuned.winner);
  assert.ok(tuned.is_promoted && winner.recall >= tuned.min_recall, JSON.stringify(tuned));
  const promoted = ok(await lake.get(`/vectors/hnsw/promoted/${index}`));
  assert.deepEqual(promoted.config, winner.config);
  const searched = ok(await lake.post('/vectors/search', { index, query: 'edit photos', k }));
  assert.equal(searched.method, 'hnsw');
  assert.equal(searched.recall, ok(await lake.get(`/vectors/indexes/${index}`)).recall);

  const other = tuned.trials.find((trial) => trial.trial_id !== tuned.winner && trial.recall >= 0.9) ?? tuned.trials[0];
  ok(await lake.post(`/vectors/hnsw/promote/${index}/${other.trial_id}`));
  const back = ok(await lake.post(`/vectors/hnsw/rollback/${index}`));
  assert.equal(back.trial_id, tuned.winner);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  server = await startServer({ data: folder.path });
  lake = await connect(server);
  assert.deepEqual(ok(await lake.get(`/vectors/hnsw/promoted/${index}`)).config, winner.config, 'after a restart');

  await lake.ingest('elsewhere', 'id,note\n1,a lantern\n', {});
  ok(await lake.post('/vectors/index', { index_name: 'elsewhere_v1', dataset: 'elsewhere', id_column: 'id', text_columns: ['note'] }));
  ok(await lake.post('/catalog/profiles', { id: 'packager', model: 'a-model', bound_datasets: ['packages'] }), 201);
  const active = ok(await lake.post('/vectors/profile/packager/activate'));
  assert.match(JSON.stringify(active), new RegExp(index));
  const scoped = ok(await lake.post('/vectors/profile/packager/search', { index, query: 'edit photos', k }));
  assert.deepEqual(scoped.items.map(({ id }) => id), searched.items.map(({ id }) => id), 'the same as before the restart');
  const outside = await lake.post('/vectors/profile/packager/search', { index: 'elsewhere_v1', query: 'a lantern', k });
  assert.equal(outside.status, 403, outside.text);

  const appended = await lake.ingest('packages', Array.from({ length: added }, (_, at) => row(at)).join('\n'), { mode: 'append', name: 'more.ndjson' });
  assert.equal(appended.status, 200, appended.text);
  for (const path of ways) assert.ok(await finds(path, 17), `${path} finds an appended row at once`);
  const refreshed = ok(await lake.post('/vectors/refresh/packages'));
  assert.deepEqual([refreshed.new, refreshed.changed, refreshed.removed, refreshed.chunks_embedded], [added, 0, 0, added]);
  for (const path of ways) for (const at of [0, 17, added - 1]) assert.ok(await finds(path, at), `${path} finds an appended row`);

  ok(await lake.post('/catalog/datasets/by-name/packages/tombstone', { row_key_column: 'name', row_key_values: ['generated-lantern-17'], reason: 'a test' }));
  for (const path of ways) assert.ok(!await finds(path, 17), `${path} does not find a deleted row`);
  const words = ok(await lake.post('/vectors/hybrid', { index, query: told(17), k: 3, weights: { meaning: 0 } }));
  assert.ok(!words.items.some(({ id }) => id === 'generated-lantern-17'), 'nor do words alone');
  for (const path of ways) assert.ok(await finds(path, 18), `${path} finds its neighbour`);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM packages'), [[rows + added - 1]]);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  const verified = await run(['verify', '--data', folder.path]);
  assert.equal(verified.code, 0, verified.out + verified.err);
  context.diagnostic(`figure: sample: ${rows} rows, recall ${before.recall} to ${winner.recall} by ${tuned.trials.length} trials; ${added} rows more in ${refreshed.elapsed_ms} ms`);
});
