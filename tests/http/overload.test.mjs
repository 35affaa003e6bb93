// More than the server takes: requests beyond its queue, connections beyond its limit, clients that
// say their header byte by byte. What is refused is told so, what was acknowledged is there, whoever
// looks after the server gets an answer, and as soon as the crowd is gone all is as before.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { connect as openSocket } from 'node:net';
import { connect } from '../support/client.mjs';
import { startProbe } from '../support/probe.mjs';
import { startServer } from '../support/server.mjs';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
// On a machine with other work to do, with sanitizers; what is meant is "not behind the crowd".
const promptMax = 2000;
// What half of the refusals take at most, and half of what asks how the server is.
const refusalMax = 50;

async function timed(work) {
  const from = performance.now();
  const result = await work();
  return { result, ms: performance.now() - from };
}

function quantile(times, part) {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

function times(all) {
  return `p50 ${quantile(all, 0.5).toFixed(1)}, p99 ${quantile(all, 0.99).toFixed(1)} ms`;
}

function sql(url, text) {
  return fetch(`${url}/query/sql`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ sql: text, timeout_ms: 60000 }),
  });
}

function append(url, batch) {
  const form = new FormData();
  form.append('dataset', 'kept');
  form.append('mode', 'append');
  form.append('file', new Blob([`batch\n${batch}\n`]), 'batch.csv');
  return fetch(`${url}/ingest/file`, { method: 'POST', body: form });
}

// A socket that may be closed by the other side at any time.
function bareSocket(url) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = openSocket({ host: hostname, port: Number(port) }, () => resolve(socket));
    socket.said = '';
    socket.isClosed = false;
    socket.on('error', (error) => { if (!socket.remotePort && !socket.isClosed) reject(error); });
    socket.on('data', (text) => { socket.said += text; });
    socket.on('end', () => socket.end());
    socket.on('close', () => { socket.isClosed = true; });
  });
}

async function crowdOf(url, count) {
  const sockets = [];
  for (let at = 0; at < count; at += 100) {
    sockets.push(...await Promise.all(Array.from({ length: Math.min(100, count - at) }, () => bareSocket(url))));
  }
  return sockets;
}

async function metric(url, name) {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(text.match(new RegExp(`^lakehouse_${name} (\\d+)`, 'm'))?.[1] ?? NaN);
}

// Asks for /health until told to stop; every answer must be a good one.
function watchHealth(url) {
  const times = [];
  let isDone = false;
  const asked = (async () => {
    while (!isDone) {
      const { result, ms } = await timed(() => fetch(`${url}/health`));
      assert.equal(result.status, 200, 'health is refused');
      await result.arrayBuffer();
      times.push(ms);
      await sleep(20);
    }
  })();
  asked.catch(() => {});
  return async () => {
    isDone = true;
    await asked;
    return times;
  };
}

