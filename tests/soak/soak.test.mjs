// Everything at once for a long time, and nothing grows: memory, descriptors, threads.
//
// LAKEHOUSE_SOAK_SECONDS: how long (25). LAKEHOUSE_SEED: makes the same choices again.
// Clients do mixed work without a pause: files in and rows out, searches, jobs, errors, hang-ups.
// What the server holds is looked at from outside, in /proc, four times a second; the first half
// is warming up. Growth is told by the slope through all that comes after, not by two points. What is
// allocated is looked at six times in the second half, while the clients pause.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { connect as openSocket } from 'node:net';
import { join } from 'node:path';
import { root, startServer, temporaryFolder } from '../support/server.mjs';

const seconds = Number(process.env.LAKEHOUSE_SOAK_SECONDS ?? 25);
const seed = Number(process.env.LAKEHOUSE_SEED ?? Date.now() % 2 ** 31);
const clients = 6;

// What may grow in the half that is judged. Two things are told apart.
//
// Ours: what the program and its libraries have allocated and not freed, without the SQL engine
// (heap_count.c counts it), while nobody asks for anything. It is exact, so little is allowed: the
// first thousand ended jobs are kept, some 3 KB each, and beside them what each change leaves for
// hours: its event until the log is rolled, its key for a repetition. So many bytes for a piece of
// work, fewer as soon as the jobs are there, and what the caches hold more or less by chance.
const ours = { byChance: 256 << 10, perPiece: 640, piecesAtFirst: 12000, perLaterPiece: 256 };
// Everything: memory that no file stands behind, without the engine's cache of files, which has its
// own limit. Not zero: the engine's lists of blocks that it could evict (src/engine/README.md) grow
// by some 2 KB for each of the first statements, and ever less.
// Descriptors: how many files a dataset or an index is made of changes as the work goes.
const growthMax = { bytes: 16 << 20, bytesPerPiece: 2 << 10, bytesMost: 40 << 20, descriptors: 16, threads: 0.5 };
// What the allocator keeps for later: 20 MB, or 70 MB and more with the C library's presets.
const heapFreeMax = 40 << 20;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function random(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

// --- what is looked at

// Files and the like; how many connections there are is the clients' affair.
function descriptors(pid) {
  let count = 0;
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    try {
      count += !readlinkSync(`/proc/${pid}/fd/${name}`).startsWith('socket:');
    } catch {
      // closed meanwhile
    }
  }
  return count;
}

// What is allocated and not freed, by who asked for it: see heap_count.c.
function heapCounts(path) {
  const [ours, engine, oursBlocks, engineBlocks] = new BigInt64Array(new Uint8Array(readFileSync(path)).buffer);
  return { ours: Number(ours), engine: Number(engine), oursBlocks: Number(oursBlocks), engineBlocks: Number(engineBlocks) };
}

function buildHeapCount(folder) {
  const library = join(folder, 'heap_count.so');
  execFileSync('cc', ['-O2', '-shared', '-fPIC', '-o', library, join(root, 'tests', 'soak', 'heap_count.c')]);
  return { LD_PRELOAD: library, LAKEHOUSE_HEAP_COUNT: join(folder, 'heap_count') };
}

// Memory that no file stands behind: pages of the program and the engine's library come as they
// are used. What the engine says of itself is its cache of files, which has its own limit.
async function look(pid, counts, client) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const anonymous = Number(status.match(/^RssAnon:\s+(\d+) kB/m)[1]) * 1024;
  const told = JSON.parse(await client.must(200, 'GET', '/system/memory') ?? 'null');
  return { ...heapCounts(counts), bytes: anonymous - (told?.engine.bytes ?? 0), anonymous, told, descriptors: descriptors(pid), threads: readdirSync(`/proc/${pid}/task`).length };
}

