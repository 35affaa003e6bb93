// Files go in: every format and mode, and every ugly file that people really have.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../support/client.mjs';
import { run, startServer, temporaryFolder } from '../support/server.mjs';

let server;
let lake;
before(async () => {
  server = await startServer();
  lake = await connect(server);
});
after(async () => {
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

const refuses = async (promise, status, code, words) => {
  const { status: got, body, text } = await promise;
  assert.equal(got, status, text);
  assert.equal(body.code, code, text);
  for (const word of [words ?? []].flat()) assert.match(`${body.detail} ${body.hint ?? ''}`, word instanceof RegExp ? word : new RegExp(word), text);
  return body;
};

test('a CSV becomes a typed dataset with lineage, PII marks and a version', async () => {
  const csv = 'id,email,hired,rate\n1,a@sample.invalid,2024-01-02,12.50\n2,b@sample.invalid,2024-02-03,13.75\n';
  const { status, body, text } = await lake.ingest('workers', csv, { name: 'workers.csv' });
  assert.equal(status, 200, text);
  assert.deepEqual([body.dataset, body.version, body.rows, body.rejected_rows, body.deduplicated], ['workers', 1, 2, 0, false]);
  const dataset = (await lake.get('/catalog/datasets/by-name/workers')).body;
  assert.deepEqual(dataset.columns.map(({ name, type }) => [name, type]),
    [['id', 'BIGINT'], ['email', 'VARCHAR'], ['hired', 'DATE'], ['rate', 'DOUBLE']]);
  assert.equal(dataset.columns[1].is_pii, true);
  assert.equal(dataset.columns[1].pii_kind, 'email');
  assert.equal(dataset.lineage.source_file, 'workers.csv');
  assert.equal(dataset.row_count, 2);
  assert.deepEqual(await lake.rows('SELECT sum(rate) FROM workers'), [[26.25]]);
});

test('mode: absent replaces, append adds, create refuses an existing name', async () => {
  await lake.ingest('modes', 'id\n1\n2\n');
  assert.equal((await lake.ingest('modes', 'id\n3\n', { mode: 'append' })).body.version, 2);
  assert.deepEqual(await lake.rows('SELECT id FROM modes ORDER BY id'), [[1], [2], [3]]);
  assert.equal((await lake.ingest('modes', 'id\n9\n')).body.version, 3);
  assert.deepEqual(await lake.rows('SELECT id FROM modes'), [[9]]);
  await refuses(lake.ingest('modes', 'id\n1\n', { mode: 'create' }), 409, 'already_exists', 'modes');
  await refuses(lake.ingest('absent', 'id\n1\n', { mode: 'append' }), 404, 'not_found', 'absent');
  const one = (await lake.get('/catalog/datasets?limit=1000')).body.items.filter(({ name }) => name === 'modes');
  assert.equal(one.length, 1, 'a re-ingest made a twin');
});

test('the same bytes by the same mode are a no-op unless asked otherwise', async () => {
  const first = (await lake.ingest('dedup', 'id\n1\n', { mode: 'create' })).body;
  const append = (await lake.ingest('dedup', 'id\n2\n', { mode: 'append' })).body;
  const again = (await lake.ingest('dedup', 'id\n2\n', { mode: 'append' })).body;
  assert.deepEqual([first.deduplicated, append.deduplicated, again.deduplicated], [false, false, true]);
  assert.equal(again.version, append.version);
  const forced = (await lake.ingest('dedup', 'id\n2\n', { mode: 'append', options: { allow_duplicate: true } })).body;
  assert.equal(forced.deduplicated, false);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM dedup'), [[3]]);
  await lake.ingest('dedup', 'id\n7\n', { mode: 'replace' });
  assert.equal((await lake.ingest('dedup', 'id\n2\n', { mode: 'append' })).body.deduplicated, false, 'after a replace the file comes in again');
});

test('JSON arrays and NDJSON are flattened, arrays stay lists, collisions get a number', async () => {
  const rows = [{ id: 1, place: { city: 'A', geo: { lat: 1.5 } }, place_city: 'x', tags: ['p', 'q'] }, { id: 2, place: null, tags: [] }];
  await lake.ingest('nested', JSON.stringify(rows), { name: 'nested.json' });
  const dataset = (await lake.get('/catalog/datasets/by-name/nested')).body;
  assert.deepEqual(dataset.columns.map(({ name }) => name).sort(), ['id', 'place_city', 'place_city_2', 'place_geo_lat', 'tags']);
  assert.deepEqual(await lake.rows('SELECT id, tags, place_geo_lat FROM nested ORDER BY id'), [[1, ['p', 'q'], 1.5], [2, [], null]]);
  await lake.ingest('lines', rows.map((row) => JSON.stringify(row)).join('\n'), { name: 'lines.ndjson', options: { flatten: false } });
  assert.deepEqual(await lake.rows('SELECT place.geo.lat FROM lines WHERE id = 1'), [[1.5]]);
});

test('gzipped files are read for what is inside', async () => {
  assert.equal((await lake.ingest('packed_csv', gzipSync('id,t\n1,a\n'), { name: 'x.csv.gz' })).body.rows, 1);
  assert.equal((await lake.ingest('packed_lines', gzipSync('{"id":1}\n{"id":2}\n'), { name: 'x.ndjson.gz' })).body.rows, 2);
  assert.equal((await lake.ingest('packed_array', gzipSync('[{"id":1}]'), { name: 'unnamed' })).body.rows, 1);
});

test('rows that do not fit are counted and kept, the others come in', async () => {
  const csv = `id,n\n${Array.from({ length: 50 }, (_, at) => `${at},${at * 2}\n`).join('')}50,1,2,3\n`;
  const { body, text } = await lake.ingest('ragged', csv);
  assert.deepEqual([body.rows, body.rejected_rows], [50, 1], text);
  const folders = readdirSync(join(server.data, 'datasets'), { recursive: true });
  assert.ok(folders.some((name) => /reject/.test(name)), 'the rejected row was not kept');
});

test('a column that is text because of a few values is told', async () => {
  const csv = (bad, count) => `id,rate,name\n${Array.from({ length: count }, (_, at) => `${at},${bad(at) ? 'n/a' : `${at}.5`},n${at}\n`).join('')}`;
  const early = await lake.ingest('dirty', csv((at) => at % 1000 === 997, 5000));
  assert.deepEqual(early.body.warnings, ["Column 'rate' is text: 5 of its 5000 values are no numbers, the first in row 998. With options.types or options.null_strings it would be one of numbers."], early.text);
  const late = await lake.ingest('dirty', csv((at) => at === 29000, 30000), { mode: 'replace' });
  assert.match(late.body.warnings.join(), /^Column 'rate' is text: 1 of its 30000 values .* row 29001\./, late.text);
  const half = await lake.ingest('dirty', csv((at) => at % 2, 3000), { mode: 'replace' });
  assert.deepEqual(half.body.warnings, []);
  const told = await lake.ingest('dirty', csv((at) => at === 7, 3000), { mode: 'replace', options: { types: { rate: 'VARCHAR' } } });
  assert.deepEqual(told.body.warnings, []);
  const mended = await lake.ingest('dirty', csv((at) => at === 7, 3000), { mode: 'replace', options: { null_strings: ['n/a'] } });
  assert.deepEqual([mended.body.warnings, (await lake.post('/query/sql', { sql: 'SELECT typeof(rate) FROM dirty LIMIT 1' })).body.rows], [[], [['DOUBLE']]]);
});

test('SQL reads the rows that were not taken, of each version, for whoever may read the others', async () => {
  const csv = (bad) => `id,n\n${Array.from({ length: 20 }, (_, at) => `${at},${at}\n`).join('')}${bad}\n`;
  const options = { types: { n: 'INTEGER' } };
  const first = await lake.ingest('Aside', csv('20,many'), { options });
  assert.equal(first.body.rejected_rows, 1, first.text);
  await lake.ingest('Aside', csv('21,"more, still"'), { mode: 'append', options });
  const headers = { 'x-lakehouse-role': 'reader' };
  const read = (from) => lake.send('POST', '/query/sql', { headers, json: { sql: `SELECT line, raw, rejects FROM ${from} ORDER BY raw` } });
  const all = await read('__rejects__aside');
  assert.deepEqual(all.body.rows.map((row) => row.slice(0, 2)), [[22, '20,many'], [22, '21,"more, still"']], all.text);
  assert.equal(all.body.rows[0][2], first.body.rejects);
  assert.deepEqual(all.body.versions, { Aside: 2 });
  assert.deepEqual((await read('__REJECTS__ASIDE AT (VERSION => 1)')).body.rows, all.body.rows.slice(0, 1));
  const why = await lake.post('/query/sql', { sql: "SELECT count(*) FROM __rejects__aside WHERE reason LIKE '%column ''n''%'" });
  assert.deepEqual(why.body.rows, [[2]]);
  await lake.ingest('Aside', 'id,n\n1,1\n', { mode: 'replace' });
  assert.deepEqual((await read('__rejects__aside')).body.rows, []);
  assert.equal((await read('__rejects__nobody')).status, 404);
  assert.equal((await read('__rejects__')).status, 404);
  const tables = await lake.post('/query/sql', { sql: 'SHOW TABLES' });
  assert.ok(!tables.text.includes('__rejects__'));
  await lake.send('DELETE', '/catalog/datasets/by-name/aside');
  assert.equal((await read('__rejects__aside')).status, 404);
});

test('a column whose later values are text loses no row', async () => {
  const csv = `id,code\n${Array.from({ length: 40000 }, (_, at) => `${at},${at}\n`).join('')}40000,A-17\n`;
  const { body, text } = await lake.ingest('late_text', csv);
  assert.deepEqual([body.rows, body.rejected_rows], [40001, 0], text);
  assert.deepEqual(await lake.rows("SELECT id FROM late_text WHERE code = 'A-17'"), [[40000]]);
});

test('an append must fit the columns', async () => {
  await lake.ingest('fits', 'id,name\n1,a\n');
  const body = await refuses(lake.ingest('fits', 'id,surname\n2,b\n', { mode: 'append' }), 409, 'schema_mismatch', 'surname');
  assert.ok(body.hint);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM fits'), [[1]]);
  assert.equal((await lake.ingest('fits', 'name\nc\n', { mode: 'append' })).body.rows, 1);
  assert.deepEqual(await lake.rows("SELECT id FROM fits WHERE name = 'c'"), [[null]]);
});

test('empty, truncated and mislabelled files are refused with a reason', async () => {
  await refuses(lake.ingest('bad', '', { name: 'empty.csv' }), 422, 'unreadable_file', 'empty');
  await refuses(lake.ingest('bad', gzipSync('id\n1\n2\n'.repeat(5000)).subarray(0, 60), { name: 'cut.csv.gz' }), 422, 'unreadable_file');
  await refuses(lake.ingest('bad', '[{"id":1},{"id":', { name: 'cut.json' }), 422, 'unreadable_file');
  await refuses(lake.ingest('bad', 'PAR1 this is no parquet PAR1', { name: 'x.parquet' }), 422, 'unreadable_file', /Parquet/);
  await refuses(lake.ingest('bad', 'PAR1', { name: 'y.parquet' }), 422, 'unreadable_file', /Parquet/);
  assert.equal((await lake.get('/catalog/datasets/by-name/bad')).status, 404);
});

test('encodings: UTF-16 is read or refused with a way out, Latin-1 by option, NUL bytes never', async () => {
  const utf16 = Buffer.from('\ufeffid,name\n1,Zoë\n', 'utf16le');
  const read = await lake.ingest('wide', utf16);
  if (read.status === 200) assert.deepEqual(await lake.rows('SELECT name FROM wide'), [['Zoë']]);
  else await refuses(Promise.resolve(read), 422, 'unreadable_file', /UTF-16/);
  const latin = Buffer.from('id,name\n1,Zo\xeb\n', 'latin1');
  await refuses(lake.ingest('latin', latin), 422, 'unreadable_file', [/UTF-8/, /encoding/]);
  const converted = await lake.ingest('latin', latin, { options: { encoding: 'latin-1' } });
  assert.equal(converted.status, 200, converted.text);
  assert.deepEqual(await lake.rows('SELECT name FROM latin'), [['Zoë']]);
  await refuses(lake.ingest('nul', Buffer.from('id,name\n1,a\0b\n')), 422, 'unreadable_file', /NUL|zero byte/);
  for (const big of [false, true]) {
    const bare = Buffer.from('id,name\n1,Zo\u00eb\n', 'utf16le');
    await refuses(lake.ingest('nul', big ? bare.swap16() : bare), 422, 'unreadable_file', /UTF-16 without its mark/);
  }
  const parquet = { name: 'x.parquet', options: { format: 'parquet' } };
  await refuses(lake.ingest('nul', Buffer.from('PAR1'), parquet), 422, 'unreadable_file', /as Parquet: it is too small/);
  await refuses(lake.ingest('nul', Buffer.alloc(3000, 1), parquet), 422, 'unreadable_file', /No magic bytes found at its end/);
  const binary = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 62, 0, 1, 0, 0, 0]);
  await refuses(lake.ingest('nul', binary), 422, 'unreadable_file', /CSV, JSON, NDJSON and Parquet are taken/);
});

