// Several browsers at once: each opens a page and then many resources of all sizes over six connections.
'use strict';
const http = require('http');
const assert = require('assert');
const [host, port, browsers, resources] = [process.argv[2], +process.argv[3], +process.argv[4], +process.argv[5]];

function load(agent, path) {
  return new Promise((resolve, reject) => {
    http.get({ host, port, agent, path, headers: { 'User-Agent': 'test', Accept: '*/*', 'Accept-Encoding': 'gzip', Cookie: 'a=b' } }, (res) => {
      let n = 0;
      res.on('data', (d) => { n += d.length; });
      res.on('error', reject);
      res.on('end', () => resolve(n));
    }).on('error', reject);
  });
}

async function browse(b) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 6 });
  assert.equal(await load(agent, '/hello'), 6);
  await Promise.all(Array.from({ length: resources }, async (_, i) => {
    const size = [100, 2000, 15000, 40000, 300000][(b + i) % 5] + i;
    assert.equal(await load(agent, (i % 3 ? '/big?n=' : '/download?n=') + size), size);
  }));
  agent.destroy();
}

Promise.all(Array.from({ length: browsers }, (_, b) => browse(b))).catch((e) => { console.error(e); process.exit(1); });
