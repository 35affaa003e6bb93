// A move to a disk that has no room for it is refused before anything is copied, with the figures. The
// disk is a small one in memory; where nobody may mount one this is skipped.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { smallDisk } from '../support/disk.mjs';
import { startServer } from '../support/server.mjs';

test('a move to a disk without room for it is refused with the figures, and changes nothing', { timeout: 60000 }, async (context) => {
  const disk = smallDisk(6);
  if (!disk) return context.skip('nobody may mount a disk here');
  const server = await startServer({ env: { LAKEHOUSE_LOG_REQUESTS: 'false' } });
  context.after(async () => {
    await server.stop();
    disk.remove();
  });
  const lake = await connect(server);
  assert.equal((await lake.post('/storage/buckets', { name: 'small', root: disk.path })).status, 201);
  const rows = Array.from({ length: 3000 }, (_, at) => `${at},${randomBytes(1024).toString('base64')}`);
  assert.equal((await lake.ingest('t', `id,v\n${rows.join('\n')}\n`, {})).status, 200);
  const refused = await lake.post('/catalog/datasets/by-name/t/move', { to: 'small', wait: true });
  assert.equal(refused.status, 507, refused.text);
  assert.match(refused.body.detail, /Only \d+ MB are free where the bucket 'small' lies; to move 't' to 'small' needs about \d+ MB there/);
  assert.match(refused.body.hint, /Make room/);
  const folder = join(disk.path, 'datasets');
  assert.ok(!existsSync(folder) || readdirSync(folder).length === 0, 'something was copied');
  assert.deepEqual((await lake.get('/catalog/datasets/by-name/t')).body.objects.map((object) => object.bucket), ['primary']);
  assert.equal((await lake.ingest('few', 'id\n1\n', {})).status, 200);
  assert.equal((await lake.post('/catalog/datasets/by-name/few/move', { to: 'small', wait: true })).status, 200);
});