test('JSON of depth 100,000 is refused and the server lives', async () => {
  await refuses(lake.ingest('deep', '['.repeat(100000) + ']'.repeat(100000), { name: 'deep.json' }), 422, 'unreadable_file', /deep|depth|nest/);
  await refuses(lake.ingest('deep', `[{"a":${'{"a":'.repeat(100000)}1${'}'.repeat(100001)}]`, { name: 'deep.json' }), 422, 'unreadable_file', /deep|depth|nest/);
  assert.equal((await lake.get('/health')).status, 200);
});

test('10,000 columns come in or are refused with the limit', async () => {
  const names = Array.from({ length: 10000 }, (_, at) => `c${at}`);
  const answer = await lake.ingest('broad', `${names.join(',')}\n${names.map((_, at) => at).join(',')}\n`);
  if (answer.status === 200) assert.deepEqual(await lake.rows('SELECT c9999 FROM broad'), [[9999]]);
  else await refuses(Promise.resolve(answer), 413, 'too_large', /column/);
});

test('odd column names: duplicates, empty, reserved by the engine, quotes, emoji', async () => {
  const { body, text } = await lake.ingest('odd', 'id,id,,file_row_number,"a""b",😀\n1,2,3,4,5,6\n');
  assert.equal(body.rows, 1, text);
  const { columns } = (await lake.get('/catalog/datasets/by-name/odd')).body;
  assert.equal(new Set(columns.map(({ name }) => name.toLowerCase())).size, 6);
  assert.deepEqual(await lake.rows('SELECT file_row_number, "a""b", "😀" FROM odd'), [[4, 5, 6]]);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM odd WHERE file_row_number = 4'), [[1]]);
});

