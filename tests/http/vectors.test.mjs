// Vectors in and out over HTTP: bodies of octets, several questions at once.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../support/client.mjs';
import { startServer } from '../support/server.mjs';

const dimensions = 24;
const vectorOf = (row) => Array.from({ length: dimensions }, (_, at) => Math.fround(Math.sin(row * 31 + at * 7)));
const rows = 60;
const lines = Array.from({ length: rows }, (_, row) => JSON.stringify({ id: row, tag: row % 2 ? 'odd' : 'even', v: vectorOf(row) })).join('\n');

async function given(context) {
  const server = await startServer();
  context.after(() => server.kill());
  const lake = await connect(server);
  await lake.ingest('points', lines, { mode: 'create', name: 'points.ndjson' });
  const made = await lake.post('/vectors/index', { index_name: 'points_v1', dataset: 'points', id_column: 'id', vector_column: 'v' });
  assert.equal(made.status, 200, made.text);
  return lake;
}

const f32 = (...vectors) => Buffer.from(new Float32Array(vectors.flat()).buffer);
// Round to the nearest binary16; the numbers here are between 2⁻¹⁴ and 2 or zero.
const half = (number) => {
  const bits = new Uint32Array(new Float32Array([number]).buffer)[0];
  const rounded = bits + 0x0fff + ((bits >>> 13) & 1);
  const exponent = ((rounded >>> 23) & 0xff) - 112;
  return ((bits >>> 16) & 0x8000) | (exponent <= 0 ? 0 : (exponent << 10) | ((rounded >>> 13) & 0x3ff));
};
const f16 = (...vectors) => Buffer.from(new Uint16Array(vectors.flat().map(half)).buffer);

const octets = (lake, parameters, body, type = 'application/octet-stream') =>
  lake.send('POST', `/vectors/search?${new URLSearchParams(parameters)}`, { headers: { 'content-type': type }, body });
const found = (reply) => reply.body.items.map(({ id, score }) => [id, score]);

test('a body of octets finds what the same numbers find as JSON', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  const vector = vectorOf(7.25);
  const json = await lake.post('/vectors/search', { index: 'points_v1', vector, k: 5 });
  assert.equal(json.status, 200, json.text);
  const raw = await octets(lake, { index: 'points_v1', k: 5 }, f32(vector));
  assert.equal(raw.status, 200, raw.text);
  assert.deepEqual(found(raw), found(json));
  assert.equal(raw.body.results, undefined);
  const short = await octets(lake, { index: 'points_v1', k: 5, format: 'f16' }, f16(vector));
  assert.equal(short.status, 200, short.text);
  assert.deepEqual(short.body.items.map(({ id }) => id), json.body.items.map(({ id }) => id));
  assert.ok(Math.abs(short.body.items[0].score - json.body.items[0].score) < 2e-3);
  const filtered = await octets(lake, { index: 'points_v1', k: 3, sql_filter: "tag = 'odd'", include_row: true }, f32(vector));
  assert.deepEqual([...new Set(filtered.body.items.map(({ row }) => row.tag))], ['odd']);
});

test('several questions get one result each, which are those that each gets alone', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  const vectors = Array.from({ length: 70 }, (_, at) => vectorOf(at + 0.5));
  vectors[3] = vectors[3].map(() => 0);
  const batch = await lake.post('/vectors/search', { index: 'points_v1', vectors, k: 4, include_row: true });
  assert.equal(batch.status, 200, batch.text);
  assert.deepEqual(batch.body.items, []);
  assert.equal(batch.body.results.length, 70);
  assert.equal(batch.body.method, 'exact');
  for (const at of [0, 3, 31, 32, 69]) {
    const alone = await lake.post('/vectors/search', { index: 'points_v1', vector: vectors[at], k: 4, include_row: true });
    assert.deepEqual(batch.body.results[at].items, alone.body.items);
  }
  const raw = await octets(lake, { index: 'points_v1', k: 4, include_row: true }, f32(...vectors));
  assert.deepEqual(raw.body.results, batch.body.results);
  const filtered = await lake.post('/vectors/search', { index: 'points_v1', vectors: vectors.slice(0, 3), k: 2, sql_filter: 'id >= 50' });
  assert.ok(filtered.body.results.every(({ items }) => items.length === 2 && items.every(({ id }) => id >= 50)));
});

