// A client that holds every response against the OpenAPI document of the server that gave it, and
// notes which operations were called and answered: a refused request says little about one.
import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { root } from './server.mjs';

const require = createRequire(join(root, 'deps', 'test', 'package.json'));
const Ajv = require('ajv/dist/2020.js').default;
const addFormats = require('ajv-formats').default;

const calledFile = process.env.LAKEHOUSE_CALLED ?? join(root, 'build', 'operations-called.txt');
mkdirSync(dirname(calledFile), { recursive: true });

function pathPattern(path, operation) {
  const takesSlashes = (name) => operation.parameters?.some((one) => one.name === name && one['x-takes-slashes']);
  return new RegExp(`^${path.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{([^}]+)\}/g, (_, name) => (takesSlashes(name) ? '.+' : '[^/]+'))}$`);
}

// The schema with every object closed: callers may get more than it says, tests may not.
function closed(schema) {
  if (Array.isArray(schema)) return schema.map(closed);
  if (!schema || typeof schema !== 'object') return schema;
  const copy = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, closed(value)]));
  if (copy.properties && copy.type === 'object') copy.additionalProperties ??= false;
  return copy;
}

export async function connect(server) {
  const document = await (await fetch(`${server.url}/openapi.json`)).json();
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats(ajv);
  for (const format of ['int64', 'binary']) ajv.addFormat(format, true);
  ajv.addSchema({ $id: 'lake', components: { schemas: Object.fromEntries(Object.entries(document.components.schemas).map(([name, schema]) => [name, closed(schema)])) } });
  const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), pattern: pathPattern(path, operation), operation })));
  const compiled = new Map();
  const validator = (schema) => {
    const key = JSON.stringify(closed(schema)).replaceAll('#/components', 'lake#/components');
    if (!compiled.has(key)) compiled.set(key, ajv.compile(JSON.parse(key)));
    return compiled.get(key);
  };

  function check(method, path, response, type, body) {
    const known = routes.filter((route) => route.method === method && route.pattern.test(path));
    const route = known.find((one) => !one.operation.isTemplate) ?? known[0];
    if (response.status >= 400) {
      assert.match(type, /^application\/problem\+json/, `${method} ${path} answered ${response.status} as ${type}`);
      const valid = validator({ $ref: '#/components/schemas/Problem' });
      assert.ok(valid(body), `${method} ${path}: problem ${JSON.stringify(body)}: ${ajv.errorsText(valid.errors)}`);
      assert.equal(body.status, response.status);
      assert.doesNotMatch(JSON.stringify(body), new RegExp(server.data), 'a path of the machine is in the message');
      return;
    }
    assert.ok(route, `${method} ${path} succeeded but is not in the OpenAPI document`);
    appendFileSync(calledFile, `${route.operation.operationId}\n`);
    const declared = route.operation.responses[response.status];
    assert.ok(declared, `${method} ${path} answered ${response.status}, which is not declared`);
    const schema = (declared.content?.[type.split(';')[0]] ?? declared.content?.['*/*'])?.schema;
    if (body === undefined) return;
    assert.ok(schema, `${method} ${path} answered ${type}, which is not declared`);
    const valid = validator(schema);
    assert.ok(valid(body), `${method} ${path}: ${ajv.errorsText(valid.errors)} in ${JSON.stringify(body).slice(0, 600)}`);
  }

  // Sends and checks; returns {status, headers, body, text}.
  async function send(method, path, { json, form, body, headers = {}, signal } = {}) {
    const request = { method, headers: { ...headers }, signal };
    if (json !== undefined) {
      request.body = JSON.stringify(json);
      request.headers['content-type'] ??= 'application/json';
    } else if (form) {
      request.body = new FormData();
      for (const [name, value] of Object.entries(form)) {
        if (value?.blob) request.body.append(name, value.blob, value.name);
        else request.body.append(name, typeof value === 'string' ? value : JSON.stringify(value));
      }
    } else if (body !== undefined && body !== '') { // empty is none; Node 18 refuses to DELETE with an empty one
      request.body = body;
      if (typeof body !== 'string' && !(body instanceof Uint8Array)) request.duplex = 'half';
    }
    const response = await fetch(server.url + path, request);
    const bytes = Buffer.from(await response.arrayBuffer());
    const text = bytes.toString();
    const type = response.headers.get('content-type') ?? '';
    const isProblem = type.startsWith('application/problem+json');
    const isDocument = !response.headers.has('content-disposition'); // somebody's own bytes are not ours to judge
    const isJson = (isProblem || isDocument) && /^application\/([a-z]+\+)?json\b/.test(type);
    const parsed = isJson && text ? JSON.parse(text) : undefined;
    // HEAD is GET without its body.
    if (method !== 'HEAD') check(method, path.split('?')[0], response, type, parsed);
    else assert.equal(text, '');
    return { status: response.status, headers: response.headers, body: parsed, text, bytes };
  }

  // A Blob with its name beside it: Node 18 has no global File.
  const file = (content, name) => ({ blob: new Blob([content]), name });
  return {
    document, send,
    get: (path, options) => send('GET', path, options),
    post: (path, json, options) => send('POST', path, { json, ...options }),
    patch: (path, json, options) => send('PATCH', path, { json, ...options }),
    delete: (path, options) => send('DELETE', path, options),
    // ingest('people', 'id,name\n1,a\n', {mode: 'append'})
    ingest: (dataset, content, { name = 'rows.csv', headers, ...fields } = {}) =>
      send('POST', '/ingest/file', { form: { dataset, ...fields, file: file(content, name) }, headers }),
    sql: (sql, more = {}) => send('POST', '/query/sql', { json: { sql, ...more } }),
    async rows(sql, more = {}) {
      const { status, body, text } = await send('POST', '/query/sql', { json: { sql, ...more } });
      assert.equal(status, 200, text);
      return body.rows;
    },
  };
}
