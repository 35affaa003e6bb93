// Commits into a store that fails at random: every acknowledged row is there once, whatever the store
// said of it, and what was not acknowledged is there once or not at all.
//
//   LAKEHOUSE_COMMITS=1000 LAKEHOUSE_SEED=7 LAKEHOUSE_PROGRAM=build/lakehouse node --test tests/long/s3.test.mjs
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { startServer, temporaryFolder } from '../support/server.mjs';
import { startStore } from '../support/s3-server.mjs';

const commits = Number(process.env.LAKEHOUSE_COMMITS ?? 200);
const seed = Number(process.env.LAKEHOUSE_SEED ?? Date.now() % 2 ** 31);
const perDataset = 50;
const writers = 4;

const deeds = [
  { status: 503, code: 'SlowDown' }, { status: 500, code: 'InternalError' }, { hangUp: true }, { delayMs: 30 },
  { doneThenHangUp: true }, { doneThen: { status: 500, code: 'InternalError' } },
];
const conflict = { status: 409, code: 'ConditionalRequestConflict' };

let state = seed || 1;
function random() {
  state ^= state << 13; state ^= state >>> 17; state ^= state << 5; state >>>= 0;
  return state / 2 ** 32;
}

// One row; again under the same key while the server says that it did not work.
async function commit(lake, at) {
  const dataset = `far_${Math.floor(at / perDataset)}`;
  for (let attempt = 0; attempt < 6; attempt += 1) {
    const { status, text } = await lake.ingest(dataset, `id\n${at}\n`, {
      mode: 'append', headers: { 'x-lakehouse-bucket': 'far', 'idempotency-key': `row-${seed}-${at}` } });
    if (status === 200) return true;
    assert.ok(status >= 500 || status === 409, `row ${at}: ${status} ${text}`);
  }
  return false;
}

test(`commits to a failing store are lost and doubled never`, async (context) => {
  const store = await startStore();
  const folder = temporaryFolder('lake');
  writeFileSync(join(folder.path, 'secrets.toml'), store.secretsText());
  chmodSync(join(folder.path, 'secrets.toml'), 0o600);
  const server = await startServer({ data: folder.path, env: { LAKEHOUSE_LOG_REQUESTS: 'false', LAKEHOUSE_COMPACTION_ENABLED: 'false' } });
  context.after(async () => { await server.stop(); await store.stop(); folder.remove(); });
  const lake = await connect(server);
  const made = await lake.post('/storage/buckets', { name: 'far', backend: 's3', endpoint: store.endpoint, region: store.region, bucket: store.bucket, prefix: 'p', secret: 'warehouse' });
  assert.equal(made.status, 201, made.text);
  const datasets = Math.ceil(commits / perDataset);
  for (let at = 0; at < datasets; at += 1) {
    const first = await lake.ingest(`far_${at}`, `id\n${-1 - at}\n`, { headers: { 'x-lakehouse-bucket': 'far' } });
    assert.equal(first.status, 200, first.text);
  }
  let struck = 0;
  const chosen = { when: () => random() < 0.15, times: Infinity,
    get deed() { struck += 1; return random() < 0.1 ? conflict : deeds[Math.floor(random() * deeds.length)]; } };
  store.faults = [chosen];
  const acknowledged = new Set();
  let next = 0;
  await Promise.all(Array.from({ length: writers }, async () => {
    while (next < commits) {
      const at = next++;
      if (await commit(lake, at)) acknowledged.add(at);
    }
  }));
  store.faults = [];
  const found = [];
  for (let at = 0; at < datasets; at += 1)
    for (const [id] of await lake.rows(`SELECT id FROM far_${at} WHERE id >= 0`)) found.push(id);
  assert.equal(new Set(found).size, found.length, `rows came twice, seed ${seed}`);
  assert.deepEqual([...acknowledged].filter((id) => !new Set(found).has(id)), [], `rows are lost, seed ${seed}`);
  assert.ok(acknowledged.size > commits / 2 && struck > commits / 20, `${acknowledged.size} acknowledged, ${struck} faults`);
  console.log(`figure: store that fails: ${acknowledged.size} commits acknowledged of ${commits}, ${struck} faults, 0 lost, 0 doubled, seed ${seed}`);
});
