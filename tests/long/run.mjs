#!/usr/bin/env node
// The long runs: what SAFETY asks of storage, in figures that add up over many runs.
//
//   node tests/long/run.mjs                       every line, ten minutes each at most
//   node tests/long/run.mjs --only power,flips --seconds 60
//   node tests/long/run.mjs --seconds 60,kills=600,fuzz=0
//   node tests/long/run.mjs --table               only what was reached so far
//
// A run is noted in build/long/runs.jsonl: line, figure, seed, seconds, when, and a sum over the code
// under test: the modules that the line rests on, the tests that drive it, the engine. What earlier
// runs reached counts as long as that sum is the same, so that a change of a module which a line does
// not rest on costs nothing. A line that is reached is not run again. What fails is noted with its
// seed, and stays in the table until the code changes; --forget-failures drops it.
//   --no-build         the programs are there and of this code
//   --program-dir DIR  where the test programs are (build/optimized/tests)
// Lakes lie in memory (/dev/shm, unless TMPDIR says otherwise): no disk decides here what survives. A
// SIGKILL keeps the page cache anyway, and after a power cut the recorded calls decide.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, appendFileSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const notes = join(root, 'build/long/runs.jsonl');
const chunkSeconds = 240; // of one run of a line that is drawn: what is lost when it is stopped

const sumOf = (output, ...patterns) => patterns.reduce((sum, pattern) =>
  sum + [...output.matchAll(pattern)].reduce((part, match) => part + Number(match[1]), 0), 0);

// --- the lines. `sum`: what is drawn adds up, run by run, at first `first` at a time. `parts`: each
// part is a whole that counts once, with the best it reached. `goal`: of the sum, or of the least
// part with `least`.

// What lines rest on, as paths. More rather than less: what may change the bytes of a lake or what is
// told of them belongs to it, down to the operations that acknowledge. Not in it: doors, the demo and
// what only reads (encoders are in query all the same); search, but where a line makes indexes.
const ops = ['runner', 'reply', 'ingest', 'tombstones', 'undo', 'compact', 'erase', 'journal', 'move', 'objects', 'retention',
  'datasets', 'queries', 'buckets', 'backup', 'repair', 'access', 'register'].map((name) => `src/ops/${name}.c`);
const core = ['base', 'engine', 'storage', 'journal', 'jobs', 'catalog'].map((name) => `src/${name}`);
const lake = [...core, ...['access', 'ingest', 'query', 'lake'].map((name) => `src/${name}`), ...ops];
const withIndexes = [...lake, 'src/search', 'src/ai', 'src/ops/search_indexes.c', 'src/ops/search.c'];
const served = [...lake, 'src/http', 'src/gateway', 'src/main.c'];
const driver = ['tests/support/op_house.c', 'tests/support/temp_lake.c', 'tests/support/fault_ways.c'];
const lives = [...driver, ...['known_lives', 'lived_steps', 'killed_child', 'kept_engine'].map((name) => `tests/support/${name}.c`)];
const beside = ['backed_lake', 'catalog_lake', 'stored_parquet', 'two_places', 'killed_child', 'lived_steps'].map((name) => `tests/support/${name}.c`);
const recorder = ['tests/support/power_disk.c', 'tests/support/recorded_child.c', 'tests/preload/recorder.c', 'tests/support/disk_record.h'];
const fuzzed = { ast: ['src/engine'], cells: ['src/query', 'src/engine'], config: [], encoders: ['src/query', 'src/engine'], footer: ['src/catalog'],
  json: [], key: ['src/storage'], manifest: ['src/catalog'], multipart: ['src/http'], target: ['src/http'], tokens: ['src/query'] };
const server = ['tests/support/server.mjs', 'tests/support/client.mjs'];
// The source of a test program.
const own = (part) => `tests/${part.replace(/\.(\w+)$/, '/test_$1.c')}`;

const test = (options, name) => ({ command: [join(options.programs, name)], env: {} });
const node = (...args) => ({ command: ['node', '--test', '--test-reporter=tap', ...args], env: {} });
const whole = { LAKEHOUSE_LONG: '1' };

