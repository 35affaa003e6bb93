// A real server for a test: started on a free loopback port over a folder of its own, stopped by its id.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
export const program = process.env.LAKEHOUSE_PROGRAM ?? join(root, 'build', 'lakehouse');

export function temporaryFolder(name = 'lake') {
  const path = mkdtempSync(join(tmpdir(), `lakehouse-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

// Resolves when the ready line was printed. `wrap` is put before the program ("strace", …).
export async function startServer({ data, args = [], env = {}, wrap = [], listen = '127.0.0.1:0' } = {}) {
  const own = data ? null : temporaryFolder();
  const folder = data ?? own.path;
  const argv = [...wrap, program, 'serve', '--data', folder, '--listen', listen, ...args];
  const child = spawn(argv[0], argv.slice(1), { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = [];
  const complained = [];
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text) => complained.push(text));
  const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })));
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      said.push(line);
      const match = line.match(/http:\/\/[^\s)]+/);
      if (match) resolve(match[0].replace(/[.,]$/, ''));
    });
    child.on('error', reject);
    ended.then(({ code, signal }) => reject(new Error(
      `the server ended (${code ?? signal}) before it was ready: ${complained.join('')}${said.join('\n')}`)));
  });
  return {
    url, data: folder, pid: child.pid, said, ended,
    log: () => complained.join(''),
    // Ends cleanly and returns the exit status.
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      const result = await ended;
      own?.remove();
      return result;
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

// Runs the program to its end.
export function run(args, { env = {}, input = null, cwd = root } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text) => { out += text; });
    child.stderr.setEncoding('utf8').on('data', (text) => { err += text; });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, out, err }));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