test('requests beyond the queue get 503 with Retry-After, nothing acknowledged is lost', { timeout: 120000 }, async (context) => {
  const server = await startServer({ args: ['--server-worker-threads', '2', '--server-queue-max', '4'] });
  context.after(() => server.kill());
  const lake = await connect(server);
  assert.equal((await lake.ingest('kept', 'batch\n-1\n')).status, 200);
  const endProbe = startProbe(context, server.url);
  const sure = [];
  let refusals = 0;
  let answers = 0;
  await Promise.all(Array.from({ length: 48 }, async (_, client) => {
    for (let turn = 0; turn < 6; turn++) {
      const batch = client * 100 + turn;
      const result = await (client % 3 ? sql(server.url, `SELECT sum(range * ${batch}) FROM range(3000000)`) : append(server.url, batch));
      const body = await result.json();
      if (result.status === 503) {
        assert.equal(body.code, 'busy', JSON.stringify(body));
        assert.match(result.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
        refusals++;
        await sleep(10);
        continue;
      }
      assert.equal(result.status, 200, JSON.stringify(body));
      answers++;
      if (client % 3 === 0) sure.push(batch);
    }
  }));
  const probe = await endProbe();
  assert.ok(refusals > 20, `only ${refusals} were refused: this was no overload`);
  assert.ok(answers > 20, `only ${answers} were answered`);
  assert.deepEqual(probe.wrong, [], 'the probe was answered otherwise');
  assert.ok(probe.refused.length > 5, `only ${probe.refused.length} of the probe's were refused: this was no overload`);
  const waited = { refused: quantile(probe.refused, 0.5), health: quantile(probe.health, 0.5) };
  assert.ok(waited.refused < refusalMax, `a refusal took ${Math.round(waited.refused)} ms (median)`);
  assert.ok(waited.health < refusalMax, `health took ${Math.round(waited.health)} ms (median)`);
  assert.ok(quantile(probe.refused, 0.9) < promptMax, `a refusal took ${Math.round(quantile(probe.refused, 0.9))} ms (p90)`);
  assert.ok(quantile(probe.health, 0.9) < promptMax, `health took ${Math.round(quantile(probe.health, 0.9))} ms (p90)`);
  const after = await timed(() => lake.rows('SELECT list(batch ORDER BY batch) FROM kept WHERE batch >= 0'));
  assert.ok(after.ms < promptMax, `after the crowd a statement took ${Math.round(after.ms)} ms`);
  assert.deepEqual(after.result[0][0] ?? [], sure.sort((a, b) => a - b));
  console.log(`figure: overload: ${answers} answered, ${refusals} refused, ${sure.length} acknowledged appends, 0 lost; by an outside probe ${times(probe.refused)} for ${probe.refused.length} refusals, ${times(probe.health)} for ${probe.health.length} of health; the next statement ${Math.round(after.ms)} ms`);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

// Runs for as long as its time limit lets it.
const endless = 'SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range = 7';
const statement = (url, text, timeout) => timed(async () => {
  const response = await fetch(`${url}/query/sql`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ sql: text, timeout_ms: timeout }),
  });
  return { status: response.status, body: await response.json() };
});

