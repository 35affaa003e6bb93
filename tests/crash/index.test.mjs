// An index that is being built while its server is killed again and again ends complete, and equal
// to one that was built in peace.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const isLong = Boolean(process.env.LAKEHOUSE_LONG);
const rowCount = isLong ? 64000 : 20000;
const killCount = isLong ? 50 : 12;
const waitingKill = 3;
// In the short run without a graph, whose kills tests/fault/test_kill_graph.c counts.
const env = { LAKEHOUSE_SEARCH_GRAPH_ROWS: isLong ? '20000' : '1000000' };
const seed = Number(process.env.LAKEHOUSE_SEED ?? Date.now() % 2147483647);

// Park and Miller's generator: the same run for the same seed.
function random(start) {
  let state = start % 2147483647 || 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

const nouns = ['editor', 'player', 'library', 'server', 'kernel', 'font', 'game', 'driver', 'shell', 'index', 'photo', 'sound'];
const verbs = ['reads', 'writes', 'plays', 'draws', 'parses', 'sorts', 'sends', 'checks', 'builds', 'packs'];

function csv() {
  const next = random(7);
  const pick = (words) => words[Math.floor(next() * words.length)];
  const lines = ['name,text'];
  for (let at = 0; at < rowCount; at++) {
    const text = Array.from({ length: 4 + Math.floor(next() * 12) }, () => `${pick(nouns)} ${pick(verbs)}${Math.floor(next() * 900)}`);
    lines.push(`package-${at},"${text.join(' ')}"`);
  }
  return `${lines.join('\n')}\n`;
}

const request = { index_name: 'made', dataset: 'packages', id_column: 'name', text_columns: ['text'] };
const questions = ['photo editor draws', 'sound player plays12', 'kernel driver', 'parses77 library index'];

// A build that was killed when the index stood, but not its graph, leaves that to a job of its own.
async function withGraph(lake) {
  for (const from = Date.now(); ; await sleep(100)) {
    const { body } = await lake.get('/vectors/indexes/made');
    if (body.graph || !isLong) return body;
    assert.ok(Date.now() - from < 120000, 'the index gets no graph');
  }
}

// What the index holds and answers, without names and times of its files.
async function essence(lake, folder) {
  const body = await withGraph(lake);
  const answers = [];
  for (const query of questions) {
    const found = await lake.post('/vectors/search', { index: 'made', query, k: 50 });
    assert.equal(found.status, 200, found.text);
    assert.equal(found.body.method, isLong ? 'hnsw' : 'exact');
    answers.push(found.body.items.map(({ id, score, text }) => [id, score, text]));
  }
  const docs = [];
  for (let at = 0; at < rowCount; at += Math.floor(rowCount / 97)) {
    const doc = await lake.get(`/vectors/indexes/made/docs/package-${at}`);
    assert.equal(doc.status, 200, doc.text);
    docs.push(doc.body);
  }
  // Every part by its bytes: the same rows cut at the same places, embedded alike, written alike.
  const catalog = join(folder, '_catalog', 'indexes', body.id);
  const newest = readdirSync(catalog).sort().at(-1);
  const manifest = JSON.parse(readFileSync(join(catalog, newest), 'utf8'));
  const parts = manifest.parts.map(({ key, entries, sha256 }) => {
    assert.equal(createHash('sha256').update(readFileSync(join(folder, key))).digest('hex'), sha256);
    return [entries, sha256];
  });
  return { state: body.state, rows: body.rows, chunks: body.chunks, stale: body.is_stale, answers, docs, parts,
    model: manifest.model_file.sha256, graph: manifest.graph?.file.sha256, recalls: manifest.graph?.recalls };
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Parts that a build which has not ended has made: what the next start goes on with.
function partsLeft(folder) {
  const name = newestManifest(folder);
  if (!name) return 0;
  const catalog = join(folder, '_catalog', 'indexes');
  const [id] = readdirSync(catalog);
  const { state, parts, next } = JSON.parse(readFileSync(join(catalog, id, name), 'utf8'));
  return (state === 'building' ? parts : next?.parts)?.length ?? 0;
}

// The sleeps alone may all end before a part is made, or behind the build: one kill waits for a part.
async function awaitPart(folder) {
  for (let turn = 0; !partsLeft(folder); turn++) {
    assert.ok(turn < 6000, 'no part is made for a minute');
    await sleep(10);
  }
}

// '': the build has not begun.
function newestManifest(folder) {
  const catalog = join(folder, '_catalog', 'indexes');
  if (!existsSync(catalog)) return '';
  const [id] = readdirSync(catalog);
  return id ? readdirSync(join(catalog, id)).filter((name) => /^\d{20}\.json$/.test(name)).sort().at(-1) ?? '' : '';
}

// A build that takes the server down 25 times before anything more is recorded is given up. Kills
// come faster than that, so now and then the next record is waited for.
const barrenKillsMax = 15;
class Patience {
  constructor(folder) {
    Object.assign(this, { folder, barren: 0, last: '' });
  }

  // `isDone`: nothing more is to be recorded.
  async grant(isDone) {
    const now = newestManifest(this.folder);
    this.barren = now === this.last ? this.barren + 1 : 0;
    this.last = now;
    if (this.barren < barrenKillsMax) return;
    for (let turn = 0; newestManifest(this.folder) === now && !await isDone(); turn++) {
      assert.ok(turn < 6000, 'nothing is recorded for a minute');
      await sleep(10);
    }
  }
}

async function given(context, name) {
  const folder = temporaryFolder(name);
  const server = await startServer({ data: folder.path, env });
  context.after(() => server.kill());
  const lake = await connect(server);
  const taken = await lake.ingest('packages', csv(), { mode: 'create' });
  assert.equal(taken.status, 200, taken.text);
  return { folder, server, lake };
}

test(`${rowCount} rows indexed, the server killed ${killCount} times: complete, and equal to one built in peace`, { timeout: isLong ? 1800000 : 540000 }, async (context) => {
  context.diagnostic(`seed: ${seed}`);
  const peace = await given(context, 'peace');
  const began = Date.now();
  const built = await peace.lake.post('/vectors/index', request);
  assert.equal(built.status, 200, built.text);
  const tookMs = Date.now() - began;
  const expected = await essence(peace.lake, peace.folder.path);
  assert.equal(expected.rows, rowCount);
  await peace.server.stop();

  const next = random(seed);
  const war = await given(context, 'war');
  const { body: { job_id: job } } = await war.lake.post('/vectors/index', { ...request, wait: false });
  let server = war.server;
  let lake = war.lake;
  let killed = 0;
  let resumed = 0; // kills that left parts to go on with
  const patience = new Patience(war.folder.path);
  for (; killed < killCount; killed++) {
    await patience.grant(async () => (await lake.get(`/jobs/${job}`)).body.state === 'succeeded');
    // Mostly before a part is done, sometimes well after.
    if (killed === waitingKill && !resumed) await awaitPart(war.folder.path);
    else await sleep(next() * (next() < 0.75 ? tookMs / 20 : tookMs / 3));
    const { body } = await lake.get(`/jobs/${job}`);
    assert.notEqual(body.state, 'failed', JSON.stringify(body));
    if (body.state === 'succeeded') break;
    await server.kill();
    resumed += partsLeft(war.folder.path) > 0;
    server = await startServer({ data: war.folder.path, env });
    context.after(() => server.kill());
    lake = await connect(server);
  }
  let state;
  do {
    await sleep(50);
    state = (await lake.get(`/jobs/${job}`)).body;
  } while (['queued', 'running'].includes(state.state));
  assert.equal(state.state, 'succeeded', JSON.stringify(state));
  assert.ok(killed > killCount / 3, `only ${killed} kills before it ended`);
  context.diagnostic(`figure: ${killed} kills during the build of ${rowCount} rows (${tookMs} ms in peace), ${resumed} of them left parts`);
  assert.ok(resumed > 0, 'no kill left a part to go on with');
  assert.equal(state.result.rows, rowCount);
  assert.deepEqual(await essence(lake, war.folder.path), expected);

  // What the kills left is swept, and nothing else.
  await sleep(400);
  const index = readdirSync(join(war.folder.path, 'indexes'));
  assert.equal(index.length, 1);
  const files = readdirSync(join(war.folder.path, 'indexes', index[0])).filter((file) => file.endsWith('.parquet'));
  assert.equal(files.length, expected.parts.length);
  await server.stop();
  assert.equal((await run(['verify', '--data', war.folder.path])).code, 0);
  peace.folder.remove();
  war.folder.remove();
});

test(`an index is made anew while the server is killed ${killCount} times: the old one answers until the new one, equal to it, is whole`, { timeout: isLong ? 1800000 : 540000 }, async (context) => {
  context.diagnostic(`seed: ${seed}`);
  const { folder, server: first, lake: at } = await given(context, 'anew');
  const began = Date.now();
  assert.equal((await at.post('/vectors/index', request)).status, 200);
  const tookMs = Date.now() - began;
  const expected = await essence(at, folder.path);
  const answer = await at.post('/vectors/refresh/packages', { from_scratch: true, wait: false });
  assert.equal(answer.status, 202, answer.text);
  const job = answer.body.job_id;
  const next = random(seed + 1);
  let server = first;
  let lake = at;
  let killed = 0;
  let resumed = 0; // kills that left a part of the new generation behind
  const patience = new Patience(folder.path);
  for (; killed < killCount; killed++) {
    await patience.grant(async () => (await lake.get(`/jobs/${job}`)).body.state === 'succeeded');
    const [usual, long] = isLong ? [0.01, 0.1] : [0.04, 0.25];
    if (killed === waitingKill && !resumed) await awaitPart(folder.path);
    else await sleep(next() * tookMs * (next() < 0.75 ? usual : long));
    if ((await lake.get(`/jobs/${job}`)).body.state === 'succeeded') break;
    await server.kill();
    resumed += partsLeft(folder.path) > 0;
    server = await startServer({ data: folder.path, env });
    context.after(() => server.kill());
    lake = await connect(server);
    // A search loads the index, and meanwhile the job gets far.
    if (killed % 5) continue;
    const found = await lake.post('/vectors/search', { index: 'made', query: questions[0], k: 50 });
    assert.equal(found.status, 200, found.text);
    const told = found.body.items.map(({ id: row, score, text }) => [row, score, text]);
    // Between the new generation and its graph all vectors are looked at, which finds no less.
    if (found.body.method === 'exact' && isLong) for (const [at, [, score]] of told.entries()) assert.ok(score >= expected.answers[0][at][1]);
    else assert.deepEqual(told, expected.answers[0]);
  }
  let state;
  do {
    await sleep(50);
    state = (await lake.get(`/jobs/${job}`)).body;
  } while (['queued', 'running'].includes(state.state));
  assert.equal(state.state, 'succeeded', JSON.stringify(state));
  assert.equal(state.result.rows, rowCount);
  assert.equal((await lake.get('/vectors/indexes/made')).body.generation, 2);
  context.diagnostic(`figure: ${killed} kills, ${resumed} of them left parts of the new generation`);
  assert.ok(resumed > 0, 'no kill left a part of the new generation');
  assert.ok(killed > killCount / 3, `only ${killed} kills before it ended`);
  assert.deepEqual(await essence(lake, folder.path), expected);
  await server.stop();
  const verified = await run(['verify', '--data', folder.path]);
  assert.equal(verified.code, 0, verified.out);
  folder.remove();
});

test('a build whose caller waited is forgotten when the server is killed', { timeout: 120000 }, async (context) => {
  const { folder, server, lake } = await given(context, 'waited');
  const answer = lake.post('/vectors/index', request).catch((error) => error);
  for (let turn = 0; turn < 200; turn++) {
    if ((await lake.get('/vectors/indexes')).body.items.length) break;
    await sleep(5);
  }
  await server.kill();
  await answer;
  const second = await startServer({ data: folder.path, env });
  context.after(() => second.kill());
  const again = await connect(second);
  assert.deepEqual((await again.get('/vectors/indexes')).body.items, []);
  assert.equal((await again.post('/vectors/index', request)).status, 200);
  await second.stop();
  assert.equal((await run(['verify', '--data', folder.path])).code, 0);
  folder.remove();
});