// The median of the slopes between pairs of points: a few odd ones do not move it.
function slope(points, what, over = 'at') {
  const slopes = [];
  const step = Math.max(1, Math.floor(points.length / 200));
  for (let a = 0; a < points.length; a += step) {
    for (let b = a + step; b < points.length; b += step) {
      const distance = points[b][over] - points[a][over];
      if (distance < (points.at(-1)[over] - points[0][over]) / 4) continue;
      slopes.push((points[b][what] - points[a][what]) / distance);
    }
  }
  slopes.sort((a, b) => a - b);
  return slopes[Math.floor(slopes.length / 2)];
}

// --- what is done

const words = ['river', 'stone', 'market', 'window', 'garden', 'letter', 'table', 'winter'];

function rows(count, from, next) {
  let text = 'id,title,text,amount\n';
  for (let at = 0; at < count; at++) {
    text += `${from + at},title ${at},${words[Math.floor(next() * 8)]} and ${words[Math.floor(next() * 8)]} ${at},${Math.floor(next() * 1e6) / 100}\n`;
  }
  return text;
}

class Client {
  constructor(url, next) {
    this.url = url;
    this.next = next;
    this.done = {};
  }

  async send(method, path, { json, body, headers = {}, signal } = {}) {
    const response = await fetch(this.url + path, {
      method, signal, body: json === undefined ? body : JSON.stringify(json),
      headers: json === undefined ? headers : { 'content-type': 'application/json', ...headers },
    });
    return { status: response.status, text: await response.text() };
  }

  async must(expected, ...request) {
    const { status, text } = await this.send(...request);
    // A full queue is an answer, too; everything else is as it must be.
    if (status === 503 && JSON.parse(text).code === 'busy') return null;
    assert.ok([].concat(expected).includes(status), `${request[0]} ${request[1]} ${JSON.stringify(request[2]?.json ?? '').slice(0, 200)}: ${status} ${text.slice(0, 500)}`);
    return text;
  }

  upload(dataset, mode, content, more = {}) {
    const form = new FormData();
    form.append('dataset', dataset);
    form.append('mode', mode);
    for (const [name, value] of Object.entries(more)) form.append(name, value);
    form.append('file', new Blob([content]), 'rows.csv');
    return { body: form };
  }

  // Begins a request, and leaves before its end.
  async leave(method, path, request, after) {
    const controller = new AbortController();
    const sent = this.send(method, path, { ...request, signal: controller.signal }).catch(() => null);
    await sleep(after);
    controller.abort();
    await sent;
  }

  async follow(id) {
    for (let turn = 0; turn < 400; turn++) {
      const text = await this.must(200, 'GET', `/jobs/${id}`);
      if (text && !['queued', 'running'].includes(JSON.parse(text).state)) return;
      await sleep(25);
    }
    assert.fail(`job ${id} does not end`);
  }
}

const word = (client) => words[Math.floor(client.next() * words.length)];
const number = (client, below) => Math.floor(client.next() * below);

