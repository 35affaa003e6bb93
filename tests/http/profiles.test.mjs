// Model profiles: made, listed, deleted, activated, searched; bound for ever, durable, one active at a time.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { program, startServer, temporaryFolder } from '../support/server.mjs';

const dimensions = 16;
const number = (row, at) => Math.fround(Math.sin(row * 31.7 + at * 7.3) + Math.cos(row * at));
const vectorOf = (row) => Array.from({ length: dimensions }, (_, at) => number(row, at));
const points = (from, to) => Array.from({ length: to - from }, (_, row) => JSON.stringify({ id: from + row, v: vectorOf(from + row) })).join('\n');
const env = { LAKEHOUSE_SEARCH_GRAPH_ROWS: '200' };

async function given(context, more = {}) {
  const folder = temporaryFolder('profiles');
  const house = { folder };
  house.start = async (extra = {}) => {
    house.server = await startServer({ data: folder.path, env: { ...env, ...more, ...extra } });
    house.lake = await connect(house.server);
    return house.lake;
  };
  context.after(async () => {
    await house.server?.kill();
    folder.remove();
  });
  const lake = await house.start();
  for (const [dataset, rows] of [['points', 2000], ['others', 40]]) {
    await lake.ingest(dataset, points(0, rows), { mode: 'create', name: 'points.ndjson' });
    const made = await lake.post('/vectors/index', { index_name: `${dataset}_v1`, dataset, id_column: 'id', vector_column: 'v' });
    assert.equal(made.status, 200, made.text);
  }
  return house;
}

const ok = (reply, status = 200) => {
  assert.equal(reply.status, status, reply.text);
  return reply.body;
};
const profile = async (lake, id, more = {}) => ok(await lake.post('/catalog/profiles', { id, model: 'a-model', bound_datasets: ['points'], ...more }), 201);
const activate = async (lake, id) => ok(await lake.post(`/vectors/profile/${id}/activate`));
const search = (lake, id, index, more = {}) => lake.post(`/vectors/profile/${id}/search`, { index, vector: vectorOf(7.25), k: 5, ...more });

test('a profile is made, listed, read and deleted, and what cannot be one is refused', { timeout: 60000 }, async (context) => {
  const { lake } = await given(context);
  const made = await lake.post('/catalog/profiles', {
    id: 'Recruiter-1', ollama_name: 'qwen2.5:7b', description: 'Finds people', bound_datasets: ['POINTS', 'points'], hnsw_config: { ef_search: 60 }, embed_model: 'built-in', bucket: 'p:one' });
  assert.deepEqual([made.status, made.headers.get('location')], [201, '/catalog/profiles/Recruiter-1']);
  const { created_at: at, ...told } = made.body;
  assert.ok(Math.abs(Date.parse(at) - Date.now()) < 60000);
  assert.deepEqual(told, {
    id: 'Recruiter-1', model: 'qwen2.5:7b', description: 'Finds people', bound_datasets: ['points'], missing_datasets: [],
    hnsw_config: { ef_construction: 80, ef_search: 60, m: 16, seed: 42 }, embed_model: 'built-in', bucket: 'p:one', vector_backend: 'hnsw', active: false, created_by: 'local-admin' });
  assert.deepEqual(ok(await lake.get('/catalog/profiles/recruiter-1')), made.body);
  await profile(lake, 'a_first', { bound_datasets: [] });
  const page = ok(await lake.get('/catalog/profiles?limit=1'));
  assert.deepEqual([page.items.map(({ id }) => id), page.next], [['a_first'], 'a_first']);
  assert.deepEqual(ok(await lake.get(`/catalog/profiles?after=${page.next}`)).items.map(({ id }) => id), ['Recruiter-1']);
  const refused = async (json) => {
    const { status, body } = await lake.post('/catalog/profiles', { id: 'x', model: 'm', ...json });
    return [status, body.code, body.field];
  };
  assert.deepEqual(await refused({ id: 'RECRUITER-1' }), [409, 'already_exists', undefined]);
  assert.deepEqual(await refused({ id: 'a b' }), [400, 'invalid_argument', 'id']);
  assert.deepEqual(await refused({ id: '../../x' }), [400, 'invalid_argument', 'id']);
  assert.deepEqual(await refused({ id: 'x'.repeat(64) }), [400, 'invalid_argument', 'id']);
  assert.deepEqual(await refused({ model: undefined }), [400, 'invalid_argument', 'model']);
  assert.deepEqual(await refused({ ollama_name: 'other' }), [400, 'invalid_argument', 'ollama_name']);
  assert.deepEqual(await refused({ bucket: 'UPPER' }), [400, 'invalid_argument', 'bucket']);
  assert.deepEqual(await refused({ hnsw_config: { ef_search: 0 } }), [400, 'invalid_argument', 'hnsw_config.ef_search']);
  assert.equal((await refused({ hnsw_config: { ef: 3 } }))[1], 'unknown_field');
  assert.deepEqual(await refused({ vector_backend: 'other' }), [400, 'invalid_argument', 'vector_backend']);
  assert.deepEqual(await refused({ bound_datasets: ['points', 'pointz'] }), [404, 'not_found', 'bound_datasets']);
  const missing = await lake.post('/catalog/profiles', { id: 'x', model: 'm', bound_datasets: ['nope', 'points', 'nor_this'] });
  assert.equal(missing.body.detail, "There are no datasets 'nope' and 'nor_this'.");
  assert.equal((await lake.get('/catalog/profiles/x')).status, 404);
  assert.equal((await lake.delete('/catalog/profiles/A_FIRST')).status, 204);
  assert.equal((await lake.delete('/catalog/profiles/a_first')).status, 404);
  const events = ok(await lake.get('/journal/recent?limit=3')).items.map(({ action, entity_id: entity }) => `${action} ${entity}`);
  assert.deepEqual(events, ['profile.delete A_FIRST', 'profile.create a_first', 'profile.create Recruiter-1']);
});

