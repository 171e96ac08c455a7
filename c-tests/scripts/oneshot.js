// A connection for each request, many at a time: every answer says that it is the last one, and none is lost.
'use strict';
const http = require('http');
const assert = require('assert');
const [host, port, total, parallel] = [process.argv[2], +process.argv[3], +process.argv[4], +process.argv[5]];

function ask(path, want) {
  return new Promise((resolve, reject) => {
    // Not agent: false, which would ask for the close itself.
    const agent = new http.Agent({ keepAlive: true });
    http.get({ host, port, agent, path }, (res) => {
      let n = 0;
      res.on('data', (d) => { n += d.length; });
      res.on('error', reject);
      res.on('end', () => {
        assert.deepEqual([res.statusCode, res.headers.connection, n], [200, 'close', want]);
        resolve();
      });
    }).on('error', reject);
  });
}

let started = 0;
async function work() {
  while (started < total) {
    started++;
    await ask('/drain', 8);
  }
}

Promise.all(Array.from({ length: parallel }, work)).catch((e) => { console.error(e); process.exit(1); });
