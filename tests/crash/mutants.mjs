// Deletes one step of the durable write path from the source at a time, builds, and wants the trace
// test to turn red for that very reason. A mutant that stays green, or red for another reason, is a
// hole in the test.
//
//   node tests/crash/mutants.mjs        of what is committed; about a minute a mutant the first time
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../support/server.mjs';

// What is deleted, where, the line, what stands in its place, and what the red test must say.
const mutants = [
  ['no fsync of the data file', 'src/storage/staged.c', 'code = lh_file_sync(staged->fd, err);', 'code = strstr(staged->name, ".new") ? lh_file_sync(staged->fd, err) : LH_OK;', /missing or too late: fsync of the data file after|the data file is renamed before its fsync/],
  ['no fsync of the manifest', 'src/storage/staged.c', 'code = lh_file_sync(staged->fd, err);', 'code = strstr(staged->name, ".new") ? LH_OK : lh_file_sync(staged->fd, err);', /missing or too late: fsync of the manifest'?$|the manifest is published before its fsync/m],
  ["no fsync of the data file's folder", 'src/storage/staged.c', 'code = bucket->backend->settle(bucket, key.text, err);', 'code = LH_OK;', /missing or too late: fsync of the data file's folder|the manifest is written before the data file's folder is durable/],
  ["no fsync of the manifest's folder", 'src/storage/staged.c', 'if (bucket->backend->settle(bucket, text.text, err) != LH_OK)', 'if (code)', /missing or too late: fsync of the manifest's folder|the reply is sent before the manifest's folder is durable/],
  ['no fsync above a new folder', 'src/storage/folders.c', 'code = lh_dir_sync(storage->dir, text.text, err);', 'code = LH_OK;', /fsync of the folder above/],
  ['files replace each other', 'src/storage/local.c', 'code = lh_file_publish(dir, staged, key, err);', 'code = lh_file_replace(dir, staged, key, err);', /the data file could replace another/],
  ['the data file is not renamed', 'src/storage/staged.c', 'code = publish_one(bucket, &targets[i], &is_unknown, err);', 'targets[i].staged->state = STAGED_SEALED;', /missing or too late: the data file is renamed into place|The data file '[^']*' is missing/],
  ['the manifest is not published', 'src/storage/staged.c', 'code = publish_one(bucket, &target, &is_unknown, err);', 'code = LH_OK;', /missing or too late: the manifest is published/],
  ['the manifest is published before it is sealed', 'src/storage/staged.c', 'code = storage_staged_seal(staged, &sum, err); /* compares with what was written */', 'staged->state = STAGED_SEALED, memset(&sum, 0, sizeof(sum));', /missing or too late: fsync of the manifest|the manifest is published before its fsync/],
];

const place = join(root, 'build', 'mutants');
rmSync(place, { recursive: true, force: true });
execFileSync('git', ['worktree', 'prune'], { cwd: root });
execFileSync('git', ['worktree', 'add', '--detach', '--force', place, 'HEAD'], { cwd: root, stdio: 'ignore' });
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

let failed = 0;
let passed = 0;
try {
  build();
  const healthy = trace();
  if (healthy.status !== 0) throw new Error(`the trace test is red before anything was deleted:\n${healthy.stdout}`);
  for (const [name, file, from, to, reason] of mutants) {
    const path = join(place, file);
    const source = readFileSync(path, 'utf8');
    if (!source.includes(from)) {
      console.log(`not ok: ${name}: the line to change is no longer in ${file}`);
      failed++;
      continue;
    }
    writeFileSync(path, source.replaceAll(from, to));
    build();
    const { status, stdout } = trace();
    writeFileSync(path, source);
    const why = stdout.match(/error: (?:['"]|[|>]-?\s*)?([^\n]*)/)?.[1] ?? '';
    const isRight = status !== 0 && reason.test(stdout);
    console.log(`${isRight ? 'ok' : 'not ok'}: ${name} → ${status ? `red (${why})${isRight ? '' : ', but not because of it'}` : 'STILL GREEN'}`);
    if (isRight) passed++;
    else failed++;
  }
} finally {
  execFileSync('git', ['worktree', 'remove', '--force', place], { cwd: root });
}
console.log(`figure: ${passed} of ${mutants.length} deletions on the write path turn the trace test red for their own reason`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
