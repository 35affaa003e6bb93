// The search engine's whole way on the sample: an index, an eval set, tuning, promotion, rollback, a restart, a
// profile and its limits; rows that come are found at once, and one that is hidden is found nowhere.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../support/client.mjs';
import { startServer, temporaryFolder } from '../support/server.mjs';

const purposes = ['edits pictures', 'plays music', 'sends mail', 'draws maps', 'reads books aloud', 'compiles programs', 'counts words', 'keeps time', 'watches disks', 'sorts photographs'];
const kinds = ['library', 'program', 'daemon', 'plugin', 'toolkit', 'viewer', 'editor', 'server'];
const places = ['in a terminal', 'on a desktop', 'over a network', 'for many people at once', 'without a screen', 'for teachers', 'on small machines', 'for scientists'];
const textOf = (row) => `A ${kinds[row % 8]} that ${purposes[(row * 7) % 10]} ${places[(row >> 3) % 8]}, release ${row}`;
const packages = (from, to) => `id,name,description\n${Array.from({ length: to - from }, (_, at) => `${from + at},package-${from + at},"${textOf(from + at)}"`).join('\n')}\n`;
const rows = 1200;

test('from an index to a promoted graph, a profile, rows that come and a row that goes', { timeout: 280000 }, async (context) => {
  const folder = temporaryFolder('engine');
  let server;
  let lake;
  context.after(async () => {
    await server?.kill();
    folder.remove();
  });
  const start = async () => {
    server = await startServer({ data: folder.path, env: { LAKEHOUSE_SEARCH_GRAPH_ROWS: '500' } });
    lake = await connect(server);
  };
  const ok = (reply, status = 200) => {
    assert.equal(reply.status, status, reply.text);
    return reply.body;
  };
  const post = async (path, json, status) => ok(await lake.post(path, json), status);
  const get = async (path) => ok(await lake.get(path));
  await start();
  ok(await lake.ingest('packages', packages(0, rows), { mode: 'create' }));
  ok(await lake.ingest('secrets', 'id,note\n1,nobody searches here\n', { mode: 'create' }));
  await post('/vectors/index', { index_name: 'packages_v1', dataset: 'packages', id_column: 'id', text_columns: ['description'] });
  await post('/vectors/index', { index_name: 'secrets_v1', dataset: 'secrets', id_column: 'id', text_columns: ['note'] });

  const set = await post('/vectors/hnsw/evals/drawn/autogen', { index_name: 'packages_v1', queries: 30, k: 10 });
  assert.equal(set.query_count, 30);
  const tuned = await post('/vectors/hnsw/autotune', { index_name: 'packages_v1', harness: 'drawn', grid: [{ ef_construction: 10, ef_search: 20 }, { ef_construction: 10, ef_search: 30 }], min_recall: 0.5, wait: true });
  const first = await get('/vectors/hnsw/promoted/packages_v1');
  assert.ok(tuned && first.current, JSON.stringify({ tuned, first }));
  const trials = (await get('/vectors/hnsw/trials/packages_v1')).items;
  const other = trials.find(({ trial_id: id }) => id !== first.current.trial_id);
  const promoted = await post(`/vectors/hnsw/promote/packages_v1/${other.trial_id}?note=by%20hand`);
  assert.equal(promoted.trial_id, other.trial_id);
  await post('/vectors/hnsw/rollback/packages_v1');
  assert.equal((await get('/vectors/hnsw/promoted/packages_v1')).current.trial_id, first.current.trial_id);

  await server.stop();
  await start();
  await post('/catalog/profiles', { id: 'guide', model: 'a-model', bound_datasets: ['packages'], hnsw_config: { ef_search: 199 } }, 201);
  const active = await post('/vectors/profile/guide/activate');
  const [binding] = active.bindings;
  assert.deepEqual([binding.index, binding.state, binding.method, binding.configuration_from, binding.vectors], ['packages_v1', 'warm', 'hnsw', 'promoted', rows]);
  assert.deepEqual(binding.configuration, first.current.config);
  const ask = { index: 'packages_v1', query: 'plays music in a terminal', k: 10 };
  const found = await post('/vectors/profile/guide/search', { ...ask, ef: 30 });
  assert.deepEqual([found.method, found.ef, found.items.length, found.note], ['hnsw', 30, 10, undefined]);
  const outside = await lake.post('/vectors/profile/guide/search', { ...ask, index: 'secrets_v1' });
  assert.deepEqual([outside.status, outside.body.detail, outside.body.hint], [403, "profile 'guide' is not bound to 'secrets'", "It is bound to 'packages'."]);

  ok(await lake.ingest('packages', packages(rows, rows + 640), { mode: 'append' }));
  const fresh = { ...ask, query: textOf(rows + 333) };
  const before = await post('/vectors/profile/guide/search', fresh);
  assert.deepEqual([before.items[0].id, before.items[0].is_fresh, before.fresh_rows], [rows + 333, true, 640]);
  const refreshed = await post('/vectors/refresh/packages', { index_name: 'packages_v1' });
  assert.deepEqual([refreshed.rows, refreshed.new, refreshed.changed, refreshed.removed, refreshed.chunks_embedded], [rows + 640, 640, 0, 0, 640]);
  const after = await post('/vectors/profile/guide/search', fresh);
  assert.deepEqual([after.items[0].id, after.items[0].is_fresh, after.fresh_rows], [rows + 333, false, 0]);

  const ways = [['/vectors/profile/guide/search', fresh], ['/vectors/search', fresh], ['/vectors/search', { ...fresh, exact: true }],
    ...['hybrid', 'keyword', 'vector'].map((mode) => ['/vectors/hybrid', { ...fresh, mode }])];
  const ids = async ([path, json]) => (await post(path, { ...json, k: 20 })).items.map(({ id }) => id);
  for (const way of ways) assert.ok((await ids(way)).includes(rows + 333), JSON.stringify(way));
  const told = await post('/catalog/datasets/by-name/packages/tombstone', { row_key_column: 'id', row_key_values: [rows + 333], actor: 'Kim', reason: 'asked for' });
  assert.equal(told.rows_tombstoned, 1);
  for (const way of ways) {
    const left = await ids(way);
    assert.ok(left.length > 0 && !left.includes(rows + 333), JSON.stringify(way));
  }
});

