// The journal: every commit is an event, what is reported is kept, lists and SQL read it, a kill
// loses and doubles nothing, and what was done to its files is found.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { program, startServer, temporaryFolder } from '../support/server.mjs';

let server;
let lake;
const folder = temporaryFolder('journal');
async function start() {
  server = await startServer({ data: folder.path });
  lake = await connect(server);
}
before(start);
after(async () => {
  await server.stop();
  folder.remove();
});

const verify = (...flags) => spawnSync(program, ['verify', '--data', folder.path, '--json', ...flags], { encoding: 'utf8' });
const actions = (reply) => reply.body.items.map((event) => event.action);

test('what happens to a dataset is in the journal when it was answered', async () => {
  await lake.ingest('people', 'id,name\n1,Sample One\n');
  await lake.ingest('people', 'id,name\n2,Sample Two\n', { mode: 'append', reason: 'they came later' });
  await lake.send('PATCH', '/catalog/datasets/by-name/people/metadata', { json: { description: 'Samples', tags: ['a'] } });
  await lake.post('/catalog/datasets/by-name/people/rename', { to: 'persons' });
  const all = await lake.get('/journal/recent');
  assert.deepEqual(actions(all), ['dataset.rename', 'dataset.update', 'dataset.append', 'dataset.create']);
  const [rename, update, append, create] = all.body.items;
  assert.deepEqual([rename.entity_id, rename.dataset, rename.detail], ['people', 'persons', { from: 'people', to: 'persons' }]);
  assert.deepEqual(update.detail.set, ['description', 'tags']);
  assert.ok(!JSON.stringify(update).includes('Samples'));
  assert.deepEqual([append.entity_id, append.version, append.reason, append.actor], ['people', 2, 'they came later', 'local-admin']);
  assert.deepEqual([create.version, create.dataset_id, create.sequence], [1, append.dataset_id, 1]);
  const versions = await lake.get('/catalog/datasets/by-name/persons/versions');
  assert.equal(versions.body.items.length, 4);
  assert.ok(!JSON.stringify(all.body).includes('Sample One'));
});

test('events and updates are reported, found by entity, and listed by page and filter', async () => {
  const called = await lake.post('/journal/event', { entity_id: 'CAND/1', dataset: 'persons', action: 'called', detail: { minutes: 4 }, workspace: 'w1' });
  assert.equal(called.status, 201);
  assert.deepEqual([called.body.principal, called.body.actor, called.body.detail], ['local-admin', 'local-admin', { minutes: 4 }]);
  const placed = await lake.post('/journal/update', { entity_id: 'CAND/1', dataset: 'clients', field: 'status', old_value: 'new', new_value: 'placed', actor: 'Kim', source: 'phone', model_id: 'm1' });
  assert.deepEqual([placed.body.action, placed.body.actor, placed.body.principal, placed.body.model_id], ['update', 'Kim', 'local-admin', 'm1']);
  assert.deepEqual(actions(await lake.get('/journal/history/CAND/1')), ['update', 'called']);
  assert.deepEqual(actions(await lake.get('/journal/history/CAND%2F1?dataset=PERSONS')), ['called']);
  assert.deepEqual(actions(await lake.get('/journal/recent?source=phone')), ['update']);
  assert.deepEqual(actions(await lake.get('/journal/recent?workspace=w1&actor=local-admin')), ['called']);
  assert.deepEqual(actions(await lake.get('/journal/recent?since=2999-01-01')), []);
  const seen = [];
  for (let path = '/journal/recent?limit=2'; path;) {
    const { body } = await lake.get(path);
    seen.push(...body.items.map((event) => event.sequence));
    path = body.next && `/journal/recent?limit=2&after=${body.next}`;
  }
  assert.deepEqual(seen, [6, 5, 4, 3, 2, 1]);
});

test('what cannot be an event is refused with its reason', async () => {
  const refused = async (path, json) => {
    const { status, body } = await lake.post(path, json);
    return [status, body.code, body.field];
  };
  assert.deepEqual(await refused('/journal/event', { action: 'a' }), [400, 'invalid_argument', 'entity_id']);
  for (const action of ['dataset.delete', 'Dataset.Drop', 'index.no_such_thing_yet', 'key.create', 'erase.give_up', 'journal.erase', 'tombstone', 'lift', 'void'])
    assert.deepEqual(await refused('/journal/event', { entity_id: 'a', action, actor: 'boss' }), [400, 'invalid_argument', 'action'], action);
  assert.match((await lake.post('/journal/event', { entity_id: 'a', action: 'dataset.drop' })).body.hint, /Its own are bucket\., dataset\., /);
  assert.deepEqual(await refused('/journal/event', { entity_id: 'a', detail: [1] }), [400, 'invalid_argument', 'detail']);
  assert.deepEqual(await refused('/journal/event', { entity_id: 'a', detail: { a: 'x'.repeat(70000) } }), [413, 'too_large', 'detail']);
  assert.deepEqual((await refused('/journal/event', { entity_id: 'a', new_value: 'b' })).slice(0, 2), [400, 'unknown_field']);
  assert.deepEqual(await refused('/journal/update', { entity_id: 'a', new_value: 'b' }), [400, 'invalid_argument', 'field']);
  assert.deepEqual((await refused('/journal/update', { entity_id: 'a', field: 'b' })).slice(0, 2), [400, 'invalid_argument']);
  assert.equal((await lake.get('/journal/recent?after=x')).status, 400);
  assert.equal((await lake.get('/journal/stats')).body.total_events_created, 6);
});