test('questions in words are answered together, too', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  await lake.ingest('notes', 'id,text\n1,a river and a stone\n2,winter market\n3,the garden window\n', { mode: 'create' });
  await lake.post('/vectors/index', { index_name: 'notes_v1', dataset: 'notes', id_column: 'id', text_columns: ['text'] });
  const queries = ['garden window', 'stone river', 'zzzz'];
  const batch = await lake.post('/vectors/search', { index: 'notes_v1', queries, k: 2 });
  assert.equal(batch.status, 200, batch.text);
  assert.equal(batch.body.results[0].items[0].id, 3);
  assert.equal(batch.body.results[1].items[0].id, 1);
  for (const [at, query] of queries.entries()) {
    const alone = await lake.post('/vectors/search', { index: 'notes_v1', query, k: 2 });
    assert.deepEqual(batch.body.results[at].items, alone.body.items);
  }
});

test('what is wrong with vectors is told with its place', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  const good = vectorOf(1);
  const not = (at, number) => good.map((value, i) => (i === at ? number : value));
  const bodies = [
    [{ index: 'points_v1' }, f32(good).subarray(1), /95 bytes.*f32 has 4/],
    [{ index: 'points_v1', format: 'f16' }, f16(good).subarray(1), /47 bytes.*f16 has 2/],
    [{ index: 'points_v1' }, Buffer.alloc(0), /0 bytes/],
    [{ index: 'points_v1' }, f32(good).subarray(4), /24 numbers; 23 numbers are no whole number/],
    [{ index: 'points_v1' }, f32(good, good.slice(1)), /24 numbers; 47 numbers/],
    [{ index: 'points_v1' }, f32(good, not(5, NaN)), /Number 5 of vector 1 is not finite/],
    [{ index: 'points_v1' }, f32(not(23, Infinity)), /Number 23 of vector 0 is not finite/],
    [{ index: 'points_v1', format: 'f16' }, Buffer.from([...f16(good).subarray(0, 46), 0x00, 0xfc]), /Number 23 of vector 0/],
    [{ index: 'points_v1', query: 'x' }, f32(good), /body is the vector/],
    [{ index: 'points_v1', format: 'f64' }, f32(good), /f32 or f16/],
    [{ index: 'points_v1', wrong: '1' }, f32(good), /wrong/],
    [{}, f32(good), /index/],
    [{ index: 'points_v1', k: 101 }, f32(...Array.from({ length: 1000 }, () => good)), /101 hits each are more than 100000/],
    [{ index: 'points_v1', k: 1 }, f32(...Array.from({ length: 1001 }, () => good)), /1 to 1000 questions, this one has 1001/],
  ];
  for (const [parameters, body, detail] of bodies) {
    const reply = await octets(lake, parameters, body);
    assert.equal(reply.status, 400, `${JSON.stringify(parameters)}: ${reply.text}`);
    assert.match(reply.body.detail + reply.body.hint, detail);
  }
  const lists = [
    [{ vectors: [good, good.slice(1)] }, 'vectors', /Vector 1 has 23 numbers, vector 0 has 24/],
    [{ vectors: [good, not(2, 'x')] }, 'vectors', /Item 2 of vector 1/],
    [{ vectors: [not(0, 1e39)] }, 'vectors', /Item 0 of vector 0/],
    [{ vectors: [] }, 'vectors', /1 to 1000/],
    [{ vectors: [good, 7] }, 'vectors', /Vector 1 is no list/],
    [{ vectors: [[1, 2]] }, 'vectors', /24 numbers; 2 numbers/],
    [{ vectors: [good], query: 'x' }, 'query', /one of/],
    [{ queries: ['x'] }, 'query', /no model here turns words/],
    [{ queries: [] }, 'query', /Give a query/],
    [{ vector: good, format: 'f32' }, 'format', /body of octets/],
  ];
  for (const [members, field, detail] of lists) {
    const reply = await lake.post('/vectors/search', { index: 'points_v1', ...members });
    assert.equal(reply.status, 400, `${JSON.stringify(members)}: ${reply.text}`);
    assert.equal(reply.body.field, field, reply.text);
    assert.match(reply.body.detail, detail);
  }
  const text = await octets(lake, { index: 'points_v1' }, 'x', 'text/plain');
  assert.equal(text.status, 415);
  assert.match(text.body.detail, /application\/json or application\/octet-stream/);
  const other = await lake.send('POST', '/vectors/hybrid?index=points_v1', { headers: { 'content-type': 'application/octet-stream' }, body: f32(good) });
  assert.equal(other.status, 415);
});

