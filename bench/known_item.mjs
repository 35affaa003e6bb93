// Known items: is a package found again by its description with every third word left out?
//   build/lakehouse demo          (keeps serving; it has built packages_v1)
//   node bench/known_item.mjs http://127.0.0.1:3100 [how many]
// Prints hit@10, MRR@10 and the mean time in the server for each way to search. Packages whose
// descriptions are equal count as one: nobody could tell them apart.
const [url, wanted = '400'] = process.argv.slice(2);
if (!url) {
  console.error('usage: node bench/known_item.mjs URL [COUNT]');
  process.exit(2);
}

async function post(path, body) {
  const reply = await fetch(url + path, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
  });
  const answer = await reply.json();
  if (!reply.ok) throw new Error(`${path}: ${answer.detail}`);
  return answer;
}

const sql = `SELECT name, description FROM packages ORDER BY hash(name) LIMIT ${Number(wanted)}`;
const { rows } = await post('/query/sql', { sql });
const figures = Object.fromEntries(['vector', 'keyword', 'hybrid'].map((mode) => [mode, { hits: 0, reciprocal: 0, ms: 0 }]));
let count = 0;
for (const [name, description] of rows) {
  const words = description.split(/\s+/).filter((_, at) => at % 3 !== 2);
  if (words.length < 3) continue;
  count += 1;
  const query = words.join(' ').replaceAll(/["*]/g, ' ');
  for (const [mode, figure] of Object.entries(figures)) {
    const { items, elapsed_ms: ms } = await post('/vectors/hybrid', { index: 'packages_v1', query, mode, k: 10 });
    const place = items.findIndex(({ id, text }) => id === name || text.endsWith(`\n${description}`));
    if (place >= 0) {
      figure.hits += 1;
      figure.reciprocal += 1 / (place + 1);
    }
    figure.ms += ms;
  }
}
console.log(`${count} packages`);
for (const [mode, { hits, reciprocal, ms }] of Object.entries(figures)) {
  console.log(`${mode.padEnd(8)} hit@10 ${(hits / count).toFixed(3)}   MRR@10 ${(reciprocal / count).toFixed(3)}   ${(ms / count).toFixed(1)} ms`);
}
