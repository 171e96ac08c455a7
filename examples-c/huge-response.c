// Responses of any size that are never in memory as a whole: each part is queued after the previous one was sent.
//
// usage: huge-response -h
//
//   curl -o /dev/null localhost:8000/bytes/10000000000      that many bytes, with a Content-Length
//   curl localhost:8000/lines/1000000                       that many lines, in chunks, without a length

#include "example.h"

#define PART 16384           // bytes produced at a time
#define QUEUE (4 * PART)     // most bytes queued

static const char *const s_usage =
    "usage: huge-response [-l URL]     Ctrl-C ends it\n"
    "  -l URL   where to listen, default http://0.0.0.0:8000; port 0 is any free port\n";

// In c->data: what is left of an answer.
struct state {
  char kind;  // 'b' bytes, 'l' lines, 0 none
  uint64_t done, total;
};

static struct state *state(struct mg_connection *c) {
  return (struct state *) (void *) c->data;
}

static void queue_bytes(struct mg_connection *c, struct state *s) {
  static char part[PART];
  while (s->done < s->total && c->send.len < QUEUE) {
    uint64_t n = s->total - s->done < PART ? s->total - s->done : PART, i;
    for (i = 0; i < n; i++) part[i] = (char) ('a' + (s->done + i) % 26);
    mg_send(c, part, (size_t) n);
    s->done += n;
  }
  if (s->done == s->total) {
    s->kind = 0;
    c->is_resp = 0;  // done: the next request of this connection may be handled
  }
}

static void queue_lines(struct mg_connection *c, struct state *s) {
  while (s->done < s->total && c->send.len < QUEUE) {
    mg_http_printf_chunk(c, "line %llu\n", (unsigned long long) s->done++);
  }
  if (s->done == s->total) {
    s->kind = 0;
    mg_http_printf_chunk(c, "");  // the last chunk
  }
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct state *s = state(c);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    struct mg_str n[2];  // one more than the number of wildcards
    s->done = s->total = 0;
    if (mg_match(hm->uri, mg_str("/bytes/*"), n) && mg_str_to_num(n[0], 10, &s->total, sizeof(s->total))) {
      mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %llu\r\n\r\n", (unsigned long long) s->total);
      s->kind = 'b';
    } else if (mg_match(hm->uri, mg_str("/lines/*"), n) && mg_str_to_num(n[0], 10, &s->total, sizeof(s->total))) {
      mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n");
      s->kind = 'l';
    } else {
      mg_http_reply(c, 404, "", "/bytes/N or /lines/N\n");
    }
  }
  // Now, and whenever output was sent.
  if (ev == MG_EV_HTTP_MSG || ev == MG_EV_WRITE) {
    if (s->kind == 'b') queue_bytes(c, s);
    if (s->kind == 'l') queue_lines(c, s);
  }
}

int main(int argc, char **argv) {
  const char *url = "http://0.0.0.0:8000";
  struct mg_mgr mgr;
  struct mg_connection *listener;
  int code = example_args(argc, argv, s_usage, &url);

  if (code >= 0) return code;
  example_catch_signals();
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  mgx_mgr_limits(&mgr, mgx_limits_public());
  listener = mg_http_listen(&mgr, url, handler, NULL);
  if (listener == NULL) return example_cannot_listen(&mgr, argv[0], url);
  example_ready(listener, "http");
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