// name, weight, what is done
const work = [
  ['sql', 30, (client) => client.must(200, 'POST', '/query/sql', { json: { sql: `SELECT title, amount + ${number(client, 1e6)} AS a FROM notes ORDER BY a LIMIT 20` } })],
  ['sql.repeated', 20, (client) => client.must(200, 'POST', '/query/sql', { json: { sql: 'SELECT text, count(*) AS n, sum(amount) AS s FROM notes GROUP BY ALL ORDER BY n DESC LIMIT 10' } })],
  ['sql.large', 6, (client) => client.must(200, 'POST', '/query/sql', { json: { sql: `SELECT range, 'row ' || range AS t, range * 1.5 AS d FROM range(${20000 + number(client, 20000)})`, limit: 100000 } })],
  ['sql.formats', 8, (client) => client.must(200, 'POST', '/query/sql', { json: { sql: 'SELECT * FROM notes LIMIT 3000', format: ['ndjson', 'csv', 'arrow', 'parquet'][number(client, 4)] } })],
  ['sql.parameters', 6, (client) => client.must(200, 'POST', '/query/sql', { json: { sql: 'SELECT count(*) FROM notes WHERE amount > $least', parameters: { least: number(client, 1000) } } })],
  ['sql.wrong', 6, (client) => client.must([400, 403, 404], 'POST', '/query/sql', { json: { sql: ['SELEC 1', 'SELECT * FROM nothing_here', "SELECT * FROM read_csv('/etc/passwd')", 'SELECT nope FROM notes', "SELECT 'x'::INT FROM notes"][number(client, 5)] } })],
  ['request.wrong', 6, (client) => client.must([400, 404, 405, 415], ...[
    ['POST', '/query/sql', { body: '{"sql": ', headers: { 'content-type': 'application/json' } }],
    ['POST', '/query/sql', { json: { sql: 'SELECT 1', limitt: 1 } }],
    ['GET', '/nowhere/at/all'],
    ['PUT', '/query/sql', { json: {} }],
    ['POST', '/query/sql', { body: 'x', headers: { 'content-type': 'text/plain' } }],
    ['GET', '/catalog/datasets/by-name/absent'],
    ['GET', '/jobs/01234567-0000-7000-8000-000000000000'],
  ][number(client, 7)])],
  ['ingest.replace', 2, (client) => client.must([200, 409], 'POST', '/ingest/file', client.upload('notes', 'replace', rows(400, 0, client.next)))],
  ['ingest.append', 5, (client) => client.must([200, 409], 'POST', '/ingest/file', client.upload('notes', 'append', rows(10, 1000 + number(client, 1e6), client.next)))],
  ['ingest.wrong', 3, (client) => client.must([400, 409, 422], 'POST', '/ingest/file', client.upload('notes', 'append', ['', '\x00\x01\x02', 'other,columns\n1,2\n', 'id,title\n"unclosed'][number(client, 4)]))],
  ['ingest.job', 2, async (client) => {
    const text = await client.must([202, 409], 'POST', '/ingest/file', client.upload('later', 'replace', rows(200, 0, client.next), { wait: 'false' }));
    if (text && JSON.parse(text).job_id) await client.follow(JSON.parse(text).job_id);
  }],
  ['search', 12, (client) => client.must(200, 'POST', '/vectors/search', { json: { index: 'kept_v1', query: `${word(client)} ${word(client)}`, k: 10 } })],
  ['search.hybrid', 12, (client) => client.must(200, 'POST', '/vectors/hybrid', { json: { index: 'kept_v1', query: `${word(client)} "${word(client)}" ${word(client).slice(0, 3)}*`, k: 10, include_row: true } })],
  ['search.sql', 4, (client) => client.must(200, 'POST', '/query/sql', { json: { sql: `SELECT k.title, s.score FROM hybrid_search('kept_v1', '${word(client)} ${number(client, 1e6)}', k := 5) s JOIN kept k USING (id)` } })],
  ['search.wrong', 3, (client) => client.must([400, 404], 'POST', '/vectors/search', { json: [{ index: 'nothing_v1', query: 'x' }, { index: 'kept_v1', query: '', k: -1 }, { index: 'kept_v1', vector: [1] }][number(client, 3)] })],
  // The dataset only grows by appends, and its index with it: now and then both begin anew.
  ['index.refresh', 1, async (client) => {
    const isAnew = number(client, 4) === 0;
    await client.must([200, 409], 'POST', '/ingest/file', client.upload('kept', isAnew ? 'replace' : 'append', isAnew ? rows(300, 0, client.next) : rows(3, 1000 + number(client, 1e6), client.next)));
    await client.must([200, 202, 207, 409], 'POST', isAnew ? '/vectors/rebuild' : '/vectors/refresh/kept', isAnew ? {} : { json: {} });
  }],
  ['lists', 8, (client) => client.must(200, 'GET', ['/health', '/metrics', '/jobs', '/catalog/datasets', '/catalog/datasets/by-name/notes/versions', '/vectors/indexes', '/vectors/stale', '/docs', '/', '/system/errors', '/system/memory', '/storage/buckets/primary/objects'][number(client, 12)])],
  ['ingest.repeated', 2, async (client) => {
    const headers = { 'idempotency-key': `soak-${client.next()}` };
    const content = rows(5, 1000 + number(client, 1e6), client.next);
    for (let turn = 0; turn < 2; turn++) await client.must([200, 409], 'POST', '/ingest/file', { ...client.upload('notes', 'append', content), headers });
  }],
  ['packed', 6, (client) => client.must(200, 'POST', '/query/sql', { json: { sql: 'SELECT * FROM notes LIMIT 2000', format: ['json', 'csv'][number(client, 2)] }, headers: { 'accept-encoding': ['gzip', 'zstd', 'identity'][number(client, 3)] } })],
  ['explain', 4, (client) => client.must(200, 'POST', '/query/explain', { json: { sql: `SELECT count(*) FROM notes WHERE amount > ${number(client, 1e6)}` } })],
  ['objects', 8, async (client) => {
    const at = `/storage/buckets/primary/objects/soak/${number(client, 20)}`;
    const method = ['PUT', 'GET', 'GET', 'DELETE'][number(client, 4)];
    await client.must([200, 201, 204, 206, 404, 416], method, at, method === 'PUT'
      ? { body: Buffer.alloc(number(client, 100000), 7), headers: { 'content-type': 'application/octet-stream' } }
      : { headers: method === 'GET' && number(client, 2) ? { range: `bytes=${number(client, 5000)}-` } : {} });
  }],
  ['keys', 1, async (client) => {
    const text = await client.must([201, 409, 413], 'POST', '/access/keys', { json: { name: `k${number(client, 1e9)}`, role: 'reader' } });
    if (text && JSON.parse(text).about) await client.must([200, 204], 'DELETE', `/access/keys/${JSON.parse(text).about.id}`);
  }],
  ['expire', 1, (client) => client.must([200, 409], 'POST', '/catalog/expire', { json: { dataset: 'notes', older_than_s: 5 } })],
  ['events', 2, async (client) => {
    const { items } = JSON.parse(await client.must(200, 'GET', '/jobs') ?? '{"items": []}');
    if (items.length) await client.must([200, 404], 'GET', `/jobs/${items[number(client, items.length)].id}/events`);
  }],
  ['leave.sql', 4, (client) => client.leave('POST', '/query/sql', { json: { sql: `SELECT sum(range * ${number(client, 99)}) FROM range(4000000000)`, timeout_ms: 60000 } }, 5 + number(client, 60))],
  ['leave.rows', 3, (client) => client.leave('POST', '/query/sql', { json: { sql: "SELECT range, 'text ' || range FROM range(10000000)", limit: 10000000 } }, 5 + number(client, 80))],
  ['leave.upload', 2, (client) => client.leave('POST', '/ingest/file', client.upload('never', 'replace', rows(3000, 0, client.next)), number(client, 6))],
  ['leave.middle', 3, (client) => new Promise((resolve) => {
    const { hostname, port } = new URL(client.url);
    const socket = openSocket({ host: hostname, port: Number(port) }, () => {
      socket.write('POST /query/sql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"sql": "SELE');
      setTimeout(() => socket.destroy(), number(client, 20));
    });
    socket.on('error', () => {});
    socket.on('close', resolve);
  })],
];
// LAKEHOUSE_SOAK_WORK: only what has one of these names, to find out who makes something grow.
const only = process.env.LAKEHOUSE_SOAK_WORK?.split(',');
const chosen = work.filter(([name]) => !only || only.includes(name));
const weights = chosen.reduce((sum, [, weight]) => sum + weight, 0);

