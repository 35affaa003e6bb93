// What people and browsers are shown, and the events of a job.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../support/client.mjs';
import { startServer } from '../support/server.mjs';

let server;
let lake;
before(async () => {
  server = await startServer();
  lake = await connect(server);
});
after(async () => {
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('the first page says what runs and every address on it answers', async () => {
  const page = await lake.send('GET', '/');
  assert.equal(page.status, 200);
  assert.match(page.headers.get('content-type'), /^text\/html/);
  assert.match(page.text, /every caller is local-admin/);
  const links = [...page.text.matchAll(/href="([^"]+)"/g)].map(([, link]) => link);
  assert.ok(links.length >= 5);
  for (const link of links) {
    const reply = await fetch(server.url + link);
    assert.equal(reply.status, 200, link);
    await reply.arrayBuffer();
  }
});

test('the reference shows every operation and fetches nothing', async () => {
  const { text } = await lake.send('GET', '/docs');
  const document = (await lake.get('/openapi.json')).body;
  for (const [path, methods] of Object.entries(document.paths)) {
    assert.ok(text.includes(path), path);
    for (const operation of Object.values(methods)) assert.ok(text.includes(`id="${operation.operationId}"`), operation.operationId);
  }
  assert.doesNotMatch(text, /(src|href)="(https?:)?\/\//);
  assert.doesNotMatch(text, /<script/);
});

test('the reference shows what may be chosen, and search as a table with the columns that it has', async () => {
  const { text } = await lake.send('GET', '/docs');
  assert.match(text, /<code>mode<\/code><br>choice<\/td><td>`auto`; one of `auto`, `create`, `append`, `replace`, `upsert`<\/td>/);
  assert.match(text, /<code>state<\/code><br>choice<\/td><td>one of `queued`, /);
  await lake.ingest('calls', 'call_id,note,score\n7,a loose cable,1\n8,a quiet day,2\n');
  await lake.post('/vectors/index', { index_name: 'calls_v1', dataset: 'calls', id_column: 'call_id', text_columns: ['note'], id_prefix: 'c-' });
  const wanted = ['call_id', 'score', 'text', 'chunk'];
  for (const name of ['vector_search', 'text_search', 'hybrid_search']) {
    assert.ok(text.includes(`${name}(`), name);
    const described = await lake.rows(`DESCRIBE SELECT * FROM ${name}('calls_v1', 'cable', k := 1)`);
    assert.deepEqual(described.map((row) => row.slice(0, 2)), [['call_id', 'BIGINT'], ['score', 'DOUBLE'], ['text', 'VARCHAR'], ['chunk', 'INTEGER']]);
    assert.deepEqual(await lake.rows(`SELECT call_id FROM ${name}('calls_v1', 'cable', k := 1, sql_filter := 'score < 5', per_chunk := true)`), [[7]]);
  }
  for (const column of wanted.slice(1)) assert.match(text, new RegExp(`${column} (DOUBLE|VARCHAR|INTEGER)`), column);
});

// Reads server-sent events until the stream ends.
async function events(path, { signal } = {}) {
  const response = await fetch(server.url + path, { signal });
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type'), /^text\/event-stream/);
  const found = [];
  let rest = '';
  for await (const piece of response.body) {
    rest += Buffer.from(piece).toString();
    const blocks = rest.split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = Object.fromEntries(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
      if (lines.data) found.push({ event: lines.event, id: Number(lines.id), data: JSON.parse(lines.data), at: Date.now() });
    }
  }
  return found;
}

test('the events of a job tell its way and its end', async () => {
  const rows = Array.from({ length: 300000 }, (_, at) => `${at},name ${at % 97}\n`).join('');
  const { body } = await lake.ingest('followed', `id,name\n${rows}`, { mode: 'create', wait: 'false' });
  const found = await events(`/jobs/${body.job_id}/events`);
  assert.ok(found.length >= 2, JSON.stringify(found));
  assert.equal(found.at(-1).event, 'end');
  assert.equal(found.at(-1).data.state, 'succeeded');
  assert.equal(found.at(-1).data.result.rows, 300000);
  assert.ok(found.slice(0, -1).every((one) => one.event === 'progress' && ['queued', 'running'].includes(one.data.state)));
  assert.ok(found.every((one, at) => at === 0 || one.id > found[at - 1].id));
  const again = await events(`/jobs/${body.job_id}/events`);
  assert.deepEqual(again.map((one) => one.event), ['end'], 'a job that has ended tells only that');
  assert.equal((await lake.get('/jobs/none/events')).status, 404);
  await lake.send('GET', `/jobs/${body.job_id}/events`);
});

test('many who follow do not keep others from being served', async () => {
  const rows = Array.from({ length: 400000 }, (_, at) => `${at},name ${at % 97}\n`).join('');
  const { body } = await lake.ingest('crowd', `id,name\n${rows}`, { mode: 'create', wait: 'false' });
  const followers = Array.from({ length: 24 }, () => events(`/jobs/${body.job_id}/events`));
  const health = await lake.get('/health');
  assert.equal(health.status, 200);
  for (const found of await Promise.all(followers)) assert.ok(found.length >= 1);
});
