// Commands of the program that are no operations.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { program, run, startServer, temporaryFolder } from '../support/server.mjs';

test('config show tells every setting and where it came from, and can be kept as a file', async (context) => {
  const folder = temporaryFolder('config');
  context.after(folder.remove);
  const file = join(folder.path, 'lakehouse.toml');
  writeFileSync(file, '[server]\nqueue_max = 7\nhosts = ["a.test", "b.test"]\n[log]\nlevel = "warn"\n');
  const args = ['config', 'show', '--data', folder.path, '--query-rows-max', '99'];
  const env = { LAKEHOUSE_SERVER_DRAIN_MS: '1234' };
  const shown = await run([...args, '--json'], { env });
  assert.equal(shown.code, 0, shown.err);
  const of = Object.fromEntries(JSON.parse(shown.out).items.map((one) => [one.key, one]));
  assert.deepEqual([of['server.queue_max'].value, of['server.queue_max'].origin], [7, 'file']);
  assert.deepEqual(of['server.hosts'].value, ['a.test', 'b.test']);
  assert.deepEqual([of['server.drain_ms'].value, of['server.drain_ms'].origin], [1234, 'environment']);
  assert.deepEqual([of['query.rows_max'].value, of['query.rows_max'].origin], [99, 'flag']);
  assert.deepEqual([of['auth.enabled'].value, of['auth.enabled'].origin], [false, 'preset']);
  const text = await run(args, { env });
  writeFileSync(file, text.out);
  const again = await run(['config', 'show', '--data', folder.path, '--json']);
  assert.equal(again.code, 0, again.err);
  const kept = JSON.parse(again.out).items;
  assert.deepEqual(kept.map((one) => [one.key, one.value]), JSON.parse(shown.out).items.map((one) => [one.key, one.value]));
  assert.equal((await run(['config'])).code, 2);
});

test('a statement that fails after its first rows ends the command with 1, also as JSON', async (context) => {
  const server = await startServer();
  context.after(() => server.kill());
  const late = "SELECT CASE WHEN range = 3000000 THEN CAST('x' || range AS INT) ELSE range END FROM range(3100000)";
  const where = ['--server', server.url, '--limit', '10000000'];
  // CSV has no place for an error: the reply is cut, which may as well be the network.
  for (const [how, wanted] of [[['--json'], 1], [['--format', 'ndjson'], 1], [['--format', 'csv'], 3]]) {
    const { code, out, err } = await run(['sql', late, ...how, ...where]);
    assert.equal(code, wanted, `${how}: ${err}`);
    assert.ok(out.length > 1000000, `${how}: no rows came`);
    if (how[1] !== 'csv') assert.match(err, /x3000000/);
  }
  const told = "SELECT {'code': 'sql_failed', 'detail': 'no'} AS error FROM range(200000)";
  for (const how of [['--json'], ['--format', 'csv']]) {
    assert.equal((await run(['sql', told, ...how, ...where])).code, 0, `${how}: a row was taken for an error`);
  }
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  const folder = temporaryFolder('late');
  context.after(folder.remove);
  const rows = join(folder.path, 'one.csv');
  writeFileSync(rows, 'id\n1\n');
  const data = ['--data', join(folder.path, 'lake')];
  assert.equal((await run(['ingest', 'file', rows, '--dataset', 'one', ...data])).code, 0);
  const local = await run(['sql', late, '--json', '--limit', '10000000', ...data]);
  assert.equal(local.code, 1, local.err);
  assert.equal(JSON.parse(local.out).error.code, 'sql_failed');
  const verified = await run(['verify', ...data]);
  assert.match(verified.out, /^1 dataset, 1 version, 0 indexes, \d+ jobs?, 0 keys, \d+ records? of the journal, \d+ files? \(\d+ bytes\): sound\.$/m);
});

