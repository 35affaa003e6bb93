// The server is killed at random moments while it takes files, merges them, deletes and erases rows, replaces
// rows by their keys, takes that back, moves a dataset between buckets, and others read: whatever it acknowledged
// is there afterwards, what was deleted stays away, nothing is half-visible, before the kill or after it, and
// `verify` finds nothing.
//
// LAKEHOUSE_KILLS: how many (500). LAKEHOUSE_SEED: makes the same choices again: the moment of each
// kill, and what each writer's first, second, third … batch before it is and where it goes. How many
// of them a writer gets to is the machine's doing.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const kills = Number(process.env.LAKEHOUSE_KILLS ?? 500);
const seed = Number(process.env.LAKEHOUSE_SEED ?? Date.now() % 2 ** 31);

// mulberry32: small, seeded, good enough to choose moments.
function random(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const keyedRows = 12; // of the dataset that is written by key
const writerCount = 3;
const batchesMax = 1000; // of one writer before one kill
// One generator for each kill and writer: no choice depends on how far another writer came.
const chances = (kill, writer) => random(seed ^ Math.imul(kill * (writerCount + 1) + writer + 1, 0x9e3779b1));
const again = `LAKEHOUSE_SEED=${seed} LAKEHOUSE_KILLS=${kills} node --test tests/crash/kills.test.mjs`;
const startMax = 2000; // milliseconds, recovery included, without waiting for a processor
const rowsOf = (batch) => 1 + (batch * 7) % 40;

// A batch carries its own number and row count, so that half of one would show.
function batchFile(batch) {
  const rows = rowsOf(batch);
  return `batch,position,size\n${Array.from({ length: rows }, (_, at) => `${batch},${at},${rows}\n`).join('')}`;
}

async function send(url, dataset, mode, batch, isLater) {
  const form = new FormData();
  form.append('dataset', dataset);
  form.append('mode', mode);
  form.append('wait', String(!isLater));
  form.append('file', new Blob([batchFile(batch)]), `batch-${batch}.csv`);
  const response = await fetch(`${url}/ingest/file`, { method: 'POST', body: form });
  const body = await response.json();
  assert.ok(response.ok, `batch ${batch} was refused: ${JSON.stringify(body)}`);
  assert.equal(response.status, isLater ? 202 : 200);
  return body.job_id;
}

// A create that lost against its twin, or an append before the create: not written.
const isLost = (code) => /^(already_exists|not_found|commit_conflict)$/.test(code);

async function rows(url, sql) {
  const response = await fetch(`${url}/query/sql`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ sql, limit: 1000000 }),
  });
  const body = await response.json();
  assert.equal(response.status, 200, JSON.stringify(body));
  return body.rows;
}

// What one lake must look like: per dataset the batches that were acknowledged, and those that were
// on their way when the kill came (they may be there, whole, or not).
class Expectation {
  constructor() {
    this.sure = new Set();
    this.maybe = new Set();
    this.jobs = new Map(); // accepted for later: batch → job
    this.leaving = new Set(); // deletes that were on their way: whole there or not
    this.gone = new Set(); // deleted, and that was acknowledged
  }

  get isSettled() {
    return !this.maybe.size && !this.jobs.size && !this.leaving.size;
  }
}

// Every job that was accepted ends; how, says whether its batch must be there.
async function endJobs(url, expected) {
  for (const [batch, id] of expected.jobs) {
    let job = { state: 'queued' };
    for (let turn = 0; turn < 600 && ['queued', 'running'].includes(job.state); turn++) {
      const response = await fetch(`${url}/jobs/${id}?wait_ms=200`);
      job = await response.json();
      assert.equal(response.status, 200, `an accepted job is not known: ${JSON.stringify(job)}`);
    }
    if (job.state === 'succeeded') expected.sure.add(batch);
    else assert.ok(job.state === 'failed' && isLost(job.error.code), `batch ${batch} was accepted: ${JSON.stringify(job)}`);
    expected.maybe.delete(batch);
  }
  expected.jobs.clear();
}

