// V11: one row of vectors by its id, warm: an index of ours, and LanceDB's take.
//   bench/run v11
//   node bench/v11_rows.mjs [--rows N]
// Both hold the same N rows (50,000) of 768 floats, drawn from a seed. Both are libraries here: ours is
// asked in process (build/bench/v11_doc over a copy of the lake), LanceDB by row number (takeOffsets, its
// quickest way) and by a column of ids with a scalar index (what a caller of ours has in hand). What ours
// costs over HTTP, over a kept connection, is told beside it. In turn, nine rounds of 200 rows.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { root, startServer } from '../tests/support/server.mjs';

const GOAL = 20;
const ROUNDS = 9;
const EACH = 200;
const dimensions = 768;
const { values: options } = parseArgs({ options: { rows: { type: 'string', default: '50000' } } });
const count = Number(options.rows);
const require = createRequire(join(root, 'deps', 'bench', 'package.json'));
const lancedb = await import(pathToFileURL(require.resolve('@lancedb/lancedb')).href);

let seed = 42;
const random = () => ((seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32);
const numbers = new Float32Array(count * dimensions);
for (let row = 0; row < count; row++) {
  let square = 0;
  for (let i = 0; i < dimensions; i++) square += (numbers[row * dimensions + i] = random() - 0.5) ** 2;
  for (let i = 0; i < dimensions; i++) numbers[row * dimensions + i] /= Math.sqrt(square);
}

function npy() {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${count}, ${dimensions}), }`;
  const head = Buffer.from(text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11) + '\n');
  const size = Buffer.alloc(2);
  size.writeUInt16LE(head.length);
  return new Blob([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), size, head, numbers]);
}

async function openOurs() {
  const server = await startServer();
  const form = new FormData();
  form.set('dataset', 'rows');
  form.set('file', npy(), 'rows.npy');
  const taken = await fetch(`${server.url}/ingest/file`, { method: 'POST', body: form });
  if (!taken.ok) throw new Error(await taken.text());
  const columns = (await (await fetch(`${server.url}/catalog/datasets/by-name/rows`)).json()).columns.map((one) => one.name);
  const made = await fetch(`${server.url}/vectors/index`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ index_name: 'rows', dataset: 'rows', id_column: columns[0], vector_column: columns[1], wait: true }) });
  if (!made.ok) throw new Error(await made.text());
  const vector = (await (await fetch(`${server.url}/vectors/indexes/rows/docs/7`)).json()).chunks[0].vector;
  if (!isRight(vector, 7)) throw new Error('our index gives another row than 7');
  const copy = mkdtempSync(join(tmpdir(), 'v11-'));
  cpSync(server.data, copy, { recursive: true });
  const child = spawn(join(root, 'build', 'bench', 'v11_doc'), [copy, new URL(server.url).port, 'rows', String(count)],
    { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (way) => {
    child.stdin.write(`${way}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error('v11_doc has ended');
    return Number(value) / 1000;
  };
  const stop = async () => {
    child.stdin.end();
    await once(child, 'exit');
    rmSync(copy, { recursive: true, force: true });
    await server.stop();
  };
  return { ask, stop };
}

async function openLance() {
  const folder = mkdtempSync(join(tmpdir(), 'lance-'));
  const db = await lancedb.connect(folder);
  let made = null;
  for (let from = 0; from < count; from += 10000) {
    const part = Array.from({ length: Math.min(10000, count - from) }, (_, i) => ({
      id: from + i, vector: Array.from(numbers.subarray((from + i) * dimensions, (from + i + 1) * dimensions)) }));
    if (made) await made.add(part);
    else made = await db.createTable('rows', part);
  }
  await made.optimize();
  await made.createIndex('id', { config: lancedb.Index.btree() });
  return {
    take: async (id) => (await made.takeOffsets([id]).toArray())[0].vector,
    find: async (id) => (await made.query().where(`id = ${id}`).limit(1).toArray())[0].vector,
    stop: () => { made.close(); rmSync(folder, { recursive: true, force: true }); },
  };
}

function isRight(vector, id) {
  const list = Array.from(vector);
  return list.length === dimensions && list.every((x, i) => Math.abs(x - numbers[id * dimensions + i]) < 1e-6);
}

const p50 = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

// p50 of some rows of LanceDB, in milliseconds.
async function fetchSome(way) {
  const times = [];
  for (let i = 0; i < EACH / 2; i++) {
    const id = Math.floor(random() * count);
    const from = performance.now();
    const vector = await way(id);
    times.push(performance.now() - from);
    if (i === 0 && !isRight(vector, id)) throw new Error(`LanceDB gives another row than ${id}`);
  }
  return p50(times);
}

const ours = await openOurs();
const lance = await openLance();
const sides = {
  ours: () => ours.ask('in'), http: () => ours.ask('http'),
  take: () => fetchSome(lance.take), find: () => fetchSome(lance.find),
};
const rounds = { ours: [], http: [], take: [], find: [] };
for (const side of Object.values(sides)) await side();
for (let round = 0; round < ROUNDS; round++) {
  const names = Object.keys(sides), sums = {};
  for (const name of [...names, ...names.reverse()]) sums[name] = (sums[name] ?? 0) + await sides[name]() / 2;
  for (const name of names) rounds[name].push(sums[name]);
}

for (const [name, what] of [['take', 'by row number'], ['find', 'by id, with a scalar index']]) {
  for (const [side, where] of [['ours', 'in process'], ['http', 'over HTTP']]) {
    const ratios = rounds[name].map((time, at) => time / rounds[side][at]).sort((a, b) => a - b);
    const median = ratios[ROUNDS >> 1];
    const verdict = side === 'ours' ? `; goal ≥ ${GOAL}: ${median >= GOAL ? 'reached' : 'NOT reached'}` : '';
    console.log(`V11    a row of ${dimensions} floats: LanceDB ${what} / ours by id, ${where}: ${median.toFixed(2)} × ` +
      `[${ratios[1].toFixed(2)} … ${ratios[ROUNDS - 2].toFixed(2)}], p50 ${p50(rounds[name]).toFixed(3)} and ` +
      `${p50(rounds[side]).toFixed(4)} ms, ${count} rows${verdict}`);
    if (side === 'ours' && median < GOAL) process.exitCode = 1;
  }
}
lance.stop();
await ours.stop();
