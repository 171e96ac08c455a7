// The least that serves HTTP on a microcontroller, for `make firmware-sizes`. It says on the serial port what it has used.

#include "board.h"

static void put(const char *name, size_t n) {
  char text[60], *p = text;
  mg_snprintf(text, sizeof(text), "%s=%lu\n", name, (unsigned long) n);
  while (*p) putchar(*p++);
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
#ifdef WITH_TLS
  if (ev == MG_EV_ACCEPT && c->fn_data != NULL) mg_tls_init(c, (struct mg_tls_opts *) c->fn_data);
#endif
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
#ifdef WITH_WS
    if (mg_match(hm->uri, mg_str("/ws"), NULL)) {
      mg_ws_upgrade(c, hm, NULL);
      return;
    }
#endif
    mg_http_reply(c, 200, "", "Hi %llu\n", mg_millis());
    (void) hm;
  }
#ifdef WITH_WS
  if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    mg_ws_send(c, wm->data.buf, wm->data.len, wm->flags & 15);
  }
#endif
  if (ev == MG_EV_CLOSE && c->is_accepted) {
    put("heap", board_heap_most());
    put("stack", board_stack_most());
  }
}

#ifdef WITH_MQTT
static void on_mqtt(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_mqtt_opts opts;
  memset(&opts, 0, sizeof(opts));
  opts.topic = mg_str("a"), opts.message = mg_str("b");
  if (ev == MG_EV_MQTT_OPEN) mg_mqtt_sub(c, &opts), mg_mqtt_pub(c, &opts);
  (void) ev_data;
}
#endif

#ifdef WITH_TLS
extern const char tls_cert[], tls_key[];
#endif

int main(void) {
  struct mg_mgr mgr;
  struct mg_tcpip_if ifp;
  memset(&ifp, 0, sizeof(ifp));
  ifp.driver = &lan9118_driver;
  mg_log_level = MG_LL_ERROR;
  mg_mgr_init(&mgr);
  mg_tcpip_init(&mgr, &ifp);
#ifdef WITH_TLS
  struct mg_tls_opts tls;
  memset(&tls, 0, sizeof(tls));
  tls.cert = mg_str(tls_cert), tls.key = mg_str(tls_key);
  mg_http_listen(&mgr, "https://0.0.0.0:443", handler, &tls);
#else
  mg_http_listen(&mgr, "http://0.0.0.0:80", handler, NULL);
#endif
#ifdef WITH_MQTT
  mg_mqtt_connect(&mgr, "mqtt://10.0.2.2:1883", NULL, on_mqtt, NULL);
#endif
  for (;;) mg_mgr_poll(&mgr, 0);
}
