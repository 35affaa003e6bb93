// A backup that is made while others write, a folder that is destroyed, and the same lake again.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const csv = (first, count) => `id,v\n${Array.from({ length: count }, (_, at) => `${first + at},x${(first + at) % 7}\n`).join('')}`;
const sql = async (lake, text, as_of) => (await lake.post('/query/sql', { sql: text, ...(as_of && { as_of }) })).body.rows;
const contents = async (lake) => {
  const names = (await lake.get('/catalog/datasets')).body.items.map((item) => item.name);
  return Promise.all(names.map(async (name) => {
    const dataset = (await lake.get(`/catalog/datasets/by-name/${name}`)).body;
    const rows = await sql(lake, `SELECT count(*), sum(hash(t)) FROM ${name} t`);
    return { name, version: dataset.version, objects: dataset.objects.map((one) => one.sha256).sort(), rows };
  }));
};

test('a destroyed lake comes back from its backup with the same contents', { timeout: 120000 }, async (context) => {
  const folder = temporaryFolder('backup');
  context.after(() => folder.remove());
  const data = join(folder.path, 'lake');
  const to = join(folder.path, 'backup');
  let server = await startServer({ data });
  context.after(() => server.kill());
  let lake = await connect(server);
  await lake.ingest('left', csv(0, 1000), {});
  await lake.ingest('left', csv(1000, 10), { mode: 'append' });
  await lake.ingest('right', csv(0, 50), {});
  assert.equal((await lake.post('/vectors/index', { index_name: 'words', dataset: 'right', id_column: 'id', text_columns: ['v'] })).status, 200);
  assert.equal((await lake.post('/query/saved', { name: 'all', sql: 'SELECT count(*) FROM "left"' })).status, 201);
  const search = { index: 'words', query: 'x3', k: 3 };
  const before = { contents: await contents(lake), found: (await lake.post('/vectors/search', search)).body.items };

  const done = await lake.post('/system/backup', { to });
  assert.equal(done.status, 200, done.text);
  assert.equal(done.body.number, 1);
  assert.deepEqual(done.body.buckets_not_included, []);
  const bucket = await lake.post('/storage/buckets', { name: 'other', backend: 'local', root: join(folder.path, 'other') });
  assert.ok([200, 201].includes(bucket.status), bucket.text);
  const again = await lake.post('/system/backup', { to });
  assert.deepEqual(again.body.buckets_not_included, []); // it is empty
  assert.equal(again.body.number, 2);
  assert.ok(again.body.copied_files <= 6, `${again.body.copied_files} files were copied a second time`);
  const inside = await lake.post('/system/backup', { to: join(data, 'inside') });
  assert.equal(inside.status, 409, inside.text);
  assert.equal((await lake.post('/system/backup', { to: 'here' })).status, 400);
  const file = join(folder.path, 'a-file');
  writeFileSync(file, '');
  for (const place of ['/proc/nope', '/proc/nope/deeper', join(file, 'below')]) {
    const refused = await lake.post('/system/backup', { to: place });
    assert.deepEqual([refused.status, refused.body.code], [409, 'conflict'], refused.text);
    assert.ok(refused.body.detail.includes(`Nothing can be made in the place of the backup folder '${place}'`), refused.text);
    assert.match(refused.body.hint, /may write/);
  }
  await server.kill(); // no clean end: the backup needs none
  rmSync(data, { recursive: true });

  const checked = await run(['restore', '--from', to, '--check', '--data', data]);
  assert.equal(checked.code, 0, checked.err);
  assert.equal(existsSync(data), false, 'a check made the folder');
  const restored = await run(['restore', '--from', to, '--data', data, '--json']);
  assert.equal(restored.code, 0, restored.err);
  assert.equal(JSON.parse(restored.out).errors, 0);
  server = await startServer({ data });
  lake = await connect(server);
  assert.deepEqual(await contents(lake), before.contents);
  assert.deepEqual((await lake.post('/vectors/search', search)).body.items, before.found);
  assert.deepEqual((await lake.post('/query/saved/all/run', {})).body.rows, [[1010]]);
  assert.equal((await sql(lake, 'SELECT count(*) FROM "left" AT (VERSION => 1)'))[0][0], 1000, 'the older version is not there');
  assert.equal((await lake.get('/health')).body.status, 'degraded', 'nobody says that a bucket is closed');
  assert.equal((await lake.post('/storage/buckets/other/adopt')).status, 204);
  assert.equal((await lake.get('/health')).body.status, 'ok');
  const refused = await run(['restore', '--from', to, '--data', data]);
  assert.equal(refused.code, 1);
  assert.match(refused.err, /not empty/);
  await lake.ingest('left', csv(5000, 1), { mode: 'append' });
  assert.equal((await lake.post('/system/backup', { to })).status, 409, 'two lakes share a backup');
  assert.equal((await lake.post('/system/backup', { to: `${to}-2` })).body.number, 1, 'the restored lake has backups of its own');
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('a backup beside writers is the lake at one sequence', { timeout: 120000 }, async (context) => {
  const folder = temporaryFolder('backup');
  context.after(() => folder.remove());
  const to = join(folder.path, 'backup');
  const server = await startServer({ data: join(folder.path, 'lake') });
  context.after(() => server.kill());
  const lake = await connect(server);
  await lake.ingest('left', csv(0, 1), {});
  await lake.ingest('right', csv(0, 1), {});
  let isOver = false;
  let pairs = 0;
  const writing = (async () => {
    for (let at = 1; !isOver; at += 1) {
      await lake.ingest('left', csv(at, 1), { mode: 'append' });
      await lake.ingest('right', csv(at, 1), { mode: 'append' });
      pairs = at;
      if (at % 5 === 0) await lake.post('/catalog/expire', { dataset: 'left', older_than_s: 0 });
    }
  })();
  const seen = [];
  for (let at = 0; at < 5 || (pairs < 5 && at < 50); at += 1) {
    const least = pairs;
    const done = await lake.post('/system/backup', { to });
    assert.equal(done.status, 200, done.text);
    seen.push({ number: done.body.number, sequence: done.body.sequence, least });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  isOver = true;
  await writing;
  const versions = (await lake.get('/catalog/datasets/by-name/right/versions?limit=1000')).body.items;
  for (const { number, sequence, least } of seen.slice(-5)) {
    const data = join(folder.path, `restored-${number}`);
    const restored = await run(['restore', '--from', to, '--number', String(number), '--data', data]);
    assert.equal(restored.code, 0, restored.err);
    const rows = await run(['sql', 'SELECT (SELECT count(*) FROM "left"), (SELECT count(*) FROM "right")', '--json', '--data', data]);
    const [left, right] = JSON.parse(rows.out).rows[0];
    assert.ok(left === right || left === right + 1, `backup ${number}: ${left} rows left, ${right} right`);
    assert.ok(right >= 1 + least, 'an acknowledged commit is not in the backup');
    const told = await run(['sql', "SELECT count(*) FROM journal WHERE dataset = 'right' AND action = 'dataset.append'", '--json', '--data', data]);
    assert.equal(JSON.parse(told.out).rows[0][0], right - 1, 'the journal is not of that moment');
    assert.equal((await run(['verify', '--data', data])).code, 0);
    assert.equal(right, versions.find((one) => one.sequence <= sequence).row_count, 'not of the sequence that was told');
  }
  assert.ok(pairs >= 5, `only ${pairs} pairs were written`);
});

test('a damaged backup is refused before anything is written', { timeout: 60000 }, async (context) => {
  const folder = temporaryFolder('backup');
  context.after(() => folder.remove());
  const data = join(folder.path, 'lake');
  const to = join(folder.path, 'backup');
  writeFileSync(join(folder.path, 't.csv'), csv(0, 20));
  assert.equal((await run(['ingest', 'file', join(folder.path, 't.csv'), '--dataset', 't', '--data', data])).code, 0);
  assert.equal((await run(['backup', to, '--data', data])).code, 0);
  const list = join(to, 'snapshots', readdirSync(join(to, 'snapshots'))[0]);
  const line = readFileSync(list, 'utf8').split('\n').find((one) => one.endsWith('.parquet'));
  const object = join(to, 'objects', line.slice(0, 2), line.slice(0, 64));
  const bytes = readFileSync(object);
  bytes[9] ^= 4;
  writeFileSync(object, bytes);
  const target = join(folder.path, 'target');
  const refused = await run(['restore', '--from', to, '--data', target]);
  assert.equal(refused.code, 1);
  assert.match(refused.err, /\.parquet/);
  assert.equal(existsSync(target), false, 'the target was made');
  const mended = await run(['backup', to, '--recheck', '--json', '--data', data]);
  assert.equal(mended.code, 0, mended.err);
  assert.equal(JSON.parse(mended.out).mended_files, 1);
  assert.equal((await run(['restore', '--from', to, '--data', target])).code, 0);
});

const ended = async (lake, id) => {
  for (;;) {
    const { body } = await lake.get(`/jobs/${id}?wait_ms=5000`);
    if (!['queued', 'running'].includes(body.state)) return body;
  }
};

test('a backup is a job: followed, cancelled, and gone on with after a kill', { timeout: 120000 }, async (context) => {
  const folder = temporaryFolder('backup');
  context.after(() => folder.remove());
  const data = join(folder.path, 'lake');
  const to = join(folder.path, 'backup');
  let server = await startServer({ data });
  context.after(() => server.kill());
  let lake = await connect(server);
  await lake.ingest('left', csv(0, 1000), {});
  for (let at = 0; at < 60; at += 1) { // objects of people: nothing tells their sums before they are read
    assert.ok((await lake.send('PUT', `/storage/buckets/primary/objects/big/${at}`, { body: Buffer.alloc(1 << 20, at) })).status < 300);
  }
  const first = await lake.post('/system/backup', { to, wait: false });
  assert.equal(first.status, 202, first.text);
  const events = await (await fetch(`${server.url}/jobs/${first.body.job_id}/events`)).text();
  const told = events.split('\n').filter((line) => line.startsWith('data: ')).map((line) => JSON.parse(line.slice(6)));
  assert.equal(told.at(-1).state, 'succeeded', events);
  assert.equal(told.at(-1).result.number, 1);
  const copying = told.filter((one) => one.progress.phase === 'copying').at(-1);
  assert.ok(copying, 'no event tells of the copying');
  assert.ok(copying.progress.bytes_total > 60 << 20, JSON.stringify(copying));
  assert.ok(copying.progress.files_total >= 60 && copying.progress.files_done <= copying.progress.files_total);
  assert.equal((await lake.post('/system/backup', { to: 'here', wait: false })).status, 400);

  const other = `${to}-2`;
  const second = (await lake.post('/system/backup', { to: other, wait: false })).body.job_id;
  assert.ok([200, 202, 409].includes((await lake.delete(`/jobs/${second}`)).status));
  const cancelled = await ended(lake, second);
  if (cancelled.state === 'cancelled') assert.equal((await run(['restore', '--from', other, '--check'])).code, 1);

  // A kill while it copies: the next start makes one backup of it, and not two.
  const third = (await lake.post('/system/backup', { to: `${to}-3`, wait: false })).body.job_id;
  for (let at = 0; at < 400 && !existsSync(`${to}-3/objects`); at += 1) await new Promise((resolve) => setTimeout(resolve, 2));
  await new Promise((resolve) => setTimeout(resolve, 30));
  await server.kill();
  server = await startServer({ data });
  lake = await connect(server);
  const again = await ended(lake, third);
  assert.equal(again.state, 'succeeded', JSON.stringify(again));
  assert.equal(readdirSync(`${to}-3/snapshots`).length, 1);
  assert.deepEqual(readdirSync(`${to}-3/_new`), []);
  const restored = join(folder.path, 'restored');
  const back = await run(['restore', '--from', `${to}-3`, '--data', restored]);
  assert.equal(back.code, 0, back.err);
  await server.stop();

  // The records of the job itself are in it; the restored lake leaves its original's backups alone.
  server = await startServer({ data: restored });
  lake = await connect(server);
  const own = await ended(lake, third);
  assert.equal(own.state, 'failed', JSON.stringify(own));
  assert.equal(own.error.code, 'conflict');
  assert.equal(readdirSync(`${to}-3/snapshots`).length, 1);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM "left"'), [[1000]]);
});
