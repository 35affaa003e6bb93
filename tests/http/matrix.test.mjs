// Every operation against every class of bad input that its description allows to make: each answer is
// a problem document with the right status, and nothing is changed by any of them.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../support/client.mjs';
import { startServer } from '../support/server.mjs';

let server;
let lake;
let operations;
before(async () => {
  server = await startServer({ env: { LAKEHOUSE_LOG_REQUESTS: 'false' } });
  lake = await connect(server);
  await lake.ingest('kept', 'id,name\n1,a\n2,b\n');
  const { body: document } = await lake.get('/openapi.json');
  const resolve = (schema) => (schema?.$ref ? document.components.schemas[schema.$ref.split('/').at(-1)] : schema);
  const parameterOf = (one) => (one.$ref ? document.components.parameters[one.$ref.split('/').at(-1)] : one);
  operations = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, one]) => ({
    name: one.operationId,
    method: method.toUpperCase(),
    path,
    isRead: one['x-effect'] === 'read',
    query: (one.parameters ?? []).map(parameterOf).filter((each) => each.in === 'query'),
    json: resolve(one.requestBody?.content?.['application/json']?.schema),
    form: resolve(one.requestBody?.content?.['multipart/form-data']?.schema),
    isRaw: Boolean(one.requestBody?.content?.['*/*']),
    takesSlashes: (one.parameters ?? []).some((each) => each['x-takes-slashes']),
    takesIfMatch: (one.parameters ?? []).map(parameterOf).some((each) => each.name === 'If-Match'),
    methods: Object.keys(methods).map((each) => each.toUpperCase()),
  })));
});
after(async () => {
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

const at = (path) => path.replace(/\{[^}]+\}/g, 'nosuch');
const withRequired = (one) => `${at(one.path)}?${one.query.filter((each) => each.required).map((each) => `${each.name}=nosuch`).join('&')}`;

// A value of another type than the schema's; null if every text is one.
function wrongValue(schema) {
  const type = [schema.type].flat()[0];
  if (schema.enum) return 'no-such-choice';
  if (type === 'integer' || type === 'number') return 'many';
  if (type === 'boolean') return 'perhaps';
  if (type === 'string') return { an: 'object' };
  if (type === 'array') return { an: 'object' };
  if (type === 'object' && schema.additionalProperties) return 7;
  return null;
}

async function refused(method, path, request, statuses, what) {
  const reply = await lake.send(method, path, request);
  assert.ok(statuses.includes(reply.status), `${what}: ${method} ${path} answered ${reply.status} ${reply.text.slice(0, 300)}`);
  assert.ok(reply.body.detail.length > 10, `${what}: ${reply.text}`);
  return reply;
}

// Each class: what it sends to an operation, as [what, path, request, statuses].
// An entity of the journal is whatever somebody calls so.
const takesAnything = (one) => one.path.startsWith('/journal/history/');
const classes = {
  'unknown query parameter': (one) => (one.json || one.form ? [] : [[`${at(one.path)}?no_such_parameter=1`, {}, [400]]]),
  'wrong type of a query parameter': (one) => one.query.flatMap((each) => {
    const value = wrongValue(each.schema);
    return typeof value === 'string' ? [[`${at(one.path)}?${each.name}=${value}`, {}, [400]]] : [];
  }),
  'a number outside its limits': (one) => one.query.flatMap((each) => [
    ...(each.schema.minimum !== undefined ? [[`${at(one.path)}?${each.name}=${each.schema.minimum - 1}`, {}, [400]]] : []),
    ...(each.schema.maximum !== undefined ? [[`${at(one.path)}?${each.name}=${each.schema.maximum + 1}`, {}, [400]]] : []),
  ]),
  'a parameter twice': (one) => one.query.slice(0, 1).map((each) => [`${at(one.path)}?${each.name}=1&${each.name}=1`, {}, [400]]),
  'unknown body field': (one) => (one.json ? [[at(one.path), { json: { no_such_field: 1 } }, [400]]] : []),
  'wrong type of a body field': (one) => Object.entries(one.json?.properties ?? {}).flatMap(([name, schema]) => {
    const value = wrongValue(schema);
    return value === null ? [] : [[at(one.path), { json: { [name]: value } }, [400]]];
  }),
  'a required field that is missing': (one) => (one.json?.required?.length ? [[at(one.path), { json: {} }, [400]]] : []),
  'a body that is no JSON': (one) => (one.json ? [...(one.json.required?.length ? [''] : []), '{', 'nonsense', '{"a":1}{"b":2}', '\u0000', '{"a":"\ud800"}'].map((body) => [at(one.path), { body, headers: { 'content-type': 'application/json' } }, [400]]) : []),
  'a body that is no object': (one) => (one.json ? ['[]', '7', '"text"', 'null'].map((body) => [at(one.path), { body, headers: { 'content-type': 'application/json' } }, [400]]) : []),
  'JSON that nests too deep': (one) => (one.json ? [[at(one.path), { body: '['.repeat(100000), headers: { 'content-type': 'application/json' } }, [400, 413]]] : []),
  'another content type': (one) => (one.json || one.form ? [[at(one.path), { body: 'a=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, [415]]] : []),
  'a form without its parts': (one) => (one.form ? [[at(one.path), { form: { no_such_part: 'x' } }, [400]], [at(one.path), { form: {} }, [400]]] : []),
  'a body where none is taken': (one) => (!one.json && !one.form && one.method === 'DELETE' ? [[at(one.path), { body: '{"a":1}', headers: { 'content-type': 'application/json' } }, [400, 413, 415]]] : []),
  'an Idempotency-Key for a reading': (one) => (one.isRead && !one.json ? [[at(one.path), { headers: { 'idempotency-key': 'x' } }, [400]]] : []),
  'an Idempotency-Key that is too long': (one) => (!one.isRead && one.method === 'DELETE' ? [[at(one.path), { headers: { 'idempotency-key': 'x'.repeat(300) } }, [400]]] : []),
  'an object that is not there': (one) => (one.path.includes('{') && !takesAnything(one) && !one.json && one.method !== 'POST' && one.method !== 'PATCH' && one.method !== 'PUT' ? [[withRequired(one), {}, [404]]] : []),
  'a path parameter that is no UTF-8': (one) => (one.path.includes('{') && !one.json ? [[one.path.replace(/\{[^}]+\}/g, '%ff%fe'), {}, [400, 404]]] : []),
  'a path that leads elsewhere': (one) => (one.takesSlashes && !takesAnything(one) ? ['b%2f%2e%2e', '..%2fx', 'a%2f..%2fb', 'a%00', '_catalog/x', 'a//b', 'a/', 'x%5cy', 'x'.repeat(300), `${'y/'.repeat(100)}z`].map((key) => [one.path.replace('{bucket}', 'primary').replace('{key}', key), one.isRaw ? { body: 'x' } : {}, [400]]) : []),
  'a body as it is, with a type that is none': (one) => (one.isRaw ? ['nonsense', '/', 'text/\u00e9', 'x'.repeat(400)].map((type) => [`${one.path.replace('{bucket}', 'primary').replace('{key}', 'typed')}?content_type=${encodeURIComponent(type)}`, { body: 'x' }, [400]]) : []),
  'an If-Match where nothing has a version': (one) => (!one.isRead && !one.takesIfMatch && one.method === 'DELETE' ? [[at(one.path), { headers: { 'if-match': '"1"' } }, [400]]] : []),
  'a method that the path does not take': (one) => ['PUT', 'PATCH', 'DELETE', 'POST', 'GET'].filter((each) => !one.methods.includes(each)).slice(0, 1).map((method) => [at(one.path), { method }, [405]]),
};

for (const [name, make] of Object.entries(classes)) {
  test(name, async () => {
    let asked = 0;
    for (const one of operations) {
      for (const [path, request, statuses] of make(one)) {
        await refused(request.method ?? one.method, path, request, statuses, `${name}, ${one.name}`);
        asked++;
      }
    }
    assert.ok(asked > 0, 'no operation could be asked');
    console.log(`figure: bad input: ${name}: ${asked} requests refused as they should`);
  });
}

test('nothing was changed by any of it', async () => {
  assert.deepEqual((await lake.get('/catalog/datasets')).body.items.map((one) => one.name), ['kept']);
  assert.deepEqual(await lake.rows('SELECT count(*) FROM kept'), [[2]]);
  assert.equal((await lake.get('/health')).body.status, 'ok');
});
