// E2: how well packages are found by questions that were not made from the indexed text (and, beside
// them, by known items, which are): MRR@10 and hit@10 of meaning, of words and of both.
//   bench/run e2
//   node bench/e2_search.mjs [--url URL] [--most QUESTIONS-OF-A-SET] [--skip THE-FIRST-OF-EACH] [--dump FILE]
// Without a URL it starts a server over an empty folder (LAKEHOUSE_PROGRAM, or build/lakehouse); with
// one it makes its own datasets e2_… there. Half of each set (by a hash of the question) was used to
// choose how the lists are fused; what counts is the other half, "held out". Intervals are bootstraps
// over questions. The weights of today were chosen and reported with the first 500 of each set; what
// comes behind them (--skip 500) nobody has looked at for choosing. --dump writes what each leg found,
// deep, for trying other fusions on the first half.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { startServer } from '../tests/support/server.mjs';
import { bodies, packages, setsOverBodies, setsOverSynopses } from './questions.mjs';

const GOAL = 1.05;
const DUMP_DEPTH = 200;
const modes = ['vector', 'keyword', 'hybrid'];
const { values: options } = parseArgs({ options: { url: { type: 'string' }, most: { type: 'string', default: '300' }, skip: { type: 'string', default: '0' }, dump: { type: 'string' } } });
const server = options.url ? null : await startServer();
const url = options.url ?? server.url;

async function send(path, request) {
  const reply = await fetch(url + path, { method: 'POST', ...request });
  const answer = await reply.json();
  if (!reply.ok) throw new Error(`${path}: ${answer.detail}`);
  return answer;
}

const post = (path, body) =>
  send(path, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

async function index(dataset, rows, columns) {
  const form = new FormData();
  form.set('dataset', dataset);
  form.set('file', new Blob([rows.map((row) => `${JSON.stringify(row)}\n`).join('')]), `${dataset}.ndjson`);
  await send('/ingest/file', { body: form });
  const made = await fetch(`${url}/vectors/indexes/${dataset}`);
  if (made.ok) await post(`/vectors/refresh/${dataset}`, { index_name: dataset });
  else await post('/vectors/index', { index_name: dataset, dataset, id_column: 'name', text_columns: columns });
}

// The same questions every time, whatever the order of the lists.
const drawn = (questions) => questions
  .map((one) => ({ ...one, hash: createHash('sha256').update(one.ask).digest() }))
  .sort((a, b) => Buffer.compare(a.hash, b.hash)).slice(Number(options.skip), Number(options.skip) + Number(options.most))
  .map((one) => ({ ...one, isHeldOut: one.hash[31] % 2 === 1 }));

// Only the words of a question: quotes and stars would be syntax.
const plain = (text) => text.replaceAll(/["*]/g, ' ');

async function ask(name, question, mode, k) {
  const { items } = await post('/vectors/hybrid', { index: name, query: plain(question.ask), mode, k });
  return items;
}

const mean = (list) => list.reduce((sum, x) => sum + x, 0) / (list.length || 1);

// Of hybrid against the better leg, over questions drawn again and again from the same ones.
function interval(gains) {
  let seed = 42;
  const random = () => ((seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32);
  const ratios = Array.from({ length: 1000 }, () => {
    const sums = [0, 0, 0];
    for (let i = 0; i < gains.length; i++) {
      const gain = gains[Math.floor(random() * gains.length)];
      gain.forEach((x, at) => { sums[at] += x; });
    }
    return sums[2] / Math.max(sums[0], sums[1]);
  }).sort((a, b) => a - b);
  return [ratios[25], ratios[974]];
}

function report(name, half, results) {
  const gains = results.map(({ places }) => modes.map((mode) => (places[mode] ? 1 / places[mode] : 0)));
  const mrr = modes.map((mode, at) => mean(gains.map((gain) => gain[at])));
  const hit = modes.map((mode) => mean(results.map(({ places }) => (places[mode] ? 1 : 0))));
  const [low, high] = interval(gains);
  const cell = (at) => `${mrr[at].toFixed(3)} / ${hit[at].toFixed(3)}`;
  const ratio = mrr[2] / Math.max(mrr[0], mrr[1]);
  console.log(`${name.padEnd(9)} ${half.padEnd(9)} ${String(results.length).padStart(5)}   ${cell(0)}   ${cell(1)}   ` +
    `${cell(2)}   ${ratio.toFixed(3)} [${low.toFixed(3)} … ${high.toFixed(3)}]`);
  return { name, count: results.length, both: mrr[2], better: Math.max(mrr[0], mrr[1]) };
}

const dump = {};
const heldOut = []; // of each set: how many, MRR of both and of the better leg
async function measure(indexName, sets) {
  for (const [name, all] of Object.entries(sets)) {
    const results = [];
    for (const question of drawn(all)) {
      const places = {}, legs = {};
      for (const mode of modes) {
        const items = await ask(indexName, question, mode, options.dump && mode !== 'hybrid' ? DUMP_DEPTH : 10);
        places[mode] = items.slice(0, 10).findIndex(({ id }) => question.want.has(id)) + 1;
        legs[mode] = items.map(({ id, score }) => [id, score]);
      }
      results.push({ ...question, places });
      if (options.dump) (dump[name] ??= []).push({ ask: question.ask, want: [...question.want], isHeldOut: question.isHeldOut, legs });
    }
    report(name, 'chosen on', results.filter((one) => !one.isHeldOut));
    heldOut.push(report(name, 'held out', results.filter((one) => one.isHeldOut)));
  }
}

async function main() {
  const known = packages(), texts = bodies();
  console.log('MRR@10 / hit@10                meaning         words           both            both : better leg');
  await index('e2_packages', [...known.values()].map(({ name, synopsis }) => ({ name, synopsis })), ['name', 'synopsis']);
  await measure('e2_packages', setsOverSynopses(known));
  if (texts.size) {
    const rows = [...known.values()].filter(({ md5 }) => texts.has(md5)).map(({ name, md5 }) => ({ name, body: texts.get(md5) }));
    await index('e2_bodies', rows, ['body']);
    await measure('e2_bodies', setsOverBodies(known, texts));
  } else {
    console.log('skipped: synopsis (this machine has no long descriptions: apt-get update -o Acquire::Languages=en)');
  }
  // Every question counts once, against the leg that is the better one for its set.
  const sets = heldOut.filter(({ name }) => name !== 'known');
  const total = (of) => sets.reduce((sum, set) => sum + set.count * of(set), 0);
  const figure = total((set) => set.both) / total((set) => set.better);
  console.log(`E2   both / the better leg of each set, ${total(() => 1)} questions held out, known items apart: ` +
    `${figure.toFixed(3)} x  goal ≥ ${GOAL}  ${figure >= GOAL ? 'reached' : 'NOT REACHED'}`);
  if (options.dump) writeFileSync(options.dump, JSON.stringify(dump));
  return figure >= GOAL ? 0 : 1;
}

try {
  process.exitCode = await main();
} finally {
  await server?.stop();
}
