// A backup or a restore to a disk that has no room for it is refused before anything is written, with
// the figures. The disk is a small one in memory; where nobody may mount one this is skipped.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, readdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { smallDisk } from '../support/disk.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

const noRoom = /Only \d+ MB are free where '[^']+' lies; (the backup|what is restored) needs about \d+ MB there/;

test('backups and restores to a disk without room are refused with the figures', { timeout: 90000 }, async (context) => {
  const disk = smallDisk(6);
  if (!disk) return context.skip('nobody may mount a disk here');
  const folder = temporaryFolder('backup-space');
  const data = join(folder.path, 'lake');
  const server = await startServer({ data });
  context.after(async () => {
    await server.stop();
    folder.remove();
    disk.remove();
  });
  const lake = await connect(server);
  const rows = Array.from({ length: 3000 }, (_, at) => `${at},${randomBytes(1024).toString('base64')}`);
  assert.equal((await lake.ingest('t', `id,v\n${rows.join('\n')}\n`, {})).status, 200);

  const small = join(disk.path, 'backup');
  const refused = await lake.post('/system/backup', { to: small });
  assert.equal(refused.status, 507, refused.text);
  assert.match(refused.body.detail, noRoom);
  assert.match(refused.body.hint, /nothing was copied/);
  assert.deepEqual(readdirSync(join(small, 'snapshots')), []);

  const large = join(folder.path, 'backup');
  assert.equal((await lake.post('/system/backup', { to: large })).status, 200);
  await server.stop();
  const offline = await run(['backup', '--to', small, '--data', data]);
  assert.notEqual(offline.code, 0);
  assert.match(offline.err, noRoom);

  const target = join(disk.path, 'lake');
  const restore = () => run(['restore', '--from', large, '--data', target]);
  const none = await restore();
  assert.notEqual(none.code, 0);
  assert.match(none.err, noRoom);
  assert.ok(!existsSync(target) || readdirSync(target).length === 0, 'something was written');
  disk.grow(64);
  const done = await restore();
  assert.equal(done.code, 0, done.err);
  assert.equal((await run(['verify', '--data', target])).code, 0);

  // The lake in another place: its files only look new, and the store has their bytes.
  const moved = join(folder.path, 'moved');
  const store = join(disk.path, 'again');
  assert.equal((await run(['backup', '--to', store, '--data', data])).code, 0);
  cpSync(data, moved, { recursive: true, preserveTimestamps: true });
  const { blocks, bfree, bsize } = statfsSync(disk.path);
  disk.grow(Math.ceil(((blocks - bfree) * bsize) / (1 << 20)) + 5);
  const other = await run(['backup', '--to', join(disk.path, 'third'), '--data', moved]);
  assert.notEqual(other.code, 0);
  assert.match(other.err, noRoom);
  const known = await run(['backup', '--to', store, '--data', moved]);
  assert.equal(known.code, 0, known.err);
});
