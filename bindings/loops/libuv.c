// A manager as the guest of libuv's loop: one handle waits for its descriptor, one asks before each wait how long that may be.
// The rest is a server for tests. usage: libuv CERT KEY
#include <uv.h>

#include "mongoose.h"
#include "mongoose_ext.h"

struct guest {
  struct mg_mgr *mgr;
  uv_poll_t ready;
  uv_prepare_t before_wait;
  uv_timer_t timer;
};

static void turn(struct guest *g) {
  mg_mgr_poll(g->mgr, 0);
  if (mgx_mgr_phase(g->mgr) != MGX_MGR_DONE) return;
  // The drain is done: without handles of ours the loop ends, unless others have work.
  uv_poll_stop(&g->ready);
  uv_prepare_stop(&g->before_wait);
  uv_timer_stop(&g->timer);
}

static void on_ready(uv_poll_t *handle, int status, int events) {
  turn((struct guest *) handle->data);
  (void) status, (void) events;
}

static void on_timer(uv_timer_t *handle) {
  turn((struct guest *) handle->data);
}

// Runs right before libuv waits, after all that other handles did to the manager in this round.
static void before_wait(uv_prepare_t *handle) {
  struct guest *g = (struct guest *) handle->data;
  int ms = mgx_mgr_timeout_ms(g->mgr);
  if (ms >= 0) {
    uv_timer_start(&g->timer, on_timer, (uint64_t) ms, 0);
  } else {
    uv_timer_stop(&g->timer);
  }
}

static void guest_attach(struct guest *g, uv_loop_t *loop, struct mg_mgr *mgr) {
  g->mgr = mgr;
  uv_poll_init(loop, &g->ready, mgx_mgr_fd(mgr));
  uv_prepare_init(loop, &g->before_wait);
  uv_timer_init(loop, &g->timer);
  g->ready.data = g->before_wait.data = g->timer.data = g;
  uv_poll_start(&g->ready, UV_READABLE, on_ready);
  uv_prepare_start(&g->before_wait, before_wait);
}

// ---- the server

static struct mg_mgr mgr;
static struct mg_tls_opts tls;

// A timer of libuv's answers a request of the manager's: from outside mg_mgr_poll.
struct slow {
  uv_timer_t timer;
  unsigned long id;
};

static void freed(uv_handle_t *handle) {
  free(handle);
}

static void answer_slowly(uv_timer_t *handle) {
  struct slow *s = (struct slow *) handle;
  struct mg_connection *c = mgx_mgr_first(&mgr);
  while (c != NULL && mgx_conn_id(c) != s->id) c = mgx_conn_next(c);
  mgx_http_reply(c, 200, NULL, "slow", 4);
  uv_close((uv_handle_t *) handle, freed);
}

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT && c->is_tls) mg_tls_init(c, &tls);
  if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    mg_ws_send(c, wm->data.buf, wm->data.len, wm->flags & 15);
  }
  if (ev == MG_EV_HTTP_HDRS && mg_match(((struct mg_http_message *) ev_data)->uri, mg_str("/early"), NULL)) {
    mg_http_reply(c, 200, "", "early");
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_match(hm->uri, mg_str("/hello"), NULL)) {
      mg_http_reply(c, 200, "", "hello");
    } else if (mg_match(hm->uri, mg_str("/echo"), NULL)) {
      struct mg_str *seen = mg_http_get_header(hm, "x-sent");
      char headers[300];
      mg_snprintf(headers, sizeof(headers), "X-Method: %.*s\r\nX-Query: %.*s\r\nX-Seen: %.*s\r\n", (int) hm->method.len,
                  hm->method.buf, (int) hm->query.len, hm->query.buf, seen == NULL ? 0 : (int) seen->len,
                  seen == NULL ? "" : seen->buf);
      mgx_http_reply(c, 200, headers, hm->body.buf, hm->body.len);
    } else if (mg_match(hm->uri, mg_str("/ws"), NULL)) {
      mg_ws_upgrade(c, hm, NULL);
    } else if (mg_match(hm->uri, mg_str("/slow"), NULL)) {
      struct slow *s = (struct slow *) calloc(1, sizeof(*s));
      s->id = c->id;
      uv_timer_init(uv_default_loop(), &s->timer);
      uv_timer_start(&s->timer, answer_slowly, 300, 0);
    } else if (mg_match(hm->uri, mg_str("/chunks"), NULL)) {
      mgx_http_begin(c, 200, NULL);
      mgx_http_chunk(c, "one", 3);
      mgx_http_chunk(c, "two", 3);
      mgx_http_chunk(c, NULL, 0);
    } else if (mg_match(hm->uri, mg_str("/last"), NULL)) {
      mg_http_reply(c, 200, "", "last");
      mgx_conn_drain(c, NULL);
    } else {
      mg_http_reply(c, 404, "", "no such page");
    }
  }
}

int main(int argc, char *argv[]) {
  struct guest guest;
  struct mg_connection *http, *https;
  if (argc < 3) return fprintf(stderr, "usage: %s CERT KEY\n", argv[0]), 1;
  tls.cert = mg_file_read(&mg_fs_posix, argv[1]);
  tls.key = mg_file_read(&mg_fs_posix, argv[2]);
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  http = mg_http_listen(&mgr, "http://127.0.0.1:0", fn, NULL);
  https = mg_http_listen(&mgr, "https://127.0.0.1:0", fn, NULL);
  if (http == NULL || https == NULL) return 1;
  mgx_mgr_drain_on_signal(&mgr, SIGTERM, NULL);
  guest_attach(&guest, uv_default_loop(), &mgr);
  printf("%d %d\n", mg_ntohs(http->loc.port), mg_ntohs(https->loc.port));
  fflush(stdout);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  mg_mgr_free(&mgr);
  mg_free((void *) tls.cert.buf);
  mg_free((void *) tls.key.buf);
  return 0;
}
