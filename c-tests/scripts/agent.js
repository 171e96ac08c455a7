// Node's http with a keep-alive agent: parallel requests of all kinds over a few connections.
'use strict';
const http = require('http');
const assert = require('assert');
const [host, port] = [process.argv[2], +process.argv[3]];
const agent = new http.Agent({ keepAlive: true, maxSockets: 6 });

function ask(method, path, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const req = http.request({ host, port, agent, method, path, headers }, (res) => {
      const parts = [];
      res.on('data', (d) => parts.push(d));
      res.on('error', reject);
      res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(parts).toString('latin1') }));
    });
    req.on('error', reject);
    if (headers.Expect) {
      req.flushHeaders();
      req.on('continue', () => req.end(body));
    } else if (Array.isArray(body)) {
      body.forEach((part) => req.write(part)); // without a length: chunked
      req.end();
    } else {
      req.end(body);
    }
  });
}

async function one(i) {
  const text = 'body ' + i + ' ' + 'x'.repeat((i * 37) % 5000);
  switch (i % 7) {
    case 0: return assert.equal((await ask('GET', '/hello')).body, 'hello\n');
    case 1: return assert.equal((await ask('POST', '/echo', text)).body, text);
    case 2: return assert.equal((await ask('POST', '/echo', [text, text, 'end'])).body, text + text + 'end');
    case 3: return assert.equal((await ask('GET', '/big?n=' + i * 1000)).body.length, i * 1000);
    case 4: return assert.equal((await ask('GET', '/chunked?n=5')).body, 'chunk 5\nchunk 4\nchunk 3\nchunk 2\nchunk 1\n');
    case 5: return assert.equal((await ask('PUT', '/echo', text, { Expect: '100-continue', 'Content-Length': text.length })).body, text);
    default: {
      const r = await ask('HEAD', '/hello');
      return assert.deepEqual([r.status, r.headers['content-length'], r.body], [200, '6', '']);
    }
  }
}

(async () => {
  await Promise.all(Array.from({ length: 700 }, (_, i) => one(i)));
  const stats = JSON.parse((await ask('GET', '/stats')).body);
  assert.equal(stats.requests, 701);
  assert(stats.accepted <= 6, 'connections: ' + stats.accepted);
  const last = await ask('GET', '/drain');
  assert.deepEqual([last.headers.connection, last.body], ['close', 'drained\n']);
  assert.equal((await ask('GET', '/hello')).body, 'hello\n');
  agent.destroy();
})().catch((e) => { console.error(e); process.exit(1); });
