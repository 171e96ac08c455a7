// MQTT over WebSocket, as programs do it: the library's packets are wrapped, and messages are parsed by hand.
// usage: mqtt_ws_client URL VERSION     prints what happens
#include "mongoose.h"

static const char topic[] = "ws/test";
static int version, received;
static bool done;

// Makes a frame of what was queued since `before`.
static void wrap(struct mg_connection *c, size_t before) {
  mg_ws_wrap(c, c->send.len - before, WEBSOCKET_OP_BINARY);
}

static void publish(struct mg_connection *c, int qos) {
  struct mg_mqtt_opts o = {.topic = mg_str(topic), .message = mg_str("hello"), .qos = (uint8_t) qos};
  size_t before = c->send.len;
  mg_mqtt_pub(c, &o);
  wrap(c, before);
}

static void packet(struct mg_connection *c, struct mg_mqtt_message *mm) {
  size_t before = c->send.len;
  if (mm->cmd == MQTT_CMD_CONNACK) {
    mg_call(c, MG_EV_MQTT_OPEN, &mm->ack);
  } else if (mm->cmd == MQTT_CMD_SUBACK) {
    printf("subscribed\n");
    publish(c, 0);
    publish(c, 1);
  } else if (mm->cmd == MQTT_CMD_PUBACK) {
    printf("acknowledged\n");
  } else if (mm->cmd == MQTT_CMD_PUBLISH) {
    uint16_t id = mg_htons(mm->id);
    printf("%.*s: %.*s\n", (int) mm->topic.len, mm->topic.buf, (int) mm->data.len, mm->data.buf);
    if (mm->qos > 0) {
      mg_mqtt_send_header(c, MQTT_CMD_PUBACK, 0, 2);
      mg_send(c, &id, 2);
      wrap(c, before);
    }
    if (++received == 2) {
      before = c->send.len;
      mg_mqtt_disconnect(c, NULL);
      wrap(c, before);
      c->is_draining = 1;
    }
  }
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_WS_OPEN) {
    struct mg_mqtt_opts o = {.version = (uint8_t) version, .clean = true};
    size_t before = c->send.len;
    mg_mqtt_login(c, &o);
    wrap(c, before);
  } else if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    struct mg_mqtt_message mm;
    while (wm->data.len > 0 && mg_mqtt_parse((uint8_t *) wm->data.buf, wm->data.len, c->is_mqtt5 ? 5 : 4, &mm) == MQTT_OK) {
      packet(c, &mm);
      wm->data.buf += mm.dgram.len;
      wm->data.len -= mm.dgram.len;
    }
  } else if (ev == MG_EV_MQTT_OPEN) {
    struct mg_mqtt_opts o = {.topic = mg_str(topic), .qos = 1};
    size_t before = c->send.len;
    printf("open %d\n", *(int *) ev_data);
    mg_mqtt_sub(c, &o);
    wrap(c, before);
  } else if (ev == MG_EV_ERROR) {
    printf("error %s\n", (char *) ev_data);
  } else if (ev == MG_EV_CLOSE) {
    done = true;
  }
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  if (argc != 3) return 2;
  version = atoi(argv[2]);
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  mg_ws_connect(&mgr, argv[1], handler, NULL, "Sec-WebSocket-Protocol: mqtt\r\n");
  while (!done) mg_mgr_poll(&mgr, 100);
  mg_mgr_free(&mgr);
  return 0;
}