function choose(client) {
  let at = client.next() * weights;
  for (const row of chosen) {
    at -= row[1];
    if (at < 0) return row;
  }
  return chosen[0];
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const piecesOf = (all) => sum(all.map(({ done }) => sum(Object.values(done))));

// Everybody ends what they are at; then what is allocated belongs to nobody's request.
async function lookQuiet(state, all, counts) {
  let goOn;
  state.pause = new Promise((resolve) => { goOn = resolve; });
  while (state.working > 0) await sleep(5);
  await sleep(300);
  const looks = [];
  for (let turn = 0; turn < 4; turn++, await sleep(50)) looks.push({ ...heapCounts(counts), pieces: piecesOf(all) });
  state.pause = null;
  goOn();
  return looks.sort((a, b) => a.ours - b.ours)[0];
}

async function soak(url, pid, counts, points, quiet) {
  // Everything once, dealt out, then by chance: a short run on a busy machine would miss what is rare.
  const state = { isDone: false, pause: null, working: clients, dealt: [...chosen] };
  const all = Array.from({ length: clients }, (_, at) => new Client(url, random(seed ^ Math.imul(at + 1, 0x9e3779b1))));
  const working = Promise.all(all.map(async (client) => {
    while (!state.isDone) {
      const [name, , act] = state.dealt.shift() ?? choose(client);
      await act(client);
      client.done[name] = (client.done[name] ?? 0) + 1;
      state.working--;
      await state.pause;
      state.working++;
    }
  }));
  working.catch(() => { state.isDone = true; });
  const from = performance.now();
  const passed = () => (performance.now() - from) / 1000;
  while (!state.isDone && passed() < seconds) {
    const point = { at: passed(), pieces: piecesOf(all), ...await look(pid, counts, all[0]) };
    if (point.told) points.push(point);
    if (passed() >= seconds * (0.5 + quiet.length / 10) && !state.isDone) quiet.push(await lookQuiet(state, all, counts));
    await sleep(250);
  }
  if (!state.isDone) quiet.push(await lookQuiet(state, all, counts));
  state.isDone = true;
  await working;
  const total = {};
  for (const { done } of all) for (const [name, count] of Object.entries(done)) total[name] = (total[name] ?? 0) + count;
  return total;
}

test(`mixed work for ${seconds} s leaves memory, descriptors and threads flat (seed ${seed})`, { timeout: (seconds + 120) * 1000 }, async (context) => {
  const folder = temporaryFolder('soak');
  context.after(folder.remove);
  const env = buildHeapCount(folder.path);
  const server = await startServer({ env, args: ['--engine-memory-limit', '256MB', '--log-requests', 'false', '--query-plan-cache-entries', '64'] });
  context.after(() => server.kill());
  const first = new Client(server.url, random(seed));
  for (const dataset of ['notes', 'kept']) await first.must(200, 'POST', '/ingest/file', first.upload(dataset, 'create', rows(400, 0, first.next)));
  await first.must(200, 'POST', '/vectors/index', { json: { index_name: 'kept_v1', dataset: 'kept', id_column: 'id', text_columns: ['title', 'text'] } });
  const points = [];
  const quiet = []; // six of them, from the half on
  const done = await soak(server.url, server.pid, env.LAKEHOUSE_HEAP_COUNT, points, quiet).catch(async (error) => {
    await sleep(1000);
    error.message += `\n${error.cause ?? ''}\nThe server said: ${server.log().slice(-6000)}`;
    throw error;
  });
  for (const [name] of chosen) assert.ok(done[name], `'${name}' was never done`);
  const judged = points.filter(({ at }) => at > seconds / 2);
  const span = judged.at(-1).at - judged[0].at;
  const grown = Object.fromEntries(['bytes', 'descriptors', 'threads'].map((what) => [what, slope(judged, what) * span]));
  const requests = Object.values(done).reduce((sum, count) => sum + count, 0);
  const highest = Math.max(...points.map(({ bytes }) => bytes));
  const mb = (bytes) => Math.round(bytes / 1048576 * 10) / 10;
  if (process.env.LAKEHOUSE_SOAK_POINTS) for (const point of points.filter((_, at) => at % 8 === 0)) console.log(`point: ${point.at.toFixed(1)} s ${point.pieces} pieces, ours ${Math.round(point.ours / 1024)} KB ${point.oursBlocks}, engine ${mb(point.engine)} MB ${point.engineBlocks}; ${mb(point.bytes)} MB, anonymous ${mb(point.anonymous)}, mapped ${mb(point.told.process.mapped)}, heap ${mb(point.told.process.heap_used)} + free ${mb(point.told.process.heap_free)}, engine ${point.told.engine.tags.map(({ name, bytes }) => `${name} ${mb(bytes)}`).join(' ')}, indexes ${mb(point.told.indexes.reduce((sum, { bytes }) => sum + bytes, 0))}; ${point.told.caches.map(({ name, items, bytes }) => `${name} ${items} ${mb(bytes)}`).join(' ')}; ${point.descriptors} ${point.threads}`);
  console.log(`figure: soak: ${Math.round(points.at(-1).at)} s, ${requests} pieces of work (${Object.entries(done).map(([name, count]) => `${name} ${count}`).join(', ')})`);
  console.log(`figure: soak: memory ${mb(judged[0].bytes)} → ${mb(judged.at(-1).bytes)} MB (most ${mb(highest)}), slope ${mb(slope(judged, 'bytes') * 60)} MB/min; descriptors ${judged[0].descriptors} → ${judged.at(-1).descriptors}, slope ${(slope(judged, 'descriptors') * 60).toFixed(2)}/min; threads ${judged[0].threads} → ${judged.at(-1).threads}; seed ${seed}`);
  const perPiece = slope(quiet, 'ours', 'pieces');
  const piecesJudged = quiet.at(-1).pieces - quiet[0].pieces;
  const piecesEarly = Math.max(0, Math.min(ours.piecesAtFirst, quiet.at(-1).pieces) - quiet[0].pieces);
  const oursMost = ours.byChance + ours.perPiece * piecesEarly + ours.perLaterPiece * (piecesJudged - piecesEarly);
  console.log(`figure: soak: ours ${quiet.map((each) => Math.round(each.ours / 1024)).join(' ')} KB at quiet moments, ${Math.round(perPiece)} bytes for each of ${piecesJudged} pieces of work (at most ${Math.round(oursMost / piecesJudged)}); the engine's heap ${mb(quiet[0].engine)} → ${mb(quiet.at(-1).engine)} MB`);
  assert.equal(quiet.length, 6, 'there were not enough quiet moments');
  assert.ok(perPiece * piecesJudged < oursMost, `what is ours grows by ${Math.round(perPiece)} bytes for each of ${piecesJudged} pieces of work; at most ${Math.round(oursMost / piecesJudged)} are expected`);
  const most = Math.min(growthMax.bytesMost, growthMax.bytes + growthMax.bytesPerPiece * requests / 2);
  assert.ok(grown.bytes < most, `memory grows by ${mb(grown.bytes)} MB in ${Math.round(span)} s; at most ${mb(most)} MB are expected`);
  const heapFree = judged.map(({ told }) => told.process.heap_free).sort((a, b) => a - b)[judged.length >> 1];
  assert.ok(heapFree < heapFreeMax, `the allocator keeps ${mb(heapFree)} MB that nobody uses`);
  assert.ok(Math.abs(grown.descriptors) < growthMax.descriptors, `${grown.descriptors.toFixed(1)} more descriptors in ${Math.round(span)} s`);
  assert.ok(Math.abs(grown.threads) < growthMax.threads, `${grown.threads.toFixed(1)} more threads in ${Math.round(span)} s`);
  // When the last client is gone, what belonged to clients is gone.
  await sleep(1500);
  const metrics = await first.must(200, 'GET', '/metrics');
  const figure = (name) => Number(metrics.match(new RegExp(`^lakehouse_${name} (\\d+)`, 'm'))[1]);
  assert.equal(figure('engine_connections_busy'), 0, 'the engine works for nobody');
  assert.ok(figure('http_requests_in_flight') <= 1, 'requests of clients that are gone are in flight');
  assert.ok(figure('http_connections') <= 64, `${figure('http_connections')} connections are open`);
  assert.deepEqual(readdirSync(`${server.data}/_staging`), [], 'files were left in staging');
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});