test('searches that arrive together are answered as each is alone', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  const alone = [];
  for (let at = 0; at < 40; at++)
    alone.push(found(await lake.post('/vectors/search', { index: 'points_v1', vector: vectorOf(at + 0.3), k: 3 })));
  const together = await Promise.all(alone.map((_, at) => octets(lake, { index: 'points_v1', k: 3 }, f32(vectorOf(at + 0.3)))));
  assert.deepEqual(together.map(found), alone);
});

// What numpy.save writes.
function npy(descr, shape, cells, { order = 'False', version = 1 } = {}) {
  const head = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  const fixed = version === 1 ? 10 : 12;
  const padded = `${head.padEnd(Math.ceil((fixed + head.length + 1) / 64) * 64 - fixed - 1)}\n`;
  const length = Buffer.alloc(fixed - 8);
  if (version === 1) length.writeUInt16LE(padded.length);
  else length.writeUInt32LE(padded.length);
  return Buffer.concat([Buffer.from([0x93]), Buffer.from('NUMPY'), Buffer.from([version, 0]), length, Buffer.from(padded), cells]);
}
const f64 = (...vectors) => Buffer.from(new Float64Array(vectors.flat()).buffer);

test('a NPY file becomes rows with their order, of which an index is made', { timeout: 60000 }, async (context) => {
  const server = await startServer();
  context.after(() => server.kill());
  const lake = await connect(server);
  const vectors = Array.from({ length: 3000 }, (_, row) => vectorOf(row));
  const cases = [
    ['<f4', f32(...vectors), 'FLOAT[]', {}],
    ['<f4', f32(...vectors), 'FLOAT[]', { version: 2 }],
    ['<f2', f16(...vectors), 'FLOAT[]', {}],
    ['<f8', f64(...vectors), 'DOUBLE[]', {}],
    ['|i1', Buffer.from(vectors.flat().map((value) => Math.round(value * 100))), 'FLOAT[]', {}],
  ];
  for (const [at, [descr, cells, type, more]] of cases.entries()) {
    const name = `array_${at}`;
    const taken = await lake.ingest(name, npy(descr, [3000, dimensions], cells, more), { mode: 'create', name: 'whatever.bin' });
    assert.equal(taken.status, 200, taken.text);
    assert.equal(taken.body.rows, 3000);
    assert.equal(taken.body.format, 'npy');
    const columns = (await lake.get(`/catalog/datasets/by-name/${name}`)).body.columns;
    assert.deepEqual(columns.map((column) => [column.name, column.type]), [['row', 'BIGINT'], ['vector', type]]);
    const made = await lake.post('/vectors/index', { index_name: `${name}_v1`, dataset: name, id_column: 'row', vector_column: 'vector' });
    assert.equal(made.status, 200, made.text);
    const reply = await octets(lake, { index: `${name}_v1`, k: 1 }, f32(vectorOf(1234)));
    assert.equal(reply.body.items[0].id, 1234);
    assert.ok(reply.body.items[0].score > 0.999, `${descr}: ${reply.body.items[0].score}`);
  }
  const [[exact]] = await lake.rows('SELECT vector FROM array_3 WHERE row = 7');
  assert.deepEqual(exact, vectorOf(7));
  const more = await lake.ingest('array_0', npy('<f4', [2, dimensions], f32(vectorOf(9000), vectorOf(9001))), { mode: 'append', options: { first_row: 3000 } });
  assert.equal(more.status, 200, more.text);
  assert.deepEqual(await lake.rows('SELECT max("row"), count(DISTINCT "row") FROM array_0'), [[3001, 3002]]);
});

