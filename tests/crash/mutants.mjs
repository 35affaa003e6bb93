// Deletes or misplaces one step of the durable write path in the source at a time, builds, and wants
// the trace test to turn red for that very reason. A mutant that stays green, or is red for another
// reason, is a hole in the test.
//
//   node tests/crash/mutants.mjs        of the working tree as it is; about a minute the first time
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../support/server.mjs';

const staged = 'src/storage/staged.c';
const syncLine = 'code = lh_file_sync(staged->fd, err);';
const isManifest = 'strstr(staged->name, ".new")'; // how manifests are called while they are staged
const settleLine = 'code = bucket->backend->settle(bucket, key.text, err);';
const noDataSync = [staged, syncLine, `code = ${isManifest} ? lh_file_sync(staged->fd, err) : LH_OK;`];
const noManifestSync = [staged, syncLine, `code = ${isManifest} ? LH_OK : lh_file_sync(staged->fd, err);`];
const noFolderSync = [staged, settleLine, 'code = LH_OK;'];
const publishData = 'code = publish_one(bucket, &targets[i], &is_unknown, err);';
const publishManifest = 'code = publish_one(bucket, &target, &is_unknown, err);';
// A file's fsync where it comes too late: under its last name.
const lateSync = (key) => ` { int fd = -1; if (!code) code = lh_file_open(storage->dir, ${key}, true, &fd, err); if (!code) code = lh_file_sync(fd, err); lh_file_abandon(fd); }`;
const put = 'lh_buf_str(&buf), err);';
const publishFiles = 'return storage_publish(task->ingest->storage, STORAGE_PRIMARY, targets, rejects->staged ? 2 : 1,\n                           err);';
const commitLine = 'code = commit(task, dataset_id, &data, &rejects, result, err);';

