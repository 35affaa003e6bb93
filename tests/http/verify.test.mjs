// `lakehouse verify` looks at every file that the lake keeps its word with: what is damaged by hand
// is named with its object, in JSON and in words, and ends the command with 1.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { program, run, startServer, temporaryFolder } from '../support/server.mjs';

async function ended(lake, id) {
  for (let turn = 0; turn < 400; turn++) {
    const { body } = await lake.get(`/jobs/${id}?wait_ms=500`);
    if (!['queued', 'running'].includes(body.state)) return body;
  }
  throw new Error(`job ${id} does not end`);
}

// A lake at rest with a job that ended, a key in force and one that was taken back.
async function lakeAtRest(context) {
  const folder = temporaryFolder('verify');
  context.after(folder.remove);
  const path = join(folder.path, 'lake');
  const server = await startServer({ data: path });
  context.after(() => server.kill());
  const lake = await connect(server);
  const { body } = await lake.ingest('people', 'id,name\n1,a\n', { wait: 'false' });
  assert.equal((await ended(lake, body.job_id)).state, 'succeeded');
  const repeatable = await lake.patch('/catalog/datasets/by-name/people/metadata', { description: 'd' }, { headers: { 'Idempotency-Key': 'once' } });
  assert.equal(repeatable.status, 200, repeatable.text);
  const kept = await lake.post('/access/keys', { name: 'kept', role: 'reader' });
  const gone = await lake.post('/access/keys', { name: 'gone', role: 'reader' });
  assert.equal(kept.status, 201, kept.text);
  assert.equal((await lake.delete(`/access/keys/${gone.body.about.id}`)).body.state, 'revoked');
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  return { path, folder, job: body.job_id, kept: kept.body.about.id, gone: gone.body.about.id };
}

const flip = (path) => {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1] ^= 1;
  writeFileSync(path, bytes);
};
const rewrite = (path, change) => writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8')))));
const epochs = (lake) => readdirSync(join(lake, '_catalog/epochs')).map((name) => `_catalog/epochs/${name}`);
const answers = (lake) => readdirSync(join(lake, '_idempotency'), { recursive: true }).filter((name) => name.endsWith('.json')).map((name) => `_idempotency/${name}`);
const input = 'id\n1\n';
const inputSum = '7cde7fb64fd82bd152710cf238e017b9ab46c0592483edc067ba4f6c75fac108';
const unfinished = (sha256) => JSON.stringify({
  kind: 'ingest.file', dataset: 'people', actor: 'a', args: {}, created_at: '2024-01-01T00:00:00Z',
  input: { filename: 'a.csv', bytes: input.length, sha256 },
});
const strange = '01900000-0000-7000-8000-000000000001';

