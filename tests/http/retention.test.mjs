// Old versions go on request, with their files; what stays can be read, what went says so.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const csv = (count) => `id,v\n${Array.from({ length: count }, (_, at) => `${at},x${at}\n`).join('')}`;
const count = (lake, version) => lake.post('/query/sql', { sql: `SELECT count(*) FROM places AT (VERSION => ${version})` });

test('expired versions cannot be read, their files go, and the newest stays whole', { timeout: 60000 }, async (context) => {
  const folder = temporaryFolder();
  context.after(() => folder.remove());
  const server = await startServer({ data: folder.path });
  context.after(() => server.kill());
  const lake = await connect(server);
  for (const rows of [10, 20, 30]) await lake.ingest('places', csv(rows), {});
  assert.deepEqual((await lake.post('/catalog/expire', {})).body.items, [], 'a fresh version expired by itself');

  const told = await lake.post('/catalog/expire', { older_than_s: 0, dry_run: true });
  assert.equal(told.status, 200, told.text);
  assert.equal(told.body.items.length, 1);
  const [item] = told.body.items;
  assert.deepEqual([item.name, item.is_dropped, item.retained_version, item.version_count, item.object_count], ['places', false, 3, 2, 2]);
  assert.ok(item.byte_count > 0);
  assert.equal((await count(lake, 1)).body.rows[0][0], 10, 'a dry run took something away');

  const done = await lake.post('/catalog/expire', { dataset: 'Places', older_than_s: 0, reason: 'space' });
  assert.equal(done.status, 200, done.text);
  assert.deepEqual(done.body.items.map((one) => one.byte_count), [item.byte_count]);
  const gone = await count(lake, 1);
  assert.equal(gone.status, 404, gone.text);
  assert.match(gone.body.detail, /expired/);
  assert.match(gone.body.hint, /3/);
  assert.equal((await count(lake, 3)).body.rows[0][0], 30);
  assert.equal((await lake.post('/query/sql', { sql: 'SELECT count(*) FROM places' })).body.rows[0][0], 30);
  const versions = await lake.get('/catalog/datasets/by-name/places/versions');
  assert.deepEqual(versions.body.items.map((one) => one.version), [4, 3]);
  assert.equal(versions.body.items[0].commits[0].action, 'expire');
  assert.equal(versions.body.items[0].commits[0].reason, 'space');
  assert.deepEqual((await lake.post('/catalog/expire', { older_than_s: 0 })).body.items, []);

  const unknown = await lake.post('/catalog/expire', { dataset: 'place' });
  assert.equal(unknown.status, 404);
  assert.match(JSON.stringify(unknown.body), /places/);
  assert.equal((await lake.delete('/catalog/datasets/by-name/places')).status, 204);
  const dropped = await lake.post('/catalog/expire', { older_than_s: 0 });
  assert.equal(dropped.body.items[0].is_dropped, true);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  const verified = await run(['verify', '--data', folder.path]);
  assert.equal(verified.code, 0, verified.out + verified.err);
});
