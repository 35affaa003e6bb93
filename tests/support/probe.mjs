// How long a server lets its callers wait, told by a process of its own: who makes the crowd has a
// hundred answers of its own to read, and would time its own queue.
//
//   node tests/support/probe.mjs URL      until standard input ends; then one line of JSON:
//   {"refused": [ms, …], "answered": [ms, …], "health": [ms, …], "wrong": [text, …]}
//
// Each asker has one connection and one request at a time; times end with the last byte.
import http from 'node:http';
import { pathToFileURL } from 'node:url';
import { spawn } from 'node:child_process';

const rest_ms = 5;
const askers = 3; // of statements; one more asks for /health

function ask(agent, url, method, path, body) {
  return new Promise((resolve, reject) => {
    const from = performance.now();
    const request = http.request(url + path, { agent, method, headers: body ? { 'content-type': 'application/json', 'content-length': body.length } : {} }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => { text += piece; });
      response.on('end', () => resolve({ status: response.statusCode, retryAfter: response.headers['retry-after'], text, ms: performance.now() - from }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function run(url) {
  const told = { refused: [], answered: [], health: [], wrong: [] };
  let isDone = false;
  const asking = async (method, path, body, note) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    await ask(agent, url, 'GET', '/health'); // the connection, and this program's own warming up
    while (!isDone) {
      note(await ask(agent, url, method, path, body));
      await new Promise((resolve) => setTimeout(resolve, rest_ms));
    }
    agent.destroy();
  };
  const all = Array.from({ length: askers }, () => asking('POST', '/query/sql', '{"sql": "SELECT 1", "timeout_ms": 60000}', ({ status, retryAfter, text, ms }) => {
    if (status === 503 && /^[1-9]\d*$/.test(retryAfter ?? '') && JSON.parse(text).code === 'busy') told.refused.push(ms);
    else if (status === 200) told.answered.push(ms);
    else told.wrong.push(`${status} ${text}`);
  }));
  all.push(asking('GET', '/health', null, ({ status, text, ms }) => (status === 200 ? told.health.push(ms) : told.wrong.push(`${status} ${text}`))));
  process.stdin.on('end', () => { isDone = true; }).resume();
  await Promise.all(all);
  console.log(JSON.stringify(told));
}

// Starts it; what is returned ends it and gives what it told.
export function startProbe(context, url) {
  const child = spawn(process.execPath, [new URL(import.meta.url).pathname, url], { stdio: ['pipe', 'pipe', 'inherit'] });
  context.after(() => child.kill('SIGKILL'));
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece) => { text += piece; });
  const ended = new Promise((resolve) => child.on('close', resolve));
  return async () => {
    child.stdin.end();
    await ended;
    return JSON.parse(text);
  };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await run(process.argv[2]);
