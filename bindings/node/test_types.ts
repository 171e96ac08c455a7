// Compiled, never run: what the types allow, and what they must not.
import { Connection, EV, HttpMessage, Manager, MqttMessage, WsMessage, constant, logLevel } from '.';

logLevel(1);
const number: number = constant('MG_EV_HTTP_MSG') + EV.HTTP_MSG;
const manager = new Manager();
const listener: Connection = manager.listen('http://127.0.0.1:0', (conn, ev, data) => {
  if (ev === EV.HTTP_MSG) {
    const message: HttpMessage = data;
    const sent: string | undefined = message.header('x-sent');
    conn.reply(200, message.body, { 'X-Seen': sent ?? '', 'X-Number': number });
    conn.drain({ idleGraceMs: 100, wsCloseReason: 'bye' });
  } else if (ev === EV.WS_MSG) {
    const message: WsMessage = data;
    conn.wsSend(message.data, message.op);
  } else if (ev === EV.MQTT_MSG) {
    const message: MqttMessage = data;
    conn.mqttPublish(message.topic, message.data, { qos: 1, retain: true });
  }
});
manager.drainOnSignal('SIGTERM', { deadlineMs: 1000, conn: { idleGraceMs: 1 } });
manager.timer(100, () => listener.close(), { repeat: true }).cancel();
manager.mqttConnect('mqtt://localhost', () => {}, { clientId: 'a', version: 5 });
manager.run().then(() => manager.close());

// @ts-expect-error no such event
EV.NOTHING;
// @ts-expect-error a status is a number
listener.reply('200');
// @ts-expect-error no signal
manager.drainOnSignal('SIGNOTHING');
// @ts-expect-error properties are copies, and read-only
listener.id = 1;
// @ts-expect-error an option of another function
manager.timer(1, () => {}, { qos: 1 });