test('the active profile searches by the graph, and outside of what it is bound to not at all', { timeout: 60000 }, async (context) => {
  const { lake } = await given(context);
  await profile(lake, 'p', { hnsw_config: { ef_search: 77 } });
  assert.deepEqual(ok(await lake.get('/vectors/profile/active')), { id: null, bindings: [], warm: 0, failed: 0, elapsed_ms: 0 });
  const active = await activate(lake, 'P');
  assert.deepEqual([active.id, active.warm, active.failed, active.bindings.length], ['p', 1, 0, 1]);
  const { elapsed_ms: elapsed, ...binding } = active.bindings[0];
  assert.ok(elapsed >= 0 && active.elapsed_ms >= elapsed);
  assert.deepEqual(binding, {
    dataset: 'points', index: 'points_v1', state: 'warm', method: 'hnsw', vectors: 2000,
    configuration: { ef_construction: 80, ef_search: 77, m: 16, seed: 42 }, configuration_from: 'profile' });
  assert.deepEqual(ok(await lake.get('/vectors/profile/active')), active);
  assert.equal(ok(await lake.get('/catalog/profiles/p')).active, true);
  const found = ok(await search(lake, 'p', 'points_v1'));
  assert.deepEqual([found.method, found.ef, found.items.length, found.note], ['hnsw', 77, 5, undefined]);
  assert.deepEqual(found.items, ok(await lake.post('/vectors/search', { index: 'points_v1', vector: vectorOf(7.25), k: 5 })).items);
  const octets = Buffer.from(new Float32Array(vectorOf(7.25)).buffer);
  const raw = await lake.send('POST', '/vectors/profile/p/search?index=points_v1&k=5', { headers: { 'content-type': 'application/octet-stream' }, body: octets });
  assert.deepEqual(ok(raw).items.map(({ id }) => id), found.items.map(({ id }) => id));
  const outside = await search(lake, 'p', 'others_v1');
  assert.deepEqual([outside.status, outside.body.code, outside.body.detail, outside.body.hint], [403, 'forbidden', "profile 'p' is not bound to 'others'", "It is bound to 'points'."]);
  // Nor by a filter that reads another dataset.
  for (const filter of ['id IN (SELECT id FROM others)', 'EXISTS (FROM others)', 'id < 5 OR id = ANY (SELECT 1)', 'list_contains([(SELECT max(id) FROM others)], id)']) {
    const { status, body } = await search(lake, 'p', 'points_v1', { sql_filter: filter });
    assert.deepEqual([status, body.code, body.field], [403, 'forbidden', 'sql_filter'], filter);
  }
  assert.deepEqual(ok(await search(lake, 'p', 'points_v1', { sql_filter: "id < 3 AND 'subquery' <> 'x'" })).items.map(({ id }) => id).sort(), [0, 1, 2]);
  assert.equal((await search(lake, 'p', 'points_v2')).status, 404);
  assert.equal((await search(lake, 'nobody', 'points_v1')).status, 404);
  // Deactivating lets go: the next search is exact, says so, and finds the same.
  assert.equal((await lake.post('/vectors/profile/p/deactivate')).status, 204);
  const again = await lake.post('/vectors/profile/p/deactivate');
  assert.deepEqual([again.status, again.body.code], [409, 'conflict']);
  assert.deepEqual(ok(await lake.get('/vectors/hnsw/cache/stats')).indexes.map(({ index_name: name }) => name), ['others_v1']);
  const cold = ok(await search(lake, 'p', 'points_v1', { ef: 50 }));
  assert.equal(cold.method, 'exact');
  assert.match(cold.note, /^The index was not in memory: all vectors were looked at\./);
  assert.deepEqual(cold.items.map(({ id }) => id), found.items.map(({ id }) => id));
  const reader = { headers: { 'x-lakehouse-role': 'reader' } };
  for (const [method, path, json] of [['POST', '/catalog/profiles', { id: 'r', model: 'm' }], ['DELETE', '/catalog/profiles/p'], ['POST', '/vectors/profile/p/activate'], ['POST', '/vectors/profile/p/deactivate']])
    assert.equal((await lake.send(method, path, { json, ...reader })).status, 403, path);
  for (const path of ['/catalog/profiles', '/catalog/profiles/p', '/vectors/profile/active']) ok(await lake.get(path, reader));
  ok(await lake.send('POST', '/vectors/profile/p/search', { json: { index: 'points_v1', vector: vectorOf(1) }, ...reader }));
});