test('help tells defaults, limits, members of objects and the environment', async () => {
  const ingest = (await run(['ingest', 'file', '--help'])).out;
  for (const words of ['delimiter', 'types', 'allow_duplicate', 'max_rejected_ratio', 'default `auto`', "--options '{", 'LAKEHOUSE_KEY']) assert.ok(ingest.includes(words), words);
  const sql = (await run(['sql', '--help'])).out;
  assert.match(sql, /--timeout-ms[^\n]*\n\s+default 30000; 1–3600000/);
  assert.match(sql, /--limit[^\n]*\n\s+default 10000; 1–10000000/);
  assert.match((await run(['--help'])).out, /LAKEHOUSE_KEY/);
  const index = (await run(['vectors', 'index', '--help'])).out;
  assert.match(index, /--text-columns[^\n]*\n(\s+required\n)?\s+written a,b,c/);
  assert.match((await run(['erase', '--help'])).out, /--row-key-values[^\n]*\n\s+required\n\s+as JSON: '\[1, 2\]'/);
  assert.doesNotMatch(ingest, /null_strings[^\n]*\n\s+written a,b,c/);
});

test('completions complete groups, verbs and flags', async () => {
  const { out, code } = await run(['completions', 'bash']);
  assert.equal(code, 0);
  const complete = (...words) => execFileSync('bash', ['-c', `${out}\nCOMP_WORDS=(lakehouse "$@"); COMP_CWORD=$#; _lakehouse; printf '%s\\n' "\${COMPREPLY[@]}"`, 'bash', ...words], { encoding: 'utf8' }).trim().split('\n');
  assert.deepEqual(complete('datas'), ['datasets']);
  assert.deepEqual(complete('compl'), ['completions']);
  assert.ok(complete('datasets', '').includes('rename'));
  assert.deepEqual(complete('ingest', 'file', '--mod'), ['--mode']);
  assert.deepEqual(complete('ingest', 'file', '--mode', ''), ['auto', 'create', 'append', 'replace', 'upsert']);
  assert.deepEqual(complete('ingest', 'file', 'x.csv', '--dataset', 'x', '--mode', 'up'), ['upsert']);
  assert.deepEqual(complete('jobs', 'list', '--state', 'run'), ['running']);
  assert.deepEqual(complete('sql', 'SELECT 1', '--lim'), ['--limit']);
  assert.deepEqual(complete('erase', '--progress', 'nev'), ['never']);
  assert.deepEqual(complete('er'), ['errors', 'erase', 'erasures']);
  assert.equal((await run(['completions', 'zsh'])).code, 0);
  assert.equal((await run(['completions', 'fish'])).code, 0);
  assert.equal((await run(['completions', 'csh'])).code, 2);
});

test('flags of every operation may stand before the command, and a statement comes from standard input', async (context) => {
  const server = await startServer();
  context.after(() => server.kill());
  const folder = temporaryFolder('words');
  context.after(folder.remove);
  const answer = { columns: [{ name: 'n', type: 'INTEGER' }], rows: [[7]] };
  for (const words of [['--server', server.url, '--json', 'sql', 'SELECT 7 AS n'], ['--json', `--server=${server.url}`, 'query', 'sql', 'SELECT 7 AS n']]) {
    const { code, out, err } = await run(words);
    assert.equal(code, 0, err);
    assert.deepEqual([JSON.parse(out).columns, JSON.parse(out).rows], [answer.columns, answer.rows]);
  }
  const piped = await run(['--server', server.url, 'sql', '-', '--json'], { input: '-- a comment\nSELECT 7 AS n\n' });
  assert.equal(piped.code, 0, piped.err);
  assert.deepEqual(JSON.parse(piped.out).rows, [[7]]);
  const local = await run(['--data', join(folder.path, 'none'), 'sql', '-'], { input: ' \n' });
  assert.deepEqual([local.code, /no statement on standard input/.test(local.err)], [2, true], local.err);
  const big = await run(['sql', '-', '--server', server.url], { input: `SELECT '${'x'.repeat(100000)}'` });
  assert.equal(big.code, 1, 'more than a statement may have was taken');
  const long = await run(['sql', '-', '--server', server.url], { input: `SELECT ${'1+'.repeat(1 << 20)}1` });
  assert.equal(long.code, 2, long.err);
  const shown = await run(['--data', folder.path, 'config', 'show', '--json']);
  assert.equal(JSON.parse(shown.out).items.find((one) => one.key === 'server.data').value, folder.path);
  for (const words of [['--server'], ['--data']]) assert.match((await run(words)).err, /needs a value/);
  const lost = await run(['--server', server.url, 'sqll', 'SELECT 1']);
  assert.deepEqual([lost.code, /'sqll'/.test(lost.err)], [2, true], lost.err);
  const group = await run(['--server', server.url, 'datasets']);
  assert.match(group.out, /datasets list/);
  assert.equal((await run(['--json', '--', 'sql'])).code, 2);
});

