// Graphs tuned over HTTP: an eval set, an autotune that is followed, a promotion, a rollback, a restart; who may; damage.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { run, startServer } from '../support/server.mjs';

const words = ['river', 'stone', 'market', 'window', 'garden', 'letter', 'table', 'winter'];
const csv = (count) => `id,text\n${Array.from({ length: count }, (_, at) =>
  `${at},${words[at % 8]} and ${words[Math.floor(at / 8) % 8]} of ${words[Math.floor(at / 64) % 8]} number ${at}\n`).join('')}`;

async function given(context, count = 120) {
  const server = await startServer();
  context.after(() => server.kill());
  const lake = await connect(server);
  await lake.ingest('notes', csv(count), { mode: 'create' });
  const made = await lake.post('/vectors/index', { index_name: 'notes_v1', dataset: 'notes', id_column: 'id', text_columns: ['text'] });
  assert.equal(made.status, 200, made.text);
  return { server, lake };
}
const ended = async (lake, id) => {
  let job;
  do {
    await new Promise((resolve) => setTimeout(resolve, 20));
    job = (await lake.get(`/jobs/${id}`)).body;
  } while (['queued', 'running'].includes(job.state));
  return job;
};

test('an index is tuned as a job, promoted, rolled back, and SQL tells of it', { timeout: 120000 }, async (context) => {
  const { lake } = await given(context);
  const set = await lake.post('/vectors/hnsw/evals/usual/autogen', { index_name: 'notes_v1', queries: 20, k: 5 });
  assert.equal(set.status, 200, set.text);
  assert.equal(set.body.query_count, 20);
  const whole = await lake.get('/vectors/hnsw/evals/usual?index_name=notes_v1');
  assert.ok(whole.body.queries.every((query) => query.relevant.length === 5 && !query.relevant.includes(query.id)), whole.text);
  const labelled = await lake.post('/vectors/hnsw/evals', { name: 'ours', index_name: 'notes_v1', k: 3,
    queries: [{ query: 'river and river of river number 0', relevant: [0] }] });
  assert.equal(labelled.status, 200, labelled.text);
  const trial = await lake.post('/vectors/hnsw/trial', { index_name: 'notes_v1', harness: 'ours', config: { ef_search: 50 } });
  assert.equal(trial.body.relevance.mrr, 1, trial.text);
  const grid = [{ ef_construction: 20, ef_search: 20 }, { ef_construction: 20, ef_search: 40 }];
  const accepted = await lake.post('/vectors/hnsw/autotune', { index_name: 'notes_v1', harness: 'usual', min_recall: 0.5, grid, wait: false });
  assert.equal(accepted.status, 202, accepted.text);
  const job = await ended(lake, accepted.body.job_id);
  assert.equal(job.state, 'succeeded', JSON.stringify(job));
  assert.ok(job.result.is_promoted);
  assert.match(job.result.note, /^autotune winner: recall=\d\.\d+ p50=\d+us$/);
  assert.deepEqual(job.result.trials.map((each) => each.config.ef_search), [20, 40]);
  const by = await lake.post(`/vectors/hnsw/promote/notes_v1/${trial.body.trial_id}?promoted_by=ann&note=${encodeURIComponent('by hand')}`);
  assert.equal(by.status, 200, by.text);
  assert.equal(by.body.promoted_by, 'ann');
  assert.equal((await lake.get('/vectors/hnsw/promoted/notes_v1')).body.config.ef_search, 50);
  const back = await lake.post('/vectors/hnsw/rollback/notes_v1');
  assert.equal(back.body.trial_id, job.result.winner, back.text);
  const sql = await lake.post('/query/sql', { sql: 'SELECT (SELECT count(*) FROM hnsw_trials), list(event ORDER BY promotion_id) FROM hnsw_promotions' });
  assert.deepEqual(sql.body.rows, [[3, ['promoted', 'promoted', 'rolled_back']]], sql.text);
  const journal = await lake.get('/journal/recent?limit=50');
  const actions = journal.body.items.map((event) => event.action);
  for (const action of ['eval.put', 'index.autotune', 'index.promote', 'index.rollback']) assert.ok(actions.includes(action), actions.join());
});

test('what is wrong is a problem that names its field and the nearest name', { timeout: 60000 }, async (context) => {
  const { lake } = await given(context);
  await lake.post('/vectors/hnsw/evals/usual/autogen', { index_name: 'notes_v1', queries: 5 });
  const cases = [
    ['/vectors/hnsw/trial', { index_name: 'notes_v1', harness: 'usal' }, 404, /usual/],
    ['/vectors/hnsw/trial', { index_name: 'notes_v2' }, 404, /notes_v1/],
    ['/vectors/hnsw/trial', { index_name: 'notes_v1', config: { ef_searh: 3 } }, 400, /ef_search/],
    ['/vectors/hnsw/trial', { index_name: 'notes_v1', config: { m: 64 } }, 400, /config\.m/],
    ['/vectors/hnsw/autotune', { index_name: 'notes_v1', min_recall: 2 }, 400, /min_recall/],
    ['/vectors/hnsw/autotune', { index_name: 'notes_v1', grid: [{ ef_construction: 5 }] }, 400, /ef_construction/],
    ['/vectors/hnsw/autotune', { index_name: 'notes_v1', grid: Array(40).fill({}) }, 400, /grid/],
    ['/vectors/hnsw/evals/usual/autogen', { index_name: 'notes_v1', queries: 0 }, 400, /queries/],
    ['/vectors/hnsw/evals', { name: 'x', index_name: 'notes_v1', queries: [{ query: 'x' }] }, 400, /relevant/],
    ['/vectors/hnsw/promote/notes_v1/nothere', {}, 404, /nothere/],
    ['/vectors/hnsw/rollback/notes_v1', {}, 409, /promoted/],
    ['/vectors/agent/enqueue/notes_v2', {}, 404, /notes_v1/],
  ];
  for (const [path, body, status, pattern] of cases) {
    const reply = Object.keys(body).length ? await lake.post(path, body) : await lake.post(path);
    assert.equal(reply.status, status, `${path} ${JSON.stringify(body).slice(0, 80)}: ${reply.text}`);
    assert.match(reply.text, pattern);
  }
});

test('promotions outlive a kill, and a damaged batch of trials is named by verify alone', { timeout: 60000 }, async (context) => {
  const { server, lake } = await given(context);
  const trial = await lake.post('/vectors/hnsw/trial', { index_name: 'notes_v1', config: { ef_search: 33 } });
  assert.equal(trial.status, 200, trial.text);
  assert.equal((await lake.post(`/vectors/hnsw/promote/notes_v1/${trial.body.trial_id}`)).status, 200);
  await server.kill();
  const folder = join(server.data, '_hnsw_trials');
  const [id] = readdirSync(folder);
  const [name] = readdirSync(join(folder, id));
  const file = join(folder, id, name);
  const bytes = readFileSync(file);
  writeFileSync(file, Buffer.from(bytes.toString().replace('"ef_search":33', '"ef_search":34')));
  const verified = await run(['verify', '--data', server.data]);
  assert.notEqual(verified.code, 0, verified.out);
  assert.match(verified.out + verified.err, new RegExp(name));
  const again = await startServer({ data: server.data });
  context.after(() => again.kill());
  const reopened = await connect(again);
  assert.equal((await reopened.get('/vectors/hnsw/promoted/notes_v1')).body.config.ef_search, 33);
  assert.deepEqual((await reopened.get('/vectors/hnsw/trials/notes_v1')).body.items, []);
});