test('a graph follows its rows by its policy, and nobody asks for it', { timeout: 120000 }, async (context) => {
  const server = await startServer({ env: { LAKEHOUSE_SEARCH_GRAPH_ROWS: '200' } });
  context.after(() => server.stop());
  const lake = await connect(server);
  const ok = (reply, status = 200) => {
    assert.equal(reply.status, status, reply.text);
    return reply.body;
  };
  const index = async () => ok(await lake.get('/vectors/indexes/packages_v1'));
  const graphHolds = async (count) => {
    for (let turn = 0; turn < 600; turn++) {
      const { graph } = await index();
      if (graph.rows === count) return graph;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`the graph does not come to ${count} rows: ${JSON.stringify((await index()).graph)}`);
  };
  ok(await lake.ingest('packages', packages(0, 400), { mode: 'create' }));
  ok(await lake.post('/vectors/index', { index_name: 'packages_v1', dataset: 'packages', id_column: 'id', text_columns: ['description'] }));
  const made = (await index()).graph;
  assert.equal(made.rows, 400);
  ok(await lake.ingest('packages', packages(400, 410), { mode: 'append' }));
  assert.equal((await index()).graph.rows, 400, 'manual: it waits');
  ok(await lake.patch('/vectors/indexes/packages_v1', { refresh_policy: { kind: 'on_append' } }));
  ok(await lake.ingest('packages', packages(410, 700), { mode: 'append' }));
  const grown = await graphHolds(700);
  assert.ok(grown.recall > 0.9 && grown.dataset_version > made.dataset_version, JSON.stringify(grown));
  ok(await lake.patch('/vectors/indexes/packages_v1', { refresh_policy: { kind: 'scheduled', schedule: 'every 1s' } }));
  ok(await lake.ingest('packages', packages(700, 1100), { mode: 'append' }));
  await graphHolds(1100);
  const found = ok(await lake.post('/vectors/search', { index: 'packages_v1', query: textOf(1044), k: 1 }));
  assert.deepEqual([found.method, found.items[0].id], ['hnsw', 1044]);
});
