// A client that asks for ten million rows and never reads: bounded memory, and then it is dropped.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { startServer } from '../support/server.mjs';

const statusKb = (server, name) => Number(readFileSync(`/proc/${server.pid}/status`, 'utf8').match(new RegExp(`^${name}:\\s+(\\d+)`, 'm'))[1]);
const metric = async (server, name) => Number((await (await fetch(`${server.url}/metrics`)).text()).match(new RegExp(`^lakehouse_${name} (\\d+)`, 'm'))[1]);
const isSanitized = /asan|tsan/.test(process.env.LAKEHOUSE_PROGRAM ?? '');

test('clients that never read 10M rows cost little memory in every format, and are dropped', { timeout: 120000 }, async (context) => {
  const server = await startServer({ args: ['--server-write-timeout-ms', '1500'] });
  context.after(() => server.stop());
  await (await fetch(`${server.url}/query/sql`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"sql": "SELECT 1"}' })).text();
  const formats = ['json', 'ndjson', 'csv', 'arrow', 'parquet'];
  const before = statusKb(server, 'VmRSS');
  const sql = "SELECT range AS id, 'a text of some length ' || hash(range) AS t, range / 7 AS d FROM range(10000000)";
  for (const format of formats) {
    const body = JSON.stringify({ sql, format, limit: 10000000, timeout_ms: 600000 });
    const socket = net.connect(new URL(server.url).port, '127.0.0.1');
    context.after(() => socket.destroy());
    socket.pause();
    socket.on('error', () => {});
    const timeouts = await metric(server, 'http_timeouts_total');
    socket.write(`POST /query/sql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    let highest = 0;
    for (let tries = 0; await metric(server, 'http_timeouts_total') === timeouts; tries++) {
      assert.ok(tries < 600, `${format}: the client was not dropped`);
      highest = Math.max(highest, statusKb(server, 'VmRSS'));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    for (let tries = 0; await metric(server, 'engine_connections_busy') > 0; tries++) {
      assert.ok(tries < 200, `${format}: the statement goes on without its client`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const grown = (highest - before) / 1024;
    context.diagnostic(`figure: ${format}: ${grown.toFixed(1)} MB more while a client of 10M rows does not read`);
    if (!isSanitized) assert.ok(grown <= 64, `${format}: ${grown} MB`);
  }
});