test('an event with an Idempotency-Key is reported once', async () => {
  const once = () => lake.send('POST', '/journal/event', { json: { entity_id: 'K' }, headers: { 'idempotency-key': 'j1' } });
  const [first, again] = [await once(), await once()];
  assert.deepEqual([first.status, again.status, again.body.id], [201, 201, first.body.id]);
  await server.kill();
  await start();
  assert.equal((await once()).body.id, first.body.id);
  assert.equal((await lake.get('/journal/history/K')).body.items.length, 1);
});

test('SQL reads it as a table, before and after it became Parquet', async () => {
  const sql = 'SELECT count(*), max(sequence), count(*) FILTER (action = \'update\') FROM journal';
  assert.deepEqual((await lake.post('/query/sql', { sql })).body.rows, [[7, 7, 1]]);
  const flushed = await lake.post('/journal/flush');
  assert.deepEqual([flushed.body.buffered, flushed.body.persisted, flushed.body.segments], [0, 7, 1]);
  await lake.post('/journal/event', { entity_id: 'after' });
  assert.deepEqual((await lake.post('/query/sql', { sql })).body.rows, [[8, 8, 1]]);
  const join_ = await lake.post('/query/sql', { sql: 'SELECT j.entity, p.id FROM journal j JOIN persons p ON j.version = p.id ORDER BY j.sequence LIMIT 1' });
  assert.deepEqual(join_.body.rows, [['people', 1]]);
  assert.deepEqual(actions(await lake.get('/journal/history/CAND/1')), ['update', 'called']);
  const past = await lake.post('/query/sql', { sql: 'SELECT * FROM journal AT (VERSION => 1)' });
  assert.equal(past.status, 400);
  assert.match(past.body.detail, /no versions/);
});

test('who may not read the journal finds no such table', async () => {
  const headers = { 'x-lakehouse-role': 'reader' };
  assert.equal((await lake.send('GET', '/journal/recent', { headers })).status, 403);
  assert.equal((await lake.send('POST', '/journal/event', { headers, json: { entity_id: 'a' } })).status, 403);
  for (const name of ['journal', '__journal', 'JOURNAL']) {
    const reply = await lake.send('POST', '/query/sql', { headers, json: { sql: `SELECT * FROM ${name}` } });
    assert.deepEqual([reply.status, reply.body.code], [404, 'not_found'], name);
  }
  for (const more of [{ headers }, {}]) {
    const reply = await lake.post('/query/sql', { sql: 'SELECT * FROM lakehouse_journal(0, 0)' }, more);
    assert.deepEqual([reply.status, reply.body.detail], [400, "There is no table function 'lakehouse_journal'."]);
  }
  assert.equal((await lake.send('POST', '/query/sql', { headers, json: { sql: 'SELECT * FROM persons' } })).status, 200);
});

