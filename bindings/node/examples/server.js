// HTTP and HTTPS server with WebSocket. usage: server.js CERT KEY
'use strict';
const { readFileSync } = require('fs');
const { Manager, EV, logLevel } = require('..');

const [cert, key] = process.argv.slice(2).map((path) => readFileSync(path));
const manager = new Manager();

function handler(conn, ev, data) {
  if (ev === EV.WS_MSG) conn.wsSend(data.data, data.op);
  if (ev === EV.HTTP_HDRS && data.uri === '/early') conn.reply(200, Buffer.concat([Buffer.from('early'), data.body]));
  if (ev !== EV.HTTP_MSG) return;
  switch (data.uri) {
    case '/hello': conn.reply(200, 'hello'); break;
    case '/echo':
      conn.reply(200, data.body, { 'X-Method': data.method, 'X-Query': data.query, 'X-Seen': data.header('x-sent') ?? '' });
      break;
    case '/ws': conn.wsUpgrade(data); break;
    case '/slow': manager.timer(300, () => conn.isClosed || conn.reply(200, 'slow')); break;
    case '/chunks': conn.begin(200); conn.chunk('one'); conn.chunk('two'); conn.end(); break;
    case '/last': conn.reply(200, 'last'); conn.drain(); break;
    default: conn.reply(404, 'no such page');
  }
}

logLevel(1);
const http = manager.listen('http://127.0.0.1:0', handler);
const https = manager.listen('https://127.0.0.1:0', (conn, ev, data) => {
  if (ev === EV.ACCEPT) conn.tlsInit({ cert, key });
  handler(conn, ev, data);
});
manager.drainOnSignal('SIGTERM');
console.log(http.port, https.port);
manager.run().then(() => manager.close());
