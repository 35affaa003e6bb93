// Every format over HTTP, judged by readers that are not ours: JSON.parse, a reader of RFC 4180,
// apache-arrow, hyparquet; and how a format is asked for.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { createRequire } from 'node:module';
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { connect } from '../support/client.mjs';
import { root, startServer } from '../support/server.mjs';

const require = createRequire(join(root, 'deps', 'test', 'package.json'));
const arrow = require('apache-arrow');
const fzstd = require('fzstd');

let server;
let lake;
before(async () => {
  server = await startServer();
  lake = await connect(server);
});
after(async () => {
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

async function ask(sql, more = {}, headers = {}) {
  const response = await fetch(`${server.url}/query/sql`, {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify({ sql, ...more }),
  });
  return { status: response.status, type: response.headers.get('content-type'), headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) };
}

// RFC 4180, to the letter; null for a cell with nothing in it at all.
function readCsv(text) {
  const rows = [];
  let row = [];
  for (let at = 0; at < text.length;) {
    let cell = null;
    if (text[at] === '"') {
      cell = '';
      for (at++; ; at++) {
        if (at >= text.length) throw new Error('a quote is open');
        if (text[at] === '"' && text[at + 1] !== '"') break;
        if (text[at] === '"') at++;
        cell += text[at];
      }
      at++;
    } else {
      const from = at;
      while (at < text.length && text[at] !== ',' && text[at] !== '\r') {
        if (text[at] === '"' || text[at] === '\n') throw new Error(`a bare ${JSON.stringify(text[at])} at ${at}`);
        at++;
      }
      if (at > from) cell = text.slice(from, at);
    }
    row.push(cell);
    if (text[at] === ',') {
      at++;
      if (text.startsWith('\r\n', at)) row.push(null);
      else continue;
    }
    if (!text.startsWith('\r\n', at)) throw new Error(`no line break at ${at}`);
    at += 2;
    rows.push(row);
    row = [];
  }
  return rows;
}

const mixed = `SELECT range AS id, CASE WHEN range % 7 = 0 THEN NULL ELSE 'Zoë "q", ' || range END AS name, range / 4 AS rate,
  (range % 3 = 0) AS flag, (range % 100)::DECIMAL(9,2) AS price, [range, NULL] AS list, {'a': range, 'b': 'x'} AS pair,
  CASE WHEN range % 5 = 0 THEN NULL ELSE [range::VARCHAR] END AS words
  FROM range(10000) ORDER BY id`;

async function expected() {
  const { bytes } = await ask(mixed, { limit: 100000 });
  return JSON.parse(bytes).rows;
}

test('NDJSON: every line is an object of a row', async () => {
  const { status, type, bytes } = await ask(mixed, { format: 'ndjson', limit: 100000 });
  assert.deepEqual([status, type], [200, 'application/x-ndjson']);
  const lines = bytes.toString().split('\n');
  assert.equal(lines.pop(), '');
  assert.deepEqual(lines.map((line) => Object.values(JSON.parse(line))), await expected());
  assert.deepEqual(Object.keys(JSON.parse(lines[0])), ['id', 'name', 'rate', 'flag', 'price', 'list', 'pair', 'words']);
});

test('CSV: a reader of RFC 4180 finds the same cells', async () => {
  const { status, type, bytes } = await ask(mixed, { format: 'csv', limit: 100000 });
  assert.deepEqual([status, type], [200, 'text/csv; charset=utf-8; header=present']);
  const [head, ...rows] = readCsv(bytes.toString());
  assert.deepEqual(head, ['id', 'name', 'rate', 'flag', 'price', 'list', 'pair', 'words']);
  const cells = (await expected()).map(([id, name, rate, flag, price, list, pair, words]) =>
    [`${id}`, name, Number.isInteger(rate) ? `${rate}.0` : `${rate}`, `${flag}`, price, JSON.stringify(list), JSON.stringify(pair), words && JSON.stringify(words)]);
  assert.deepEqual(rows, cells);
});

// An Arrow value as the JSON reply tells it.
function plain(value) {
  if (value === null || value === undefined) return null;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value?.toJSON === 'function' && typeof value !== 'string') return plain(value.toJSON());
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
  return value;
}

