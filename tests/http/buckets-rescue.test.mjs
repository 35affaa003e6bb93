// Files of local buckets that are not what was committed, or whose bucket went away under the
// server: a sound copy of the rescue bucket stands in for them, and without one the answer says
// what is wrong with which file of which bucket.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { connect } from '../support/client.mjs';
import { startServer, temporaryFolder } from '../support/server.mjs';

const rows = (from, count) => `id,name\n${Array.from({ length: count }, (_, at) => `${from + at},n${from + at}`).join('\n')}\n`;
const rescueOf = (reply) => ['used', 'original-bucket', 'reason'].map((name) => reply.headers.get(`x-lakehouse-rescue-${name}`));
const none = [null, null, null];

const withLake = async (scenario) => {
  const data = temporaryFolder('lake');
  const root = temporaryFolder('bucket');
  const spare = join(root.path, 'spare');
  const arch = join(root.path, 'arch');
  writeFileSync(join(data.path, 'lakehouse.toml'), `[storage]\nrescue_bucket = "resc"\n[[storage.buckets]]\nname = "resc"\nroot = "${spare}"\n`);
  const own = await startServer({ data: data.path, env: { LAKEHOUSE_LOG_REQUESTS: 'false' } });
  try {
    const lake = await connect(own);
    assert.equal((await lake.post('/storage/buckets', { name: 'arch', root: arch })).status, 201);
    const place = { primary: data.path, arch };
    /* A dataset of two files in the bucket; where they are, and where copies of them would be. */
    const make = async (name, bucket) => {
      for (const [from, mode] of [[0, 'create'], [50, 'append']]) {
        const made = await lake.ingest(name, rows(from, 50), { mode, headers: { 'x-lakehouse-bucket': bucket } });
        assert.equal(made.status, 200, made.text);
      }
      const { objects } = (await lake.get(`/catalog/datasets/by-name/${name}`)).body;
      assert.deepEqual(objects.map((one) => one.bucket), [bucket, bucket]);
      const [first, second] = objects.map(({ key }) => ({ key, file: join(place[bucket], key), copy: join(spare, key) }));
      mkdirSync(dirname(first.copy), { recursive: true });
      return { first, second };
    };
    await scenario({ lake, data, arch, make });
  } finally {
    await own.stop();
    data.remove();
    root.remove();
  }
};
const flip = (bytes) => {
  const other = Buffer.from(bytes);
  other[other.length >> 1] ^= 1;
  return other;
};
const sum = 'SELECT sum(id), count(*), min(name) FROM t';
const all = [['4950', 100, 'n0']];
const isSum = (reply) => assert.deepEqual(reply.body.rows?.map(([a, b, c]) => [String(a), b, c]), all, reply.text);

