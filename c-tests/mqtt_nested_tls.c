// Like mqtt_nested.c, over TLS: a handler polls in every event while the client keeps sending and finally disconnects.
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
#include "tls.h"

enum { COUNT = 400 };

static struct mg_mgr mgr;
static int s_sent, s_seen, s_commands, s_closes;

static bool is_message(const struct mg_mqtt_message *mm, int i) {
  char want[8];
  mg_snprintf(want, sizeof(want), "%d", i);
  return mm->cmd == MQTT_CMD_PUBLISH && mg_strcmp(mm->topic, mg_str(want)) == 0 && mm->data.len == (size_t) (i % 7) * 100;
}

static void poll_here(void) {
  int i;
  for (i = 0; i < 3; i++) mg_mgr_poll(&mgr, 0);
}

static void server(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
  if (c->is_listening) return;
  if (ev == MG_EV_ACCEPT) {
    struct mg_tls_opts o = server_tls();
    mg_tls_init(c, &o);
  } else if (ev == MG_EV_MQTT_MSG) {
    CHECK(is_message(mm, s_seen));
    poll_here();
    CHECK(is_message(mm, s_seen));
    s_seen++;
  } else if (ev == MG_EV_MQTT_CMD && mm->cmd == MQTT_CMD_PUBLISH) {
    CHECK(is_message(mm, s_commands) && s_seen == s_commands + 1);
    poll_here();
    CHECK(is_message(mm, s_commands));
    s_commands++;
  } else if (ev == MG_EV_READ) {
    poll_here();
  } else if (ev == MG_EV_CLOSE) {
    s_closes++;
  }
}

static void client(struct mg_connection *c, int ev, void *ev_data) {
  static char data[700];
  if (ev == MG_EV_CONNECT) {
    struct mg_tls_opts o = client_tls();
    mg_tls_init(c, &o);
  } else if (ev == MG_EV_POLL && !c->is_connecting && !c->is_tls_hs && c->send.len == 0 && s_sent < COUNT) {
    struct mg_mqtt_opts o;
    char topic[8];
    int i;
    memset(&o, 0, sizeof(o));
    for (i = 0; i < 5 && s_sent < COUNT; i++) {
      mg_snprintf(topic, sizeof(topic), "%d", s_sent);
      o.topic = mg_str(topic);
      o.message = mg_str_n(data, (size_t) (s_sent++ % 7) * 100);
      o.qos = s_sent % 2 ? 1 : 0;
      mg_mqtt_pub(c, &o);
    }
    if (s_sent == COUNT) c->is_draining = 1;
  }
  (void) ev_data;
}

int main(void) {
  struct mg_connection *l;
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  l = mg_mqtt_listen(&mgr, "mqtts://127.0.0.1:0", server, NULL);
  CHECK(l != NULL);
  mg_mqtt_connect(&mgr, url_of(l, "mqtts"), NULL, client, NULL);
  POLL_UNTIL(&mgr, s_closes == 1);
  CHECK_EQ(s_seen, COUNT);
  CHECK_EQ(s_commands, COUNT);
  mg_mgr_free(&mgr);
  pem_free();
  return DONE();
}
