// A server over a folder of its own for tests of erasures, which compaction does not disturb.
import assert from 'node:assert/strict';
import { connect } from './client.mjs';
import { leftovers } from './leftovers.mjs';
import { run, startServer, temporaryFolder } from './server.mjs';

const env = { LAKEHOUSE_COMPACTION_ENABLED: 'false' };

export async function house(context) {
  const folder = temporaryFolder();
  const server = await startServer({ data: folder.path, env });
  context.after(() => folder.remove());
  context.after(() => server.kill());
  const lake = await connect(server);
  const ok = async (answer) => {
    const got = await answer;
    assert.ok(got.status < 300, got.text);
    return got;
  };
  return {
    folder: folder.path, server, lake, ok,
    ingest: (name, text, options = {}) => ok(lake.ingest(name, text, options)),
    event: (body) => ok(lake.post('/journal/event', { action: 'called', ...body })),
    erase: (body) => lake.post('/catalog/erase', body),
    describe: (name, body) => ok(lake.patch(`/catalog/datasets/by-name/${name}/metadata`, body)),
    tombstone: (name, column, values) =>
      ok(lake.post(`/catalog/datasets/by-name/${name}/tombstone`, { row_key_column: column, row_key_values: values })),
    recent: async () => (await ok(lake.get('/journal/recent?limit=500'))).body.items,
    found: async (...texts) => (await leftovers(folder.path, texts)).found,
    async end() {
      assert.deepEqual(await server.stop(), { code: 0, signal: null });
      const verified = await run(['verify', '--data', folder.path, '--json']);
      assert.equal(verified.code, 0, verified.out + verified.err);
    },
  };
}