// What is done to the lake, and the object that must be named; `info`: it is told, but harmless.
const damages = [
  ['a job that was accepted, cut off', ({ path, job }) => writeFileSync(join(path, `_jobs/${job}.submitted.json`), '{"kind": '), ({ job }) => `_jobs/${job}.submitted.json`],
  ['a job without a kind', ({ path, job }) => rewrite(join(path, `_jobs/${job}.submitted.json`), ({ kind, ...rest }) => rest), ({ job }) => `_jobs/${job}.submitted.json`],
  ['the end of a job, garbage', ({ path, job }) => writeFileSync(join(path, `_jobs/${job}.ended.json`), '\u0000\u0001garbage'), ({ job }) => `_jobs/${job}.ended.json`],
  ['an ended job that goes on', ({ path, job }) => rewrite(join(path, `_jobs/${job}.ended.json`), (all) => ({ ...all, state: 'running' })), ({ job }) => `_jobs/${job}.ended.json`],
  ['the file of an unfinished job, another one', ({ path }) => {
    writeFileSync(join(path, `_jobs/${strange}.submitted.json`), unfinished(inputSum));
    writeFileSync(join(path, `_jobs/${strange}.input`), input.replace('1', '2'));
  }, () => `_jobs/${strange}.input`],
  ['the file of an unfinished job, gone', ({ path }) => writeFileSync(join(path, `_jobs/${strange}.submitted.json`), unfinished(inputSum)), () => `_jobs/${strange}.input`],
  ['a link among the jobs', ({ path }) => symlinkSync('/etc/hostname', join(path, `_jobs/${strange}.submitted.json`)), () => `_jobs/${strange}.submitted.json`],
  ['what is left of a removed job', ({ path }) => writeFileSync(join(path, `_jobs/${strange}.ended.json`), '{}'), () => `_jobs/${strange}.ended.json`, 'info'],
  ['a stranger among the jobs', ({ path }) => writeFileSync(join(path, '_jobs/notes.txt'), 'mine'), () => '_jobs/notes.txt', 'info'],
  ['an epoch, garbage', ({ path }) => writeFileSync(join(path, epochs(path)[1]), 'garbage'), ({ path }) => epochs(path)[1]],
  ['an epoch under another number', ({ path }) => rewrite(join(path, epochs(path)[1]), (all) => ({ ...all, epoch: 77 })), ({ path }) => epochs(path)[1]],
  ['the clean end of an epoch, without a sequence', ({ path }) => rewrite(join(path, epochs(path)[0]), ({ sequence, ...rest }) => rest), ({ path }) => epochs(path)[0]],
  ['the clean end of an epoch that never began', ({ path }) => rmSync(join(path, epochs(path)[1])), ({ path }) => epochs(path)[0]],
  ['a key, garbage', ({ path, kept }) => writeFileSync(join(path, `_access/keys/${kept}.json`), '{'), ({ kept }) => `_access/keys/${kept}.json`],
  ['a key of no role', ({ path, kept }) => rewrite(join(path, `_access/keys/${kept}.json`), (all) => ({ ...all, role: 'queen' })), ({ kept }) => `_access/keys/${kept}.json`],
  ['a key without its sum', ({ path, kept }) => rewrite(join(path, `_access/keys/${kept}.json`), (all) => ({ ...all, secret_sha256: 'abc' })), ({ kept }) => `_access/keys/${kept}.json`],
  ['two keys of one name in force', ({ path, kept }) => cpSync(join(path, `_access/keys/${kept}.json`), join(path, '_access/keys/ffffffffffffffff.json')), () => '_access/keys/ffffffffffffffff.json'],
  ['the answer kept for a request, garbage', ({ path }) => writeFileSync(join(path, answers(path)[0]), '{"format": 1}'), ({ path }) => answers(path)[0]],
  ['a stranger among the answers', ({ path }) => writeFileSync(join(path, '_idempotency/notes.txt'), 'mine'), () => '_idempotency/notes.txt', 'info'],
  ['a revocation, garbage', ({ path, gone }) => writeFileSync(join(path, `_access/keys/${gone}.revoked.json`), 'x'), ({ gone }) => `_access/keys/${gone}.revoked.json`],
  ['a revocation of no key', ({ path, gone }) => rmSync(join(path, `_access/keys/${gone}.json`)), ({ gone }) => `_access/keys/${gone}.revoked.json`, 'info'],
];

test('a lake at rest is sound, and what was looked at is counted', { timeout: 60000 }, async (context) => {
  const lake = await lakeAtRest(context);
  const verdict = await run(['verify', '--data', lake.path, '--json']);
  assert.equal(verdict.code, 0, verdict.out);
  const report = JSON.parse(verdict.out);
  assert.deepEqual(report.findings, []);
  assert.deepEqual([report.is_sound, report.errors, report.jobs, report.keys, report.epochs, report.idempotency_keys], [true, 0, 1, 2, 1, 1]);
  assert.match((await run(['verify', '--data', lake.path])).out, /1 job, 2 keys, .*sound/);
});

test('every damage of jobs, epochs and keys is named', { timeout: 120000 }, async (context) => {
  const sound = await lakeAtRest(context);
  for (const [name, damage, objectOf, severity = 'error'] of damages) {
    const lake = { ...sound, path: join(sound.folder.path, 'damaged') };
    cpSync(sound.path, lake.path, { recursive: true });
    const object = objectOf(lake); // before it may be gone
    damage(lake);
    const before = readdirSync(lake.path, { recursive: true });
    const verdict = await run(['verify', '--data', lake.path, '--json']);
    const report = JSON.parse(verdict.out);
    const found = report.findings.filter((finding) => finding.object === object);
    assert.ok(found.some((finding) => finding.severity === severity && finding.what.length > 10), `${name}: ${object} is not named: ${verdict.out}`);
    assert.equal(verdict.code, severity === 'error' ? 1 : 0, `${name}: ${verdict.out}`);
    assert.equal(report.is_sound, severity !== 'error', name);
    const words = (await run(['verify', '--data', lake.path])).out;
    assert.ok(words.includes(`${severity}  ${object}: `), `${name}: ${words}`);
    assert.deepEqual(readdirSync(lake.path, { recursive: true }), before, `${name}: verify changed the folder`);
    rmSync(lake.path, { recursive: true });
  }
});

