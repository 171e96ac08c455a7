"""One client of each kind. usage: client.py HTTP_URL HTTPS_URL CA WS_URL MQTT_URL"""
import sys
from pathlib import Path

import libmongoose as mg
from libmongoose import MG_EV_ERROR, MG_EV_HTTP_MSG, MG_EV_MQTT_MSG, MG_EV_MQTT_OPEN, MG_EV_WS_MSG, MG_EV_WS_OPEN, Manager, TlsOptions

http_url, https_url, ca, ws_url, mqtt_url = sys.argv[1:]
left = {"http", "https", "ws", "mqtt"}


def done(kind, text):
    print(kind, text, flush=True)
    left.discard(kind)


def failed(conn, ev, data):
    if ev == MG_EV_ERROR:
        sys.exit(f"{conn}: {data}")


def http(kind):
    def handler(conn, ev, data):
        failed(conn, ev, data)
        if ev == MG_EV_HTTP_MSG:
            done(kind, f"{data.status} {data.text}")
            conn.close()

    return handler


def ws(conn, ev, data):
    failed(conn, ev, data)
    if ev == MG_EV_WS_OPEN:
        conn.ws_send("ping")
    elif ev == MG_EV_WS_MSG:
        done("ws", data.text)
        conn.ws_close()


def mqtt(conn, ev, data):
    failed(conn, ev, data)
    if ev == MG_EV_MQTT_OPEN:
        conn.mqtt_subscribe("bindings/test", qos=1)
        conn.mqtt_publish("bindings/test", "payload", qos=1)
    elif ev == MG_EV_MQTT_MSG:
        done("mqtt", f"{data.topic} {data.text}")
        conn.mqtt_disconnect()


mg.log_set(1)
with Manager() as manager:
    manager.connect(http_url, http("http")).request("GET", "/hello")
    secure = manager.connect(https_url, http("https"))
    secure.tls_init(TlsOptions(ca=Path(ca).read_text(), name="localhost"))
    secure.request("GET", "/hello")
    manager.ws_connect(ws_url, ws)
    manager.mqtt_connect(mqtt_url, mqtt, client_id="python-binding")
    manager.timer(20_000, lambda: sys.exit("time is up"))
    while left:
        manager.poll(1000)