// Also of jobs whose 202 was on its way when the kill came: they are run like the others.
async function untilIdle(url) {
  for (let turn = 0; turn < 600; turn++) {
    let waiting = 0;
    for (const state of ['queued', 'running']) { // in the order in which a job goes through them
      waiting += (await (await fetch(`${url}/jobs?state=${state}&limit=1`)).json()).items.length;
    }
    if (!waiting) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('jobs do not end');
}

const byBatch = (dataset) => `SELECT batch, count(*), min(size), max(size), count(DISTINCT position) FROM ${dataset} GROUP BY batch`;

function checkWhole(dataset, [batch, ...counts]) {
  assert.deepEqual(counts, Array(4).fill(rowsOf(batch)), `${dataset}: batch ${batch} is half there or twice`);
}

async function checkDataset(url, dataset, expected) {
  await endJobs(url, expected);
  const { sure, maybe, leaving, gone } = expected;
  if (!sure.size && !maybe.size && !leaving.size) return;
  // Absent is what the catalog says is absent: a query that fails for any other reason is a failure.
  const known = await fetch(`${url}/catalog/datasets/by-name/${dataset}`);
  const what = await known.json();
  if (!sure.size && !leaving.size && !gone.size && known.status === 404) {
    assert.equal(what.code, 'not_found');
    maybe.clear();
    return;
  }
  assert.equal(known.status, 200, `${dataset}: ${JSON.stringify(what)}`);
  const found = await rows(url, byBatch(dataset));
  assert.ok(found.length || leaving.size || gone.size, `${dataset} is there without a row`);
  for (const row of found) {
    assert.ok(!gone.has(row[0]), `${dataset}: batch ${row[0]} was deleted and came back`);
    assert.ok(sure.has(row[0]) || maybe.has(row[0]) || leaving.has(row[0]), `${dataset}: batch ${row[0]} came from nowhere`);
    checkWhole(dataset, row);
  }
  const there = new Set(found.map(([batch]) => batch));
  for (const batch of sure) assert.ok(there.has(batch), `${dataset}: batch ${batch} was acknowledged and is lost`);
  for (const batch of maybe) if (there.has(batch)) sure.add(batch);
  for (const batch of leaving) (there.has(batch) ? sure : gone).add(batch);
  maybe.clear();
  leaving.clear();
}

// What is written by key: each upsert puts its number into some of the rows, an undo takes the last one back. All
// keys are there at any time, each once, and together they are a state that was acknowledged, or is on its way.
class Keyed {
  constructor() {
    this.states = [null]; // those that may be: the acknowledged one first; null: there is no dataset
    this.before = undefined; // what an undo would bring back; undefined: it may be refused
    this.number = 0;
    this.elsewhere = 'beside'; // where it goes next
  }

  static text(state) {
    return state && state.join(' ');
  }

  // How the rows would be with a number in those from `from` on.
  with(from, number) {
    return Array.from({ length: keyedRows }, (_, id) => (id >= from ? number : this.states[0]?.[id] ?? number));
  }

  // What is told of a change that is over: it was made, or not.
  settle(state, before) {
    this.states = [state];
    this.before = before;
  }

  check(found, states = this.states) {
    assert.ok(states.some((state) => Keyed.text(state) === Keyed.text(found)),
      `rows by key are ${Keyed.text(found)}, not ${states.map(Keyed.text).join(' or ')}`);
    return found;
  }
}

// The numbers in the order of their keys; null: there is no dataset.
async function readKeyed(url) {
  const known = await fetch(`${url}/catalog/datasets/by-name/keyed`);
  if (known.status === 404) return null;
  const found = await rows(url, 'SELECT id, number FROM keyed ORDER BY id');
  assert.deepEqual(found.map(([id]) => id), Array.from({ length: keyedRows }, (_, id) => id), 'a key is missing or there twice');
  return found.map(([, number]) => number);
}

async function checkKeyed(url, keyed) {
  const found = keyed.check(await readKeyed(url));
  if (keyed.states.length > 1) keyed.settle(found, undefined);
}

async function upsert(server, keyed, next, state) {
  const number = ++keyed.number;
  const from = keyed.states[0] ? Math.floor(next() * keyedRows) : 0;
  const [old, made] = [keyed.states[0], keyed.with(from, number)];
  const form = new FormData();
  form.append('dataset', 'keyed');
  form.append('mode', old ? 'upsert' : 'create');
  if (old) form.append('options', JSON.stringify({ key: 'id' }));
  const lines = made.map((_, id) => `${id},${number}\n`).slice(from);
  form.append('file', new Blob([`id,number\n${lines.join('')}`]), 'keyed.csv');
  keyed.states = [old, made];
  const response = await fetch(`${server.url}/ingest/file`, { method: 'POST', body: form });
  const body = await response.json();
  assert.ok(response.ok, `rows by key were refused: ${JSON.stringify(body)}`);
  keyed.settle(made, old ?? undefined);
  state.upserted++;
}

async function takeBack(server, keyed, state) {
  const [now, before] = [keyed.states[0], keyed.before];
  keyed.states = [now, before];
  const response = await fetch(`${server.url}/catalog/datasets/by-name/keyed/undo`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"reason": "asked"}',
  });
  const body = await response.json();
  assert.ok(response.ok || isMovedOn(body.code), `an undo was refused: ${JSON.stringify(body)}`);
  keyed.settle(response.ok ? before : now, undefined);
  state.undone += response.ok;
}