const killed = (output) => sumOf(output, /(\d+) kills \(every/g, /killed at (\d+) of/g, /were killed (\d+) times/g, /killed (\d+) times at/g);
const failed = (output) => sumOf(output, /(\d+) points struck/g, / failed (\d+) times, each told/g, /; (\d+) sessions told/g);

const lines = [
  { name: 'kills', what: 'SIGKILL at random points', goal: 20000, build: 'release', first: 60,
    of: () => [...served, ...server, 'tests/crash/kills.test.mjs'],
    run: (options, count, seed) => ({ ...node('tests/crash/kills.test.mjs'), env: { LAKEHOUSE_KILLS: count, LAKEHOUSE_SEED: seed % 2 ** 31, LAKEHOUSE_PROGRAM: join(root, 'build/lakehouse') } }),
    read: (output) => sumOf(output, /figure: (\d+) kills, /g) },
  { name: 'served', what: 'SIGKILL of indexes that are made, asked after each', goal: 300, build: 'release', first: 60,
    of: () => [...withIndexes, 'src/http', 'src/gateway', 'src/main.c', 'src/ops/trials.c', 'src/ops/promotions.c', ...server, 'tests/crash/served.test.mjs'],
    run: (options, count, seed) => ({ ...node('tests/crash/served.test.mjs'), env: { LAKEHOUSE_SERVED_KILLS: count, LAKEHOUSE_SEED: seed % 2 ** 31, LAKEHOUSE_PROGRAM: join(root, 'build/lakehouse') } }),
    read: (output) => sumOf(output, /figure: (\d+) kills of an index/g) },
  { name: 'points', what: 'SIGKILL at every fault point', goal: 1500, build: 'long',
    parts: ['fault.kill', 'fault.kill_erase', 'fault.kill_jobs', 'fault.kill_merge', 'fault.journal', 'fault.join', 'fault.undo', 'fault.backup', 'fault.move',
      'fault.kill_place', 'fault.kill_columns', 'fault.kill_graph', 'fault.kill_tuning'],
    of: (part) => [...withIndexes, ...lives, ...beside, own(part)],
    run: (options, part) => ({ ...test(options, part), env: whole }), read: killed },
  { name: 'power', what: 'states after power cuts', goal: 100000, build: 'long', first: 200,
    of: (kind) => [...(kind === 'indexes' ? withIndexes : lake), ...lives, ...recorder, own('crash.power')],
    kinds: ['stores', 'stores', 'stores', 'stores', 'indexes'],
    run: (options, count, seed, kind) => ({ ...test(options, 'crash.power'), env: { LAKEHOUSE_POWER_STATES: count, LAKEHOUSE_POWER_LIVES: kind, LAKEHOUSE_SEED: seed } }),
    read: (output) => sumOf(output, /power cuts: (\d+) states/g, /in recoveries: (\d+) states/g) },
  { name: 'calls', what: 'failed calls', goal: 3000, build: 'long',
    parts: ['fault.catalog', 'fault.objects', 'fault.undo', 'fault.join', 'fault.backup', 'fault.jobs', 'fault.tombstones', 'fault.ingest', 'fault.search', 'fault.compact', 'crash.engine_writes',
      'fault.move', 'fault.register'],
    of: (part) => [...(part === 'fault.search' ? withIndexes : lake), ...driver, ...beside, own(part)],
    run: (options, part) => ({ ...test(options, part), env: whole }), read: failed },
  { name: 'memory', what: 'scenarios, each allocation failed', goal: 60, build: 'long', parts: Array.from({ length: 62 }, (_, at) => String(at)),
    of: (part) => [...(part < 34 ? lake : withIndexes), ...lives, 'tests/preload/memory.c', own('crash.memory')],
    run: (options, part) => ({ ...test(options, 'crash.memory'), env: { LAKEHOUSE_SCENARIO: part } }),
    read: (output) => sumOf(output, /without memory: (\d+) of 62 scenarios/g) },
  { name: 'flips', what: 'flipped bits', goal: 10000, build: 'long', first: 300,
    of: () => [...withIndexes, ...lives, own('crash.flips')],
    run: (options, count, seed) => ({ ...test(options, 'crash.flips'), env: { LAKEHOUSE_FLIPS: count, LAKEHOUSE_SEED: seed } }),
    read: (output) => sumOf(output, /flipped bits: (\d+) in/g) },
  { name: 'race', what: 'commits of 64 racing writers', goal: 64000, build: 'long', first: 1280,
    of: () => [...core, 'tests/support/catalog_lake.c', own('crash.race')],
    run: (options, count) => ({ ...test(options, 'crash.race'), env: { LAKEHOUSE_COMMITS: Math.ceil(count / 64) } }),
    read: (output) => sumOf(output, /racing writers: (\d+) commits/g) },
  { name: 'erasures', what: 'histories, erased and searched', goal: 1000, build: 'long', parts: Array.from({ length: 50 }, (_, at) => String(at * 20 + 1)),
    of: () => [...withIndexes, ...driver, own('op.erase_histories')],
    run: (options, part) => ({ ...test(options, 'op.erase_histories'), env: { LAKEHOUSE_HISTORIES: part } }),
    read: (output) => sumOf(output, /figure: (\d+) histories/g) },
  { name: 's3', what: 'commits to a store that fails', goal: 10000, build: 'release', first: 200,
    of: () => [...served, ...server, 'tests/support/s3-server.mjs', 'tests/long/s3.test.mjs'],
    run: (options, count, seed) => ({ ...node('tests/long/s3.test.mjs'), env: { LAKEHOUSE_COMMITS: count, LAKEHOUSE_SEED: seed, LAKEHOUSE_PROGRAM: join(root, 'build/lakehouse') } }),
    read: (output) => sumOf(output, /store that fails: (\d+) commits/g) },
  { name: 'fuzz', what: 'executions of each fuzz target', goal: 100e6, least: true, first: 5, unit: 'seconds',
    parts: readdirSync(join(root, 'tests/fuzz')).filter((name) => /^fuzz_.*\.c$/.test(name)).map((name) => name.slice(5, -2)),
    of: (part) => ['src/base', ...(fuzzed[part] ?? ['src']), 'tests/fuzz/fuzz.h', `tests/fuzz/fuzz_${part}.c`],
    run: (options, part, count) => ({ command: ['tests/fuzz/run', String(count), part], env: {} }),
    read: (output) => sumOf(output, /figure: fuzz \w+: (\d+) executions/g) },
  { name: 'mutants', what: 'deleted steps that turn the suite red', goal: 48, parts: ['all'],
    of: () => [...lake, 'tests/crash', 'tests/fault', 'tests/support', 'tests/unit/catalog', 'tests/unit/journal', 'tests/unit/storage', 'tests/op'],
    run: () => ({ command: ['node', 'tests/crash/mutants.mjs'], env: {} }),
    read: (output) => sumOf(output, /figure: (\d+) of \d+ changes/g) },
];

// --- what was reached

function filesBelow(path) {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  return readdirSync(join(root, path)).flatMap((name) => filesBelow(`${path}/${name}`));
}

const digests = new Map();
function digestOf(path) {
  if (!digests.has(path)) {
    const hash = createHash('sha256');
    for (const name of filesBelow(path).sort()) {
      const bytes = readFileSync(join(root, name));
      hash.update(`${name} ${bytes.length}\n`).update(bytes);
    }
    digests.set(path, hash.digest('hex'));
  }
  return digests.get(path);
}

// Of a line, or of a part or kind of it.
function codeOf(line, part) {
  const hash = createHash('sha256');
  for (const path of [...new Set(['deps/engine.lock', ...line.of(part)])].sort()) hash.update(`${path} ${digestOf(path)}\n`);
  return hash.digest('hex').slice(0, 16);
}

// A note of an earlier form names no part where a line has kinds.
const isOfThisCode = (run) => {
  const line = lines.find((each) => each.name === run.line);
  const known = line && (line.parts ?? line.kinds ?? [undefined]);
  return Boolean(known?.includes(run.part)) && run.code === codeOf(line, run.part);
};

function readNotes() {
  if (!existsSync(notes)) return [];
  // A line that was cut off by a kill is no note.
  return readFileSync(notes, 'utf8').split('\n').flatMap((text) => {
    try { return [JSON.parse(text)]; } catch { return []; }
  });
}

function note(line, entry) {
  mkdirSync(dirname(notes), { recursive: true });
  const isCut = existsSync(notes) && !readFileSync(notes, 'utf8').endsWith('\n');
  appendFileSync(notes, `${isCut ? '\n' : ''}${JSON.stringify({ code: codeOf(line, entry.part), when: new Date().toISOString(), ...entry })}\n`);
}

function reached(line) {
  const runs = readNotes().filter((run) => run.line === line.name && isOfThisCode(run));
  const good = runs.filter((run) => !run.failed);
  // What was seen of code that has changed since: it counts for nothing, and is told.
  const earlier = readNotes().filter((run) => run.line === line.name && !run.failed && !isOfThisCode(run));
  const parts = new Map((line.parts ?? []).map((part) => [part, 0]));
  for (const run of good) {
    if (!parts.has(run.part)) continue;
    parts.set(run.part, line.least ? parts.get(run.part) + run.figure : Math.max(parts.get(run.part), run.figure));
  }
  const sum = [...parts.values()].reduce((total, each) => total + each, 0);
  const figure = !line.parts ? good.reduce((total, run) => total + run.figure, 0) : line.least ? Math.min(...parts.values()) : sum;
  return { figure, parts, runs, earlier: earlier.reduce((total, run) => total + run.figure, 0), failures: runs.filter((run) => run.failed),
    seconds: Math.round(runs.reduce((total, run) => total + run.seconds, 0)), last: runs.at(-1) };
}

// --- running

function inMemory() {
  try {
    accessSync('/dev/shm', constants.W_OK | constants.X_OK);
    return { TMPDIR: '/dev/shm' };
  } catch {
    return {};
  }
}

function runOnce(line, part, options, count) {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const { command, env } = line.parts ? line.run(options, part, count) : line.run(options, count, seed, part);
  const from = performance.now();
  const done = spawnSync('nice', command, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 28,
    env: { ...inMemory(), ...process.env, ...Object.fromEntries(Object.entries(env).map(([key, value]) => [key, String(value)])) } });
  const seconds = (performance.now() - from) / 1000;
  const output = `${done.stdout}${done.stderr}`.replace(/^# /gm, '');
  const figure = line.read(output);
  const entry = { line: line.name, part, figure, seed, seconds: Math.round(seconds * 10) / 10 };
  if (done.status !== 0 || !figure) {
    const log = join(root, 'build/long', `${line.name}-${seed}.log`);
    mkdirSync(dirname(log), { recursive: true });
    writeFileSync(log, output);
    note(line, { ...entry, failed: true });
    console.log(`FAILED: ${line.name}${part ? ` ${part}` : ''}, seed ${seed}, status ${done.status ?? done.signal}: build/long/${line.name}-${seed}.log\n${output.slice(-3000)}`);
    return null;
  }
  note(line, entry);
  return { figure, seconds };
}

// What is drawn: as many at a time as fit into a chunk and into what is left.
function runDrawn(line, options, budget) {
  const from = performance.now();
  const left = () => budget - (performance.now() - from) / 1000;
  let count = line.first;
  let turn = Math.floor(Math.random() * (line.kinds?.length ?? 1));
  while (reached(line).figure < line.goal && left() > 0) {
    const done = runOnce(line, line.kinds?.[turn++ % line.kinds.length], options, count);
    if (!done) return;
    const seconds = Math.min(chunkSeconds, left());
    count = Math.max(line.first, Math.min(Math.floor((done.figure / done.seconds) * seconds), line.goal - reached(line).figure, count * 8));
    if (count * (done.seconds / done.figure) > left() * 1.5) return;
  }
}

function runParts(line, options, budget) {
  const from = performance.now();
  const left = () => budget - (performance.now() - from) / 1000;
  const state = reached(line);
  // Those that have reached least come first.
  const parts = [...line.parts].sort((a, b) => state.parts.get(a) - state.parts.get(b))
    .filter((part) => (line.least ? state.parts.get(part) < line.goal : state.parts.get(part) === 0));
  for (const part of parts) {
    if (left() <= 0) return;
    runOnce(line, part, options, line.least ? Math.max(line.first, Math.floor(budget / line.parts.length)) : undefined);
  }
}

function build(preset) {
  for (const args of [['--preset', preset, '--log-level=WARNING'], ['--build', '--preset', preset]]) {
    const done = spawnSync('cmake', args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 28 });
    if (done.status !== 0) throw new Error(`${preset} does not build:\n${`${done.stdout}${done.stderr}`.slice(-4000)}`);
  }
}

