// A server made with the package ws, which prints its port: an echo, but on /talk it talks, and on /close/N it closes.
'use strict';
const { WebSocketServer } = require('ws');
const server = new WebSocketServer({ host: '127.0.0.1', port: 0 }, () => console.log('port ' + server.address().port));

async function talk(ws) {
  for (const part of ['fragment \u20ac ', 'and ', '']) ws.send(part, { fin: false });
  ws.send('another', { fin: true });
  ws.ping('are you there?');
  const pong = await new Promise((r) => ws.once('pong', r));
  if (pong.toString() !== 'are you there?') return ws.terminate();
  ws.send('so you are');
  ws.send(Buffer.alloc(1 << 20, Buffer.from(Array.from({ length: 256 }, (_, i) => i))));
  for (let n = 0; n < 50; n++) ws.send(Buffer.alloc(20000, n), { fin: n === 49, binary: true });
  ws.send('x'.repeat(65536));
  ws.close(1000);
}

server.on('connection', (ws, req) => {
  if (req.url === '/talk') return talk(ws);
  if (req.url.startsWith('/close/')) return ws.close(+req.url.slice(7), 'because');
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
});
process.on('SIGTERM', () => process.exit(0));