test('one profile is active at a time, and what only the first had is let go of', { timeout: 60000 }, async (context) => {
  const { lake } = await given(context);
  await profile(lake, 'one');
  await profile(lake, 'two', { bound_datasets: ['others'] });
  await profile(lake, 'far', { vector_backend: 'lance' });
  const loaded = async () => ok(await lake.get('/vectors/hnsw/cache/stats')).indexes.map(({ index_name: name }) => name);
  await activate(lake, 'one');
  const two = await activate(lake, 'two');
  assert.deepEqual([two.replaced, two.bindings[0].method, two.bindings[0].configuration_from], ['one', 'exact', 'preset']);
  assert.deepEqual(await loaded(), ['others_v1']);
  for (const path of ['activate', 'search']) {
    const far = path === 'search' ? await search(lake, 'far', 'points_v1') : await lake.post('/vectors/profile/far/activate');
    assert.deepEqual([far.status, far.body.code], [503, 'helper_missing']);
    assert.match(far.body.hint, /vector_backend hnsw/);
  }
  // However many ask at once, some win one after the other, and one of them is active in the end.
  const answers = await Promise.all(Array.from({ length: 12 }, (_, at) => lake.post(`/vectors/profile/${at % 2 ? 'one' : 'two'}/activate`)));
  assert.ok(answers.every(({ status }) => status === 200 || status === 409), JSON.stringify(answers.map(({ status }) => status)));
  assert.ok(answers.some(({ status }) => status === 200));
  const active = ok(await lake.get('/vectors/profile/active'));
  assert.ok(['one', 'two'].includes(active.id));
  assert.equal((await lake.delete(`/catalog/profiles/${active.id}`)).status, 204);
  assert.equal(ok(await lake.get('/vectors/profile/active')).id, null);
});

