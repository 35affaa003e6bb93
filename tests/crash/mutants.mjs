// Deletes or misplaces one step of what makes the lake durable in the source at a time, builds, and wants
// a test to turn red for that very reason: the trace test where it is a step of a commit's write path,
// one test program elsewhere. A mutant that stays green, or is red for another reason, is a hole in the
// tests.
//
//   node tests/crash/mutants.mjs           of the working tree as it is; some minutes
//   node tests/crash/mutants.mjs journal   those alone whose name holds a word
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../support/server.mjs';
import { mutations, otherMutations } from './mutations.mjs';

const wanted = process.argv.slice(2);
const isWanted = ([name]) => !wanted.length || wanted.some((word) => name.includes(word));
const [ofWriting, ofOthers] = [mutations.filter(isWanted), otherMutations.filter(isWanted)];

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

const configure = () => {
  const cmake = spawnSync('cmake', ['--preset', 'debug', '--log-level=WARNING', '-DLH_COVERAGE=OFF', '-DLH_WERROR=OFF'], { cwd: place, encoding: 'utf8' });
  if (cmake.status) throw new Error(cmake.stderr);
};
const build = (...targets) => {
  const ninja = spawnSync('ninja', ['-C', 'build/debug', ...targets], { cwd: place, encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (ninja.status) throw new Error(`${ninja.stdout}${ninja.stderr}`);
};
const secondsMax = 300; // of one test program: a mutant may wait for ever
const runProgram = (name) => spawnSync(join(place, 'build/debug/tests', name), {
  cwd: place, encoding: 'utf8', maxBuffer: 2 ** 28, timeout: secondsMax * 1000, killSignal: 'SIGKILL',
});
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

// Red for its own reason, or not; `look` runs what has to turn red and gives back why it did, null: green.
function judge(name, edits, target, reason, look) {
  const { missing, undo } = mutate(edits);
  if (missing) return [false, `${name}: ${missing}`];
  try {
    build(target);
  } catch (error) {
    return [false, `${name}: does not compile: ${error.message}`];
  } finally {
    undo();
  }
  const why = look();
  if (why === null) return [false, `${name} → STILL GREEN`];
  return reason.test(why) ? [true, `${name} → red (${why.slice(0, 160)})`] : [false, `${name} → red, but not because of it: ${why}`];
}

const lookAtTrace = () => {
  const { status, stdout } = trace();
  return status === 0 ? null : reasonIn(stdout) || stdout;
};
// The tests of a program that did not end well; what it said if there is none.
const lookAt = (program) => () => {
  const { status, signal, stdout, stderr } = runProgram(program);
  if (status === 0) return null;
  const all = `${stdout}${stderr}`;
  const namesAfter = (mark) => [...all.matchAll(new RegExp(`^\\[ *${mark} *\\] (\\w+)$`, 'gm'))].map(([, name]) => name);
  const ended = new Set([...namesAfter('OK'), ...namesAfter('SKIPPED')]);
  const names = namesAfter('RUN').filter((name) => !ended.has(name));
  return names.length ? names.join(' ') : `${signal ?? status}: ${all.slice(-400)}`;
};

const cases = [
  ...ofWriting.map(([name, edits, reason]) => () => judge(name, edits, 'lakehouse', reason, lookAtTrace)),
  ...ofOthers.map(([name, edits, program, test]) => () => judge(name, edits, program, new RegExp(`\\b${test}\\b`), lookAt(program))),
];
let failed = 0;
try {
  configure();
  if (ofWriting.length) {
    build('lakehouse');
    const healthy = trace();
    if (healthy.status !== 0 || !/^figure: \d+ commits and \d+ objects traced/m.test(healthy.stdout.replace(/^# /gm, ''))) throw new Error(`the trace test is not green before anything was deleted:\n${healthy.stdout}`);
  }
  for (const program of new Set(ofOthers.map(([, , name]) => name))) {
    build(program);
    const why = lookAt(program)();
    if (why !== null) throw new Error(`${program} is not green before anything was deleted: ${why}`);
  }
  for (const run of cases) {
    const [isRight, text] = run();
    console.log(`${isRight ? 'ok' : 'not ok'}: ${text}`);
    failed += !isRight;
  }
} finally {
  rmSync(place, { recursive: true, force: true });
}
const passed = cases.length - failed;
console.log(`figure: ${passed} of ${cases.length} changes to what makes the lake durable turn a test red for their own reason`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
