// Clients that hang up in the middle of a long statement: the engine stops working for them.
//
// LAKEHOUSE_HANGUPS: how many (120). The bound is wide, for machines that do other things besides;
// bench/s8 holds the figure against its goal.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { connect as openSocket } from 'node:net';
import { startServer } from '../support/server.mjs';

const hangUps = Number(process.env.LAKEHOUSE_HANGUPS ?? 120);
const stoppedMax = 2000; // ms, p99

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Long in different ways: one loop, a join, a sort, groups, texts, a window, and rows that nobody reads.
const statements = [
  'SELECT count(*) FROM range(100000000) a, range(1000000) b WHERE a.range * b.range = 7',
  'SELECT count(*) FROM range(20000000) a JOIN range(20000000) b ON a.range % 1000 = b.range % 1000',
  "SELECT md5(range::VARCHAR) AS h FROM range(200000000) ORDER BY h",
  'SELECT range % 10000019 AS g, count(*) FROM range(2000000000) GROUP BY g ORDER BY 2 DESC',
  "SELECT sum(length(regexp_replace(repeat(range::VARCHAR, 20), '[13579]+', 'x', 'g'))) FROM range(200000000)",
  'SELECT max(s) FROM (SELECT sum(range) OVER (ORDER BY range % 1000 ROWS BETWEEN 1000 PRECEDING AND CURRENT ROW) AS s FROM range(50000000))',
  "SELECT range, 'a text that is not read by its client ' || range AS t FROM range(2000000000)",
];

async function engine(url) {
  const text = await (await fetch(`${url}/metrics`)).text();
  const figure = (name) => {
    const found = text.match(new RegExp(`^lakehouse_engine_${name} (\\d+)`, 'm'));
    assert.ok(found, `the metrics do not tell ${name}`);
    return Number(found[1]);
  };
  return { busy: figure('connections_busy'), stopped: figure('statements_stopped_total') };
}

async function begin(url, sql) {
  const { hostname, port } = new URL(url);
  const body = JSON.stringify({ sql, limit: 10000000, timeout_ms: 600000 });
  const socket = openSocket({ host: hostname, port: Number(port) });
  socket.on('error', () => {});
  socket.pause(); // nothing is read
  await new Promise((resolve) => { socket.on('connect', resolve); });
  socket.write(`POST /query/sql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  return socket;
}

async function until(what, isSo) {
  const from = performance.now();
  while (!await isSo()) {
    assert.ok(performance.now() - from < 30000, `${what}: not within 30 s`);
    await sleep(1);
  }
  return performance.now() - from;
}

test(`${hangUps} clients hang up and the engine stops for each`, { timeout: 600000 }, async (context) => {
  const server = await startServer({ args: ['--log-requests', 'false'] });
  context.after(() => server.kill());
  const times = [];
  for (let turn = 0; turn < hangUps; turn++) {
    const before = await engine(server.url);
    assert.equal(before.busy, 0, 'the engine works for nobody');
    const socket = await begin(server.url, statements[turn % statements.length]);
    await until('the statement runs', async () => (await engine(server.url)).busy === 1);
    await sleep(20 + (turn * 7) % 60); // somewhere in its middle
    assert.equal((await engine(server.url)).busy, 1, `statement ${turn % statements.length} was over too soon`);
    if (turn % 2) socket.destroy();
    else socket.resetAndDestroy();
    times.push(await until(`the engine stops ${statements[turn % statements.length]}`, async () => (await engine(server.url)).busy === 0));
    assert.equal((await engine(server.url)).stopped, before.stopped + 1, 'a statement ended, but was not stopped');
  }
  times.sort((a, b) => a - b);
  const at = (part) => Math.round(times[Math.min(times.length - 1, Math.floor(times.length * part))]);
  console.log(`figure: ${hangUps} hang-ups: engine idle after p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms, asking included`);
  assert.ok(at(0.99) < stoppedMax, `p99 is ${at(0.99)} ms`);
  assert.equal((await (await fetch(`${server.url}/health`)).json()).status, 'ok');
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});
