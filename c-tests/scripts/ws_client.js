// The package ws as a client of an echo server.
'use strict';
const assert = require('assert');
const WebSocket = require('ws');
const url = 'ws://' + process.argv[2] + ':' + process.argv[3] + '/websocket';

// A socket whose messages can be waited for one by one.
function open(protocols, options) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, protocols, options);
    const waiting = [], messages = [];
    ws.on('message', (data, isBinary) => {
      const m = { data, isBinary };
      if (waiting.length) waiting.shift()(m); else messages.push(m);
    });
    ws.next = () => messages.length ? Promise.resolve(messages.shift()) : new Promise((r) => waiting.push(r));
    ws.closed = new Promise((r) => ws.on('close', (code, reason) => r({ code, reason: reason.toString() })));
    ws.on('open', () => resolve(ws));
    ws.on('error', reject);
  });
}

async function echoes(ws, data) {
  ws.send(data);
  const m = await ws.next();
  assert.equal(m.isBinary, typeof data !== 'string');
  assert(Buffer.from(data).equals(m.data), 'message of ' + data.length);
}

(async () => {
  const ws = await open();
  assert.equal(ws.extensions, '');
  for (const n of [0, 1, 125, 126, 65535, 65536, 1 << 20]) {
    await echoes(ws, 'x'.repeat(n));
    await echoes(ws, Buffer.alloc(n, 'binary data'));
  }
  // In fragments, with a ping inside.
  ws.send('frag', { fin: false });
  ws.ping('inside');
  ws.send('ment\u20ac', { fin: false });
  ws.send('', { fin: true });
  const pong = await new Promise((r) => ws.once('pong', r));
  assert.equal(pong.toString(), 'inside');
  assert.equal((await ws.next()).data.toString(), 'fragment\u20ac');
  for (let i = 0; i < 1000; i++) ws.send('message ' + i);
  for (let i = 0; i < 1000; i++) assert.equal((await ws.next()).data.toString(), 'message ' + i);
  ws.close(4321, 'reason');
  assert.deepEqual(await ws.closed, { code: 4321, reason: 'reason' });

  const empty = await open();
  empty.close();
  assert.deepEqual(await empty.closed, { code: 1005, reason: '' });

  const chosen = await open(['one', 'two']);
  assert.equal(chosen.protocol, 'one');
  // A frame that the protocol forbids: a ping of more than 125 bytes, by hand.
  chosen._socket.write(Buffer.concat([Buffer.from([0x89, 0xfe, 0, 126, 0, 0, 0, 0]), Buffer.alloc(126)]));
  assert.equal((await chosen.closed).code, 1002);

  // Many sockets at once.
  const all = await Promise.all(Array.from({ length: 100 }, () => open()));
  await Promise.all(all.map((s, i) => echoes(s, 'socket ' + i)));
  all.forEach((s) => s.close(1000));
  for (const s of all) assert.equal((await s.closed).code, 1000);
})().catch((e) => { console.error(e); process.exit(1); });