// --- the table

function table() {
  const rows = [['line', 'goal', 'reached', 'runs', 'failed', 'last seed', 'seconds', 'when', 'of earlier code']];
  for (const line of lines) {
    const state = reached(line);
    rows.push([`${line.name}: ${line.what}`, line.goal, state.figure, state.runs.length, state.failures.length || '',
      state.last?.seed ?? '', state.seconds, state.last?.when.slice(0, 16).replace('T', ' ') ?? 'never', line.least ? '' : state.earlier]);
  }
  const text = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en') : String(cell))));
  const widths = text[0].map((_, at) => Math.max(...text.map((row) => row[at].length)));
  for (const row of text) console.log(row.map((cell, at) => (at ? cell.padStart(widths[at]) : cell.padEnd(widths[at]))).join('  '));
  for (const line of lines) {
    const state = reached(line);
    console.log(`figure: long ${line.name}: ${state.figure} of ${line.goal} in ${state.seconds} s`);
    for (const failure of state.failures) console.log(`failed: ${line.name}${failure.part ? ` ${failure.part}` : ''}, seed ${failure.seed}, ${failure.when}: build/long/${line.name}-${failure.seed}.log`);
  }
}

// --- what is asked for

function readOptions(args) {
  const options = { only: lines.map((line) => line.name), seconds: new Map(), usual: 600, programs: join(root, 'build/optimized/tests') };
  const known = (name) => {
    if (!options.all.includes(name)) throw new Error(`There is no line '${name}'; there are ${options.all.join(', ')}.`);
    return name;
  };
  options.all = [...options.only];
  for (let at = 0; at < args.length; at += 1) {
    const value = () => args[at += 1] ?? '';
    switch (args[at]) {
      case '--only': options.only = value().split(',').map(known); break;
      case '--seconds':
        for (const part of value().split(',')) {
          const [, name, seconds] = part.match(/^(?:(\w+)=)?(\d+)$/) ?? [];
          if (seconds === undefined) throw new Error(`--seconds takes N or line=N, not '${part}'.`);
          if (name) options.seconds.set(known(name), Number(seconds));
          else options.usual = Number(seconds);
        }
        break;
      case '--table': options.only = []; break;
      case '--no-build': options.noBuild = true; break;
      case '--forget-failures': options.forget = true; break;
      case '--program-dir': options.programs = value(); break;
      default: throw new Error(`Unknown option '${args[at]}'.`);
    }
  }
  return options;
}

function forgetFailures() {
  const kept = readNotes().filter((run) => !(run.failed && isOfThisCode(run)));
  if (existsSync(notes)) writeFileSync(notes, kept.map((run) => `${JSON.stringify(run)}\n`).join(''));
}

let options;
try {
  options = readOptions(process.argv.slice(2));
} catch (error) {
  console.error(error.message);
  process.exit(2);
}
if (options.forget) forgetFailures();
const budgetOf = (line) => options.seconds.get(line.name) ?? options.usual;
const wanted = lines.filter((line) => options.only.includes(line.name) && budgetOf(line) > 0 && reached(line).figure < line.goal);
if (!options.noBuild) [...new Set(wanted.flatMap((line) => line.build ?? []))].forEach(build);
for (const line of wanted) (line.parts ? runParts : runDrawn)(line, options, budgetOf(line));
table();
process.exit(lines.some((line) => reached(line).failures.length) ? 1 : 0);
