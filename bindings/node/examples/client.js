// One client of each kind. usage: client.js HTTP_URL HTTPS_URL CA WS_URL MQTT_URL
'use strict';
const { readFileSync } = require('fs');
const { Manager, EV, logLevel } = require('..');

const [httpUrl, httpsUrl, ca, wsUrl, mqttUrl] = process.argv.slice(2);
const left = new Set(['http', 'https', 'ws', 'mqtt']);
const manager = new Manager();

function done(kind, text) {
  console.log(`${kind} ${text}`);
  left.delete(kind);
  if (left.size === 0) manager.drain({ deadlineMs: 2000 });
}
const watched = (handler) => (conn, ev, data) => {
  if (ev === EV.ERROR) throw new Error(data);
  handler(conn, ev, data);
};
const http = (kind) => watched((conn, ev, data) => {
  if (ev === EV.HTTP_MSG) {
    done(kind, `${data.status} ${data.text}`);
    conn.close();
  }
});

logLevel(1);
manager.connect(httpUrl, http('http')).request('GET', '/hello');
const secure = manager.connect(httpsUrl, http('https'));
secure.tlsInit({ ca: readFileSync(ca), name: 'localhost' });
secure.request('GET', '/hello');
manager.wsConnect(wsUrl, watched((conn, ev, data) => {
  if (ev === EV.WS_OPEN) conn.wsSend('ping');
  if (ev === EV.WS_MSG) {
    done('ws', data.data);
    conn.wsClose();
  }
}));
manager.mqttConnect(mqttUrl, watched((conn, ev, data) => {
  if (ev === EV.MQTT_OPEN) {
    conn.mqttSubscribe('bindings/test', 1);
    conn.mqttPublish('bindings/test', 'payload', { qos: 1 });
  }
  if (ev === EV.MQTT_MSG) done('mqtt', `${data.topic} ${data.data}`);
}), { clientId: 'node-binding' });
manager.timer(20000, () => { throw new Error('time is up'); });
manager.run().then(() => manager.close(), (e) => { console.error(e.message); process.exit(1); });