// What is deleted or comes too late, the lines and what stands in their place, and what the red test
// must say.
const mutants = [
  ['no fsync of the data file', [noDataSync], /^missing or too late: fsync of the data file after its last write$/],
  ['no fsync of the manifest', [noManifestSync], /^missing or too late: fsync of the manifest$/],
  ["no fsync of the data file's folder", [noFolderSync], /^missing or too late: fsync of the data file's folder$/],
  ["no fsync of the manifest's folder", [[staged, 'if (bucket->backend->settle(bucket, text.text, err) != LH_OK)', 'if (code)']], /^missing or too late: fsync of the manifest's folder$/],
  ['no fsync above a new folder', [['src/storage/folders.c', 'code = lh_dir_sync(storage->dir, text.text, err);', 'code = LH_OK;']], /^missing or too late: fsync of the folder above \/datasets\//],
  ['files replace each other', [['src/storage/local.c', 'code = lh_file_publish(dir, staged, key, err);', 'code = lh_file_replace(dir, staged, key, err);']], /^the data file could replace another$/],
  ['the data file is not renamed, and the catalog does not look', [[staged, publishData, 'targets[i].staged->state = STAGED_SEALED;'], ['src/catalog/group.c', 'code = trust_note(catalog, &change->objects[i], err);', 'code = LH_OK;']], /^missing or too late: the data file is renamed into place$/],
  ['the data file is not renamed', [[staged, publishData, 'targets[i].staged->state = STAGED_SEALED;']], /"code":"damaged"|The data file '[^']*' is missing/],
  ['the manifest is not published', [[staged, publishManifest, 'code = LH_OK;']], /^missing or too late: the manifest is published$/],
  ['the manifest is published before it is sealed', [[staged, 'code = storage_staged_seal(staged, &sum, err); /* compares with what was written */', 'staged->state = STAGED_SEALED, memset(&sum, 0, sizeof(sum));']], /^missing or too late: fsync of the manifest$/],
  ['the data file is renamed before its fsync', [noDataSync, [staged, publishData, `{ ${publishData}${lateSync('targets[i].key.data')} }`]], /^missing or too late: fsync of the data file after its last write$/],
  ['the manifest is published before its fsync', [noManifestSync, [staged, publishManifest, publishManifest + lateSync('text.text')]], /^missing or too late: fsync of the manifest$/],
  ["the manifest is published before the data file's folder is durable", [noFolderSync, ['src/catalog/publish.c', put, `${put}\n    for (size_t i = 0; !code && i < manifest->added.count; i++)\n        code = storage_sync_folder(catalog->storage, STORAGE_PRIMARY, manifest->added.items[i].key, err);`]], /^the manifest is written before the data file's folder is durable$/],
  ['the manifest is published before the data file', [['src/ingest/write.c', publishFiles, '(void)err; (void)targets; return LH_OK;'], ['src/ingest/write.c', commitLine, `${commitLine}\n    if (!code) code = storage_publish(task->ingest->storage, STORAGE_PRIMARY, &(struct storage_target){.staged = data.staged, .key = data.key}, 1, err);`], ['src/catalog/group.c', 'code = trust_note(catalog, &change->objects[i], err);', 'code = LH_OK;']], /^the manifest is written before the data file's folder is durable$/],
];

// A copy of the tree that this is run in, uncommitted changes and new files included.
const place = join(root, 'build', 'mutants');
rmSync(place, { recursive: true, force: true });
const names = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], { cwd: root, encoding: 'utf8' }).split('\0');
for (const name of names.filter((each) => each && existsSync(join(root, each)))) {
  mkdirSync(dirname(join(place, name)), { recursive: true });
  cpSync(join(root, name), join(place, name));
}
if (!existsSync(join(place, 'deps/fetched'))) symlinkSync(join(root, 'deps/fetched'), join(place, 'deps/fetched'));
mkdirSync(join(place, 'build'), { recursive: true });

const build = () => {
  const cmake = spawnSync('cmake', ['--preset', 'debug', '--log-level=WARNING', '-DLH_TESTS=OFF', '-DLH_COVERAGE=OFF', '-DLH_WERROR=OFF'], { cwd: place, encoding: 'utf8' });
  const ninja = spawnSync('ninja', ['-C', 'build/debug', 'lakehouse'], { cwd: place, encoding: 'utf8' });
  if (cmake.status || ninja.status) throw new Error(`${cmake.stderr}${ninja.stdout}${ninja.stderr}`);
};
const trace = () => spawnSync('node', ['--test', '--test-reporter=tap', 'tests/crash/trace.test.mjs'], {
  cwd: root, encoding: 'utf8', env: { ...process.env, LAKEHOUSE_PROGRAM: join(place, 'build/debug/lakehouse') },
});

// The words of the first failure: TAP gives them quoted, or as a block.
function reasonIn(stdout) {
  const match = stdout.match(/^( *)error: (.*)\n([\s\S]*?)^\1code:/m);
  if (!match) return '';
  const text = /^[|>]-?$/.test(match[2].trim()) ? match[3] : match[2];
  return text.trim().replace(/^(['"])([\s\S]*)\1$/, '$2').replaceAll("''", "'").replace(/\\(["'])/g, '$1').trim();
}

// Changes the copy; gives back what undoes it, or what is no longer there to be changed.
function mutate(edits) {
  const before = new Map();
  const undo = () => before.forEach((source, path) => writeFileSync(path, source));
  for (const [file, from, to] of edits) {
    const path = join(place, file);
    const source = readFileSync(path, 'utf8');
    if (!before.has(path)) before.set(path, source);
    if (!source.includes(from)) {
      undo();
      return { missing: `the line to change is no longer in ${file}` };
    }
    writeFileSync(path, source.replaceAll(from, () => to));
  }
  return { undo };
}

function judge([name, edits, reason]) {
  const { missing, undo } = mutate(edits);
  if (missing) return [false, `${name}: ${missing}`];
  try {
    build();
  } catch (error) {
    return [false, `${name}: does not compile: ${error.message}`];
  } finally {
    undo();
  }
  const { status, stdout } = trace();
  if (status === 0) return [false, `${name} → STILL GREEN`];
  const why = reasonIn(stdout);
  return reason.test(why) ? [true, `${name} → red (${why.slice(0, 160)})`] : [false, `${name} → red, but not because of it: ${why || stdout}`];
}

let failed = 0;
try {
  build();
  const healthy = trace();
  if (healthy.status !== 0 || !/^figure: 3 commits traced/m.test(healthy.stdout.replace(/^# /gm, ''))) throw new Error(`the trace test is not green before anything was deleted:\n${healthy.stdout}`);
  for (const mutant of mutants) {
    const [isRight, text] = judge(mutant);
    console.log(`${isRight ? 'ok' : 'not ok'}: ${text}`);
    failed += !isRight;
  }
} finally {
  rmSync(place, { recursive: true, force: true });
}
const passed = mutants.length - failed;
console.log(`figure: ${passed} of ${mutants.length} changes to the write path turn the trace test red for their own reason`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