for (const bucket of ['arch', 'primary']) {
  test(`a file that '${bucket}' lost, or that differs there, is read from its copy, if that is the very same`, async () => {
    await withLake(async ({ lake, make }) => {
      const { first, second } = await make('t', bucket);
      const bytes = readFileSync(first.file);
      const plain = await lake.sql(sum);
      isSum(plain);
      assert.deepEqual(rescueOf(plain), none);
      // nowhere, and a copy that is not the same
      renameSync(first.file, `${first.file}.away`);
      for (const copy of [null, flip(bytes), bytes.subarray(0, bytes.length - 1)]) {
        if (copy) writeFileSync(first.copy, copy);
        for (const text of [sum, `${sum} WHERE id >= 0`]) { // one that was planned before, and one that was not
          const nowhere = await lake.sql(text);
          assert.deepEqual([nowhere.status, nowhere.body.code, ...rescueOf(nowhere)], [404, 'object_missing', ...none], nowhere.text);
          assert.ok(nowhere.body.detail.includes(`'${first.key}' is missing in the bucket '${bucket}'`), nowhere.text);
          assert.match(nowhere.body.hint, /rescue bucket/);
        }
      }
      // missing, with a sound copy
      writeFileSync(first.copy, bytes);
      for (const text of [sum, `${sum} WHERE id > -1`, sum]) {
        const rescued = await lake.sql(text);
        isSum(rescued);
        assert.deepEqual(rescueOf(rescued), ['true', bucket, 'not_found']);
      }
      assert.equal((await lake.get('/health')).body.status, 'degraded', 'that it could be read does not mean that all is well');
      const counted = await lake.sql('SELECT count(*) FROM t');
      assert.deepEqual([counted.body.rows, rescueOf(counted)], [[[100]], ['true', bucket, 'not_found']]);
      // there, and other bytes
      writeFileSync(first.file, flip(bytes));
      for (const text of [sum, `${sum} WHERE id > -2`]) {
        const rescued = await lake.sql(text);
        isSum(rescued);
        assert.deepEqual(rescueOf(rescued), ['true', bucket, 'damaged']);
      }
      const { body: failures } = await lake.get(`/storage/errors?bucket=${bucket}`);
      assert.ok(failures.items.some((one) => one.key === first.key && one.code === 'damaged'), JSON.stringify(failures));
      // the second file, too; only one of them has a copy
      rmSync(second.file);
      const half = await lake.sql(sum);
      assert.deepEqual([half.status, half.body.code], [404, 'object_missing'], half.text);
      assert.ok(half.body.detail.includes(second.key));
      // it is as it was again
      writeFileSync(first.file, bytes);
      const back = await lake.sql('SELECT max(id) FROM t AT (VERSION => 1)');
      assert.deepEqual([back.body.rows, ...rescueOf(back)], [[[49]], ...none], 'the bucket has it again');
    });
  });

  test(`other bytes in '${bucket}' without a sound copy are damage, and no reader takes them`, async () => {
    await withLake(async ({ lake, make }) => {
      const { first } = await make('t', bucket);
      const bytes = readFileSync(first.file);
      writeFileSync(first.file, flip(bytes));
      for (const copy of [null, bytes.subarray(1), flip(bytes)]) {
        if (copy) writeFileSync(first.copy, copy);
        const damaged = await lake.sql(sum);
        assert.deepEqual([damaged.status, damaged.body.code, ...rescueOf(damaged)], [500, 'damaged', ...none], damaged.text);
        assert.match(damaged.body.detail, /checksum differs|bytes, not/);
      }
      const merged = await lake.post('/query/compact', { dataset: 't' });
      assert.deepEqual([merged.status, merged.body.code], [500, 'damaged'], merged.text);
      // a merge reads what is in the bucket, never what stands in for it
      writeFileSync(first.copy, bytes);
      isSum(await lake.sql(sum));
      const again = await lake.post('/query/compact', { dataset: 't' });
      assert.deepEqual([again.status, again.body.code], [500, 'damaged'], again.text);
      rmSync(first.file);
      const gone = await lake.post('/query/compact', { dataset: 't' });
      assert.deepEqual([gone.status, gone.body.code], [500, 'damaged'], gone.text);
      assert.ok(gone.body.detail.includes(`'${first.key}' is missing in the bucket '${bucket}'`), gone.text);
      isSum(await lake.sql(sum));
      writeFileSync(first.file, bytes);
      const sound = await lake.post('/query/compact', { dataset: 't' });
      assert.equal(sound.status, 200, sound.text);
      isSum(await lake.sql(sum));
    });
  });
}

test('a bucket that goes away under a statement is told at once by its name, by health too, and copies stand in', async () => {
  await withLake(async ({ lake, arch, make }) => {
    const { first, second } = await make('t', 'arch');
    const text = 'SELECT max(id) FROM t';
    const warm = async () => assert.deepEqual((await lake.sql(text)).body.rows, [[99]]);
    await warm();
    renameSync(arch, `${arch}.gone`);
    for (const ask of [() => lake.sql(text), () => lake.sql(text), () => lake.sql('SELECT max(id) + 0 FROM t')]) {
      const away = await ask();
      assert.deepEqual([away.status, away.body.code], [503, 'io_error'], away.text);
      assert.match(away.body.detail, /folder of the bucket 'arch' is not there/);
      assert.match(away.body.hint, /disk mounted/);
      assert.ok(!away.text.includes(arch), 'no path of the machine');
      const health = (await lake.get('/health')).body;
      assert.deepEqual([health.status, health.problems.filter((one) => one.kind === 'bucket').map((one) => one.name)], ['degraded', ['arch']]);
    }
    renameSync(`${arch}.gone`, arch);
    await warm();
    const explain = { sql: text };
    assert.equal((await lake.post('/query/explain', explain)).status, 200);
    await warm();
    for (const { file, copy } of [first, second]) copyFileSync(file, copy);
    renameSync(arch, `${arch}.gone`);
    for (const again of [text, text, 'SELECT max(id) + 0 FROM t']) {
      const rescued = await lake.sql(again);
      assert.deepEqual([rescued.status, rescued.body.rows, ...rescueOf(rescued)], [200, [[99]], 'true', 'arch', 'io_error'], rescued.text);
    }
    assert.equal((await lake.get('/health')).body.status, 'degraded');
    renameSync(`${arch}.gone`, arch);
    const back = await lake.sql(text);
    assert.deepEqual([back.body.rows, ...rescueOf(back)], [[[99]], ...none], back.text);
  });
});