// A merge or a move of the same dataset came first: tried again another time.
const isMovedOn = (code) => /^(commit_conflict|conflict|job_conflict)$/.test(code);

async function move(server, keyed, state) {
  const response = await fetch(`${server.url}/catalog/datasets/by-name/keyed/move`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ to: keyed.elsewhere, wait: true }),
  });
  const body = await response.json();
  assert.ok(response.ok || isMovedOn(body.code), `a move was refused: ${JSON.stringify(body)}`);
  keyed.elsewhere = keyed.elsewhere === 'beside' ? 'primary' : 'beside'; // if a kill made it wrong, the next is right
  state.moved += response.ok && body.files > 0;
}

// One client, so that what stands there is known; what is read beside it is a state that was there meanwhile.
async function writeByKey(server, kill, keyed, state) {
  const next = random(seed ^ Math.imul(kill + 1, 0x2545f491));
  while (!state.isDead) {
    await new Promise((resolve) => setTimeout(resolve, next() * 12));
    if (state.isDead) break;
    const [choice, isLookedAt] = [next(), next() < 0.5];
    const first = keyed.states;
    const doing = choice < 0.4 && keyed.before !== undefined ? takeBack(server, keyed, state)
      : choice > 0.65 && keyed.states[0] ? move(server, keyed, state) : upsert(server, keyed, next, state);
    try {
      const reading = isLookedAt && keyed.states[0] ? readKeyed(server.url) : null;
      const possible = [...first, ...keyed.states];
      const [done, found] = await Promise.allSettled([doing, reading]);
      if (done.status === 'rejected') throw done.reason;
      if (found.status === 'rejected') throw found.reason;
      if (reading) keyed.check(found.value, possible);
    } catch (error) {
      if (error.code === 'ERR_ASSERTION') throw error;
      if (!state.isDead) await checkKeyed(server.url, keyed).catch(() => {});
    }
  }
}

// A second place for what is moved: a folder beside the lake's.
async function addBucket(server, root) {
  const response = await fetch(`${server.url}/storage/buckets`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name: 'beside', backend: 'local', root }),
  });
  assert.equal(response.status, 201, await response.text());
}

// What nothing was done to since it was last looked at waits for `all`.
async function check(url, expectations, keyed, all) {
  await untilIdle(url);
  await checkKeyed(url, keyed);
  for (const [dataset, expected] of expectations)
    if (all || !expected.isSettled) await checkDataset(url, dataset, expected);
}

