// A client that says nothing for a while: mqtt_idle URL KEEPALIVE SECONDS. Prints whether the broker still wants it.
#include "mongoose.h"

static bool s_closed;

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MQTT_OPEN) printf("open, code %d\n", *(int *) ev_data);
  if (ev == MG_EV_ERROR) printf("error: %s\n", (char *) ev_data);
  if (ev == MG_EV_CLOSE) s_closed = true;
  (void) c;
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  struct mg_mqtt_opts opts;
  uint64_t end;
  if (argc != 4) return 2;
  memset(&opts, 0, sizeof(opts));
  opts.clean = true;
  opts.keepalive = (uint16_t) atoi(argv[2]);
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  end = mg_millis() + (uint64_t) atoi(argv[3]) * 1000;
  mg_mqtt_connect(&mgr, argv[1], &opts, fn, NULL);
  while (!s_closed && mg_millis() < end) mg_mgr_poll(&mgr, (int) (end - mg_millis()));
  printf("%s\n", s_closed ? "closed" : "still open");
  s_closed = false;
  mg_mgr_free(&mgr);
  return 0;
}