test('a file that is no array of vectors is refused with what it is', { timeout: 60000 }, async (context) => {
  const server = await startServer();
  context.after(() => server.kill());
  const lake = await connect(server);
  const good = f32(vectorOf(1), vectorOf(2));
  const whole = npy('<f4', [2, dimensions], good);
  const files = [
    [whole.subarray(0, whole.length - 1), /2 rows of 96 bytes, and has 191/],
    [Buffer.concat([whole, Buffer.alloc(96)]), /2 rows of 96 bytes, and has 288/],
    [npy('<f4', [48], good), /not two dimensions/],
    [npy('<f4', [2, 6, 4], good), /not two dimensions/],
    [npy('<f4', [2, 0], Buffer.alloc(0)), /no number/],
    [npy('<f4', [2, 70000], Buffer.alloc(560000)), /more than 65,536/],
    [npy('>f4', [2, dimensions], good), /no floats of 16, 32 or 64 bits/],
    [npy('<U8', [2, dimensions], good), /no floats of 16, 32 or 64 bits/],
    [npy('<f4', [2, dimensions], good, { order: 'True' }), /column after column/],
    [npy('<f4', ['99999999999999999999', dimensions], good), /not two dimensions/],
    [npy('<f4', ['9223372036854775807', dimensions], good), /and has 192 bytes/],
    [whole.subarray(0, 40), /header is no array/],
    [Buffer.from([0x93, ...Buffer.from('NUMPY'), 9, 0, 2, 0, 0x7b, 0x7d]), /header is no array/],
    [Buffer.concat([Buffer.from([0x93]), Buffer.from('NUMPY')]), /does not begin as such/],
  ];
  for (const [bytes, detail] of files) {
    const reply = await lake.ingest('array', bytes, { mode: 'create', name: 'a.npy' });
    assert.equal(reply.status, 422, reply.text);
    assert.match(reply.body.detail, detail);
  }
  assert.equal((await lake.get('/catalog/datasets/by-name/array')).status, 404);
  const empty = await lake.ingest('empty', npy('<f4', [0, dimensions], Buffer.alloc(0)), { mode: 'create', name: 'a.npy' });
  assert.equal(empty.status, 200, empty.text);
  assert.equal((await lake.sql('SELECT * FROM lakehouse_npy_rows(0)')).status, 400);
});

test('a vector that is none is told with its row, wherever it stands', { timeout: 60000 }, async (context) => {
  const server = await startServer();
  context.after(() => server.kill());
  const lake = await connect(server);
  const cells = Array.from({ length: 4000 }, (_, row) => vectorOf(row)).flat();
  const wrong = [[NaN, 'holds NULL, NaN or an infinity'], [Infinity, 'holds NULL, NaN or an infinity'], [1e300, 'holds NULL, NaN or an infinity']];
  for (const [at, [number, what]] of wrong.entries()) {
    const bad = [...cells];
    bad[2500 * dimensions + 3] = number;
    await lake.ingest(`bad_${at}`, npy('<f8', [4000, dimensions], f64(bad)), { mode: 'create' });
    const made = await lake.post('/vectors/index', { index_name: `bad_${at}_v1`, dataset: `bad_${at}`, id_column: 'row', vector_column: 'vector' });
    assert.equal(made.status, 400, made.text);
    assert.match(made.body.detail, new RegExp(`The row with the id '2500' has a vector that ${what}`));
  }
  const short = Array.from({ length: 500 }, (_, row) => JSON.stringify({ id: `k${row}`, v: vectorOf(row).slice(row === 321 ? 1 : 0) })).join('\n');
  await lake.ingest('short', short, { mode: 'create', name: 'short.jsonl' });
  const made = await lake.post('/vectors/index', { index_name: 'short_v1', dataset: 'short', id_column: 'id', vector_column: 'v' });
  assert.equal(made.status, 400, made.text);
  assert.match(made.body.detail, /The row with the id 'k321' has a vector that is not as long as those before it/);
});

test('the weights of a hybrid search change what counts', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  await lake.ingest('notes', 'id,text\n1,a river and a stone\n2,winter market in the river town\n3,the garden window\n4,stones in rivers of winter\n', { mode: 'create' });
  await lake.post('/vectors/index', { index_name: 'notes_v1', dataset: 'notes', id_column: 'id', text_columns: ['text'] });
  const ask = (more) => lake.post('/vectors/hybrid', { index: 'notes_v1', query: 'river winter', ...more });
  const scores = (reply) => reply.body.items.map(({ id, score }) => [id, score]);
  const plain = await ask({});
  assert.deepEqual(scores(await ask({ weights: { meaning: 0.4, words: 0.6, coverage: 1, pairs: 0.2 } })), scores(plain));
  assert.deepEqual(scores(await ask({ weights: {} })), scores(plain));
  const meaning = await ask({ fusion: 'weighted', weights: { meaning: 2, words: 0 } });
  const best = meaning.body.items[0].parts.vector.score;
  for (const { score, parts } of meaning.body.items.filter((item) => item.parts.vector))
    assert.ok(Math.abs(score - Math.max(0, parts.vector.score) / best) < 1e-6);
  const coverage = await ask({ weights: { meaning: 0, words: 0, coverage: 3, pairs: 0 } });
  for (const { score, parts } of coverage.body.items) assert.ok(Math.abs(score - parts.coverage) < 1e-6);
  const places = await ask({ fusion: 'rrf', weights: { meaning: 3, words: 0.5 } });
  for (const { score, parts } of places.body.items)
    assert.ok(Math.abs(score - (parts.vector ? 3 / (60 + parts.vector.rank) : 0) - (parts.keyword ? 0.5 / (60 + parts.keyword.rank) : 0)) < 1e-8);
  const both = await ask({ fusion: 'weighted' });
  assert.deepEqual(scores(await ask({ fusion: 'weighted', weights: { meaning: 7, words: 7 } })), scores(both));
  for (const weights of [{ meaning: -1 }, { words: 1001 }, { words: 'x' }, { other: 1 }, [1], { meaning: 0, words: 0, coverage: 0, pairs: 0 }]) {
    const reply = await ask({ weights });
    assert.equal(reply.status, 400, reply.text);
    assert.equal(reply.body.field, 'weights');
  }
  assert.equal((await ask({ fusion: 'rrf', weights: { coverage: 1 } })).status, 400);
  assert.equal((await ask({ mode: 'keyword', weights: { words: 1 } })).status, 400);
});