test('Arrow: apache-arrow finds the same rows, types and names', async () => {
  const { status, type, bytes } = await ask(mixed, { format: 'arrow', limit: 100000 });
  assert.deepEqual([status, type], [200, 'application/vnd.apache.arrow.stream']);
  const table = arrow.tableFromIPC(bytes);
  assert.deepEqual(table.schema.fields.map((field) => [field.name, `${field.type}`]), [
    ['id', 'Int64'], ['name', 'Utf8'], ['rate', 'Float64'], ['flag', 'Bool'], ['price', 'Decimal[9e+2]'],
    ['list', 'List<Int64>'], ['pair', 'Struct<{a:Int64, b:Utf8}>'], ['words', 'List<Utf8>']]);
  assert.equal(table.schema.fields[4].metadata.get('sql_type'), 'DECIMAL(9,2)');
  const rows = await expected();
  assert.equal(table.numRows, rows.length);
  const columns = table.schema.fields.map((field) => table.getChild(field.name));
  for (const [at, row] of rows.entries()) {
    const got = columns.map((column, i) => (i === 4 ? (Number(column.get(at)[0]) / 100).toFixed(2) : plain(column.get(at))));
    assert.deepEqual(got, row);
  }
});

const types = `SELECT * EXCLUDE (timestamp_array, timestamptz_array, date_array, double_array) FROM test_all_types(use_large_enum=true)`;

test('Arrow: every type of the engine has its place', async () => {
  const { status, bytes } = await ask(types, { format: 'arrow' });
  assert.equal(status, 200, bytes.toString('latin1').slice(0, 300));
  const table = arrow.tableFromIPC(bytes);
  const { rows, columns } = JSON.parse((await ask(types)).bytes);
  assert.deepEqual(table.schema.fields.map((field) => field.name), columns.map((column) => column.name));
  const kind = Object.fromEntries(table.schema.fields.map((field) => [field.name, `${field.type}`]));
  assert.deepEqual([kind.hugeint, kind.dec38_10, kind.uuid, kind.interval, kind.timestamp_tz, kind.time_ns, kind.bit, kind.large_enum, kind.union],
    ['Decimal[39e0]', 'Decimal[38e+10]', 'FixedSizeBinary[16]', 'Interval<MONTH_DAY_NANO>', 'Timestamp<MICROSECOND, UTC>', 'Time64<NANOSECOND>', 'Utf8', 'Dictionary<Uint32, Utf8>', 'Union<Utf8 | Int16>']);
  const value = (name, row) => table.getChild(name).get(row);
  const column = (name) => rows.map((row) => row[columns.findIndex((one) => one.name === name)]);
  // NULL stands where NULL stands, in every column.
  for (const { name } of columns) {
    if (name === 'union') assert.equal(value(name, 2), null); // unions have no validity of their own
    else assert.deepEqual([0, 1, 2].map((row) => table.getChild(name).isValid(row)), [true, true, false], name);
  }
  const same = ['bool', 'tinyint', 'smallint', 'int', 'utinyint', 'usmallint', 'uint', 'bignum', 'varchar', 'bit', 'small_enum', 'medium_enum', 'large_enum',
    'int_array', 'varchar_array', 'nested_int_array', 'struct', 'struct_of_arrays', 'array_of_structs', 'union', 'fixed_int_array', 'fixed_varchar_array',
    'fixed_nested_int_array', 'fixed_nested_varchar_array', 'fixed_struct_array', 'struct_of_fixed_array', 'fixed_array_of_int_list', 'list_of_fixed_int_array', 'map', 'geometry'];
  for (const name of same) {
    const json = (one) => JSON.parse(JSON.stringify(one ?? null));
    assert.deepEqual([0, 1, 2].map((row) => json(value(name, row))), column(name), name);
  }
  // Numbers wider than JavaScript's are compared as the integers they are.
  const wide = (words) => {
    const raw = BigInt.asIntN(words.length * 32, [...words].reduceRight((all, word) => (all << 32n) | BigInt(word >>> 0), 0n));
    return raw;
  };
  for (const [name, digits] of [['hugeint', 0], ['uhugeint', 0], ['dec_4_1', 1], ['dec_9_4', 4], ['dec_18_6', 6], ['dec38_10', 10]]) {
    const texts = column(name).slice(0, 2).map((text) => BigInt(text.replace('.', '')));
    assert.deepEqual([0, 1].map((row) => wide(value(name, row))), texts, `${name} (${digits})`);
  }
  for (const name of ['bigint', 'ubigint']) assert.equal(value(name, 1), { bigint: 9223372036854775807n, ubigint: 18446744073709551615n }[name]);
  assert.deepEqual([...value('uuid', 1)], Array(16).fill(255));
  assert.deepEqual([...value('uuid', 0)], Array(16).fill(0));
  assert.deepEqual(Buffer.from(value('blob', 0)).toString('base64'), column('blob')[0]);
  assert.equal(value('float', 1), Math.fround(column('float')[1]));
  assert.equal(value('double', 0), column('double')[0]);
  assert.equal(value('time', 1), 86400000000n);
  assert.equal(value('time_tz', 0), '00:00:00+15:59:59');
  const [months, days, low, high] = value('interval', 1);
  assert.deepEqual([months, days, (BigInt(high) << 32n) | BigInt(low >>> 0)], [999, 999, 999999999000n]);
});

