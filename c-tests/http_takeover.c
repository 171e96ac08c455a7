// An application that takes over a connection from the HTTP handler gets the bytes after its request, whatever came before it.
// not under: short: a body must arrive with its head
#include "peer.h"

enum how {
  HEAD_IN_HDRS,      // the documented way: delete the head in MG_EV_HTTP_HDRS
  HEAD_AND_PFN,      // the same, and c->pfn = NULL by hand
  ALL_IN_HDRS,       // drop whatever is there
  MESSAGE_IN_MSG,    // after an answer: delete the message in MG_EV_HTTP_MSG, c->pfn = NULL
  ALL_IN_MSG,
};

static struct {
  enum how how;
  int messages;
  char seen[100];   // URIs of delivered requests
  char in_call[100];  // what lay in c->recv right after the take-over
  char taken[100];  // what came in MG_EV_READ after it
  bool mine;
} s;

static void add(char *to, const void *data, size_t len) {
  strncat(to, (const char *) data, len < 99 - strlen(to) ? len : 99 - strlen(to));
}

static void take_over(struct mg_connection *c, size_t len) {
  bool all = s.how == ALL_IN_HDRS || s.how == ALL_IN_MSG;
  mg_iobuf_del(&c->recv, 0, all ? c->recv.len : len);
  if (s.how == HEAD_AND_PFN || s.how == MESSAGE_IN_MSG || s.how == ALL_IN_MSG) c->pfn = NULL;
  add(s.in_call, c->recv.buf, c->recv.len);
  s.mine = true;
}

static void server(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  bool in_msg = s.how == MESSAGE_IN_MSG || s.how == ALL_IN_MSG;
  if (ev == MG_EV_HTTP_HDRS && !in_msg && mg_match(hm->uri, mg_str("/mine"), NULL)) {
    take_over(c, hm->head.len);
  } else if (ev == MG_EV_HTTP_MSG) {
    bool mine = mg_match(hm->uri, mg_str("/mine"), NULL);
    s.messages++;
    add(s.seen, hm->uri.buf, hm->uri.len);
    mg_http_reply(c, 200, "", "ok");
    if (mine) take_over(c, hm->message.len);
  } else if (ev == MG_EV_READ && s.mine) {
    add(s.taken, c->recv.buf, c->recv.len);
    c->recv.len = 0;
  }
}

#define FRONT "GET /a HTTP/1.1\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /c HTTP/1.1\r\n\r\n"
#define REPLY "HTTP/1.1 200 OK\r\nContent-Length: 2          \r\n\r\nok"

// `behind` is what follows the request in the same segment; `later` what comes when the application has taken over.
static void check(enum how how, const char *front, const char *request, const char *behind, bool by_bytes) {
  bool in_msg = how == MESSAGE_IN_MSG || how == ALL_IN_MSG, all = how == ALL_IN_HDRS || how == ALL_IN_MSG;
  struct mg_mgr mgr;
  struct mg_connection *listener = serve(&mgr, server, NULL);
  struct peer p;
  char text[400], want[400];
  size_t i, len, replies = (front[0] != '\0' ? 3 : 0) + (in_msg ? 1 : 0);

  memset(&s, 0, sizeof(s));
  s.how = how;
  peer_open(&p, listener);
  len = (size_t) snprintf(text, sizeof(text), "%s%s%s", front, request, behind);
  if (by_bytes) {
    for (i = 0; i < len; i++) {
      CHECK(peer_send(&p, text + i, 1));
      mg_mgr_poll(&mgr, 0);
    }
  } else {
    CHECK(peer_send(&p, text, len));
  }
  POLL_UNTIL(&mgr, s.mine);
  poll_often(&mgr);
  CHECK(peer_send_text(&p, "later"));
  POLL_UNTIL(&mgr, strstr(s.taken, "later") != NULL);
  // Only the first read can have had something to drop.
  snprintf(want, sizeof(want), "%slater", all && !by_bytes ? "" : behind);
  CHECK(strcmp(s.taken, want) == 0);
  CHECK(strcmp(s.in_call, all || by_bytes ? "" : behind) == 0);
  snprintf(want, sizeof(want), "%s%s", front[0] != '\0' ? "/a/b/c" : "", in_msg ? "/mine" : "");
  CHECK(strcmp(s.seen, want) == 0);
  CHECK_EQ(s.messages, replies);
  for (want[0] = '\0', i = 0; i < replies; i++) strcat(want, REPLY);
  POLL_UNTIL(&mgr, peer_has(&p, strlen(want)));
  CHECK(peer_got(&p, want));
  if (checks_failed > 0) fprintf(stderr, "way %d, %s%s, %s\n", (int) how, front, request, by_bytes ? "byte by byte" : "at once");
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  static const char *requests[] = {"GET /mine HTTP/1.1\r\n\r\n", "CONNECT /mine HTTP/1.1\r\nHost: h\r\n\r\n"};
  static const char *behind[] = {"", "raw bytes", "\x16\x03\x01 no request", "GET /smuggled HTTP/1.1\r\n\r\n"};
  int how, i, k, by_bytes;
  mg_log_set(MG_LL_NONE);
  for (how = HEAD_IN_HDRS; how <= ALL_IN_MSG; how++) {
    for (i = 0; i < 2; i++) {
      for (k = 0; k < 4; k++) {
        for (by_bytes = 0; by_bytes < 2; by_bytes++) {
          check((enum how) how, "", requests[i], behind[k], by_bytes);
          check((enum how) how, FRONT, requests[i], behind[k], by_bytes);
        }
      }
    }
    if (how == HEAD_IN_HDRS || how == HEAD_AND_PFN) {
      // With a body, which is the application's as well.
      check((enum how) how, FRONT, "PUT /mine HTTP/1.1\r\nContent-Length: 9\r\n\r\n", "raw bytes", false);
      check((enum how) how, FRONT, "PUT /mine HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n", true);
    }
  }
  return DONE();
}