// What numpy.load makes of it.
function loaded(bytes) {
  assert.equal(bytes.subarray(1, 6).toString(), 'NUMPY');
  const from = 10 + bytes.readUInt16LE(8);
  assert.equal(from % 64, 0);
  const [, rows, width] = bytes.subarray(10, from).toString().match(/'descr': '<f4'.*'shape': \((\d+), (\d+)\)/).map(Number);
  assert.equal(bytes.length, from + rows * width * 4);
  const floats = new Float32Array(bytes.buffer.slice(bytes.byteOffset + from, bytes.byteOffset + bytes.length));
  return Array.from({ length: rows }, (_, row) => [...floats.subarray(row * width, (row + 1) * width)]);
}

test('the vectors of an index go out as they are found, and come in again', { timeout: 60000 }, async (context) => {
  const lake = await given(context);
  const gone = await lake.post('/catalog/datasets/by-name/points/tombstone', { row_key_column: 'id', row_key_values: [3, 40], actor: 'test', reason: 'none' });
  assert.equal(gone.status, 200, gone.text);
  const array = await lake.get('/vectors/indexes/points_v1/export?format=npy');
  assert.equal(array.status, 200, array.text);
  assert.equal(array.headers.get('content-length'), String(array.bytes.length));
  assert.equal(array.headers.get('content-type'), 'application/octet-stream');
  const vectors = loaded(array.bytes);
  const lines = (await lake.get('/vectors/indexes/points_v1/export?format=ndjson')).text.trim().split('\n').map(JSON.parse);
  assert.deepEqual(lines.map(({ id }) => id).sort((a, b) => a - b), Array.from({ length: rows }, (_, at) => at).filter((at) => ![3, 40].includes(at)));
  assert.deepEqual(lines.map(({ vector }) => vector.map(Math.fround)), vectors);
  for (const { id, vector, chunk } of lines) {
    const length = Math.hypot(...vectorOf(id));
    assert.equal(chunk, 0);
    assert.ok(vector.every((number, at) => Math.abs(number - vectorOf(id)[at] / length) < 1e-6));
  }
  const parquet = await lake.get('/vectors/indexes/points_v1/export?format=parquet');
  assert.equal(parquet.bytes.subarray(0, 4).toString(), 'PAR1');
  await lake.ingest('again', parquet.bytes, { mode: 'create', name: 'points.parquet' });
  await lake.post('/vectors/index', { index_name: 'again_v1', dataset: 'again', id_column: 'id', vector_column: 'vector' });
  const ask = async (index) => found(await octets(lake, { index, k: 5 }, f32(vectorOf(7.5)))).map(([id, score]) => [id, Number(score.toFixed(5))]);
  assert.deepEqual(await ask('again_v1'), await ask('points_v1'));
  const [[count]] = await lake.rows("SELECT count(*) FROM index_vectors('points_v1') v JOIN points USING (id) WHERE len(v.vector) = 24");
  assert.equal(count, rows - 2);
  const json = await lake.get('/vectors/indexes/points_v1/export');
  assert.deepEqual(json.body.columns.map(({ name, type }) => [name, type]), [['id', 'BIGINT'], ['chunk', 'INTEGER'], ['text', 'VARCHAR'], ['vector', 'FLOAT[]']]);
  assert.equal((await lake.get('/vectors/indexes/none/export')).status, 404);
  assert.equal((await lake.get('/vectors/indexes/points_v1/export?format=xml')).status, 400);
  assert.equal((await lake.sql("SELECT * FROM index_vectors('none')")).status, 404);
});
