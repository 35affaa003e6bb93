// No bad index is ever served: the server is killed while an index is made, refreshed, made anew and
// tuned, and whenever it is back, what searches find is held against what looking at all rows finds.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const killCount = Number(process.env.LAKEHOUSE_SERVED_KILLS ?? (process.env.LAKEHOUSE_LONG ? 300 : 12));
const seed = Number(process.env.LAKEHOUSE_SEED ?? Date.now() % 2147483647);
const rowCount = killCount > 12 ? 6000 : 1500; // more than a graph would rather look at all of
const added = 10; // rows of each append
const dimensions = 16;
const env = { LAKEHOUSE_SEARCH_GRAPH_ROWS: '500', LAKEHOUSE_SEARCH_WATCH_PERCENT: '1' };
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Park and Miller's generator: the same run for the same seed.
function random(start) {
  let state = start % 2147483647 || 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

const vectorOf = (row) => {
  const next = random(row * 7919 + 17);
  for (let at = 0; at < 5; at++) next();
  return Array.from({ length: dimensions }, () => Math.fround(next() - 0.5));
};
const vectors = [];
const stored = (row) => (vectors[row] ??= vectorOf(row));
const linesOf = (from, to) => Array.from({ length: to - from }, (_, at) => JSON.stringify({ id: from + at, v: stored(from + at) })).join('\n');
const length = (vector) => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
const cosine = (a, b) => a.reduce((sum, value, at) => sum + value * b[at], 0) / length(a) / length(b);

class War {
  constructor(context, folder, next) {
    Object.assign(this, { context, folder, next, rows: rowCount, kills: 0, answered: 0, byGraph: 0, right: 0, wanted: 0, refused: 0, during: {} });
  }

  async start() {
    this.server = await startServer({ data: this.folder.path, env });
    const { server } = this;
    this.context.after(() => server.kill());
    this.lake = await connect(server);
  }

  // What is asked for may be refused, because the last one goes on, and is mostly cut off by the kill.
  begin(phase) {
    const { lake } = this;
    const asked = {
      build: async () => {
        await lake.send('DELETE', '/vectors/indexes/points_v1');
        await lake.post('/vectors/index', { index_name: 'points_v1', dataset: 'points', id_column: 'id', vector_column: 'v', wait: false });
      },
      refresh: async () => {
        const taken = await lake.ingest('points', linesOf(this.rows, this.rows + added), { mode: 'append', name: 'points.ndjson' });
        if (taken.status === 200) this.rows += added;
        await lake.post('/vectors/refresh/points', { index_name: 'points_v1', wait: false });
      },
      anew: () => lake.post('/vectors/refresh/points', { index_name: 'points_v1', from_scratch: true, wait: false }),
      publication: async () => {
        const config = { ef_construction: 10 + Math.floor(this.next() * 60), ef_search: 30, m: 4 + Math.floor(this.next() * 12) };
        const trial = await lake.post('/vectors/hnsw/trial', { index_name: 'points_v1', config });
        if (trial.status === 200) await lake.post(`/vectors/hnsw/promote/points_v1/${trial.body.trial_id}`, {});
      },
    }[phase];
    return asked().catch((error) => error);
  }

  // An append whose answer the kill cut off may stand or not.
  async countRows() {
    const { body } = await this.lake.post('/query/sql', { sql: 'SELECT count(*) AS rows FROM points' });
    const [[rows]] = body.rows;
    assert.ok(rows === this.rows || rows === this.rows + added, `${rows} rows, ${this.rows} are known`);
    this.rows = rows;
  }

  // Every row that is found is there, once, with its own score; looking at all finds the nearest.
  async check() {
    for (let turn = 0; turn < 2; turn++) {
      const vector = vectorOf(1000000 + Math.floor(this.next() * 1e6));
      const found = await this.lake.post('/vectors/search', { index: 'points_v1', vector, k: 10 });
      if (found.status !== 200) {
        assert.ok([404, 409].includes(found.status), found.text); // there is none yet
        this.refused++;
        continue;
      }
      const truth = Array.from({ length: this.rows }, (_, row) => cosine(vector, stored(row))).sort((a, b) => b - a);
      const { items, method } = found.body;
      assert.equal(items.length, 10);
      assert.equal(new Set(items.map(({ id }) => id)).size, 10);
      for (const { id, score } of items) {
        assert.ok(id >= 0 && id < this.rows, `row ${id} of ${this.rows}`);
        assert.ok(Math.abs(score - cosine(vector, stored(id))) < 1e-5, `row ${id} scores ${score}`);
      }
      const right = items.filter(({ score }) => score >= truth[9] - 1e-5).length;
      if (method === 'exact') assert.equal(right, 10);
      this.answered++;
      if (method !== 'hnsw') continue;
      this.byGraph++;
      this.right += right;
      this.wanted += 10;
      assert.ok(right >= 4, `a graph found ${right} of 10`);
    }
  }

  async isQuiet() {
    const { body } = await this.lake.get('/jobs?state=running&limit=1');
    return body.items.length === 0;
  }

  async rest() {
    for (let turn = 0; turn < 200 && !(await this.isQuiet()); turn++) await sleep(50);
  }
}

test(`an index is built, refreshed, made anew and promoted while the server is killed ${killCount} times: none that is wrong is served`, { timeout: 1800000 }, async (context) => {
  context.diagnostic(`seed: ${seed}`);
  const folder = temporaryFolder('served');
  const next = random(seed);
  const war = new War(context, folder, next);
  await war.start();
  assert.equal((await war.lake.ingest('points', linesOf(0, rowCount), { mode: 'create', name: 'points.ndjson' })).status, 200);
  const began = Date.now();
  assert.equal((await war.lake.post('/vectors/index', { index_name: 'points_v1', dataset: 'points', id_column: 'id', vector_column: 'v' })).status, 200);
  const tookMs = Date.now() - began;
  const phases = ['refresh', 'publication', 'anew', 'publication', 'refresh', 'build'];
  for (; war.kills < killCount; war.kills++) {
    const phase = phases[war.kills % phases.length];
    // A job that is killed 25 times in a row is given up: now and then one may end.
    if (war.kills % 3 === 0) await war.rest();
    const asked = war.begin(phase);
    await sleep(next() * tookMs * (next() < 0.7 ? 0.5 : 1.5));
    await war.server.kill();
    await asked;
    war.during[phase] = (war.during[phase] ?? 0) + 1;
    await war.start();
    await war.countRows();
    await war.check();
  }
  await war.rest();
  await war.begin('build');
  await war.rest();
  await war.check();
  const recall = war.right / war.wanted;
  context.diagnostic(`figure: ${war.kills} kills of an index (${JSON.stringify(war.during)}; a build takes ${tookMs} ms): ${war.answered} searches right, ` +
    `${war.byGraph} of them by a graph with recall ${recall.toFixed(3)}, ${war.refused} refused because there was none`);
  assert.ok(war.answered > war.kills / 2, 'hardly a search was answered');
  assert.ok(war.byGraph > 0 && recall > 0.8, `recall ${recall}`);
  await war.server.stop();
  const verified = await run(['verify', '--data', folder.path]);
  assert.equal(verified.code, 0, verified.stdout);
  folder.remove();
});