// Takes files as a client does, until the server is dead.
async function write(server, kill, writer, expectations, state) {
  const next = chances(kill, writer);
  for (let turn = 0; turn < batchesMax && !state.isDead; turn++) {
    const batch = (kill * writerCount + writer) * batchesMax + turn;
    const isNew = next() < 0.1;
    const isLater = next() < 0.3;
    const dataset = isNew ? `fresh_${batch}` : `shared_${writer % 2}`;
    if (!expectations.has(dataset)) expectations.set(dataset, new Expectation());
    const expected = expectations.get(dataset);
    expected.maybe.add(batch);
    try {
      const mode = isNew || (!expected.sure.size && expected.maybe.size === 1) ? 'create' : 'append';
      const job = await send(server.url, dataset, mode, batch, isLater);
      if (isLater) {
        expected.jobs.set(batch, job);
        state.accepted++;
      } else {
        expected.maybe.delete(batch);
        expected.sure.add(batch);
        state.acknowledged++;
      }
    } catch (error) {
      if (error.code === 'ERR_ASSERTION') {
        if (!isLost(error.message.match(/"code":"(\w+)"/)?.[1])) throw error;
        expected.maybe.delete(batch);
      } else if (!state.isDead) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
  }
}

const answered = (state) => state.acknowledged + state.accepted + state.deleted + state.erased + state.merged + state.reads + state.upserted;

// Deletes batches that are there for sure, one in eight of them for good from every file.
async function remove(server, kill, expectations, state) {
  const next = random(seed ^ Math.imul(kill + 1, 0x27d4eb2f));
  while (!state.isDead) {
    await new Promise((resolve) => setTimeout(resolve, next() * 40));
    const dataset = `shared_${next() < 0.5 ? 0 : 1}`;
    const expected = expectations.get(dataset);
    const batches = [...expected?.sure ?? []];
    const isErased = next() < 0.125;
    const batch = batches[Math.floor(next() * batches.length)];
    if (batch === undefined || state.isDead) continue;
    expected.sure.delete(batch);
    expected.leaving.add(batch);
    const keys = { row_key_column: 'batch', row_key_values: [batch], reason: 'asked' };
    const path = isErased ? 'catalog/erase' : `catalog/datasets/by-name/${dataset}/tombstone`;
    try {
      const response = await fetch(`${server.url}/${path}`, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(isErased ? { ...keys, wait: false } : keys),
      });
      const body = await response.json();
      assert.ok(response.ok || isLost(body.code), `batch ${batch} was not deleted: ${JSON.stringify(body)}`);
      expected.leaving.delete(batch);
      (response.ok ? expected.gone : expected.sure).add(batch);
      state[isErased ? 'erased' : 'deleted'] += response.ok;
    } catch (error) {
      if (error.code === 'ERR_ASSERTION') throw error;
    }
  }
}

// Looks on: whatever a statement finds is whole, all of what was sure when it began, nothing of what was gone.
async function look(server, kill, expectations, state) {
  const next = random(seed ^ Math.imul(kill + 1, 0x165667b1));
  while (!state.isDead) {
    await new Promise((resolve) => setTimeout(resolve, next() * 20));
    const dataset = `shared_${next() < 0.5 ? 0 : 1}`;
    const expected = expectations.get(dataset);
    if (!expected?.sure.size || state.isDead) continue;
    const [sure, gone] = [[...expected.sure], new Set(expected.gone)];
    try {
      const found = await rows(server.url, byBatch(dataset));
      const there = new Set(found.map(([batch]) => batch));
      for (const row of found) {
        assert.ok(!gone.has(row[0]), `${dataset}: a reader finds batch ${row[0]}, which was deleted`);
        checkWhole(dataset, row);
      }
      for (const batch of sure) assert.ok(there.has(batch) || !expected.sure.has(batch), `${dataset}: a reader does not find batch ${batch}`);
      state.reads++;
    } catch (error) {
      if (error.code === 'ERR_ASSERTION') throw error;
    }
  }
}

// Merges what the others have brought, beside them: no row may change by it.
async function merge(server, kill, state) {
  const next = random(seed ^ Math.imul(kill + 1, 0x85ebca6b));
  while (!state.isDead) {
    await new Promise((resolve) => setTimeout(resolve, next() * 30));
    try {
      const response = await fetch(`${server.url}/query/compact`, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ wait: next() < 0.7, automatic: next() < 0.3 }),
      });
      const body = await response.json();
      assert.ok(response.ok, `a compaction was refused: ${JSON.stringify(body)}`);
      state.merged += body.compacted ?? 0;
    } catch (error) {
      if (error.code === 'ERR_ASSERTION') throw error;
    }
  }
}

