// A server that is drained while it works, for the picture of make drain-demo: it prints the number of connections in each state
// all the while, as benches/publish.py reads it. SIGTERM starts the drain; its end ends the program.
// usage: drain_states PORT
#include "mongoose.h"
#include "mongoose_ext.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define BIG 4000000
#define EVERY_MS 5

static struct mg_mgr s_mgr;
static char *s_big;

static void on_signal(int number) {
  mgx_mgr_drain(&s_mgr, NULL);
  (void) number;
}

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  uint64_t *due = (uint64_t *) c->data;
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    struct mg_str ms[2];
    if (mg_match(hm->uri, mg_str("/websocket"), NULL)) {
      mg_ws_upgrade(c, hm, NULL);
    } else if (mg_match(hm->uri, mg_str("/after/*"), ms)) {
      *due = mg_millis() + (uint64_t) atoi(ms[0].buf);
    } else if (mg_match(hm->uri, mg_str("/big"), NULL)) {
      mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BIG);
      mg_send(c, s_big, BIG);
      c->is_resp = 0;
    } else {
      mg_http_reply(c, 200, "", "%s\n", "Hello, World!");
    }
  } else if (ev == MG_EV_POLL && *due > 0 && mg_millis() >= *due) {
    *due = 0;
    mg_http_reply(c, 200, "", "%s\n", "At last");
  }
}

int main(int argc, char **argv) {
  char url[64];
  uint64_t begin, next = 0;
  bool draining = false;
  if (argc != 2) return 2;
  s_big = (char *) calloc(1, BIG);
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&s_mgr);
  mgx_mgr_drain_init(&s_mgr);
  signal(SIGTERM, on_signal);
  snprintf(url, sizeof(url), "http://127.0.0.1:%s", argv[1]);
  if (mg_http_listen(&s_mgr, url, fn, NULL) == NULL) return 1;
  begin = mg_millis();
  for (;;) {
    struct mgx_drain_status st;
    uint64_t ms = mg_millis() - begin;
    mgx_mgr_drain_status(&s_mgr, &st);
    if (st.phase != MGX_MGR_RUNNING && !draining) draining = true, printf("# %lu mgx_mgr_drain\n", (unsigned long) ms);
    if (ms >= next || st.phase == MGX_MGR_DONE) {
      next = ms + EVERY_MS;
      printf("%lu %zu %zu %zu %zu %zu %zu\n", (unsigned long) ms, st.idle, st.active, st.pending, st.flushing, st.websockets, st.lingering);
    }
    if (st.phase == MGX_MGR_DONE) {
      printf("# %lu done: %zu drained, %zu by force\n", (unsigned long) ms, st.drained, st.forced);
      break;
    }
    mg_mgr_poll(&s_mgr, EVERY_MS);
  }
  mg_mgr_free(&s_mgr);
  free(s_big);
  return 0;
}
