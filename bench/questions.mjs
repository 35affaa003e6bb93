// Question sets for E2: questions with known answers, none of them made from the text that is
// indexed. What the machine's package lists lack is left out and said.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const run = (program, ...args) =>
  execFileSync(program, args, { encoding: 'utf8', maxBuffer: 2 ** 30, stdio: ['ignore', 'pipe', 'ignore'] });

// The plain text of the lists that one of apt's sources brought (APT_CONFIG is heeded).
function lists(createdBy) {
  const files = run('apt-get', 'indextargets', '-o', 'Acquire::Languages=en', '--format', '$(FILENAME)',
    `Created-By: ${createdBy}`);
  return files.split('\n').filter(Boolean).map((file) => run('/usr/lib/apt/apt-helper', 'cat-file', file));
}

// Records of "Key: value" with continuation lines that begin with a space.
function* records(text) {
  for (const record of text.split(/\n\n+/)) {
    const fields = {};
    for (const [, key, value] of record.matchAll(/^([A-Za-z0-9-]+):[ ]?((?:.*)(?:\n[ \t].*)*)/gm)) fields[key] = value;
    yield fields;
  }
}

// What people have filed a package under: only what a question could be about, not how it was made.
const topical = new Set(['use', 'works-with', 'works-with-format', 'field', 'game', 'sound', 'web', 'mail', 'office',
  'security', 'network', 'protocol', 'hardware', 'admin', 'science', 'biology', 'accessibility']);
const topics = (tags = '') => new Set(tags.split(/[\s,]+/).filter((tag) => topical.has(tag.split('::')[0]) && !tag.endsWith('TODO')));

export function packages() {
  const found = new Map();
  for (const fields of records(run('apt-cache', 'dumpavail'))) {
    const synopsis = fields.Description?.split('\n')[0];
    if (fields.Package && synopsis && !found.has(fields.Package))
      found.set(fields.Package, { name: fields.Package, synopsis, md5: fields['Description-md5'], tags: topics(fields.Tag) });
  }
  return found;
}

// The long descriptions, without the synopsis that stands before each: md5 → text.
export function bodies() {
  const found = new Map();
  for (const text of lists('Translations'))
    for (const fields of records(text)) {
      const [, ...lines] = (fields['Description-en'] ?? '').split('\n');
      const body = lines.map((line) => line.trim()).map((line) => (line === '.' ? '' : line)).join(' ').trim();
      if (body) found.set(fields['Description-md5'], body);
    }
  return found;
}

// A YAML scalar as AppStream's lists write them: plain, or in either kind of quotes, perhaps folded.
function scalar(lines) {
  const text = lines.map((line) => line.trim()).join(' ');
  if (text.startsWith('"')) {
    try {
      return JSON.parse(text.replace(/\\ /g, ' ').replace(/\\x([0-9A-Fa-f]{2})/g, '\\u00$1'));
    } catch {
      return '';
    }
  }
  return text.startsWith("'") ? text.slice(1, -1).replaceAll("''", "'") : text;
}

// What the authors of programs say of them: package, summary, keywords (untranslated).
export function components() {
  const found = [];
  for (const text of lists('DEP-11')) {
    for (const document of text.split(/^---\n/m)) {
      const block = (key) => document.match(new RegExp(`^${key}:\\n((?:[ -].*\\n)+)`, 'm'))?.[1] ?? '';
      const c = (key) => block(key).match(/^ {2}C:(.*\n(?: {3,}.*\n| {2}- .*\n)*)/m)?.[1].split('\n').slice(0) ?? [];
      const name = document.match(/^Package: (.*)$/m)?.[1];
      if (!name) continue;
      const keywords = c('Keywords').filter((line) => /^ +- /.test(line)).map((line) => scalar([line.replace(/^ +- /, '')]));
      found.push({ package: name, summary: scalar(c('Summary')), keywords });
    }
  }
  return found;
}

const words = (text) => new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []);

// Is every word of the question in the text? Then it says nothing of its own.
const says = (text, question) => {
  const known = words(text);
  return [...words(question)].every((word) => known.has(word));
};

function joined(list) {
  const questions = new Map();
  for (const { ask, want } of list) {
    const key = ask.toLowerCase();
    if (!questions.has(key)) questions.set(key, { ask, want: new Set() });
    for (const name of want) questions.get(key).want.add(name);
  }
  return [...questions.values()];
}

// Three topics or more that at most twenty packages have together: each of those answers.
function filedUnder(known) {
  const holders = new Map(); // tag → names
  for (const { name, tags } of known.values())
    for (const tag of tags) holders.set(tag, (holders.get(tag) ?? new Set()).add(name));
  const questions = new Map();
  for (const { tags } of known.values()) {
    const list = [...tags].sort();
    const key = list.join(' ');
    if (list.length < 3 || questions.has(key)) continue;
    const [rarest, ...others] = list.map((tag) => holders.get(tag)).sort((a, b) => a.size - b.size);
    const want = [...rarest].filter((name) => others.every((names) => names.has(name)));
    const ask = [...new Set(list.flatMap((tag) => tag.split('::')[1].split(/[-:]/)))].join(' ');
    questions.set(key, { ask, want });
  }
  return [...questions.values()].filter(({ ask, want }) => want.length <= 20 &&
    want.every((name) => !says(`${name} ${known.get(name).synopsis}`, ask)));
}

// The synopsis itself with every third word left out: made from the indexed text, unlike the others.
function knownItems(known) {
  const named = new Map();
  for (const { name, synopsis } of known.values()) named.set(synopsis, [...(named.get(synopsis) ?? []), name]);
  return [...named].map(([synopsis, want]) => ({ ask: synopsis.split(/\s+/).filter((_, at) => at % 3 !== 2).join(' '), want }))
    .filter(({ ask }) => words(ask).size >= 3);
}

// The sets over an index of name and synopsis.
export function setsOverSynopses(known) {
  const programs = components().filter((one) => known.has(one.package));
  const upstream = programs.filter(({ summary, package: name }) => summary && words(summary).size >= 3 &&
    !says(`${name} ${known.get(name).synopsis}`, summary));
  const keywords = programs.filter(({ keywords: list, package: name }) => list.length >= 3 &&
    !says(`${name} ${known.get(name).synopsis}`, list.join(' ')));
  const written = JSON.parse(readFileSync(new URL('questions.json', import.meta.url))).questions;
  return {
    upstream: joined(upstream.map((one) => ({ ask: one.summary, want: [one.package] }))),
    keywords: joined(keywords.map((one) => ({ ask: one.keywords.slice(0, 8).join(' '), want: [one.package] }))),
    written: joined(written.map(([ask, want]) => ({ ask, want: want.filter((name) => known.has(name)) })))
      .filter(({ want }) => want.size),
    tags: joined(filedUnder(known)),
    known: joined(knownItems(known)),
  };
}

// The set over an index of long descriptions alone: each asked for by its synopsis.
export function setsOverBodies(known, texts) {
  const asked = [...known.values()].filter(({ md5, synopsis }) => texts.has(md5) && words(synopsis).size >= 3 &&
    !says(texts.get(md5), synopsis));
  const named = new Map(); // packages with the very same long text cannot be told apart
  for (const { name, md5 } of known.values()) {
    const text = texts.get(md5);
    if (text) named.set(text, [...(named.get(text) ?? []), name]);
  }
  return { synopsis: joined(asked.map(({ synopsis, md5 }) => ({ ask: synopsis, want: named.get(texts.get(md5)) }))) };
}