// The clean end of an epoch names every dataset: its file grows with them.
test('a lake of many datasets is sound', { timeout: 120000 }, async (context) => {
  const folder = temporaryFolder('verify');
  context.after(folder.remove);
  const server = await startServer({ data: folder.path });
  context.after(() => server.kill());
  const lake = await connect(server);
  for (let at = 0; at < 120; at += 4) {
    const replies = await Promise.all([0, 1, 2, 3].map((more) => lake.ingest(`many_${at + more}`, 'id\n1\n')));
    for (const reply of replies) assert.equal(reply.status, 200, reply.text);
  }
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  const verdict = await run(['verify', '--data', folder.path, '--json']);
  assert.deepEqual([verdict.code, JSON.parse(verdict.out).findings], [0, []]);
});

test('a damaged file that was set aside is told as such, until an undo brings it back', async (context) => {
  const folder = temporaryFolder('aside');
  context.after(folder.remove);
  const data = ['--data', join(folder.path, 'lake')];
  for (const [text, mode] of [['id\n1\n2\n', 'create'], ['id\n3\n', 'append']]) {
    writeFileSync(join(folder.path, 'x.csv'), text);
    const { code, err } = await run(['ingest', 'file', join(folder.path, 'x.csv'), '--dataset', 'x', '--mode', mode, ...data]);
    assert.equal(code, 0, err);
  }
  const objects = JSON.parse((await run(['datasets', 'get', 'x', '--json', ...data])).out).objects;
  const hurt = join(folder.path, 'lake', objects[1].key);
  const told = async () => JSON.parse((await run(['verify', '--json', ...data])).out).findings
    .filter(({ object }) => object === objects[1].key).map(({ severity, what }) => `${severity} ${/quarantine/.test(what)}`);
  flip(hurt);
  const before = await told();
  assert.ok(before.length && before.every((one) => one === 'error false'), `${before}`);
  const aside = await run(['datasets', 'quarantine', 'x', ...data]);
  assert.equal(aside.code, 0, aside.err);
  assert.ok((await told()).includes('info true'), 'nothing was said of the quarantine');
  flip(hurt);
  assert.deepEqual(await told(), []);
  const back = await run(['datasets', 'undo', 'x', ...data]);
  assert.equal(back.code, 0, back.err);
  flip(hurt);
  const again = await told();
  assert.ok(again.length && !again.includes('info true'), 'it is said to be set aside, and it is not');
});

test('a folder that cannot be written is named, with what to do, and can be verified', (context) => {
  const alone = ['-m', ...(process.getuid() ? ['-r'] : [])];
  try {
    execFileSync('unshare', [...alone, 'true'], { stdio: 'ignore' });
  } catch {
    context.skip('this machine lets nobody mount');
    return;
  }
  const folder = temporaryFolder('rights');
  context.after(folder.remove);
  const path = join(folder.path, 'lake');
  writeFileSync(join(folder.path, 'x.csv'), 'id\n1\n');
  execFileSync(program, ['ingest', 'file', join(folder.path, 'x.csv'), '--dataset', 'x', '--data', path], { stdio: 'ignore' });
  const told = execFileSync('unshare', [...alone, 'sh', '-c', `mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"
    "$2" sql 'FROM x' --data "$1" 2>&1; echo "status $?"; "$2" verify --data "$1"`, 'sh', path, program], { encoding: 'utf8' });
  assert.ok(told.includes(`The data folder '${path}' cannot be written: '_lock'`), told);
  assert.match(told, /Copy the folder to where it can be written[\s\S]*status [13]\n[\s\S]*: sound\./);
});
