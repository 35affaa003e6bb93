// The tidy test: what DESIGN says about floors, includes, lengths and banned calls, checked on every file.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mutations, otherMutations } from '../crash/mutations.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const tracked = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  .split('\n').filter((name) => name && existsSync(join(root, name)));
const read = (name) => readFileSync(join(root, name), 'utf8');
const sources = tracked.filter((name) => /^src\/.*\.(c|h|cpp)$/.test(name));
const cCode = tracked.filter((name) => /^(src|tests|bench)\/.*\.(c|h|cpp)$/.test(name));

const floors = {
  base: 0, engine: 1, http: 1, storage: 2, journal: 3, jobs: 3, catalog: 4, access: 4,
  ingest: 5, query: 5, search: 5, ai: 5, memory: 6, tools: 6, workspace: 6, lake: 7, ops: 8,
  gateway: 9, cli: 9, mcp: 9, demo: 10,
};

// Code without comments, strings and character literals, so that words in them are not calls.
// Line breaks stay, so line numbers hold.
function bare(text) {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g,
    (match) => (match[0] === '/' ? ' ' : match[0] + match[0]) + match.replace(/[^\n]/g, ''));
}

function offences(names, find) {
  return names.flatMap((name) => find(name, read(name)).map((what) => `${name}: ${what}`));
}

function matches(text, pattern) {
  return [...text.matchAll(pattern)].map((match) => ({ match, line: text.slice(0, match.index).split('\n').length }));
}

test('there is code to look at', () => {
  assert.ok(sources.length > 20, `only ${sources.length} source files were found`);
});

test('no merge left its marks', () => {
  const texts = tracked.filter((name) => /\.(c|h|cpp|md|mjs|ts|txt|json|toml|yml)$|(^|\/)(run|lint|coverage|install|Makefile)$/.test(name));
  assert.deepEqual(offences(texts, (name, text) =>
    matches(text, /^(<{7}|>{7}) /gm).map(({ line }) => `line ${line}`)), []);
});

test('every folder of src is a floor', () => {
  const unknown = sources.filter((name) => name !== 'src/main.c' && !(name.split('/')[1] in floors));
  assert.deepEqual(unknown, []);
});

test('a file includes only lower floors, and siblings never include each other', () => {
  assert.deepEqual(offences(sources, (name, text) => {
    const own = name === 'src/main.c' ? 'main' : name.split('/')[1];
    const height = own === 'main' ? 11 : floors[own];
    return matches(text, /^\s*#\s*include\s+"([a-z0-9_]+)\/([^"]+)"/gm).flatMap(({ match, line }) => {
      const [, other, file] = match;
      if (other === own) return [];
      if (!(other in floors)) return [`line ${line} includes the unknown floor '${other}'`];
      if (floors[other] >= height) return [`line ${line} includes ${other}/ (floor ${floors[other]}) from floor ${height}`];
      return file.endsWith('internal.h') ? [`line ${line} includes another module's internal header`] : [];
    });
  }), []);
});

test('a library stands behind one module', () => {
  const homes = {
    'duckdb.h': /^src\/engine\//, 'microhttpd.h': /^src\/http\//, 'curl/curl.h': /^src\/http\//,
    'openssl/': /^src\/base\//, 'sodium.h': /^src\/(base|access)\//, 'sqlite3.h': /^src\/search\//,
    'toml++': /^src\/base\/config_toml\.cpp$/,
  };
  assert.deepEqual(offences(sources, (name, text) => Object.entries(homes).flatMap(([header, home]) =>
    text.includes(`<${header}`) && !home.test(name) ? [`includes <${header}`] : [])), []);
});

test('C++ is only a shim', () => {
  assert.deepEqual(tracked.filter((name) => /\.(cpp|cc|cxx|hpp)$/.test(name)), ['bench/faiss.cpp', 'bench/hnswlib.cpp', 'src/base/config_toml.cpp', 'src/base/shortest.cpp']);
});

