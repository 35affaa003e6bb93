// deps/install where it cannot go on: no root and no sudo, no such package, no space, no Debian. It
// says what is missing and what to do, and changes nothing.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, temporaryFolder } from '../support/server.mjs';

const tools = ['bash', 'cat', 'chmod', 'dirname', 'grep', 'mkdir', 'mktemp', 'mv', 'printf', 'rm', 'sed', 'sha512sum', 'tail', 'tar', 'uname'];
const where = (name) => ['/usr/bin', '/bin', '/usr/local/bin'].map((folder) => join(folder, name)).find(existsSync);

// A machine of its own: the script, and a PATH of nothing but plain tools and these.
function machine(context, programs) {
  const folder = temporaryFolder('install');
  context.after(() => folder.remove());
  const bin = join(folder.path, 'bin');
  const deps = join(folder.path, 'deps');
  for (const path of [bin, deps]) mkdirSync(path);
  for (const name of ['install', 'apt.txt', 'apt-test.txt', 'engine.lock']) copyFileSync(join(root, 'deps', name), join(deps, name));
  for (const name of tools) if (where(name)) symlinkSync(where(name), join(bin, name));
  const standard = {
    'id': 'echo 65534',
    'dpkg-query': 'echo "unknown ok not-installed"', // nothing is there
    'df': 'printf "Filesystem 1024-blocks Used Available Capacity Mounted\\n/dev/root 90000000 1 80000000 1%% /\\n"',
    'awk': `exec ${where('awk')} "$@"`,
  };
  for (const [name, text] of Object.entries({ ...standard, ...programs })) {
    if (text === null) continue;
    writeFileSync(join(bin, name), `#!${where('bash')}\n${text}\n`);
  }
  for (const name of readdirSync(bin)) if (!tools.includes(name)) chmodSync(join(bin, name), 0o755);
  chmodSync(join(deps, 'install'), 0o755);
  chmodSync(folder.path, 0o755);
  return { bin, deps };
}

function install({ bin, deps }, { isNobody = true } = {}) {
  const nobody = isNobody && process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {};
  return new Promise((resolve, reject) => {
    const child = spawn(join(bin, 'bash'), [join(deps, 'install')], { env: { PATH: bin, TMPDIR: deps }, stdio: ['ignore', 'pipe', 'pipe'], ...nobody });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text) => { out += text; });
    child.stderr.setEncoding('utf8').on('data', (text) => { err += text; });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

function fails(result, ...parts) {
  assert.equal(result.code, 1, `${result.code}: ${result.out}${result.err}`);
  for (const part of parts) assert.match(result.err, part);
  assert.doesNotMatch(result.err, /command not found|No such file/, 'the script itself stumbled');
}

test('without root and without sudo the missing packages are named, with the command that helps', async (context) => {
  const here = machine(context, { 'apt-get': 'echo called >&2; exit 1' });
  const result = await install(here);
  fails(result, /neither root nor sudo is available/, /libmicrohttpd-dev/, /Ask an administrator to run: apt-get install build-essential/);
  assert.doesNotMatch(result.err, /called/, 'apt-get was called all the same');
  assert.ok(!existsSync(join(here.deps, 'fetched')), 'something was changed');
});

test('a sudo that asks for a password nobody can give is no sudo', async (context) => {
  const here = machine(context, { sudo: 'echo "sudo: a password is required" >&2; exit 1', 'apt-get': 'echo called >&2' });
  fails(await install(here), /neither root nor sudo is available/);
});

test('one missing package is named alone', async (context) => {
  const here = machine(context, { 'dpkg-query': 'case $4 in libsodium-dev) exit 1 ;; *) echo "install ok installed" ;; esac' });
  const result = await install(here);
  fails(result, /Ask an administrator to run: apt-get install libsodium-dev\n/);
});

test('a package that cannot be had is told with what apt-get said', async (context) => {
  const here = machine(context, {
    'id': 'echo 0', 'env': `while [[ $1 == *=* ]]; do shift; done; exec "$@"`,
    'apt-get': 'case $1 in update) echo "E: no network" ;; *) echo "E: Unable to locate package $5" ;; esac; exit 100',
  });
  chmodSync(here.deps, 0o777); // its log
  fails(await install(here), /apt-get could not install: build-essential/, /E: Unable to locate package/, /check the network and \/etc\/apt/);
});

test('too little room for the packages is told before anything is begun', async (context) => {
  const here = machine(context, {
    'df': 'printf "Filesystem 1024-blocks Used Available Capacity Mounted\\n/dev/root 90000000 1 700000 99%% /\\n"', 'apt-get': 'echo called >&2',
  });
  const result = await install(here);
  fails(result, /only 683 MB are free on \/; the packages need about 1,500 MB/, /Make room/);
  assert.doesNotMatch(result.err, /called/);
});

test('a system that is not Debian is told so', async (context) => {
  fails(await install(machine(context, { 'dpkg-query': null })), /this is not a Debian system/, /deps\/apt\.txt/);
});
