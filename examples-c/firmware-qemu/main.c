// A web server on a microcontroller, for qemu's MPS2 boards: no operating system, its own TCP/IP stack, and a driver for the Ethernet
// chip (lan9118.c). README.md says how to build and try it; `make firmware-test` does so.
//
//   /            a page                         /ws          echoes WebSocket messages
//   /ready       200, or 503 once it drains     /last        one answer, then the connection ends
//   /echo        the body that was sent         /restart     answers what is under way, then starts anew
//   /sink        its CRC, whatever its length   /interrupt   an answer that begins in an interrupt handler
//   /bytes?n=N   N bytes                        /stats       heap, stack, connections
//   /mqtt?port=N a message by way of a broker on the host

#include "board.h"

static struct mg_mgr s_mgr;
static unsigned s_starts, s_oom;
static unsigned long s_waiting;  // id of the connection that /interrupt is answered on

// What is kept in c->data of a long transfer.
struct transfer {
  char kind;  // '<' or '>'
  uint32_t left, at, crc;
};

// Sends as much as keeps the buffer small.
static void fill(struct mg_connection *c) {
  struct transfer *t = (struct transfer *) c->data;
  while (t->left > 0 && c->send.len < 1024) {
    char chunk[256];
    uint32_t n = t->left < sizeof(chunk) ? t->left : (uint32_t) sizeof(chunk);
    for (uint32_t i = 0; i < n; i++) chunk[i] = (char) ('a' + (t->at + i) % 23);
    if (!mg_send(c, chunk, n)) return;
    t->at += n, t->left -= n;
  }
  if (t->left == 0) t->kind = 0, c->is_resp = 0;
}

static void take(struct mg_connection *c) {
  struct transfer *t = (struct transfer *) c->data;
  uint32_t n = c->recv.len < t->left ? (uint32_t) c->recv.len : t->left;
  t->crc = mg_crc32(t->crc, (const char *) c->recv.buf, n);
  t->left -= n;
  mg_iobuf_del(&c->recv, 0, n);
  if (t->left > 0) return;
  mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n%08lx\n", (unsigned long) t->crc);
  c->is_draining = 1;
}

static void on_interrupt(void) {
  mg_wakeup(&s_mgr, s_waiting, "from an interrupt\n", 18);
}

static bool is(struct mg_http_message *hm, const char *uri) {
  return mg_match(hm->uri, mg_str(uri), NULL);
}

static unsigned long number(struct mg_http_message *hm, const char *name) {
  struct mg_str value = mg_http_var(hm->query, mg_str(name));
  unsigned long n = 0;
  for (size_t i = 0; i < value.len && value.buf[i] >= '0' && value.buf[i] <= '9'; i++) n = n * 10 + (unsigned long) (value.buf[i] - '0');
  return n;
}

static void stats(struct mg_connection *c) {
  struct mgx_stats s;
  mgx_mgr_stats(&s_mgr, &s);
  mg_http_reply(c, 200, "Content-Type: application/json\r\n",
                "{%m:%u,%m:%u,%m:%u,%m:%u,%m:%u,%m:%u}\n", MG_ESC("heap_now"), (unsigned) board_heap_now(), MG_ESC("heap_most"),
                (unsigned) board_heap_most(), MG_ESC("stack_most"), (unsigned) board_stack_most(), MG_ESC("conns"), (unsigned) s.conns,
                MG_ESC("oom"), s_oom, MG_ESC("starts"), s_starts);
}

#ifdef WITH_MQTT
static void on_mqtt(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_mqtt_opts opts;
  memset(&opts, 0, sizeof(opts));
  opts.topic = mg_str("firmware/qemu");
  opts.qos = 1;
  if (ev == MG_EV_MQTT_OPEN) {
    mg_mqtt_sub(c, &opts);
    opts.message = mg_str("there and back\n");
    mg_mqtt_pub(c, &opts);
  } else if (ev == MG_EV_MQTT_MSG) {
    struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
    mg_wakeup(&s_mgr, s_waiting, mm->data.buf, mm->data.len);
    mg_mqtt_disconnect(c, NULL);
    c->is_draining = 1;
  }
}

static void ask_broker(unsigned long port) {
  struct mg_mqtt_opts opts;
  char url[40];
  memset(&opts, 0, sizeof(opts));
  opts.clean = true;
  mg_snprintf(url, sizeof(url), "mqtt://10.0.2.2:%lu", port);
  mg_mqtt_connect(&s_mgr, url, &opts, on_mqtt, NULL);
}
#endif