test('dataset names: the rule is told, whatever was tried', async () => {
  for (const name of ['a b', 'a/b', '../x', '1a', "a'b", 'a"b', '😀', 'x'.repeat(64), 'x'.repeat(4096), '__x', '']) {
    const { status, body, text } = await lake.ingest(name, 'id\n1\n');
    assert.equal(status, 400, `${name.slice(0, 20)}: ${text}`);
    assert.equal(body.code, 'invalid_argument');
    assert.equal(body.field, 'dataset');
  }
});

test('a name that is a word of SQL is taken with a word of warning, others without', async () => {
  for (const name of ['semi', 'Select', 'date', 'name', 'plain']) {
    const made = (await lake.ingest(name, 'id\n1\n')).body;
    const isWord = (await lake.post('/query/sql', { sql: `SELECT id FROM ${name}` })).status === 400;
    assert.equal(isWord, ['semi', 'Select'].includes(name), name);
    assert.equal(made.warnings.some((one) => one === `'${name}' is a word of SQL: in statements it is quoted, FROM "${name}".`), isWord, `${name}: ${made.warnings}`);
    assert.deepEqual(await lake.rows(`SELECT id FROM "${name}"`), [[1]]);
    const more = (await lake.ingest(name, 'id\n2\n', { mode: 'append' })).body;
    assert.deepEqual(more.warnings, [], 'it is told once, when the name is made');
  }
});

