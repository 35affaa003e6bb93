// Exact search gives the same bits on every processor: what is found here and, by emulation, on 64-bit ARM.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
// What stands behind scan.h.
const sources = readdirSync(join(root, 'src/search')).filter((name) => /^(distance(_(x86|block_x86|neon))?|codes|scan)\.c$/.test(name))
  .map((name) => `src/search/${name}`);
const flags = ['-std=c17', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-Werror', '-ffp-contract=off', '-Isrc'];

const isThere = (program) => spawnSync(program, ['--version']).status === 0;

// "plain 0123…" per set of kernels, as [name, sum].
function sums(context, compiler, runner) {
  const folder = mkdtempSync(join(tmpdir(), 'kernels-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const program = join(folder, 'kernels');
  execFileSync(compiler, [...flags, ...sources, 'tests/processors/kernels.c', '-o', program, '-lm', '-lpthread'], { cwd: root });
  const [command, ...args] = [...runner, program];
  return execFileSync(command, args, { encoding: 'utf8' }).trim().split('\n').map((line) => line.split(' '));
}

test('every set of kernels that runs here finds the same bits', (context) => {
  const here = sums(context, 'cc', []);
  assert.equal(here[0][0], 'plain');
  assert.ok(process.arch !== 'x64' && process.arch !== 'arm64' || here.length > 1, 'only the plain kernels ran');
  for (const [name, sum] of here) assert.equal(sum, here[0][1], name);
});

test('64-bit ARM finds the same bits', (context) => {
  if (!isThere('aarch64-linux-gnu-gcc') || !isThere('qemu-aarch64')) {
    context.skip('no compiler or emulator for 64-bit ARM (gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user)');
    return;
  }
  const here = sums(context, 'cc', []);
  const there = sums(context, 'aarch64-linux-gnu-gcc', ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu']);
  assert.deepEqual(there.map(([name]) => name), ['plain', 'neon']);
  for (const [name, sum] of there) assert.equal(sum, here[0][1], name);
});