test('Arrow: units and zones of times are told', async () => {
  const sql = `SELECT TIMESTAMP '2024-01-02 03:04:05.678901' AS us, TIMESTAMP_S '2024-01-02 03:04:05' AS s, TIMESTAMP_MS '2024-01-02 03:04:05.678' AS ms,
    TIMESTAMP_NS '2024-01-02 03:04:05.678901234' AS ns, TIMESTAMPTZ '2024-01-02 03:04:05+02' AS tz, DATE '2024-02-29' AS d, TIME '01:02:03.000004' AS t`;
  const table = arrow.tableFromIPC((await ask(sql, { format: 'arrow' })).bytes);
  const raw = (name) => table.getChild(name).data[0].values;
  assert.equal(raw('us')[0], 1704164645678901n);
  assert.equal(raw('s')[0], 1704164645n);
  assert.equal(raw('ms')[0], 1704164645678n);
  assert.equal(raw('ns')[0], 1704164645678901234n);
  assert.equal(raw('tz')[0], 1704157445000000n);
  assert.equal(raw('d')[0], 19782);
  assert.equal(raw('t')[0], 3723000004n);
  assert.equal(table.schema.fields[4].type.timezone, 'UTC');
});

test('Arrow: buffers are aligned, no rows are a whole stream, many batches too', async () => {
  const none = arrow.tableFromIPC((await ask(`${types} WHERE false`, { format: 'arrow' })).bytes);
  assert.equal(none.numRows, 0);
  assert.equal(none.numCols, 52);
  const { bytes } = await ask('SELECT range AS id, range::VARCHAR AS t FROM range(100000)', { format: 'arrow', limit: 1000000 });
  const table = arrow.tableFromIPC(bytes);
  assert.equal(table.numRows, 100000);
  assert.ok(table.batches.length > 10);
  // Walk the messages: each begins at a multiple of 64 and says so.
  let at = 0;
  let count = 0;
  for (; bytes.readUInt32LE(at + 4) !== 0; count++) {
    assert.equal(at % 64, 0);
    assert.equal(bytes.readUInt32LE(at), 0xffffffff);
    const length = bytes.readUInt32LE(at + 4);
    assert.equal((length + 8) % 64, 0);
    const message = arrow.MessageReader ? new arrow.MessageReader(bytes.subarray(at)).readMessage() : null;
    at += 8 + length + Number(message.bodyLength);
  }
  assert.equal(at + 8, bytes.length);
  assert.equal(count, table.batches.length + 1);
});

test('Parquet: hyparquet finds the same rows', async () => {
  const { parquetReadObjects } = await import(pathToFileURL(join(root, 'deps/test/node_modules/hyparquet/src/index.js')).href);
  const { compressors } = await import(pathToFileURL(join(root, 'deps/test/node_modules/hyparquet-compressors/src/index.js')).href);
  const { status, type, bytes } = await ask(mixed, { format: 'parquet', limit: 100000 });
  assert.deepEqual([status, type], [200, 'application/vnd.apache.parquet']);
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  const rows = await parquetReadObjects({ file, compressors });
  const got = rows.map((row) => plain(row)).map(({ id, name, rate, flag, price, list, pair, words }) => [id, name, rate, flag, price.toFixed(2), list, pair, words]);
  assert.deepEqual(got, await expected());
});