test('six long statements keep no short one waiting, and each ends at its own limit', { timeout: 60000 }, async (context) => {
  const server = await startServer();
  context.after(() => server.kill());
  assert.equal((await sql(server.url, 'SELECT 1')).status, 200);
  const long = Array.from({ length: 6 }, () => statement(server.url, endless, 4000));
  await sleep(100);
  const short = [];
  for (let turn = 0; turn < 60; turn++) {
    const { result, ms } = await statement(server.url, 'SELECT 1', 30000);
    assert.equal(result.status, 200, JSON.stringify(result.body));
    short.push(ms);
  }
  const ends = await Promise.all(long);
  for (const { result, ms } of ends) {
    assert.equal(result.body.code, 'deadline_exceeded', JSON.stringify(result.body));
    assert.ok(ms > 3500 && ms < 4000 + promptMax, `a statement with a limit of 4 s ended after ${Math.round(ms)} ms`);
  }
  assert.ok(quantile(short, 0.5) < 300, `the median of SELECT 1 took ${Math.round(quantile(short, 0.5))} ms`);
  assert.ok(quantile(short, 0.99) < 1500, `p99 of SELECT 1 took ${Math.round(quantile(short, 0.99))} ms`);
  console.log(`figure: SELECT 1 beside 6 long statements: median ${Math.round(quantile(short, 0.5))} ms, p99 ${Math.round(quantile(short, 0.99))} ms`);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('more long statements than there is room for: the newest make way, a short one is answered', { timeout: 60000 }, async (context) => {
  const server = await startServer({ args: ['--server-worker-threads', '2'] });
  context.after(() => server.kill());
  const long = Array.from({ length: 20 }, () => statement(server.url, endless, 12000));
  await sleep(2500);
  const { result, ms } = await statement(server.url, 'SELECT 42', 30000);
  assert.equal(result.status, 200, JSON.stringify(result.body));
  assert.ok(ms < 9000, `a short statement waited ${Math.round(ms)} ms`);
  const ends = await Promise.all(long);
  const codes = ends.map((each) => each.result.body.code);
  assert.ok(codes.every((code) => ['busy', 'deadline_exceeded'].includes(code)), codes.join(' '));
  assert.ok(codes.filter((code) => code === 'deadline_exceeded').length >= 12, codes.join(' '));
  assert.ok(codes.includes('busy'), 'nobody made way');
  for (const end of ends) assert.ok(end.ms < 12000 + promptMax, `a limit of 12 s was kept after ${Math.round(end.ms)} ms`);
  console.log(`figure: SELECT 42 behind 20 long statements: ${Math.round(ms)} ms, ${codes.filter((code) => code === 'busy').length} made way`);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('a thousand idle connections keep nobody out', { timeout: 60000 }, async (context) => {
  const server = await startServer();
  context.after(() => server.kill());
  const crowd = await crowdOf(server.url, 1000);
  context.after(() => crowd.forEach((socket) => socket.destroy()));
  // At once: those who look after the server are answered, the others at least told.
  const health = await timed(() => fetch(`${server.url}/health`));
  assert.equal(health.result.status, 200);
  assert.ok(health.ms < promptMax, `health took ${Math.round(health.ms)} ms`);
  const soon = await sql(server.url, 'SELECT 1');
  if (soon.status !== 200) {
    assert.equal(soon.status, 503);
    assert.match(soon.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
    assert.equal((await soon.json()).code, 'busy');
  }
  await sleep(1200); // what Retry-After said
  for (let turn = 0; turn < 20; turn++) {
    const { result, ms } = await timed(() => sql(server.url, 'SELECT 1'));
    const text = await result.text();
    assert.equal(result.status, 200, `the crowd keeps statement ${turn} out: ${text}`);
    assert.ok(ms < promptMax, `a statement took ${Math.round(ms)} ms`);
  }
  const open = await metric(server.url, 'http_connections');
  assert.ok(open <= 512 + 64 + 8, `${open} connections of one address are open`);
  assert.ok(await metric(server.url, 'http_evicted_total') > 0, 'nobody made room');
  console.log(`figure: 1,000 idle connections: ${open} kept, health ${Math.round(health.ms)} ms, a statement at once ${soon.status}`);
  crowd.forEach((socket) => socket.destroy());
  for (let turn = 0; await metric(server.url, 'http_connections') > 8; turn++) {
    assert.ok(turn < 100, 'connections of clients that are gone stay open');
    await sleep(50);
  }
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('clients that say their header byte by byte are cut off and keep nobody out', { timeout: 60000 }, async (context) => {
  const server = await startServer();
  context.after(() => server.kill());
  const crowd = await crowdOf(server.url, 300);
  const header = `GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ${'a'.repeat(4000)}`;
  let at = 0;
  const dripping = setInterval(() => {
    for (const socket of crowd) if (!socket.isClosed && socket.writable) socket.write(header[at]);
    at++;
  }, 100);
  context.after(() => {
    clearInterval(dripping);
    crowd.forEach((socket) => socket.destroy());
  });
  const endHealth = watchHealth(server.url);
  const from = performance.now();
  let statements = 0;
  while (!crowd.every((socket) => socket.isClosed)) {
    assert.equal((await (await sql(server.url, 'SELECT 42 AS answer')).json()).rows[0][0], 42);
    statements++;
    assert.ok(performance.now() - from < 30000, 'slow clients are kept for longer than 30 s');
    await sleep(50);
  }
  const health = await endHealth();
  const told = crowd.filter((socket) => /^HTTP\/1\.1 408 /.test(socket.said)).length;
  assert.ok(told > 250, `only ${told} of 300 were told why`);
  assert.ok(quantile(health, 0.9) < promptMax, `health took ${Math.round(quantile(health, 0.9))} ms (p90)`);
  console.log(`figure: 300 slow clients: cut after ${Math.round((performance.now() - from) / 100) / 10} s, ${statements} statements meanwhile, health p99 ${Math.round(quantile(health, 0.99))} ms`);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});
