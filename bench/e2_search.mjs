// E2: how well packages are found by questions that were not made from the indexed text: MRR@10 and
// hit@10 of meaning, of words and of both.
//   build/lakehouse serve --data DIR      (any lake; this makes its own datasets e2_…)
//   node bench/e2_search.mjs http://127.0.0.1:3100 [most questions of a set] [--dump FILE]
// Half of each set (by a hash of the question) was used to choose the constants of the fusion; the
// figures that count are those of the other half, "held out". The interval is a bootstrap over
// questions. --dump writes what each leg found, for trying other fusions on the first half.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { bodies, packages, setsOverBodies, setsOverSynopses } from './e2_sets.mjs';

const args = process.argv.slice(2);
const dumpAt = args.indexOf('--dump');
const dumpFile = dumpAt >= 0 ? args.splice(dumpAt, 2)[1] : null;
const [url, most = '600'] = args;
if (!url) {
  console.error('usage: node bench/e2_search.mjs URL [COUNT] [--dump FILE]');
  process.exit(2);
}
const modes = ['vector', 'keyword', 'hybrid'];

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
  form.set('mode', 'auto');
  form.set('file', new Blob([rows.map((row) => `${JSON.stringify(row)}\n`).join('')]), `${dataset}.ndjson`);
  await send('/ingest/file', { body: form });
  const made = await fetch(`${url}/vectors/indexes/${dataset}`);
  if (made.ok) await post(`/vectors/refresh/${dataset}`, { index_name: dataset, wait: true });
  else await post('/vectors/index', { index_name: dataset, dataset, id_column: 'name', text_columns: columns, wait: true });
}

const hashOf = (text) => createHash('sha256').update(text).digest();
// The same questions every time, whatever the order of the lists.
const drawn = (questions) => questions.map((one) => ({ ...one, hash: hashOf(one.ask) }))
  .sort((a, b) => Buffer.compare(a.hash, b.hash)).slice(0, Number(most))
  .map((one) => ({ ...one, isHeldOut: one.hash[31] % 2 === 1 }));

async function ask(name, question, mode, k) {
  const { items } = await post('/vectors/hybrid', { index: name, query: question.ask.replaceAll(/["*]/g, ' ').replaceAll(/(^|\s)-+/g, ' '), mode, k });
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
}

const dump = {};
async function measure(indexName, sets) {
  for (const [name, all] of Object.entries(sets)) {
    const results = [];
    for (const question of drawn(all)) {
      const places = {}, legs = {};
      for (const mode of modes) {
        const items = await ask(indexName, question, mode, dumpFile && mode !== 'hybrid' ? 100 : 10);
        const place = items.slice(0, 10).findIndex(({ id }) => question.want.has(id));
        places[mode] = place + 1;
        legs[mode] = items.map(({ id, score }) => [id, score]);
      }
      results.push({ ...question, places });
      if (dumpFile) (dump[name] ??= []).push({ ask: question.ask, want: [...question.want], isHeldOut: question.isHeldOut, legs });
    }
    report(name, 'tuned on', results.filter((one) => !one.isHeldOut));
    report(name, 'held out', results.filter((one) => one.isHeldOut));
  }
}

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
if (dumpFile) writeFileSync(dumpFile, JSON.stringify(dump));