test('file-system calls stand in base only', () => {
  const calls = /\b(open|openat|creat|fopen|rename|renameat|renameat2|unlink|unlinkat|remove|rmdir|mkdir|mkdirat|fsync|fdatasync|link|linkat|opendir|truncate|ftruncate|stat|lstat|fstatat|realpath|mkstemp|tmpfile)\s*\(/g;
  const allowed = /^src\/base\//;
  assert.deepEqual(offences(sources.filter((name) => !allowed.test(name)), (name, text) => {
    const code = bare(text);
    // A member of that name (backend->open(…)) is not the call; neither is a pointer's declaration.
    return matches(code, calls).filter(({ match }) => !/(\.|->|\*)\s*$/.test(code.slice(0, match.index)))
      .map(({ match, line }) => `line ${line} calls ${match[1]}`);
  }), []);
});

test('unsafe and hidden calls are banned', () => {
  const banned = /\b(gets|strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atof|alloca|system|popen|setjmp|longjmp|signal|rand|srand|localtime|gmtime|asctime|ctime|tmpnam|mktemp|usleep)\s*\(/g;
  assert.deepEqual(offences(sources, (name, text) =>
    matches(bare(text), banned).map(({ match, line }) => `line ${line} calls ${match[1]}`)), []);
  const exits = /\b(exit|_exit|abort)\s*\(/g;
  const mayExit = /^src\/(main\.c|cli\/|demo\/|base\/(arena|buf|fault|hash|log|pool|secret)[a-z_]*\.c)/;
  assert.deepEqual(offences(sources.filter((name) => !mayExit.test(name)), (name, text) =>
    matches(bare(text), exits).map(({ match, line }) => `line ${line} calls ${match[1]}`)), []);
});

test('nothing is left for later, and comments carry no dates', () => {
  assert.deepEqual(offences(cCode, (name, text) =>
    matches(text, /\b(TODO|FIXME|XXX|HACK)\b/g).map(({ match, line }) => `line ${line}: ${match[1]}`)), []);
});

test('lengths: lines 100, headers 250, files 800', () => {
  assert.deepEqual(offences(cCode, (name, text) => {
    const lines = text.split('\n');
    const long = lines.flatMap((line, at) => ([...line].length > 100 ? [`line ${at + 1} has ${[...line].length} characters`] : []));
    const max = name.endsWith('.h') ? 250 : 800;
    return lines.length - 1 > max ? [...long, `${lines.length - 1} lines, at most ${max}`] : long;
  }), []);
});

test('lengths: functions at most 70 lines', () => {
  assert.deepEqual(offences(cCode.filter((name) => name.endsWith('.c')), (name, text) => {
    const lines = bare(text).split('\n');
    const found = [];
    let start = -1;
    lines.forEach((line, at) => {
      if (line === '{') start = at;
      else if (line === '}' && start >= 0) {
        if (at - start - 1 > 70) found.push(`the function that ends in line ${at + 1} has ${at - start - 1} lines`);
        start = -1;
      }
    });
    return found;
  }), []);
});

test('every module has a README, and public headers open with their contract', () => {
  const modules = [...new Set(sources.filter((name) => name !== 'src/main.c').map((name) => name.split('/')[1]))];
  assert.deepEqual(modules.filter((module) => !tracked.includes(`src/${module}/README.md`)), []);
  assert.deepEqual(sources.filter((name) => name.endsWith('.h') && !/^\/\*/.test(read(name))), []);
});

test('public enders accept what they are given: every header has an include guard', () => {
  assert.deepEqual(offences(sources.filter((name) => name.endsWith('.h')), (name, text) =>
    /#ifndef (LAKEHOUSE_[A-Z0-9_]+_H)\n#define \1\n/.test(text) ? [] : ['no include guard LAKEHOUSE_…_H']), []);
});

test('no registry address and no path of a machine is committed', () => {
  const texts = tracked.filter((name) => !/\.(png|parquet|gz|bin)$/.test(name) && !name.startsWith('tests/tidy/'));
  assert.deepEqual(offences(texts, (name, text) =>
    matches(text, /"resolved": *"https?:|registry\.npmjs|deb\.debian\.org|pypi\.org|\/(?:home|Users)\/[a-z]+\//g)
      .map(({ match, line }) => `line ${line}: ${match[0]}`)), []);
});

test('every step that mutants delete is there to be deleted, and every test that must turn red', () => {
  const missing = [...mutations, ...otherMutations].flatMap(([name, edits]) =>
    edits.filter(([file, from]) => !read(file).includes(from)).map(([file]) => `${name}: its line is no longer in ${file}`));
  assert.deepEqual(missing, []);
  assert.ok(mutations.length >= 14 && otherMutations.length >= 33);
  const file = (program) => `tests/${program.replace(/\.(\w+)$/, '/test_$1.c').replaceAll('.', '/').replace(/\/c$/, '.c')}`;
  assert.deepEqual(otherMutations.filter(([, , program, name]) => !read(file(program)).includes(`${name}(`)).map(([name]) => name), []);
});

test('decisions have numbers of their own, and say them', () => {
  const names = tracked.filter((name) => /^docs\/decisions\/\d{4}-.*\.md$/.test(name));
  assert.ok(names.length > 30);
  const numbers = names.map((name) => name.match(/(\d{4})-/)[1]);
  assert.deepEqual(numbers.filter((number, at) => numbers.indexOf(number) !== at), []);
  assert.deepEqual(offences(names, (name, text) => {
    const said = text.match(/^# (\d+)\./);
    return said && Number(said[1]) === Number(name.match(/(\d{4})-/)[1]) ? [] : [`begins with "${text.slice(0, 20)}"`];
  }), []);
});