test('the folder of a flag beats the server of the environment, and two places are refused', async (context) => {
  const folder = temporaryFolder('flag');
  const server = await startServer();
  context.after(async () => { await server.kill(); folder.remove(); });
  const env = { LAKEHOUSE_SERVER: server.url };
  const own = join(folder.path, 'own');
  const file = join(folder.path, 'x.csv');
  writeFileSync(file, 'id\n1\n');
  assert.equal((await run(['ingest', 'file', file, '--dataset', 'only_here', '--data', own], { env })).code, 0);
  assert.match((await run(['datasets', 'list', '--data', own], { env })).out, /only_here/);
  assert.doesNotMatch((await run(['datasets', 'list'], { env })).out, /only_here/);
  const both = await run(['datasets', 'list', '--data', own, '--server', server.url]);
  assert.equal(both.code, 2, both.err);
  assert.match(both.err, /--server and --data/);
});

test('where a part fails the command fails, and says so', async (context) => {
  const folder = temporaryFolder('part');
  const server = await startServer();
  context.after(async () => { await server.kill(); folder.remove(); });
  const file = join(folder.path, 'x.csv');
  writeFileSync(file, 'id,name\n1,a\n2,b\n3,c\n');
  for (const where of [['--server', server.url], ['--data', join(folder.path, 'alone')]]) {
    assert.equal((await run(['ingest', 'file', file, '--dataset', 'x', ...where])).code, 0);
    const both = ['datasets', 'tombstone', 'x', '--row-key-column', 'id', ...where];
    const part = await run([...both, '--row-key-values', '[1, 99]']);
    assert.equal(part.code, 1, part.out);
    assert.match(part.err, /part of it failed/);
    assert.match(part.out, /no_match/);
    const json = await run([...both, '--row-key-values', '[2, 98]', '--json']);
    assert.deepEqual([json.code, json.err, JSON.parse(json.out).failed], [1, '', 1]);
    const whole = await run([...both, '--row-key-values', '[3]']);
    assert.deepEqual([whole.code, whole.err], [0, '']);
  }
});

test('a reader that has enough is no error', async (context) => {
  const server = await startServer();
  context.after(() => server.kill());
  for (const words of [`sql 'FROM range(2000000)' --limit 3000000 --json --server ${server.url}`, `sql 'FROM range(200000)' --limit 3000000 --server ${server.url}`, '--help', 'docs', 'completions bash', 'config show']) {
    const ended = execFileSync('bash', ['-c', `{ '${program}' ${words} | head -c 10 > /dev/null; echo "status ${'$'}{PIPESTATUS[0]}"; } 2>&1`], { encoding: 'utf8' });
    assert.match(ended, /200000/.test(words) ? /^status 141\n$/ : /^status (0|141)\n$/, words);
  }
});

async function given(context, rows) {
  const folder = temporaryFolder('progress');
  const server = await startServer({ data: join(folder.path, 'lake'), env: { LAKEHOUSE_LOG_REQUESTS: 'false' } });
  context.after(async () => { await server.kill(); folder.remove(); });
  const file = join(folder.path, 'rows.csv');
  writeFileSync(file, `id,text\n${Array.from({ length: rows }, (_, i) => `${i},words about number ${i} and ${i % 77}`).join('\n')}\n`);
  return { server, file, folder: folder.path, lake: await connect(server) };
}