test('a dataset stays bound under another name, and another one under its name is not', { timeout: 60000 }, async (context) => {
  const { lake } = await given(context);
  await profile(lake, 'p', { bound_datasets: ['points', 'others'] });
  ok(await lake.post('/catalog/datasets/by-name/others/rename', { to: 'renamed' }));
  await lake.ingest('others', points(0, 10), { mode: 'create', name: 'points.ndjson' });
  ok(await lake.post('/vectors/index', { index_name: 'stranger_v1', dataset: 'others', id_column: 'id', vector_column: 'v' }));
  assert.deepEqual(ok(await lake.get('/catalog/profiles/p')).bound_datasets, ['points', 'renamed']);
  ok(await search(lake, 'p', 'others_v1'));
  const stranger = await search(lake, 'p', 'stranger_v1');
  assert.deepEqual([stranger.status, stranger.body.hint], [403, "It is bound to 'points', 'renamed'."]);
  await lake.delete('/catalog/datasets/by-name/renamed?cascade=true');
  await lake.ingest('bare', 'id\n1\n');
  await profile(lake, 'q', { bound_datasets: ['bare', 'points'] });
  const told = ok(await lake.get('/catalog/profiles/p'));
  assert.deepEqual([told.bound_datasets, told.missing_datasets], [['points'], ['others']]);
  const states = ({ bindings }) => bindings.map(({ dataset, state }) => `${dataset} ${state}`);
  assert.deepEqual(states(await activate(lake, 'p')), ['points warm', 'others gone']);
  assert.deepEqual(states(await activate(lake, 'q')), ['bare unindexed', 'points warm']);
});

test('what was promoted goes before what the profile says, and a failure of one index is told with it', { timeout: 60000 }, async (context) => {
  const house = await given(context);
  const { lake } = house;
  await profile(lake, 'p', { bound_datasets: ['points', 'others'], hnsw_config: { ef_construction: 40, ef_search: 50 } });
  await profile(lake, 'plain');
  const trial = ok(await lake.post('/vectors/hnsw/trial', { index_name: 'points_v1', config: { ef_construction: 60, ef_search: 33 } }));
  ok(await lake.post(`/vectors/hnsw/promote/points_v1/${trial.trial_id}`));
  const of = (told, index) => told.bindings.find((one) => one.index === index);
  const promoted = of(await activate(lake, 'p'), 'points_v1');
  assert.deepEqual([promoted.configuration_from, promoted.configuration.ef_search], ['promoted', 33]);
  ok(await lake.post('/vectors/hnsw/rollback/points_v1'));
  assert.equal(ok(await lake.get('/vectors/indexes/points_v1')).graph.configuration.ef_construction, 40);
  const own = of(await activate(lake, 'p'), 'points_v1');
  assert.deepEqual([own.configuration_from, own.configuration.ef_construction, own.configuration.ef_search], ['profile', 40, 50]);
  assert.equal(ok(await lake.get('/vectors/indexes/points_v1')).graph.configuration.ef_construction, 40);
  const plain = of(await activate(lake, 'plain'), 'points_v1');
  assert.deepEqual([plain.configuration_from, plain.configuration.ef_construction], ['preset', 80]);
  const actions = ok(await lake.get('/journal/recent?limit=20')).items.filter(({ action }) => action === 'index.configure').map(({ reason }) => reason);
  assert.deepEqual(actions, ['profile plain', 'profile p']);
  // One whose parts are gone fails alone.
  await house.server.stop();
  const indexes = join(house.folder.path, 'indexes');
  const files = (id) => readdirSync(join(indexes, id));
  const small = readdirSync(indexes).find((id) => !files(id).some((name) => name.endsWith('.graph')));
  for (const name of files(small).filter((one) => one.endsWith('.parquet'))) writeFileSync(join(indexes, small, name), 'not what was written');
  await house.start();
  const told = await activate(house.lake, 'p');
  assert.deepEqual([told.failed, told.warm], [1, 1]);
  const bad = of(told, 'others_v1');
  assert.equal(bad.state, 'failed');
  assert.match(bad.error, /damaged|not what was written|checksum/);
});

