// The generated documents in docs/ are what this binary would generate now.
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root, temporaryFolder } from './server.mjs';

const program = join(root, process.argv[2]);
const folder = temporaryFolder('docs');
execFileSync(program, ['docs', '--write', folder.path]);
const names = readdirSync(folder.path);
const stale = names.filter((name) => {
  try {
    return readFileSync(join(folder.path, name), 'utf8') !== readFileSync(join(root, 'docs', name), 'utf8');
  } catch {
    return true;
  }
});
folder.remove();
for (const name of stale) console.log(`not ok: docs/${name} is stale; run: build/lakehouse docs --write docs`);
for (const name of ['openapi.json', 'errors.md', 'operations.md', 'settings.md'].filter((one) => !names.includes(one))) {
  console.log(`not ok: ${name} is not generated`);
  stale.push(name);
}
console.log(`${names.length - stale.length} passed, ${stale.length} failed`);
process.exit(stale.length ? 1 : 0);
