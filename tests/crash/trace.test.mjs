// The order of system calls behind one acknowledged ingest, as the kernel saw it:
//   data written → fsync → renamed → its folder fsynced → manifest written → fsync → published
//   exclusively → its folder fsynced → reply
// A SIGKILL leaves the page cache alone, so kills cannot prove an fsync: this order does.
// `make test-long` deletes each of these steps from the source in turn and wants this test red.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServer, temporaryFolder } from '../support/server.mjs';

const calls = 'write,pwrite64,writev,pwritev,fsync,fdatasync,rename,renameat,renameat2,link,linkat,sendto,sendmsg,mkdir,mkdirat';

function canTrace() {
  try {
    execFileSync('strace', ['-o', '/dev/null', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

// Completed calls in the order in which they ended: {call, text, result}.
function parse(log) {
  const pending = new Map();
  const events = [];
  for (const line of log.split('\n')) {
    const match = line.match(/^(\d+)\s+(.*)$/);
    if (!match) continue;
    let [, thread, text] = match;
    if (text.endsWith('<unfinished ...>')) {
      pending.set(thread, text.slice(0, -'<unfinished ...>'.length));
      continue;
    }
    const resumed = text.match(/^<\.\.\. \w+ resumed>(.*)$/);
    if (resumed) text = (pending.get(thread) ?? '') + resumed[1];
    const call = text.match(/^(\w+)\(/)?.[1];
    const result = text.match(/\)\s+=\s+(-?\d+)/)?.[1];
    if (call && result !== undefined) events.push({ call, text, result: Number(result) });
  }
  return events.filter((event) => event.result >= 0);
}

const fileOf = (event) => event.text.match(/^\w+\(\d+<([^>]*)>/)?.[1] ?? '';

// "renameat2(5</lake/_staging>, "a", 6</lake/datasets/x>, "b", …)" as [from, to].
function namesOf(event) {
  const parts = [...event.text.matchAll(/(?:\d+<([^>]*)>|AT_FDCWD(?:<([^>]*)>)?), "([^"]*)"/g)]
    .map(([, folder, cwd, name]) => (name.startsWith('/') ? name : join(folder ?? cwd ?? '', name)));
  if (parts.length === 2) return parts;
  return [...event.text.matchAll(/"([^"]*)"/g)].map(([, name]) => name);
}

const isWrite = (event) => /^(write|pwrite64|writev|pwritev)$/.test(event.call);
const isSync = (event) => /^f(data)?sync$/.test(event.call);
const isRename = (event) => /^(rename|link)/.test(event.call);

// The place of the first event from `from` on that fits, or a failure that says what is missing.
function find(events, from, what, fits) {
  const at = events.findIndex((event, index) => index >= from && fits(event));
  assert.notEqual(at, -1, `missing or too late: ${what}`);
  return at;
}

function checkOneCommit(events, folder) {
  const isData = (event) => isRename(event) && /\/datasets\/[^/]+\/[^/]+\.parquet$/.test(namesOf(event)[1] ?? '') && !/_catalog/.test(namesOf(event)[1]);
  const published = find(events, 0, 'the data file is renamed into place', isData);
  const [staged, data] = namesOf(events[published]);
  const lastWrite = events.findLastIndex((event) => isWrite(event) && fileOf(event) === staged);
  assert.ok(lastWrite >= 0, 'no write of the data file was seen');
  const synced = find(events, lastWrite + 1, 'fsync of the data file after its last write', (event) => isSync(event) && fileOf(event) === staged);
  assert.ok(synced < published, 'the data file is renamed before its fsync');
  assert.ok(/RENAME_NOREPLACE|^link/.test(events[published].text), 'the data file could replace another');

  const isManifest = (event) => isRename(event) && /\/_catalog\/datasets\/[^/]+\/\d{20}\.json$/.test(namesOf(event)[1] ?? '');
  const commit = find(events, 0, 'the manifest is published', isManifest);
  const [stagedManifest, manifest] = namesOf(events[commit]);
  const folderSynced = find(events, published + 1, "fsync of the data file's folder", (event) => isSync(event) && fileOf(event) === join(data, '..'));
  const written = find(events, 0, 'the manifest is written', (event) => isWrite(event) && fileOf(event) === stagedManifest);
  assert.ok(folderSynced < written, "the manifest is written before the data file's folder is durable");
  const manifestSynced = find(events, written + 1, 'fsync of the manifest', (event) => isSync(event) && fileOf(event) === stagedManifest);
  assert.ok(manifestSynced < commit, 'the manifest is published before its fsync');
  assert.ok(/RENAME_NOREPLACE|^link/.test(events[commit].text), 'the manifest is not published exclusively');
  const commitSynced = find(events, commit + 1, "fsync of the manifest's folder", (event) => isSync(event) && fileOf(event) === join(manifest, '..'));
  const reply = find(events, 0, 'the reply', (event) => /^(sendto|sendmsg|write|writev)$/.test(event.call) && /HTTP\/1\.1 200/.test(event.text));
  assert.ok(commitSynced < reply, "the reply is sent before the manifest's folder is durable");

  // A new folder is durable only when its parent was synced: before the commit point for data,
  // before the reply for manifests.
  for (const [path, before] of [[join(data, '..'), commit], [join(manifest, '..'), reply]]) {
    const made = events.findIndex((event) => event.call.startsWith('mkdir') && namesOf({ text: event.text.replace(/, 0\d+\)/, ')') }).some((name) => name === path || path.endsWith(`/${name}`)));
    if (made < 0) continue;
    const parentSynced = find(events, made + 1, `fsync of the folder above ${path.slice(folder.length)}`, (event) => isSync(event) && fileOf(event) === join(path, '..'));
    assert.ok(parentSynced < before, `the folder above ${path.slice(folder.length)} is durable too late`);
  }
}

// The same of an object: bytes durable under their name, then the head in the place of the one before.
function checkOnePut(events) {
  const published = find(events, 0, 'the bytes are renamed into place', (event) => isRename(event) && /\/_objects\/data\/[0-9a-f]{2}\/[0-9a-f-]{36}$/.test(namesOf(event)[1] ?? ''));
  const [staged, data] = namesOf(events[published]);
  const lastWrite = events.findLastIndex((event) => isWrite(event) && fileOf(event) === staged);
  assert.ok(lastWrite >= 0, 'no write of the bytes was seen');
  const synced = find(events, lastWrite + 1, 'fsync of the bytes after their last write', (event) => isSync(event) && fileOf(event) === staged);
  assert.ok(synced < published, 'the bytes are renamed before their fsync');
  assert.ok(/RENAME_NOREPLACE|^link/.test(events[published].text), 'the bytes could replace others');
  const commit = find(events, 0, 'the head is replaced', (event) => isRename(event) && /\/_objects\/heads\/.*=[^/]+$/.test(namesOf(event)[1] ?? ''));
  const [stagedHead, head] = namesOf(events[commit]);
  const folderSynced = find(events, published + 1, "fsync of the bytes' folder", (event) => isSync(event) && fileOf(event) === join(data, '..'));
  const written = find(events, 0, 'the head is written', (event) => isWrite(event) && fileOf(event) === stagedHead);
  assert.ok(folderSynced < written, "the head is written before the bytes' folder is durable");
  const headSynced = find(events, written + 1, 'fsync of the head', (event) => isSync(event) && fileOf(event) === stagedHead);
  assert.ok(headSynced < commit, 'the head is put into place before its fsync');
  const commitSynced = find(events, commit + 1, "fsync of the head's folder", (event) => isSync(event) && fileOf(event) === join(head, '..'));
  const reply = find(events, 0, 'the reply', (event) => /^(sendto|sendmsg|write|writev)$/.test(event.call) && /HTTP\/1\.1 20[01]/.test(event.text));
  assert.ok(commitSynced < reply, "the reply is sent before the head's folder is durable");
}

test('every acknowledged ingest and object was durable first', { timeout: 120000 }, async (context) => {
  if (!canTrace()) {
    console.log('skipped: strace may not trace processes here');
    context.skip('strace may not trace processes here');
    return;
  }
  const folder = temporaryFolder('trace');
  const logFile = join(folder.path, 'strace.log');
  const lake = join(folder.path, 'lake');
  const server = await startServer({
    data: lake, wrap: ['strace', '-D', '-f', '-y', '-s', '120', '-e', `trace=${calls}`, '-e', 'signal=none', '-o', logFile],
    env: { ASAN_OPTIONS: 'detect_leaks=0' },
  });
  // A red test must end too: the server is not left behind.
  context.after(() => server.kill().then(folder.remove));
  let from = 0;
  for (const mode of ['create', 'append', 'append']) {
    from = readFileSync(logFile, 'utf8').length;
    const form = new FormData();
    form.append('dataset', 'traced');
    form.append('mode', mode);
    form.append('options', '{"allow_duplicate": true}');
    form.append('file', new Blob(['id,name\n1,a\n2,b\n']), 'traced.csv');
    const response = await fetch(`${server.url}/ingest/file`, { method: 'POST', body: form });
    assert.equal(response.status, 200, await response.text());
    await new Promise((resolve) => setTimeout(resolve, 100));
    checkOneCommit(parse(readFileSync(logFile, 'utf8').slice(from)), lake);
  }
  for (const text of ['first', 'second']) {
    from = readFileSync(logFile, 'utf8').length;
    const response = await fetch(`${server.url}/storage/buckets/primary/objects/traced/one`, { method: 'PUT', body: text });
    assert.ok(response.ok, await response.text());
    await new Promise((resolve) => setTimeout(resolve, 100));
    checkOnePut(parse(readFileSync(logFile, 'utf8').slice(from)));
  }
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  console.log('figure: 3 commits and 2 objects traced, every step in its order');
});