test('Accept chooses by weight and closeness; format goes first', async () => {
  const type = async (accept, more) => (await ask('SELECT 1 AS a', more, { accept })).type.split(';')[0];
  assert.equal(await type('text/csv'), 'text/csv');
  assert.equal(await type('*/*'), 'application/json');
  assert.equal(await type('text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8'), 'application/json');
  assert.equal(await type('application/json;q=0.5, text/csv;q=0.9'), 'text/csv');
  assert.equal(await type('application/json;q=0, */*'), 'application/x-ndjson');
  assert.equal(await type('text/*'), 'text/csv');
  assert.equal(await type('application/*;q=0.1, application/vnd.apache.arrow.stream;q=0.2'), 'application/vnd.apache.arrow.stream');
  assert.equal(await type('application/jsonl'), 'application/x-ndjson');
  assert.equal(await type('APPLICATION/JSON'), 'application/json');
  assert.equal(await type('text/csv', { format: 'parquet' }), 'application/vnd.apache.parquet');
});

test('what cannot be written is refused with the names of what can', async () => {
  const problem = async (more, headers) => {
    const { status, type, bytes } = await ask('SELECT 1', more, headers);
    assert.equal(type, 'application/problem+json');
    return [status, JSON.parse(bytes)];
  };
  const [bad, format] = await problem({ format: 'yaml' });
  assert.deepEqual([bad, format.code, format.field], [400, 'invalid_argument', 'format']);
  assert.match(format.hint, /json, ndjson, csv, arrow, parquet/);
  const [not, accept] = await problem({}, { accept: 'image/png, text/csv;q=0' });
  assert.deepEqual([not, accept.code], [406, 'not_acceptable']);
  assert.match(accept.hint, /text\/csv.*application\/vnd\.apache\.arrow\.stream/);
  for (const name of ['json', 'ndjson', 'csv', 'arrow', 'parquet']) {
    assert.equal((await problem({ format: name, sql: 'SELECT nope FROM range(1)' }))[0], 400);
  }
});

test('an error after the first byte ends the text formats and cuts the others', async () => {
  const late = "SELECT range AS id, 'some text to fill the line ' || range AS t, CASE WHEN range = 900000 THEN error('late') END AS e FROM range(1000000)";
  const whole = async (format) => ask(late, { format, limit: 1000000 });
  const json = JSON.parse((await whole('json')).bytes);
  assert.deepEqual([json.error.code, json.error.detail], ['sql_failed', 'late']);
  const lines = (await whole('ndjson')).bytes.toString().trimEnd().split('\n');
  assert.equal(JSON.parse(lines.pop()).error.detail, 'late');
  assert.equal(JSON.parse(lines[10]).id, 10);
  for (const format of ['csv', 'arrow', 'parquet']) await assert.rejects(whole(format), /terminated|aborted|closed|fetch failed/, format);
  const early = await ask("SELECT error('early') FROM range(10)", { format: 'parquet' });
  assert.deepEqual([early.status, JSON.parse(early.bytes).detail], [400, 'early']);
});

test('no file of a result is left behind, nor open', async () => {
  const open = () => readdirSync(`/proc/${server.pid}/fd`).filter((fd) => {
    try {
      return /deleted|_scratch/.test(readlinkSync(`/proc/${server.pid}/fd/${fd}`));
    } catch {
      return false;
    }
  }).length;
  await ask('SELECT * FROM range(1000)', { format: 'parquet' });
  const abort = new AbortController();
  const gone = fetch(`${server.url}/query/sql`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, signal: abort.signal,
    body: JSON.stringify({ sql: 'SELECT hash(range), range FROM range(200000000)', format: 'parquet', limit: 10000000 }),
  }).catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 200));
  abort.abort();
  await gone;
  for (let tries = 0; tries < 50 && open(); tries++) await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(open(), 0);
  assert.deepEqual(readdirSync(join(server.data, '_scratch')), []);
  assert.equal((await lake.sql('SELECT 1')).status, 200);
});

// Headers and bytes as they travel: fetch would unpack by itself.
function raw(sql, more, headers) {
  return new Promise((resolve, reject) => {
    const sent = request(`${server.url}/query/sql`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers } }, (response) => {
      const pieces = [];
      response.on('data', (piece) => pieces.push(piece));
      response.on('end', () => resolve({ headers: response.headers, bytes: Buffer.concat(pieces) }));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(JSON.stringify({ sql, ...more }));
  });
}

