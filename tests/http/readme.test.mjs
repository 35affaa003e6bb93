// What README.md shows of "Your own data" is what happens: its commands are run, one after the other,
// and print what stands there. An ellipsis stands for anything; times and sizes for any.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { program, root, startServer, temporaryFolder } from '../support/server.mjs';

const execute = promisify(execFile);

function isOpen(command) {
  return /\\\s*$/.test(command) || (command.match(/"/g) ?? []).length % 2 === 1;
}

// [{command, expected}] of all blocks of the section.
function steps(section) {
  const found = [];
  for (const [, block] of section.matchAll(/```\n([\s\S]*?)```/g)) {
    for (const line of block.split('\n')) {
      const last = found.at(-1);
      if (line.startsWith('$ ')) found.push({ command: line.slice(2), expected: [] });
      else if (last && !last.expected.length && isOpen(last.command)) last.command += `\n${line}`;
      else if (last && line.trim()) last.expected.push(line);
    }
  }
  return found;
}

const flat = (text) => text.replace(/\s+/g, ' ').trim();

function pattern(expected) {
  const escaped = flat(expected).replace(/[.*+?^$()|[\]\\{}]/g, '\\$&');
  return new RegExp(`^${escaped
    .replace(/\d{4}-\d\d-\d\dT[\d:]+\\\.\d+Z/g, '\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z')
    .replace(/"elapsed_ms":[\d\\.]+/g, '"elapsed_ms":[\\d.]+')
    .replace(/(Z \d+) \d+ (\d+)/g, '$1 \\d+ $2')
    .replaceAll('…', '.*')
    .replaceAll(', "', ',\\s*"')}$`);
}

test('the commands of README.md print what it shows', { timeout: 120000 }, async (context) => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const section = readme.slice(readme.indexOf('## Your own data'), readme.indexOf('## What to know'));
  const folder = temporaryFolder();
  context.after(() => folder.remove());
  const server = await startServer();
  context.after(() => server.kill());
  const all = steps(section);
  assert.ok(all.length >= 10, `only ${all.length} commands were found`);
  for (const { command, expected } of all) {
    const text = expected.join('\n');
    const sample = command.match(/^cat (\S+)$/);
    if (sample) {
      writeFileSync(join(folder.path, sample[1]), `${text}\n`);
      continue;
    }
    const sent = command.match(/^curl -T (\S+)/); // a file of the reader's own, as large as the answer says
    if (sent) writeFileSync(join(folder.path, sent[1]), 'x'.repeat(Number(text.match(/"bytes":(\d+)/)[1])));
    const own = command.replaceAll('http://127.0.0.1:3100', server.url)
      .replace(/^build\/lakehouse ([\s\S]*)$/, (_, rest) => `"${program}" ${rest} --server ${server.url}`)
      .replace(/^curl /, 'curl -sS ');
    const { stdout, stderr } = await execute('bash', ['-c', own], { cwd: folder.path }).catch((error) => error);
    if (text) assert.match(flat(stdout + stderr), pattern(text), `README.md: ${command}`);
    else assert.equal(stderr, '', command);
  }
});
