// The demo beside a user's own data, and ended in the middle.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { program, run, startServer, temporaryFolder } from '../support/server.mjs';
import { connect } from '../support/client.mjs';

test('a dataset of the sample\'s name that is not the sample is left alone', { timeout: 60000 }, async (context) => {
  const folder = temporaryFolder();
  context.after(() => folder.remove());
  const server = await startServer({ data: folder.path });
  context.after(() => server.kill());
  let lake = await connect(server);
  await lake.ingest('packages', 'id\n1\n2\n', {});
  await server.stop();
  const { code, err } = await run(['demo', '--exit', '--data', folder.path, '--listen', '127.0.0.1:0']);
  assert.equal(code, 1, err);
  assert.match(err, /'packages'/);
  assert.match(err, /--data/);
  const again = await startServer({ data: folder.path });
  context.after(() => again.kill());
  lake = await connect(again);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM packages'), [[2]]);
  assert.equal((await lake.get('/catalog/datasets')).body.items.length, 1, 'part of the sample came in');
  await again.stop();
});

test('one signal ends the demo while it loads, and leaves nothing in the temporary folder', { timeout: 60000 }, async (context) => {
  const folder = temporaryFolder();
  const temporary = mkdtempSync(join(tmpdir(), 'lakehouse-demo-'));
  context.after(() => { folder.remove(); rmSync(temporary, { recursive: true, force: true }); });
  const child = spawn(program, ['demo', '--data', folder.path, '--listen', '127.0.0.1:0'],
    { env: { ...process.env, TMPDIR: temporary }, stdio: ['ignore', 'pipe', 'pipe'] });
  context.after(() => child.kill('SIGKILL'));
  const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })));
  await new Promise((resolve) => child.stdout.on('data', (text) => /Reading|Loading/.test(String(text)) && resolve()));
  const from = Date.now();
  child.kill('SIGINT');
  const end = await ended;
  assert.equal(end.signal, null, 'it ended without cleaning up');
  assert.notEqual(end.code, 0);
  assert.ok(Date.now() - from < 10000, `it took ${Date.now() - from} ms`);
  assert.deepEqual(readdirSync(temporary), []);
});