test('gzip and zstd: what was packed is what would have come without', async () => {
  const unpack = { gzip: gunzipSync, zstd: (bytes) => Buffer.from(fzstd.decompress(bytes)) };
  const sql = "SELECT range AS id, 'text ' || (range % 100) AS t, range / 7 AS d FROM range(200000)";
  for (const format of ['ndjson', 'csv', 'arrow']) {
    const plain = await raw(sql, { format, limit: 200000 }, {});
    assert.equal(plain.headers['content-encoding'], undefined);
    for (const [coding, read] of Object.entries(unpack)) {
      const packed = await raw(sql, { format, limit: 200000 }, { 'accept-encoding': coding });
      assert.equal(packed.headers['content-encoding'], coding);
      assert.match(packed.headers.vary, /Accept-Encoding/);
      assert.ok(packed.bytes.length < plain.bytes.length * 0.6, `${format} ${coding}: ${packed.bytes.length} of ${plain.bytes.length}`);
      assert.ok(read(packed.bytes).equals(plain.bytes), `${format} ${coding}`);
    }
  }
  // A reply in one piece has a length, and JSON goes on to be JSON.
  const whole = await raw('SELECT range AS id FROM range(500)', {}, { 'accept-encoding': 'gzip' });
  assert.deepEqual([whole.headers['content-encoding'], Number(whole.headers['content-length'])], ['gzip', whole.bytes.length]);
  assert.equal(JSON.parse(gunzipSync(whole.bytes)).rows.length, 500);
});

test('what is small or packed already is not packed', async () => {
  const coding = async (sql, more, accept) => (await raw(sql, more, { 'accept-encoding': accept })).headers['content-encoding'];
  assert.equal(await coding('SELECT 1', {}, 'gzip, zstd'), undefined);
  assert.equal(await coding('SELECT range FROM range(100000)', { format: 'parquet', limit: 100000 }, 'gzip, zstd'), undefined);
  assert.equal(await coding('SELECT range FROM range(100000)', { limit: 100000 }, 'gzip;q=0, zstd;q=0'), undefined);
  assert.equal(await coding('SELECT range FROM range(100000)', { limit: 100000 }, 'br, gzip;q=0.9, zstd;q=0.8'), 'gzip');
  assert.equal(await coding('SELECT range FROM range(100000)', { limit: 100000 }, 'br'), undefined);
});

test('a packed body that fails late says so as an unpacked one does', async () => {
  const late = "SELECT range AS id, hash(range) AS h, CASE WHEN range = 900000 THEN error('late') END AS e FROM range(1000000)";
  const { bytes } = await raw(late, { format: 'ndjson', limit: 1000000 }, { 'accept-encoding': 'gzip' });
  assert.equal(JSON.parse(gunzipSync(bytes).toString().trimEnd().split('\n').pop()).error.detail, 'late');
  await assert.rejects(raw(late, { format: 'csv', limit: 1000000 }, { 'accept-encoding': 'zstd' }), /aborted|hang up|reset/);
});

test('Parquet: many rows come in the order of the statement, up to the limit', async () => {
  const { parquetReadObjects } = await import(pathToFileURL(join(root, 'deps/test/node_modules/hyparquet/src/index.js')).href);
  const { compressors } = await import(pathToFileURL(join(root, 'deps/test/node_modules/hyparquet-compressors/src/index.js')).href);
  const lines = ['id,grp'];
  for (let id = 0; id < 400000; id++) lines.push(`${id},${(id * 7919) % 1000}`);
  assert.equal((await lake.ingest('many', lines.join('\n'))).status, 200);
  for (const [sql, limit] of [
    ['SELECT id FROM many', 1000000], ['SELECT id FROM many', 150000], ['SELECT id FROM many', 30000], ['SELECT id FROM many ORDER BY grp, id DESC', 1000000],
    ['SELECT id FROM many WHERE grp < 500 UNION ALL SELECT -id FROM many WHERE grp >= 500', 1000000], ['SELECT id FROM many LIMIT 120000 OFFSET 200000', 500000],
    ['SELECT a.id FROM many a JOIN many b ON a.id = b.id - 1 ORDER BY a.id', 200000]]) {
    const { status, bytes } = await ask(sql, { format: 'parquet', limit });
    assert.equal(status, 200, sql);
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    const got = (await parquetReadObjects({ file, compressors })).map((row) => Number(row.id));
    const { rows } = JSON.parse((await ask(sql, { limit })).bytes);
    assert.equal(got.length, rows.length, sql);
    assert.ok(rows.every(([id], at) => id === got[at]), `${sql}: another order`);
  }
});