test('no dataset gets its name', async () => {
  for (const name of ['journal', 'Journal']) {
    const made = await lake.ingest(name, 'a\n1\n');
    assert.deepEqual([made.status, made.body.field], [400, 'dataset']);
    assert.match(made.body.detail, /cannot be a dataset's name: SQL reads the journal under it/);
    const renamed = await lake.post('/catalog/datasets/by-name/persons/rename', { to: name });
    assert.deepEqual([renamed.status, renamed.body.field], [400, 'to']);
  }
  assert.equal((await lake.post('/query/sql', { sql: 'SELECT count(*) FROM journal' })).body.rows[0][0], 8);
});

test('expired versions are not retired before they are written down', async () => {
  for (let i = 0; i < 20; i++) await lake.ingest('busy', `id\n${i}\n`, { mode: i ? 'replace' : 'create' });
  const expired = await lake.post('/catalog/expire', { older_than_s: 0 });
  assert.equal(expired.status, 200);
  assert.equal((await lake.get('/journal/recent?dataset=busy&action=dataset.replace')).body.items.length, 19);
});

test('the history of a row tells who deleted it and why', async () => {
  await lake.ingest('cands', 'id,name\nC-1,Sample One\nC-2,Sample Two\n');
  const tombstone = { row_key_column: 'id', row_key_values: ['C-1'], actor: 'Kim', reason: 'asked for by mail' };
  assert.equal((await lake.post('/catalog/datasets/by-name/cands/tombstone', tombstone)).status, 200);
  assert.equal((await lake.delete('/catalog/datasets/by-name/cands/tombstone', { json: { row_key_values: ['C-1'], reason: 'a mistake' } })).status, 200);
  const { items } = (await lake.get('/journal/history/C-1?dataset=cands')).body;
  assert.deepEqual(items.map(({ action, actor, reason }) => [action, actor, reason]), [['lift', 'local-admin', 'a mistake'], ['tombstone', 'Kim', 'asked for by mail']]);
  assert.equal(items[1].principal, 'local-admin');
});

test('a rename cuts no history, before and after it became Parquet', async () => {
  await lake.post('/journal/event', { entity_id: 'C-1', dataset: 'Cands', action: 'called' });
  const { body: renamed } = await lake.post('/catalog/datasets/by-name/cands/rename', { to: 'talents' });
  await lake.post('/journal/event', { entity_id: 'C-1', dataset: 'talents', action: 'placed' });
  await lake.post('/journal/event', { entity_id: 'C-1', dataset: 'others', action: 'lost' });
  const history = async (name) => actions(await lake.get(`/journal/history/C-1?dataset=${name}`));
  assert.deepEqual(await history('Talents'), ['placed', 'called', 'lift', 'tombstone']);
  assert.deepEqual(await history('cands'), ['called', 'lift', 'tombstone']);
  const whole = await lake.get('/journal/recent?dataset=talents&limit=3');
  assert.deepEqual(actions(whole), ['placed', 'dataset.rename', 'called']);
  assert.equal(whole.body.items[2].dataset_id, whole.body.items[1].dataset_id, renamed.name);
  assert.equal((await lake.post('/journal/flush')).status, 200);
  assert.deepEqual(await history('talents'), ['placed', 'called', 'lift', 'tombstone']);
  await lake.post('/catalog/datasets/by-name/talents/rename', { to: 'cands' });
});

test('keys, objects, saved queries and indexes leave their events, and no secrets', async () => {
  const key = (await lake.post('/access/keys', { name: 'temp', role: 'reader' })).body;
  await lake.delete(`/access/keys/${key.about.id}`);
  await lake.delete(`/access/keys/${key.about.id}`);
  await lake.post('/query/saved', { name: 'one', sql: 'SELECT 1' });
  assert.equal((await lake.post('/query/saved', { name: 'one', sql: 'SELECT 2' })).status, 409);
  await lake.delete('/query/saved/one');
  await lake.send('PUT', '/storage/buckets/primary/objects/a/b.txt', { body: 'x', headers: { 'content-type': 'text/plain' } });
  await lake.delete('/storage/buckets/primary/objects/a/b.txt');
  assert.equal((await lake.delete('/storage/buckets/primary/objects/a/b.txt')).status, 404);
  await lake.post('/vectors/index', { index_name: 'people_v1', dataset: 'cands', id_column: 'id', text_columns: ['name'] });
  await lake.patch('/vectors/indexes/people_v1', { description: 'of people' });
  await lake.delete('/vectors/indexes/people_v1');
  const { items } = (await lake.get('/journal/recent?limit=9')).body;
  assert.deepEqual(items.map((event) => `${event.action} ${event.entity_id}`).reverse(), [
    'key.create temp', 'key.revoke temp', 'query.save one', 'query.delete one', 'object.put a/b.txt', 'object.delete a/b.txt',
    'index.create people_v1', 'index.update people_v1', 'index.delete people_v1']);
  const all = JSON.stringify((await lake.get('/journal/recent?limit=1000')).body);
  assert.ok(!all.includes(key.key) && !all.includes(key.key.slice(-64)));
});

test('kills lose and double nothing', async () => {
  const before_ = (await lake.get('/journal/stats')).body.total_events_created;
  let acknowledged = 0;
  for (let round = 0; round < 4; round++) {
    const work = [];
    for (let i = 0; i < 6; i++) {
      work.push(lake.ingest('busy', `id\n${round}${i}\n`, { mode: 'append' }).then((reply) => { acknowledged += reply.status === 200; }, () => {}));
      work.push(lake.post('/journal/event', { entity_id: `kill-${round}-${i}` }).then(({ status }) => { acknowledged += status === 201; }, () => {}));
    }
    await new Promise((resolve) => { setTimeout(resolve, 30 + 60 * round); });
    await server.kill();
    await Promise.all(work);
    const report = verify();
    assert.equal(report.status, 0, report.stdout);
    await start();
  }
  const { total_events_created: total } = (await lake.get('/journal/stats')).body;
  assert.ok(total >= before_ + acknowledged, `${total} events, ${before_} before, ${acknowledged} acknowledged`);
  const twice = await lake.post('/query/sql', { sql: 'SELECT id FROM journal GROUP BY id HAVING count(*) > 1' });
  assert.deepEqual(twice.body.rows, []);
});

test('a lake that has no journal yet writes down the commits that it knows', async () => {
  const commits = async () => (await lake.post('/query/sql', { sql: "SELECT action, dataset, id, actor FROM journal WHERE action LIKE 'dataset.%' AND dataset IN ('people', 'persons', 'cands') ORDER BY lake_sequence" })).body.rows;
  const before_ = await commits();
  assert.ok(before_.length >= 7);
  await server.stop();
  for (const name of ['_journal', '_heads']) rmSync(join(folder.path, name), { recursive: true }); // with its mark: else it is missed
  await start();
  assert.deepEqual(await commits(), before_);
  await server.stop();
  assert.equal(verify().status, 0);
  await start();
});

test('what people report keeps no passwords', async () => {
  const dsn = 'postgres://kim:hunter2@db/x';
  const sent = await lake.post('/journal/event', {
    entity_id: 'M', reason: `moved from ${dsn}`, detail: { "to": [dsn, { "quote": 'password=hunter2" and more' }], count: 2 },
  });
  assert.equal(sent.status, 201);
  const [event] = (await lake.get('/journal/history/M')).body.items;
  assert.ok(!JSON.stringify(event).includes('hunter2'), JSON.stringify(event));
  assert.ok(event.reason.startsWith('moved from postgres://'));
  assert.equal(event.detail.count, 2);
});

test('a key whose answer is forgotten may come again with something else', async () => {
  const send = (entity_id) => lake.send('POST', '/journal/event', { json: { entity_id }, headers: { 'idempotency-key': 'again' } });
  const first = await send('R1');
  await server.kill();
  rmSync(join(folder.path, '_idempotency'), { recursive: true });
  await start();
  const other = await send('R2');
  assert.deepEqual([other.status, other.body.entity_id], [201, 'R2']);
  assert.equal((await send('R2')).body.id, other.body.id);
  assert.notEqual(first.body.id, other.body.id);
});

test('SQL over a segment with a flipped bit says which object is damaged', async (context) => {
  const ask = () => lake.post('/query/sql', { sql: "SELECT count(*) FROM journal WHERE entity = 'one of many'" });
  await lake.post('/journal/event', { entity_id: 'one of many' });
  assert.equal((await lake.post('/journal/flush')).status, 200);
  assert.deepEqual((await ask()).body.rows, [[1]]);
  const segments = join(folder.path, '_journal', 'segments');
  const name = readdirSync(segments).sort().at(-1);
  const bytes = readFileSync(join(segments, name));
  context.after(() => writeFileSync(join(segments, name), bytes));
  const harmed = Buffer.from(bytes);
  harmed[bytes.lastIndexOf('one of many') + 2] ^= 1;
  writeFileSync(join(segments, name), harmed);
  const refused = await ask();
  assert.equal(refused.body.code, 'damaged', JSON.stringify(refused.body));
  assert.ok(refused.body.detail.includes(`_journal/segments/${name}`), refused.body.detail);
  writeFileSync(join(segments, name), bytes);
  assert.deepEqual((await ask()).body.rows, [[1]]);
});

test('the verifier finds a changed byte, and the server says so and goes on', async (context) => {
  await lake.post('/journal/event', { entity_id: 'one' });
  await lake.post('/journal/event', { entity_id: 'two' });
  await server.stop();
  assert.equal(verify('--journal').status, 0);
  const logs = join(folder.path, '_journal', 'log');
  const path = join(logs, readdirSync(logs).sort().at(-1));
  const bytes = readFileSync(path);
  const at = bytes.lastIndexOf('one');
  const harmed = Buffer.from(bytes);
  harmed.write('eno', at);
  writeFileSync(path, harmed);
  context.after(async () => {
    writeFileSync(path, bytes);
    await start();
  });
  for (const flags of [[], ['--journal']]) {
    const report = verify(...flags);
    assert.equal(report.status, 1);
    assert.match(report.stdout, /missing, changed or out of its place/);
  }
  await start();
  const health = await lake.get('/health');
  assert.match(JSON.stringify(health.body), /chain of the journal is broken/);
  assert.equal((await lake.post('/journal/event', { entity_id: 'three' })).status, 201);
  assert.match((await lake.get('/journal/stats')).body.damage, /broken/);
  await server.stop();
});

test('an action that only looks like one of the lake is reported', { timeout: 30000 }, async (context) => {
  const own = await startServer();
  context.after(() => own.kill());
  const other = await connect(own);
  for (const action of ['dataset', 'keys.lost', 'tombstoned', 'update'])
    assert.equal((await other.post('/journal/event', { entity_id: 'a', action })).status, 201, action);
});
