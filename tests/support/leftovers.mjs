// Looks for texts in everything that a data folder holds: the bytes of every file, and the cells of every
// Parquet file among them, decoded by a reader that is not the program's own.
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './server.mjs';

const require = createRequire(join(root, 'deps', 'test', 'package.json'));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);

export function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : entry.isFile() ? [path] : [];
  });
}

function holds(value, text) {
  if (value instanceof Uint8Array) return Buffer.from(value).includes(text);
  if (Array.isArray(value)) return value.some((one) => holds(one, text));
  if (value && typeof value === 'object') return Object.values(value).some((one) => holds(one, text));
  return typeof value === 'string' && value.includes(text);
}

async function look(folder, texts) {
  const { parquetReadObjects } = await load('hyparquet');
  const { compressors } = await load('hyparquet-compressors');
  const found = [];
  let decoded = 0;
  for (const path of filesBelow(folder)) {
    const bytes = readFileSync(path);
    for (const text of texts) if (bytes.includes(text)) found.push({ path, text, where: 'bytes' });
    if (bytes.subarray(0, 4).toString() !== 'PAR1') continue;
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    const rows = await parquetReadObjects({ file, compressors });
    decoded += 1;
    for (const text of texts) if (rows.some((row) => holds(row, text))) found.push({ path, text, where: 'rows' });
  }
  return { found, decoded };
}

// [{path, text, where}] of each text that stands somewhere. A server beside it may give a file its name while
// this looks: then all of it is looked at again.
export async function leftovers(folder, texts) {
  for (let turn = 0; ; turn += 1) {
    try {
      return await look(folder, texts);
    } catch (error) {
      if (error.code !== 'ENOENT' || turn === 9) throw error;
    }
  }
}