test('activation makes its bucket below profile_root, and tells where it cannot', { timeout: 60000 }, async (context) => {
  const root = temporaryFolder('profile-root');
  context.after(() => root.remove());
  const house = await given(context);
  await profile(house.lake, 'p', { bucket: 'p:recruiter' });
  const without = (await activate(house.lake, 'p')).bucket;
  assert.deepEqual([without.name, without.state, without.error], ['p:recruiter', 'missing', "There is no bucket 'p:recruiter'."]);
  assert.match(without.hint, /profile_root/);
  await house.server.stop();
  const lake = await house.start({ LAKEHOUSE_STORAGE_PROFILE_ROOT: `${root.path}/below` });
  assert.deepEqual((await activate(lake, 'p')).bucket, { name: 'p:recruiter', state: 'made' });
  assert.ok(existsSync(`${root.path}/below/p:recruiter`));
  assert.deepEqual((await activate(lake, 'p')).bucket, { name: 'p:recruiter', state: 'ready' });
  assert.ok(ok(await lake.get('/storage/buckets')).items.some(({ name }) => name === 'p:recruiter'));
  assert.deepEqual(ok(await lake.get('/journal/recent?limit=100')).items.filter(({ action }) => action === 'bucket.create').map(({ entity_id: name }) => name), ['p:recruiter']);
});

test('profiles outlive the server, none is active then; a damaged one is told and can be deleted', { timeout: 60000 }, async (context) => {
  const house = await given(context);
  await profile(house.lake, 'kept');
  await profile(house.lake, 'broken');
  await activate(house.lake, 'kept');
  await house.server.kill();
  let lake = await house.start();
  assert.equal(ok(await lake.get('/vectors/profile/active')).id, null);
  assert.match(ok(await search(lake, 'kept', 'points_v1')).note, /not in memory/);
  assert.equal((await activate(lake, 'kept')).warm, 1);
  assert.equal(ok(await search(lake, 'kept', 'points_v1')).method, 'hnsw');
  await house.server.stop();
  const report = () => {
    try {
      return JSON.parse(execFileSync(program, ['verify', '--data', house.folder.path, '--json']));
    } catch (error) {
      return JSON.parse(error.stdout);
    }
  };
  assert.deepEqual([report().is_sound, report().profiles], [true, 2]);
  const records = join(house.folder.path, '_catalog', 'profiles');
  const [file] = readdirSync(records).filter((name) => name.startsWith('broken.'));
  writeFileSync(join(records, file), '{"name": "broken", "model": "m", "version": 9}');
  assert.equal(report().is_sound, false);
  lake = await house.start();
  const health = ok(await lake.get('/health'));
  assert.deepEqual([health.status, health.problems.map(({ kind, name }) => `${kind} ${name}`)], ['degraded', ['catalog profiles']]);
  assert.match(health.problems[0].detail, /'broken'/);
  assert.deepEqual(ok(await lake.get('/catalog/profiles')).items.map(({ id, model }) => [id, model]), [['broken', undefined], ['kept', 'a-model']]);
  for (const reply of [await lake.get('/catalog/profiles/broken'), await lake.post('/vectors/profile/broken/activate'), await search(lake, 'broken', 'points_v1')])
    assert.deepEqual([reply.status, reply.body.code], [500, 'damaged']);
  assert.equal((await lake.delete('/catalog/profiles/broken')).status, 204);
  await profile(lake, 'broken');
  assert.equal(ok(await lake.get('/health')).status, 'ok');
});

test('the command line makes, activates and searches', { timeout: 60000 }, async (context) => {
  const { server } = await given(context);
  const run = (...args) => execFileSync(program, [...args, '--server', server.url], { encoding: 'utf8' });
  run('profiles', 'create', 'mine', '--model', 'm', '--bound-datasets', 'points,others');
  assert.match(run('profiles', 'list'), /mine/);
  assert.match(run('profiles', 'activate', 'mine'), /warm/);
  assert.match(run('profiles', 'search', 'mine', 'points_v1', '--vector', JSON.stringify(vectorOf(3))), /hnsw/);
  assert.match(run('profiles', 'active'), /mine/);
  run('profiles', 'deactivate', 'mine');
  run('profiles', 'delete', 'mine');
});
