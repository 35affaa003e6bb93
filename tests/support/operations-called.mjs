// Fails when an operation of the table was called with success by no test.
import { readFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './server.mjs';

const document = JSON.parse(readFileSync(join(root, 'docs', 'openapi.json'), 'utf8'));
const file = process.env.LAKEHOUSE_CALLED ?? join(root, 'build', 'operations-called.txt');
const called = new Set(existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []);
const all = Object.values(document.paths).flatMap((methods) => Object.values(methods).map((one) => one.operationId)).filter(Boolean);
const missing = all.filter((id) => !called.has(id));
for (const id of missing) console.log(`not ok: no test calls ${id} with success`);
console.log(`figure: ${all.length - missing.length} of ${all.length} operations are called by tests over HTTP, every response held against its schema`);
process.exit(missing.length || !all.length ? 1 : 0);
