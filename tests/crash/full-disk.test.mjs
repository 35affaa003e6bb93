// A disk that is full: a small one of its own is mounted and filled. What would need room is refused
// with what to do, what was acknowledged stays readable, deletes and restarts work, and once there is
// room all goes on without a restart.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { leftovers } from '../support/leftovers.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const diskBytes = 128 << 20;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A disk in memory, or null where nobody may mount one.
function mountSmall() {
  const folder = temporaryFolder('disk');
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes},mode=0700`, 'lakehouse-test', folder.path], { stdio: 'pipe' });
  } catch {
    folder.remove();
    return null;
  }
  return {
    path: folder.path,
    remove() {
      execFileSync('umount', [folder.path], { stdio: 'pipe' });
      folder.remove();
    },
  };
}

// To the last byte.
function fill(path) {
  const file = openSync(path, 'a');
  for (let size = 1 << 20; size >= 1; size >>= 1) {
    try {
      for (;;) writeSync(file, Buffer.alloc(size, 1));
    } catch (error) {
      assert.equal(error.code, 'ENOSPC');
    }
  }
  closeSync(file);
}

function refuses(answer, what) {
  assert.equal(answer.status, 507, `${what}: ${answer.status} ${answer.text}`);
  assert.equal(answer.body.code, 'no_space', what);
  assert.match(answer.body.hint ?? '', /[Mm]ake room|[Ff]ree space/, `${what} does not say what to do: ${answer.text}`);
}

async function check(lake, isDropped) {
  assert.deepEqual(await lake.rows('SELECT count(*), sum(id)::INT FROM kept'), [[2, 3]]);
  assert.equal((await lake.get('/catalog/datasets/by-name/doomed')).status, isDropped ? 404 : 200);
}

// A server on a small disk of its own, or null where there is none.
async function given(context) {
  const disk = mountSmall();
  if (!disk) {
    console.log('skipped: nobody may mount a small disk here');
    context.skip('nobody may mount a small disk here');
    return null;
  }
  const data = join(disk.path, 'lake');
  mkdirSync(data);
  const house = { data, filler: join(disk.path, 'filler'), server: null };
  context.after(async () => {
    await house.server?.kill();
    disk.remove();
  });
  house.server = await startServer({ data });
  return house;
}

const reserveOf = (data) => statSync(join(data, '_reserve')).size;

test('a full disk loses nothing, is told, and is left behind', { timeout: 120000 }, async (context) => {
  const house = await given(context);
  if (!house) return;
  const { data, filler } = house;
  let { server } = house;
  let lake = await connect(server);
  assert.equal((await lake.ingest('kept', 'id,name\n1,a\n2,b\n')).status, 200);
  for (const rows of ['id\n1\n', 'id\n2\n']) assert.equal((await lake.ingest('parts', rows, { mode: rows.includes('1') ? 'create' : 'append' })).status, 200);
  for (const name of ['doomed', 'doomed_2']) assert.equal((await lake.ingest(name, 'id\n1\n')).status, 200);
  const key = (await lake.post('/access/keys', { name: 'lost', role: 'reader' })).body.about;
  const index = { index_name: 'kept_v1', dataset: 'kept', id_column: 'id', text_columns: ['name'] };
  assert.equal((await lake.post('/vectors/index', index)).status, 200);
  const reserve = reserveOf(data);
  assert.equal(reserve, 4 << 20);

  fill(filler);
  refuses(await lake.ingest('kept', 'id,name\n3,c\n', { mode: 'append' }), 'an append');
  refuses(await lake.ingest('kept', `id,name\n${'4,d\n'.repeat(500000)}`, { mode: 'append' }), 'a large append');
  refuses(await lake.ingest('later', 'id\n1\n', { wait: 'false' }), 'a job');
  refuses(await lake.post('/query/compact', { dataset: 'parts' }), 'a compaction');
  refuses(await lake.patch('/catalog/datasets/by-name/kept/metadata', { description: 'Needs room.' }), 'metadata');
  await check(lake, false);
  const { body: health } = await lake.get('/health');
  assert.equal(health.status, 'degraded');
  assert.match(JSON.stringify(health.problems), /MB are free/);
  refuses(await lake.post('/journal/update', { entity_id: 'one', field: 'a', new_value: 'x'.repeat(60000) }), 'an event');
  const told = await lake.get('/journal/recent');
  assert.equal(told.status, 200, told.text);
  assert.equal(reserveOf(data), reserve, 'what is not vital has eaten of the reserve');

  const dropped = await lake.delete('/catalog/datasets/by-name/doomed');
  assert.ok(dropped.status < 300, `a delete on a full disk: ${dropped.status} ${dropped.text}`);
  await check(lake, true);
  const left = reserveOf(data);
  assert.ok(left < reserve, 'the delete did not need the reserve: the disk was not full');
  assert.ok(left > 0, 'one delete has eaten the whole reserve');

  fill(filler);
  const revoked = await lake.delete(`/access/keys/${key.id}`);
  assert.ok(revoked.status < 300, `taking a key back on a full disk: ${revoked.status} ${revoked.text}`);
  fill(filler);
  assert.equal((await lake.post('/vectors/search', { index: 'kept_v1', query: 'a', k: 1 })).status, 200);
  const removed = await lake.delete('/vectors/indexes/kept_v1');
  assert.ok(removed.status < 300, `removing an index on a full disk: ${removed.status} ${removed.text}`);

  fill(filler);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  fill(filler);
  house.server = server = await startServer({ data });
  lake = await connect(server);
  await check(lake, true);
  fill(filler);
  assert.ok((await lake.delete('/catalog/datasets/by-name/doomed_2')).status < 300);
  refuses(await lake.ingest('kept', 'id,name\n3,c\n', { mode: 'append' }), 'an append after a restart');
  fill(filler);
  await server.kill();
  house.server = server = await startServer({ data });
  lake = await connect(server);
  await check(lake, true);

  rmSync(filler);
  const after = await lake.ingest('kept', 'id,name\n3,c\n', { mode: 'append' });
  assert.equal(after.status, 200, after.text);
  assert.deepEqual(await lake.rows('SELECT count(*), sum(id)::INT FROM kept'), [[3, 6]]);
  const done = (await lake.get('/journal/recent')).body.items.map((event) => `${event.action} ${event.entity_id}`);
  for (const event of ['dataset.drop doomed', 'dataset.drop doomed_2', 'key.revoke lost', 'index.delete kept_v1', 'dataset.append kept'])
    assert.equal(done.filter((one) => one === event).length, 1, `${event} in ${done}`);
  for (let turn = 0; reserveOf(data) !== reserve; turn++) {
    assert.ok(turn < 200, 'the reserve is not filled again');
    await sleep(100);
  }
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  const verdict = await run(['verify', '--data', data]);
  assert.equal(verdict.code, 0, verdict.out + verdict.err);
});

test('rows are deleted and erased by their keys on a full disk, as far as the reserve goes', { timeout: 120000 }, async (context) => {
  const house = await given(context);
  if (!house) return;
  const { data, filler } = house;
  let lake = await connect(house.server);
  const person = (at) => `CAND-${String(at).padStart(6, '0')},Surname${at}x of the lakeside\n`;
  const people = `id,name\n${Array.from({ length: 500 }, (_, at) => person(at)).join('')}`;
  assert.equal((await lake.ingest('people', people)).status, 200);
  assert.equal((await lake.ingest('people', `id,name\n${person(500)}`, { mode: 'append' })).status, 200);
  const index = { index_name: 'people_v1', dataset: 'people', id_column: 'id', text_columns: ['name'] };
  assert.equal((await lake.post('/vectors/index', index)).status, 200);
  // Nothing makes it smaller: more than the reserve has.
  const large = `id,text\n${Array.from({ length: 80000 }, (_, at) => `L${at},${randomBytes(48).toString('hex')}\n`).join('')}`;
  assert.equal((await lake.ingest('large', large)).status, 200);
  // Its files fit, its index beside them does not.
  const indexed = `id,text\n${Array.from({ length: 2000 }, (_, at) => `I${at},the ${at}th letter about a ${['river', 'stone', 'market'][at % 3]}\n`).join('')}`;
  assert.equal((await lake.ingest('indexed', indexed)).status, 200);
  const made = await lake.post('/vectors/index', { index_name: 'indexed_v1', dataset: 'indexed', id_column: 'id', text_columns: ['text'] });
  assert.equal(made.status, 200, made.text);
  const reserve = reserveOf(data);
  const key = (values) => ({ row_key_column: 'id', row_key_values: values, reason: 'A letter.' });

  fill(filler);
  const deleted = await lake.post('/catalog/datasets/by-name/people/tombstone', key(['CAND-000007', 'CAND-000500']));
  assert.equal(deleted.status, 200, `a tombstone on a full disk: ${deleted.text}`);
  assert.equal(deleted.body.rows_tombstoned, 2);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM people'), [[499]]);
  assert.ok(reserveOf(data) < reserve, 'the tombstone did not need the reserve: the disk was not full');
  fill(filler);
  const lifted = await lake.delete('/catalog/datasets/by-name/people/tombstone', { json: { row_key_values: ['CAND-000500'] } });
  assert.equal(lifted.status, 200, `lifting on a full disk: ${lifted.text}`);

  // What does not fit is hidden at once, and says how much is missing; it eats nothing of the reserve in vain.
  fill(filler);
  const before = reserveOf(data);
  const refused = await lake.post('/catalog/erase', { dataset: 'large', ...key(['L5']) });
  refuses(refused, 'an erasure that does not fit');
  assert.match(refused.body.detail, /to write the files of 'large' anew without the erased rows needs about \d+ MB/);
  assert.match(refused.body.hint, /^The rows are hidden\. Make room for \d+ MB .*POST \/catalog\/erase\/[0-9a-f-]{36}\/resume goes on/);
  const id = refused.body.hint.match(/erase\/([0-9a-f-]{36})/)[1];
  assert.deepEqual(await lake.rows("SELECT count(*) FROM large WHERE id = 'L5'"), [[0]]);
  assert.ok(before - reserveOf(data) <= 1 << 20, `an erasure that could not fit ate ${before - reserveOf(data)} bytes of the reserve`);
  assert.equal((await lake.get(`/catalog/erase/${id}`)).body.state, 'failed');

  fill(filler);
  const lent = reserveOf(data);
  const pieces = 1 << 20; // two: its last records take one, where some other record was faster another
  const erased = await lake.post('/catalog/erase', { dataset: 'people', ...key(['CAND-000007', 'CAND-000100']) });
  assert.equal(erased.status, 200, `an erasure on a full disk: ${erased.text}`);
  assert.equal(erased.body.state, 'erased', erased.text);
  assert.ok(lent - reserveOf(data) <= pieces, `an erasure that ended kept ${lent - reserveOf(data)} bytes of the reserve`);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM people'), [[499]]);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM __raw__people'), [[499]], 'they are physically gone');
  const gone = ['CAND-000007', 'CAND-000100', 'Surname7x', 'Surname100x'];
  assert.deepEqual((await leftovers(data, gone)).found, []);
  const found = await lake.post('/vectors/search', { index: 'people_v1', query: 'Surname8x', k: 1 });
  assert.equal(found.status, 200, found.text);

  // Files and index are asked for together, before any of the reserve is spent; nobody else gets it.
  fill(filler);
  const still = reserveOf(data);
  const half = await lake.post('/catalog/erase', { dataset: 'indexed', ...key(['I5']) });
  refuses(half, 'an erasure whose index does not fit');
  assert.match(half.body.detail, /to write the files of 'indexed' and the index 'indexed_v1' anew without the erased rows needs about \d+ MB/);
  assert.ok(still - reserveOf(data) <= pieces, `an erasure whose index does not fit ate ${still - reserveOf(data)} bytes of the reserve`);
  assert.deepEqual(await lake.rows("SELECT count(*) FROM indexed WHERE id = 'I5'"), [[0]]);
  let taken = 0;
  while (taken < 32 && (await lake.post('/journal/update', { entity_id: 'one', field: 'a', new_value: 'x'.repeat(60000) })).status === 201) taken++;
  assert.ok(taken <= 17, `${taken} events took what the erasure had set free`);
  const after = await lake.post('/catalog/datasets/by-name/people/tombstone', key(['CAND-000008']));
  assert.equal(after.status, 200, `a tombstone after a refused erasure: ${after.text}`);

  // The next start tries again, and somebody who has made room goes on.
  fill(filler);
  assert.deepEqual(await house.server.stop(), { code: 0, signal: null });
  house.server = await startServer({ data });
  lake = await connect(house.server);
  assert.deepEqual(await lake.rows("SELECT count(*) FROM large WHERE id = 'L5'"), [[0]]);
  let state = '';
  for (let turn = 0; (state = (await lake.get(`/catalog/erase/${id}`)).body.state) !== 'failed'; turn++) {
    assert.ok(turn < 200, `the erasure that does not fit is ${state} after a restart`);
    await sleep(50);
  }
  rmSync(filler);
  const resumed = await lake.post(`/catalog/erase/${id}/resume`, {});
  assert.equal(resumed.status, 200, resumed.text);
  assert.equal(resumed.body.state, 'erased', resumed.text);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM __raw__large'), [[79999]]);
  assert.deepEqual(await house.server.stop(), { code: 0, signal: null });
  const verdict = await run(['verify', '--data', data]);
  assert.equal(verdict.code, 0, verdict.out + verdict.err);
});