static void on_message(struct mg_connection *c, struct mg_http_message *hm) {
  if (is(hm, "/")) {
    mg_http_reply(c, 200, "", "Hello from a Cortex-M\n");
  } else if (is(hm, "/ready")) {
    bool ready = mgx_mgr_is_ready(&s_mgr);
    mg_http_reply(c, ready ? 200 : 503, "", ready ? "ready\n" : "draining\n");
  } else if (is(hm, "/echo")) {
    mgx_http_reply(c, 200, "", hm->body.buf, hm->body.len);
  } else if (is(hm, "/bytes")) {
    struct transfer *t = (struct transfer *) c->data;
    t->kind = '>', t->at = 0, t->left = (uint32_t) number(hm, "n");
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %lu\r\n\r\n", (unsigned long) t->left);
    fill(c);
  } else if (is(hm, "/last")) {
    mg_http_reply(c, 200, "", "The end\n");
    mgx_conn_drain(c, NULL);
  } else if (is(hm, "/restart")) {
    struct mgx_mgr_drain_opts opts;
    memset(&opts, 0, sizeof(opts));
    opts.lame_duck_ms = 300;
    mg_http_reply(c, 200, "", "restarting\n");
    mgx_mgr_drain(&s_mgr, &opts);
  } else if (is(hm, "/interrupt")) {
    s_waiting = c->id;
    board_poke_interrupt(on_interrupt);
  } else if (is(hm, "/stats")) {
    stats(c);
#ifdef WITH_WS
  } else if (is(hm, "/ws")) {
    mg_ws_upgrade(c, hm, NULL);
#endif
#ifdef WITH_MQTT
  } else if (is(hm, "/mqtt")) {
    s_waiting = c->id;
    ask_broker(number(hm, "port"));
#endif
  } else {
    mg_http_reply(c, 404, "", "Not found\n");
  }
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct transfer *t = (struct transfer *) c->data;
  switch (ev) {
#ifdef WITH_TLS
    case MG_EV_ACCEPT:
      if (c->fn_data != NULL) mg_tls_init(c, (struct mg_tls_opts *) c->fn_data);
      break;
#endif
    case MG_EV_HTTP_HDRS: {
      struct mg_http_message *hm = (struct mg_http_message *) ev_data;
      if (!is(hm, "/sink")) break;
      // The body is taken as it comes, and nothing is kept.
      t->kind = '<', t->crc = 0, t->left = (uint32_t) hm->body.len;
      mg_iobuf_del(&c->recv, 0, hm->head.len);
      c->pfn = NULL;
      take(c);
      break;
    }
    case MG_EV_READ:
      if (t->kind == '<') take(c);
      break;
    case MG_EV_WRITE:
    case MG_EV_POLL:
      if (t->kind == '>') fill(c);
      break;
    case MG_EV_HTTP_MSG:
      on_message(c, (struct mg_http_message *) ev_data);
      break;
#ifdef WITH_WS
    case MG_EV_WS_MSG: {
      struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
      mg_ws_send(c, wm->data.buf, wm->data.len, wm->flags & 15);
      break;
    }
#endif
    case MG_EV_WAKEUP: {
      struct mg_str *text = (struct mg_str *) ev_data;
      mgx_http_reply(c, 200, "", text->buf, text->len);
      break;
    }
    case MG_EV_ERROR:
      if (strcmp((const char *) ev_data, "OOM") == 0) s_oom++;
      break;
    default:
      break;
  }
}

#ifdef WITH_TLS
extern const char tls_cert[], tls_key[];
#endif

static void serve(void) {
  struct mg_tcpip_if ifp;
  memset(&ifp, 0, sizeof(ifp));
  ifp.driver = &lan9118_driver;
  memcpy(ifp.mac, "\x02\x00\x00\x0a\x00\x02", 6);
  mg_mgr_init(&s_mgr);
  mg_tcpip_init(&s_mgr, &ifp);
  mg_wakeup_init(&s_mgr);
  mg_http_listen(&s_mgr, "http://0.0.0.0:80", handler, NULL);
#ifdef WITH_TLS
  static struct mg_tls_opts tls;
  tls.cert = mg_str(tls_cert), tls.key = mg_str(tls_key);
  mg_http_listen(&s_mgr, "https://0.0.0.0:443", handler, &tls);
#endif
  while (mgx_mgr_phase(&s_mgr) != MGX_MGR_DONE) {
    mg_mgr_poll(&s_mgr, 0);
    // Until the next interrupt; SysTick brings one every millisecond.
    __asm__ volatile("wfi");
  }
  mg_mgr_free(&s_mgr);
}

int main(void) {
  mg_log_level = MG_LL_INFO;
  for (;;) {
    s_starts++;
    MG_INFO(("start %u", s_starts));
    serve();
  }
}
