// Deletes or misplaces one step of the durable write path in the source at a time, builds, and wants
// the trace test to turn red for that very reason. A mutant that stays green, or is red for another
// reason, is a hole in the test.
//
//   node tests/crash/mutants.mjs        of the working tree as it is; about a minute the first time
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../support/server.mjs';
import { mutations } from './mutations.mjs';

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
  if (healthy.status !== 0 || !/^figure: \d+ commits and \d+ objects traced/m.test(healthy.stdout.replace(/^# /gm, ''))) throw new Error(`the trace test is not green before anything was deleted:\n${healthy.stdout}`);
  for (const mutant of mutations) {
    const [isRight, text] = judge(mutant);
    console.log(`${isRight ? 'ok' : 'not ok'}: ${text}`);
    failed += !isRight;
  }
} finally {
  rmSync(place, { recursive: true, force: true });
}
const passed = mutations.length - failed;
console.log(`figure: ${passed} of ${mutations.length} changes to the write path turn the trace test red for their own reason`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
