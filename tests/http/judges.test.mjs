// Other people's readers: hyparquet opens the data files, a linter reads the OpenAPI document, curl
// and the command line are users.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { program, root, run, startServer, temporaryFolder } from '../support/server.mjs';

const require = createRequire(join(root, 'deps', 'test', 'package.json'));

let server;
let lake;
before(async () => {
  server = await startServer();
  lake = await connect(server);
});
after(async () => {
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('hyparquet reads the data files and finds the same rows', async () => {
  const { parquetReadObjects } = await import(pathToFileURL(join(root, 'deps/test/node_modules/hyparquet/src/index.js')).href);
  const { compressors } = await import(pathToFileURL(join(root, 'deps/test/node_modules/hyparquet-compressors/src/index.js')).href);
  const csv = `id,name,rate,day\n${Array.from({ length: 1000 }, (_, at) => `${at},Zoë ${at},${at / 4},2024-01-${String(1 + (at % 28)).padStart(2, '0')}\n`).join('')}`;
  await lake.ingest('readable', csv);
  const names = readdirSync(join(server.data, 'datasets'), { recursive: true }).filter((name) => name.endsWith('.parquet'));
  const rows = [];
  for (const name of names) {
    const bytes = readFileSync(join(server.data, 'datasets', name));
    rows.push(...await parquetReadObjects({ file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), compressors }));
  }
  assert.equal(rows.length, 1000);
  const ours = await lake.rows('SELECT id, name, rate, day FROM readable ORDER BY id');
  rows.sort((a, b) => Number(a.id) - Number(b.id));
  assert.deepEqual(rows.map((row) => [Number(row.id), row.name, row.rate, row.day.toISOString().slice(0, 10)]), ours);
});

test('the OpenAPI document lints clean', async () => {
  const { lintFromString, createConfig } = require('@redocly/openapi-core');
  const config = await createConfig({ extends: ['recommended'], rules: { 'info-license': 'off', 'no-server-example.com': 'off', 'no-empty-servers': 'off', 'security-defined': 'off', 'operation-4xx-response': 'off' } });
  const problems = await lintFromString({ source: readFileSync(join(root, 'docs', 'openapi.json'), 'utf8'), config });
  // No dataset is called 'by-name', names have no hyphen: /catalog/datasets/by-name/resync is one thing only.
  const told = problems.filter(({ ruleId, message }) => ruleId !== 'no-ambiguous-paths' || !/by-name\/\{name\}` and `\/catalog\/datasets\/\{name\}\/resync`/.test(message));
  assert.deepEqual(told.map(({ ruleId, message, location }) => `${ruleId}: ${message} ${location?.[0]?.pointer ?? ''}`), []);
});

test('the served document is the committed one', async () => {
  assert.deepEqual(lake.document, JSON.parse(readFileSync(join(root, 'docs', 'openapi.json'), 'utf8')));
});

test('curl is a user', async () => {
  const folder = temporaryFolder('curl');
  const file = join(folder.path, 'places.csv');
  writeFileSync(file, 'id,city\n1,A\n2,B\n');
  const curl = (...args) => execFileSync('curl', ['-sS', ...args], { encoding: 'utf8' });
  assert.equal(JSON.parse(curl('-F', `file=@${file}`, '-F', 'dataset=places', `${server.url}/ingest/file`)).rows, 2);
  assert.deepEqual(JSON.parse(curl('--json', '{"sql":"SELECT city FROM places ORDER BY id"}', `${server.url}/query/sql`)).rows, [['A'], ['B']]);
  assert.match(curl('-I', `${server.url}/health`), /^HTTP\/1\.1 200/);
  folder.remove();
});

test('the command line works on the running server', async () => {
  const folder = temporaryFolder('cli');
  const file = join(folder.path, 'x.csv');
  writeFileSync(file, 'id,name\n1,a\n2,b\n');
  const data = ['--data', server.data];
  const ingest = await run(['ingest', 'file', file, '--dataset', 'by_cli', ...data, '--json']);
  assert.equal(ingest.code, 0, ingest.err);
  assert.equal(JSON.parse(ingest.out).rows, 2);
  const sql = await run(['sql', 'SELECT name FROM by_cli ORDER BY id', ...data]);
  assert.equal(sql.code, 0, sql.err);
  assert.match(sql.out, /a[\s\S]*b/);
  const bad = await run(['sql', 'SELECT nothing FROM by_cli', ...data]);
  assert.equal(bad.code, 1);
  assert.match(bad.err, /nothing/);
  assert.equal((await run(['sql', ...data])).code, 2);
  assert.equal((await run(['no-such-command'])).code, 2);
  folder.remove();
});

test('the command line works on the folder alone', async () => {
  const folder = temporaryFolder('alone');
  const file = join(folder.path, 'x.csv');
  writeFileSync(file, 'id,name\n1,a\n2,b\n');
  const data = ['--data', join(folder.path, 'lake')];
  const ingest = await run(['ingest', 'file', file, '--dataset', 'solo', ...data]);
  assert.equal(ingest.code, 0, ingest.err);
  assert.equal(readFileSync(file, 'utf8').length > 0, true, 'the user’s own file was taken away');
  const sql = await run(['sql', 'SELECT count(*) AS n FROM solo', ...data, '--json']);
  assert.deepEqual(JSON.parse(sql.out).rows, [[2]]);
  const list = await run(['datasets', 'list', ...data]);
  assert.match(list.out, /solo/);
  assert.equal((await run(['verify', ...data])).code, 0);
  folder.remove();
});

test('every command has help', async () => {
  const top = await run(['--help']);
  assert.equal(top.code, 0);
  for (const word of ['serve', 'ingest', 'sql', 'datasets', 'jobs', 'verify', 'demo']) assert.match(top.out, new RegExp(word));
  for (const command of [['serve'], ['ingest', 'file'], ['sql'], ['datasets', 'list'], ['verify'], ['demo']]) {
    const { code, out } = await run([...command, '--help']);
    assert.equal(code, 0, command.join(' '));
    assert.match(out, /Usage/i, command.join(' '));
  }
  assert.match((await run(['--version'])).out + (await run(['version'])).out, /\d+\.\d+\.\d+/);
  assert.ok(program.length);
});
