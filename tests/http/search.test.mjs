// Search over HTTP: built as a job, asked, refused, followed, inside SQL and on the command line.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../support/client.mjs';
import { run, startServer } from '../support/server.mjs';

const words = ['river', 'stone', 'market', 'window', 'garden', 'letter', 'table', 'winter'];
const csv = (count) => `id,title,text\n${Array.from({ length: count }, (_, at) =>
  `${at},title ${at},${words[at % 8]} and ${words[Math.floor(at / 8) % 8]} number ${at}\n`).join('')}`;

async function given(context, count = 200) {
  const server = await startServer();
  context.after(() => server.kill());
  const lake = await connect(server);
  await lake.ingest('notes', csv(count), { mode: 'create' });
  return { server, lake };
}
const request = { index_name: 'notes_v1', dataset: 'notes', id_column: 'id', text_columns: ['title', 'text'] };

test('an index is built as a job that tells how far it is, and answers afterwards', { timeout: 60000 }, async (context) => {
  const { server, lake } = await given(context, 18000);
  const accepted = await lake.post('/vectors/index', { ...request, wait: false });
  assert.equal(accepted.status, 202, accepted.text);
  assert.equal(accepted.headers.get('location'), `/jobs/${accepted.body.job_id}`);
  let job;
  let sawRate = false;
  do {
    job = (await lake.get(`/jobs/${accepted.body.job_id}`)).body;
    sawRate ||= job.state === 'running' && job.progress.rows_per_second > 0 && job.progress.eta_s >= 0 && job.progress.chunks_done > 0;
    if (job.state === 'running') {
      const early = await lake.post('/vectors/search', { index: 'notes_v1', query: 'river' });
      assert.ok([200, 404, 409].includes(early.status), early.text);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  } while (['queued', 'running'].includes(job.state));
  assert.equal(job.state, 'succeeded', JSON.stringify(job));
  assert.equal(job.result.rows, 18000);
  assert.ok(sawRate, 'the job never told its rate');
  const found = await lake.post('/vectors/hybrid', { index: 'notes_v1', query: 'river stone number 8', k: 3, include_row: true });
  assert.equal(found.status, 200, found.text);
  assert.equal(found.body.items.length, 3);
  assert.equal(found.body.items[0].row.id, found.body.items[0].id);
  assert.equal(found.body.versions.notes, 1);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('what is wrong with a search is a problem that names its field', { timeout: 30000 }, async (context) => {
  const { lake } = await given(context);
  assert.equal((await lake.post('/vectors/index', request)).status, 200);
  const cases = [
    [{ index: 'notes_v1', query: 'x', k: -1 }, 400, 'k'],
    [{ index: 'notes_v1', query: 'x', k: 10001 }, 400, 'k'],
    [{ index: 'notes_v1', query: 'x', k: '3' }, 400, 'k'],
    [{ index: 'notes_v1', query: 7 }, 400, 'query'],
    [{ index: 'notes_v1' }, 400, 'query'],
    [{ query: 'x' }, 400, 'index'],
    [{ index: 'notes_v1', vector: 'x' }, 400, 'vector'],
    [{ index: 'notes_v1', vector: [] }, 400, 'vector'],
    [{ index: 'notes_v1', vector: [1, null] }, 400, 'vector'],
    [{ index: 'notes_v1', query: 'x', vector: [1] }, 400, 'vector'],
    [{ index: 'notes_v1', query: 'x', sql_filter: 'true) OR (SELECT' }, 400, 'sql_filter'],
    [{ index: 'notes_v1', query: 'x', sql_filter: 'nothere = 1' }, 400, 'sql_filter'],
    [{ index: 'notes_v1', query: 'x', typo: 1 }, 400, 'typo'],
    [{ index: 'notes_v2', query: 'x' }, 404, null],
    [{ index: 'notes_v1', query: 'x'.repeat(70000) }, 400, 'query'],
  ];
  for (const [body, status, field] of cases) {
    const reply = await lake.post('/vectors/search', body);
    assert.equal(reply.status, status, `${JSON.stringify(body).slice(0, 80)}: ${reply.text}`);
    if (field) assert.match(JSON.stringify(reply.body), new RegExp(field), reply.text);
    assert.ok(reply.body.detail.length > 10);
  }
  const again = await lake.post('/vectors/index', request);
  assert.equal(again.status, 409);
  assert.ok(again.body.hint, 'a taken name comes with what to do');
});

test('rows that come and go are followed, and the index is refreshed', { timeout: 30000 }, async (context) => {
  const { lake } = await given(context);
  await lake.post('/vectors/index', request);
  await lake.ingest('notes', 'id,title,text\n9001,new,an unheard of zeppelin\n', { mode: 'append' });
  const fresh = await lake.post('/vectors/hybrid', { index: 'notes_v1', query: 'zeppelin', k: 1 });
  assert.equal(fresh.body.items[0].id, 9001);
  assert.equal(fresh.body.items[0].is_fresh, true);
  assert.equal(fresh.body.fresh_rows, 1);
  const stale = (await lake.get('/vectors/stale')).body.items;
  assert.deepEqual(stale.map(({ dataset, index_name: index, rows_waiting: rows }) => [dataset, index, rows]), [['notes', 'notes_v1', 1]]);
  const done = await lake.post('/vectors/refresh/notes', {});
  assert.equal(done.status, 200, done.text);
  assert.deepEqual([done.body.new, done.body.changed, done.body.removed, done.body.stale_cleared], [1, 0, 0, true]);
  assert.deepEqual((await lake.get('/vectors/stale')).body.items, []);
  assert.deepEqual(await lake.rows("SELECT n.title FROM text_search('notes_v1', 'zeppelin') s JOIN notes n USING (id)"), [['new']]);
  assert.equal((await lake.delete('/catalog/datasets/by-name/notes')).status, 409, 'an index rests on it');
  assert.equal((await lake.delete('/vectors/indexes/notes_v1')).status, 204);
  assert.equal((await lake.get('/vectors/indexes/notes_v1')).status, 404);
});

test('the command line searches a running server', { timeout: 30000 }, async (context) => {
  const { server, lake } = await given(context);
  await lake.post('/vectors/index', request);
  const found = await run(['search', 'notes_v1', 'garden', '--k', '2', '--data', server.data]);
  assert.equal(found.code, 0, found.err);
  assert.match(found.out, /garden/);
  const missing = await run(['search', 'nothing', 'x', '--data', server.data]);
  assert.equal(missing.code, 1);
  assert.match(missing.err, /There is no index 'nothing'/);
});

test('an index is removed only at the version that If-Match names', async (context) => {
  const server = await startServer();
  context.after(() => server.kill());
  const lake = await connect(server);
  await lake.ingest('matched', 'id,text\n1,one\n2,two\n');
  await lake.post('/vectors/index', { index_name: 'matched_v1', dataset: 'matched', id_column: 'id', text_columns: ['text'] });
  const first = await lake.get('/vectors/indexes/matched_v1');
  const tag = first.headers.get('etag');
  assert.equal(tag, `"${first.body.version}"`);
  await lake.ingest('matched', 'id,text\n3,three\n', { mode: 'append' });
  await lake.post('/vectors/refresh/matched', { index_name: 'matched_v1' });
  assert.equal((await lake.delete('/vectors/indexes/matched_v1', { headers: { 'if-match': tag } })).status, 412);
  const now = (await lake.get('/vectors/indexes/matched_v1')).headers.get('etag');
  assert.notEqual(now, tag);
  assert.equal((await lake.delete('/vectors/indexes/matched_v1', { headers: { 'if-match': now } })).status, 204);
  assert.equal((await lake.get('/vectors/indexes/matched_v1')).status, 404);
});

test('indexes are listed, their entries shown, built anew, and a build is cancelled', { timeout: 60000 }, async (context) => {
  const { lake } = await given(context);
  assert.equal((await lake.post('/vectors/index', request)).status, 200);
  const listed = await lake.get('/vectors/indexes?source=notes');
  assert.deepEqual(listed.body.items.map((one) => one.name ?? one.index_name), ['notes_v1'], listed.text);
  const entry = await lake.get('/vectors/indexes/notes_v1/docs/7');
  assert.equal(entry.status, 200, entry.text);
  assert.match(entry.text, /letter|number 7|title 7/);
  const rebuilt = await lake.post('/vectors/rebuild');
  assert.equal(rebuilt.status, 200, rebuilt.text);
  assert.equal((await lake.post('/vectors/search', { index: 'notes_v1', query: 'river', k: 1 })).status, 200);
  await lake.ingest('many', csv(30000), { mode: 'create' });
  const begun = await lake.post('/vectors/index', { ...request, index_name: 'many_v1', dataset: 'many', wait: false });
  assert.equal(begun.status, 202, begun.text);
  const told = await lake.delete(`/jobs/${begun.body.job_id}`);
  assert.ok([200, 202].includes(told.status), told.text); // queued: ended at once; running: told to end
  const ended = await lake.get(`/jobs/${begun.body.job_id}?wait_ms=20000`);
  assert.equal(ended.body.state, 'cancelled', ended.text);
  assert.equal((await lake.get('/vectors/indexes/many_v1')).status, 404);
});

test('an index is changed by PATCH, by the version that the caller saw, and made anew', { timeout: 60000 }, async (context) => {
  const { server, lake } = await given(context);
  assert.equal((await lake.post('/vectors/index', { ...request, language: 'none' })).status, 200);
  const seen = await lake.get('/vectors/indexes/notes_v1');
  assert.equal(seen.body.language, 'none');
  assert.deepEqual(seen.body.refresh_policy, { kind: 'manual' });
  const tag = seen.headers.get('etag');
  assert.equal(tag, `"${seen.body.version}"`);
  const change = { new_name: 'notes_v2', description: 'seen', language: 'english', refresh_policy: { kind: 'scheduled', schedule: 'every 6h' } };
  const changed = await lake.patch('/vectors/indexes/notes_v1', change, { headers: { 'if-match': tag } });
  assert.equal(changed.status, 200, changed.text);
  assert.equal(changed.headers.get('etag'), `"${seen.body.version + 1}"`);
  assert.equal(changed.body.name, 'notes_v2');
  assert.deepEqual(changed.body.refresh_policy, change.refresh_policy);
  assert.equal((await lake.patch('/vectors/indexes/notes_v2', { description: 'again' }, { headers: { 'if-match': tag } })).status, 412);
  assert.equal((await lake.get('/vectors/indexes/notes_v1')).status, 404);
  const bad = await lake.patch('/vectors/indexes/notes_v2', { refresh_policy: { kind: 'scheduled', schedule: '* * *' } });
  assert.equal(bad.status, 400);
  assert.match(bad.body.detail, /five fields/);
  const again = await lake.post('/vectors/rebuild');
  assert.equal(again.status, 200, again.text);
  assert.deepEqual(again.body.items.map(({ index_name: name, state, result }) => [name, state, result.rows]), [['notes_v2', 'rebuilt', 200]]);
  // One fails, and the other is made all the same.
  assert.equal((await lake.post('/vectors/index', { ...request, index_name: 'notes_v0', text_columns: ['title'] })).status, 200);
  await lake.ingest('notes', 'id,text\n1,river\n', { mode: 'replace' });
  await lake.ingest('others', csv(8), { mode: 'create' });
  assert.equal((await lake.post('/vectors/index', { ...request, index_name: 'others_v1', dataset: 'others' })).status, 200);
  const partial = await lake.post('/vectors/rebuild');
  assert.equal(partial.status, 207, partial.text);
  assert.deepEqual(partial.body.items.map(({ index_name: name, state, code }) => [name, state, code]),
    [['notes_v0', 'failed', 'conflict'], ['notes_v2', 'failed', 'conflict'], ['others_v1', 'rebuilt', undefined]]);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});
