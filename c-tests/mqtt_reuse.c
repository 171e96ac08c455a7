// A handler closes MQTT connections while it handles their packets; later connections are served.
#include "peer.h"

static struct mg_mgr mgr;
static int logins;

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
  if (ev != MG_EV_MQTT_CMD || mm->cmd != MQTT_CMD_CONNECT) return;
  logins++;
  mg_close_conn(c);
}

int main(void) {
  struct mg_mqtt_opts opts;
  struct mg_connection *l;
  char url[40];
  int i, polls;
  memset(&opts, 0, sizeof(opts));
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  l = mg_mqtt_listen(&mgr, "mqtt://127.0.0.1:0", fn, NULL);
  CHECK(l != NULL);
  mg_snprintf(url, sizeof(url), "mqtt://127.0.0.1:%d", (int) mg_ntohs(l->loc.port));
  for (i = 0; i < 10; i++) {
    CHECK(mg_mqtt_connect(&mgr, url, &opts, NULL, NULL) != NULL);
    for (polls = 0; logins == i && polls < 1000; polls++) mg_mgr_poll(&mgr, 5);
    CHECK_EQ(logins, i + 1);
  }
  mg_mgr_free(&mgr);
  return DONE();
}
