// Commands of the program that are no operations.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, temporaryFolder } from '../support/server.mjs';

test('config show tells every setting and where it came from, and can be kept as a file', async (context) => {
  const folder = temporaryFolder('config');
  context.after(folder.remove);
  const file = join(folder.path, 'lakehouse.toml');
  writeFileSync(file, '[server]\nqueue_max = 7\nhosts = ["a.test", "b.test"]\n[log]\nlevel = "warn"\n');
  const args = ['config', 'show', '--data', folder.path, '--query-rows-max', '99'];
  const env = { LAKEHOUSE_SERVER_DRAIN_MS: '1234' };
  const shown = await run([...args, '--json'], { env });
  assert.equal(shown.code, 0, shown.err);
  const of = Object.fromEntries(JSON.parse(shown.out).items.map((one) => [one.key, one]));
  assert.deepEqual([of['server.queue_max'].value, of['server.queue_max'].origin], [7, 'file']);
  assert.deepEqual(of['server.hosts'].value, ['a.test', 'b.test']);
  assert.deepEqual([of['server.drain_ms'].value, of['server.drain_ms'].origin], [1234, 'environment']);
  assert.deepEqual([of['query.rows_max'].value, of['query.rows_max'].origin], [99, 'flag']);
  assert.deepEqual([of['auth.enabled'].value, of['auth.enabled'].origin], [false, 'preset']);
  const text = await run(args, { env });
  writeFileSync(file, text.out);
  const again = await run(['config', 'show', '--data', folder.path, '--json']);
  assert.equal(again.code, 0, again.err);
  const kept = JSON.parse(again.out).items;
  assert.deepEqual(kept.map((one) => [one.key, one.value]), JSON.parse(shown.out).items.map((one) => [one.key, one.value]));
  assert.equal((await run(['config'])).code, 2);
});

test('completions complete groups, verbs and flags', async () => {
  const { out, code } = await run(['completions', 'bash']);
  assert.equal(code, 0);
  const complete = (...words) => execFileSync('bash', ['-c', `${out}\nCOMP_WORDS=(lakehouse "$@"); COMP_CWORD=$#; _lakehouse; printf '%s\\n' "\${COMPREPLY[@]}"`, 'bash', ...words], { encoding: 'utf8' }).trim().split('\n');
  assert.deepEqual(complete('datas'), ['datasets']);
  assert.deepEqual(complete('comp'), ['completions']);
  assert.ok(complete('datasets', '').includes('rename'));
  assert.deepEqual(complete('ingest', 'file', '--mod'), ['--mode']);
  assert.equal((await run(['completions', 'zsh'])).code, 0);
  assert.equal((await run(['completions', 'fish'])).code, 0);
  assert.equal((await run(['completions', 'csh'])).code, 2);
});