// How long it waited for a processor: what a busy machine adds to a start.
function waitedMs(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
  } catch {
    return 0;
  }
}

// A little after so many answers, of slow machines too; at most a while.
async function moment(next, state) {
  const [before, wanted, last] = [answered(state), Math.floor(next() ** 2 * 16), performance.now() + 400];
  while (answered(state) < before + wanted && performance.now() < last) await new Promise((resolve) => setTimeout(resolve, 2));
  await new Promise((resolve) => setTimeout(resolve, next() * 20));
}

async function killAgainAndAgain(context) {
  let folder = temporaryFolder('kills');
  let beside = temporaryFolder('kills-beside');
  let hasBucket = false;
  let running = null;
  context.after(() => running?.kill()); // a red run ends too
  let expectations = new Map();
  let keyed = new Keyed();
  const state = { acknowledged: 0, accepted: 0, merged: 0, deleted: 0, erased: 0, reads: 0, upserted: 0, undone: 0, moved: 0, isDead: false };
  let slowestStart = 0;
  let lakes = 1;
  const start = async (all) => {
    const started = performance.now();
    running = await startServer({ data: folder.path });
    const took = performance.now() - started - waitedMs(running.pid);
    slowestStart = Math.max(slowestStart, took);
    assert.ok(took <= startMax, `a start took ${Math.round(took)} ms`);
    await check(running.url, expectations, keyed, all);
    return running;
  };
  for (let kill = 0; kill < kills; kill++) {
    const server = await start(kill % 10 === 0);
    state.isDead = false;
    if (!hasBucket) await addBucket(server, beside.path);
    hasBucket = true;
    const writers = Promise.all([merge(server, kill, state), remove(server, kill, expectations, state), look(server, kill, expectations, state),
      writeByKey(server, kill, keyed, state),
      ...Array.from({ length: writerCount }, (_, writer) => write(server, kill, writer, expectations, state))]);
    writers.catch(() => {}); // told below, after the kill
    await moment(chances(kill, writerCount), state);
    state.isDead = true;
    await server.kill();
    await writers;
    // Now and then the oracle looks at the folder as the kill left it, and a new folder is begun.
    if (kill % 50 === 49 || kill === kills - 1) {
      const last = await start(true);
      assert.deepEqual(await last.stop(), { code: 0, signal: null });
      const verdict = await run(['verify', '--data', folder.path, '--json']);
      assert.equal(verdict.code, 0, `verify: ${verdict.out}${verdict.err}`);
      if (kill % 100 === 99 && kill < kills - 1) {
        folder.remove();
        beside.remove();
        folder = temporaryFolder('kills');
        beside = temporaryFolder('kills-beside');
        expectations = new Map();
        keyed = new Keyed();
        hasBucket = false;
        lakes++;
      }
    }
  }
  folder.remove();
  beside.remove();
  assert.ok(state.acknowledged + state.accepted > kills / 2, `only ${state.acknowledged + state.accepted} batches were acknowledged: the kills came too early to prove anything`);
  if (kills >= 200) assert.ok(state.upserted && state.undone, 'no upsert or undo came to its end');
  console.log(`figure: ${kills} kills, ${state.acknowledged} acknowledged commits and ${state.accepted} accepted jobs, ${state.merged} compactions, ${state.deleted} deletes, ${state.erased} erasures, ${state.upserted} upserts, ${state.undone} undone, ${state.moved} moves, ${state.reads} statements beside them, 0 lost, 0 back, 0 half-visible, ${lakes} lakes, slowest start ${Math.round(slowestStart)} ms, seed ${seed}`);
}

test(`${kills} kills during ingest, append, upsert, undo, delete, erasure, move and compaction lose nothing that was acknowledged (seed ${seed})`, { timeout: 3600000 }, async (context) => {
  try {
    await killAgainAndAgain(context);
  } catch (error) {
    error.message += `\nThe same choices again: ${again}`;
    throw error;
  }
});