test('progress is quiet where nobody looks, and the result is the same with it', async (context) => {
  const { server, file, folder } = await given(context, 3000);
  for (const where of [['--server', server.url], ['--data', join(folder, 'alone')]]) {
    const quiet = await run(['ingest', 'file', file, '--dataset', 'a', '--json', ...where]);
    assert.deepEqual([quiet.code, quiet.err], [0, '']);
    const shown = await run(['ingest', 'file', file, '--dataset', 'b', '--json', '--progress', 'always', ...where]);
    assert.equal(shown.code, 0, shown.err);
    if (where[0] === '--server') assert.match(shown.err, /\[[#.]{24}\]/);
    assert.deepEqual(Object.keys(JSON.parse(shown.out)), Object.keys(JSON.parse(quiet.out)));
    assert.equal(JSON.parse(shown.out).rows, 3000);
    const never = await run(['vectors', 'index', 'a_v1', 'a', '--id-column', 'id', '--text-columns', 'text', '--progress', 'never', ...where]);
    assert.deepEqual([never.code, never.err], [0, '']);
    const watched = await run(['vectors', 'refresh', 'a', '--from-scratch', '--progress', 'always', ...where]);
    assert.equal(watched.code, 0, watched.err);
    assert.match(watched.err, /\[[#.]{24}\]/);
    assert.match(watched.out, /index_name +a_v1/);
  }
  assert.equal((await run(['ingest', 'file', file, '--dataset', 'c', '--progress', 'perhaps', '--server', server.url])).code, 2);
});

test('on a terminal a line is drawn over and over, and taken away', async (context) => {
  const { server, file } = await given(context, 6000);
  await run(['ingest', 'file', file, '--dataset', 'a', '--server', server.url]);
  const words = [program, 'vectors', 'index', 'a_v1', 'a', '--id-column', 'id', '--text-columns', 'text', '--server', server.url];
  const seen = execFileSync('script', ['-qefc', words.map((word) => `'${word}'`).join(' '), '/dev/null'], { encoding: 'utf8', env: { ...process.env, TERM: 'xterm' }, stdio: ['ignore', 'pipe', 'pipe'] });
  const drawn = seen.split('\r\u001b[K');
  assert.ok(drawn.length > 2, JSON.stringify(seen));
  assert.match(drawn.slice(1, -1).join('\n'), /\[[#.]{24}\].*rows/s);
  assert.doesNotMatch(drawn.slice(1, -1).join(''), /\n/, 'a line was left standing');
  assert.match(drawn.at(-1), /^index_name +a_v1/, 'the line was not taken away before the result');
  const dumb = execFileSync('script', ['-qefc', `'${program}' vectors refresh a --server ${server.url}`, '/dev/null'], { encoding: 'utf8', env: { ...process.env, TERM: 'dumb' }, stdio: ['ignore', 'pipe', 'pipe'] });
  assert.doesNotMatch(dumb, /\u001b/);
});

test('a job that somebody began is followed, and its events are printed where they are read', { timeout: 60000 }, async (context) => {
  const { server, file } = await given(context, 4000);
  const where = ['--server', server.url];
  const begin = async () => JSON.parse((await run(['ingest', 'file', file, '--dataset', 'a', '--wait=false', '--json', ...where])).out).job_id;
  const id = await begin();
  const shown = await run(['jobs', 'events', id, '--progress', 'always', ...where]);
  assert.equal(shown.code, 0, shown.err);
  assert.equal(JSON.parse(shown.out).rows, 4000);
  const printed = await run(['jobs', 'events', id, ...where]);
  assert.match(printed.out, /^event: /m);
  assert.equal(printed.err, '');
  const seen = execFileSync('script', ['-qefc', `'${program}' jobs events ${id} --server ${server.url}`, '/dev/null'], { encoding: 'utf8', env: { ...process.env, TERM: 'xterm' }, stdio: ['ignore', 'pipe', 'pipe'] });
  assert.doesNotMatch(seen, /event: /);
  assert.match(seen, /"rows":4000/);
  assert.equal((await run(['jobs', 'events', 'nosuch', '--progress', 'always', ...where])).code, 1);
});

test('Ctrl-C stops the job that is followed', { timeout: 120000 }, async (context) => {
  const { server, file, lake } = await given(context, 60000);
  await run(['ingest', 'file', file, '--dataset', 'a', '--server', server.url]);
  const child = spawn(program, ['vectors', 'index', 'a_v1', 'a', '--id-column', 'id', '--text-columns', 'text', '--progress', 'always', '--server', server.url]);
  let told = '';
  const ended = new Promise((resolve) => { child.on('close', resolve); });
  child.stderr.setEncoding('utf8').on('data', (text) => { told += text; if (/\d rows|embedding|fitting|indexing|reading/.test(text)) child.kill('SIGINT'); });
  assert.equal(await ended, 130, told);
  assert.match(told, /was told to stop/);
  const id = told.match(/the job (\S+) was/)[1];
  for (let tries = 0; ; tries++) {
    const job = (await lake.get(`/jobs/${id}?wait_ms=1000`)).body;
    if (job.state === 'cancelled') break;
    assert.ok(tries < 30, JSON.stringify(job));
  }
});

test('the exit status tells done, failed, wrong usage and later, and errors can be JSON', async (context) => {
  const { server, file, folder } = await given(context, 10);
  const where = ['--server', server.url];
  const told = async (args, code, id) => {
    const plain = await run(args);
    assert.equal(plain.code, code, `${args.join(' ')}: ${plain.err}`);
    assert.match(plain.err, /^lakehouse: /);
    const json = await run([...args, '--json']);
    assert.equal(json.code, code);
    const error = JSON.parse(json.err);
    assert.deepEqual([error.code, typeof error.detail, error.retryable], [id, 'string', code === 3], json.err);
    assert.equal(json.out, '');
    return error;
  };
  assert.equal((await run(['datasets', 'list', ...where])).code, 0);
  await told(['datasets', 'get', 'nosuch', ...where], 1, 'not_found');
  const syntax = await told(['sql', 'SELECT 1 +', ...where], 1, 'sql_syntax');
  assert.equal(typeof syntax.position, 'number');
  await told(['datasets', 'get', ...where], 2, 'invalid_argument');
  await told(['datasets', 'get', 'x', '--nosuch', '1', ...where], 2, 'unknown_field');
  await told(['datsets'], 2, 'invalid_argument');
  await told(['datasets', 'list', '--server', 'http://127.0.0.1:1'], 3, 'io_error');
  await told(['verify', '--data', join(folder, 'nosuch')], 1, 'not_found');
  const broken = join(folder, 'broken.parquet');
  writeFileSync(broken, 'PAR1 nothing of it PAR1');
  for (const progress of ['never', 'always']) {
    const { code, err } = await run(['ingest', 'file', broken, '--dataset', 'x', '--progress', progress, ...where]);
    assert.equal(code, 1);
    assert.match(err, /lakehouse: .*broken\.parquet|lakehouse: .*Parquet/i, err);
  }
  await told(['ingest', 'file', file, '--dataset', 'not a name', ...where], 1, 'invalid_argument');
  assert.deepEqual(Object.keys(JSON.parse((await run(['version', '--json'])).out)), ['version']);
  assert.match((await run(['--help'])).out, /Exit status: 0 done, 1 failed, 2 wrong usage, 3 failed for now/);
});

test('every operation prints its reply as JSON where that is asked for', async (context) => {
  const { server, lake } = await given(context, 10);
  await lake.ingest('a', 'id,text\n1,x\n');
  const reading = Object.values(lake.document.paths).flatMap((methods) => Object.entries(methods)).filter(([method]) => method === 'get').map(([, one]) => one);
  let asked = 0;
  for (const one of reading) {
    const needs = one.parameters.filter((each) => each.required);
    const isJson = one.responses['200'].content['application/json'];
    if (!isJson || needs.length) continue;
    const { code, out, err } = await run([...one.operationId.split('.'), '--json', '--server', server.url]);
    assert.equal(code, 0, `${one.operationId}: ${err}`);
    assert.equal(typeof JSON.parse(out), 'object', one.operationId);
    asked++;
  }
  assert.ok(asked >= 8, `${asked}`);
});
