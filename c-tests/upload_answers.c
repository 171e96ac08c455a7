// Uploads between other requests: each request is answered once and in order, whoever answers, and whenever. Found by `make simulate`.
#include "mongoose.h"
#include "mongoose_ext.h"

#include "peer.h"

#include <sys/stat.h>

#define POST "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
#define REPLY(body) "HTTP/1.1 200 OK\r\nContent-Length: 6          \r\n\r\n" body

static struct mg_connection *waiting;  // for its response
static bool answers_later, quiet;
static int wakeups, hdrs;
static unsigned long id;

static size_t write_nothing(void *fd, const void *buf, size_t len) {
  (void) fd, (void) buf, (void) len;
  return 0;
}

static void failed(struct mg_connection *c, const char *error) {
  CHECK(error != NULL);
  mg_http_reply(c, 507, "", "full");
  mg_mgr_poll(c->mgr, 0);
  mg_mgr_poll(c->mgr, 0);
}

static void stored(struct mg_connection *c, const char *error) {
  CHECK(error == NULL);
  if (answers_later) {
    waiting = c;
  } else {
    mg_http_reply(c, 200, "", "stored");
  }
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MG_EV_ACCEPT) {
    id = c->id;
    if (quiet) mgx_conn_poll_events(c, false);
  } else if (ev == MG_EV_HTTP_HDRS && mg_match(hm->uri, mg_str("/up"), NULL)) {
    hdrs++;
    mg_http_start_upload(c, hm, mg_str("file"), mg_str("up"), &mg_fs_posix, stored);
  } else if (ev == MG_EV_HTTP_HDRS && mg_match(hm->uri, mg_str("/full"), NULL)) {
    static struct mg_fs full;
    full = mg_fs_posix;
    full.wr = write_nothing;
    mg_http_start_upload(c, hm, mg_str("file"), mg_str("up"), &full, failed);
  } else if (ev == MG_EV_HTTP_MSG && mg_match(hm->uri, mg_str("/later"), NULL)) {
    waiting = c;
  } else if (ev == MG_EV_HTTP_MSG) {
    mg_http_reply(c, 200, "", "answer");
  } else if (ev == MG_EV_WAKEUP) {
    CHECK(mg_strcmp(*(struct mg_str *) ev_data, mg_str("hello")) == 0);
    wakeups++;
  } else if (ev == MG_EV_USER || ev == MG_EV_USER + 1000) {
    *(int *) ev_data += ev;
  }
}

static void begin(struct mg_mgr *mgr, struct peer *p, const char *text) {
  waiting = NULL;
  wakeups = hdrs = 0;
  peer_open(p, serve(mgr, handler, NULL));
  CHECK(mg_wakeup_init(mgr));
  CHECK(peer_send_text(p, text));
}

static void expect(struct mg_mgr *mgr, struct peer *p, const char *text) {
  POLL_UNTIL(mgr, peer_has(p, strlen(text)));
  poll_often(mgr);
  peer_read(p);
  CHECK(peer_got(p, text));
  CHECK_EQ(p->end, PEER_OPEN);
  peer_free(p);
  mg_mgr_free(mgr);
}

// The request behind an upload waits for the upload's response, which the application writes some time after the file was stored.
static void answered_later(void) {
  struct mg_mgr mgr;
  struct peer p;
  answers_later = true;
  begin(&mgr, &p, POST "12345GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  POLL_UNTIL(&mgr, waiting != NULL);
  CHECK(waiting->is_resp);
  poll_often(&mgr);
  CHECK(!peer_has(&p, 1));
  mg_http_reply(waiting, 200, "", "stored");
  CHECK(!waiting->is_resp);
  expect(&mgr, &p, REPLY("stored") REPLY("answer"));
  answers_later = false;
}

// An upload, received completely, waits behind another response on a connection without MG_EV_POLL.
static void behind_another(void) {
  struct mg_mgr mgr;
  struct peer p;
  quiet = true;
  begin(&mgr, &p, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n" POST "12345");
  POLL_UNTIL(&mgr, waiting != NULL);
  mg_http_reply(waiting, 200, "", "answer");
  expect(&mgr, &p, REPLY("answer") REPLY("stored"));
  quiet = false;
}

// A wakeup and the application's own events reach its handler while the library's own is in c->fn.
static void woken(void) {
  struct mg_mgr mgr;
  struct peer p;
  struct mg_connection *c;
  int events = 0;
  begin(&mgr, &p, POST "12");
  POLL_UNTIL(&mgr, hdrs == 1);
  for (c = mgr.conns; c != NULL && c->id != id;) c = c->next;
  CHECK(c != NULL && c->fn != handler);
  if (c != NULL) mg_call(c, MG_EV_USER, &events), mg_call(c, MG_EV_USER + 1000, &events);
  CHECK_EQ(events, 2 * MG_EV_USER + 1000);
  CHECK(mg_wakeup(&mgr, id, "hello", 5));
  POLL_UNTIL(&mgr, wakeups == 1);
  CHECK(peer_send_text(&p, "345"));
  expect(&mgr, &p, REPLY("stored"));
  CHECK_EQ(wakeups, 1);
}

// The rest of a body that cannot be stored is no request, even if the callback answers and polls.
static void not_stored(void) {
  struct mg_mgr mgr;
  struct peer p;
  char text[2000];
  snprintf(text, sizeof(text), "POST /full HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n%0512d%s", 0,
           "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  begin(&mgr, &p, text);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(peer_got(&p, "HTTP/1.1 507 Insufficient Storage\r\nConnection: close\r\nContent-Length: 4          \r\n\r\nfull"));
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  mkdir("up", 0700);
  answered_later();
  behind_another();
  woken();
  not_stored();
  return DONE();
}