test('a file name is data, never a path', async () => {
  const { body } = await lake.ingest('named', 'id\n1\n', { name: '../../../etc/passwd' });
  assert.equal(body.rows, 1);
  const { lineage } = (await lake.get('/catalog/datasets/by-name/named')).body;
  assert.doesNotMatch(lineage.source_file, /\.\.\//);
});

test('unknown parts, options and modes name the nearest known', async () => {
  await refuses(lake.ingest('o', 'id\n1\n', { modus: 'append' }), 400, 'unknown_field', /mode/);
  await refuses(lake.ingest('o', 'id\n1\n', { mode: 'apend' }), 400, 'invalid_argument', /append/);
  await refuses(lake.ingest('o', 'id\n1\n', { options: { delimeter: ';' } }), 400, 'unknown_field', /delimiter/);
  await refuses(lake.ingest('o', 'id\n1\n', { options: 'no json' }), 400, 'invalid_argument', /options/);
  await refuses(lake.send('POST', '/ingest/file', { form: { dataset: 'o' } }), 400, 'invalid_argument', /file/);
  await refuses(lake.send('POST', '/ingest/file', { json: { dataset: 'o' } }), 415, 'unsupported_media_type', /multipart/);
});

test('wait=false answers 202 with a job that can be followed to its end', async () => {
  const { status, body } = await lake.ingest('later', 'id\n1\n2\n', { wait: 'false' });
  assert.equal(status, 202);
  let job;
  for (let turn = 0; turn < 100; turn++) {
    job = (await lake.get(`/jobs/${body.job_id}`)).body;
    if (!['queued', 'running'].includes(job.state)) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal(job.state, 'succeeded', JSON.stringify(job));
  assert.equal(job.result.rows, 2);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM later'), [[2]]);
  assert.ok((await lake.get('/jobs')).body.items.some(({ id }) => id === body.job_id));
  await refuses(lake.delete(`/jobs/${body.job_id}`), 409, 'conflict');
  await refuses(lake.get('/jobs/01234567-0000-7000-8000-000000000000'), 404, 'not_found');
});

test('an idempotency key gives the first answer again', async () => {
  const headers = { 'idempotency-key': 'test-key-1' };
  const first = (await lake.ingest('once', 'id\n1\n', { headers })).body;
  const second = (await lake.ingest('once', 'id\n1\n', { headers })).body;
  assert.equal(second.version, first.version);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM once'), [[1]]);
});

test('a client that hangs up in the middle of an upload leaves nothing', async () => {
  const controller = new AbortController();
  let isOver = false;
  const endless = new ReadableStream({
    async pull(stream) {
      if (isOver) {
        stream.close();
        return;
      }
      stream.enqueue(Buffer.from(`--b\r\ncontent-disposition: form-data; name="dataset"\r\n\r\nhalf\r\n--b\r\ncontent-disposition: form-data; name="file"; filename="x.csv"\r\n\r\nid\n${'1\n'.repeat(100000)}`));
      await new Promise((resolve) => setTimeout(resolve, 50));
    },
  });
  setTimeout(() => controller.abort(), 300);
  await assert.rejects(fetch(`${server.url}/ingest/file`, {
    method: 'POST', body: endless, duplex: 'half', signal: controller.signal, headers: { 'content-type': 'multipart/form-data; boundary=b' },
  }));
  isOver = true;
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal((await lake.get('/catalog/datasets/by-name/half')).status, 404);
  assert.deepEqual(readdirSync(join(server.data, '_staging')), [], 'a spooled file was left behind');
});

test('sixteen writers append to one dataset at once and none is lost', async () => {
  await lake.ingest('busy', 'writer,n\n-1,0\n');
  const answers = await Promise.all(Array.from({ length: 16 }, (_, writer) =>
    lake.ingest('busy', `writer,n\n${writer},1\n`, { mode: 'append' })));
  assert.deepEqual(answers.map(({ status }) => status), Array(16).fill(200));
  assert.deepEqual(await lake.rows('SELECT count(*), count(DISTINCT writer) FROM busy'), [[17, 17]]);
});

test('the same file sent several times at once comes in once, and a new name is made once', { timeout: 60000 }, async (context) => {
  const folder = temporaryFolder();
  context.after(() => folder.remove());
  const own = await startServer({ data: folder.path });
  context.after(() => own.kill());
  const house = await connect(own);
  const csv = `id,name\n${Array.from({ length: 20000 }, (_, at) => `${at},name ${at}\n`).join('')}`;
  const made = await Promise.all([0, 1, 2, 3].map((at) => house.ingest('fresh', `id\n${at}\n`, {})));
  for (const reply of made) assert.equal(reply.status, 200, reply.text);
  assert.equal((await house.get('/catalog/datasets')).body.items.length, 1);
  await house.ingest('target', 'id,name\n-1,x\n', {});
  const sent = await Promise.all([0, 1, 2, 3].map(() => house.ingest('target', csv, { mode: 'append' })));
  for (const reply of sent) assert.equal(reply.status, 200, reply.text);
  assert.equal(sent.filter((reply) => reply.body.deduplicated).length, 3);
  assert.deepEqual(await house.rows('SELECT count(*) FROM target'), [[20001]]);

  const dataset = (await house.get('/catalog/datasets/by-name/target')).body;
  const files = () => readdirSync(join(folder.path, 'datasets', dataset.id)).length;
  const before = files();
  const stale = await house.ingest('target', 'id,name\n-2,y\n', { mode: 'append', headers: { 'if-match': '"1"' } });
  assert.equal(stale.status, 412, stale.text);
  assert.equal(files(), before, 'a refused ingest left a file');
  await own.stop();
  assert.equal((await run(['verify', '--data', folder.path])).code, 0);
});
