// Many requests at once: all are answered in order, other connections are served in between, and a client that does not read its
// responses costs a bounded amount of memory.
// not under: valgrind short: it would take minutes

#include "peer.h"

#define REQUESTS 100000
#define TEN ".........."
#define PADDING TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define REQUEST "GET /p HTTP/1.1\r\nHost: h\r\n\r\n"

static struct mg_mgr mgr;
static struct mg_connection *listener;
static int served, others;
static size_t most_queued, most_buffered;
static const char *padding = "";  // behind the number in each answer
static struct mg_connection *first;  // answered when the application says so
static bool hold_first;

static void serve_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_match(hm->uri, mg_str("/other"), NULL)) {
      others++;
      mg_http_reply(c, 200, "", "other");
    } else if (hold_first) {
      hold_first = false;
      first = c;
    } else {
      served++;
      mg_http_reply(c, 200, "", "%d%s", served, padding);
    }
  }
  if (c->is_accepted && ev == MG_EV_POLL) {
    if (c->send.len > most_queued) most_queued = c->send.len;
    if (c->recv.len > most_buffered) most_buffered = c->recv.len;
  }
}

struct flood {
  struct peer p;
  char *text;
  size_t len, said;
  bool reads;
};

static void flood_open(struct flood *f, int requests) {
  int i;
  memset(f, 0, sizeof(*f));
  f->len = (size_t) requests * (sizeof(REQUEST) - 1);
  f->text = (char *) malloc(f->len + 1);
  for (i = 0; i < requests; i++) memcpy(f->text + (size_t) i * (sizeof(REQUEST) - 1), REQUEST, sizeof(REQUEST));
  peer_open(&f->p, listener);
  served = others = 0;
  most_queued = most_buffered = 0;
}

static void flood_free(struct flood *f) {
  peer_free(&f->p);
  free(f->text);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
}

// Says as much as the server takes, and reads if it is to read.
static void flood_go(struct flood *f) {
  ssize_t n = send(f->p.fd, f->text + f->said, f->len - f->said, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n > 0) f->said += (size_t) n;
  if (f->reads) peer_read(&f->p);
}

// Whether answers number 1 to `n` came, in this order and nothing else.
static bool all_answers(const struct peer *p, int n) {
  size_t at = 0;
  char want[300], body[200];
  int i;
  for (i = 1; i <= n; i++) {
    size_t len = (size_t) snprintf(body, sizeof(body), "%d%s", i, padding);
    len = (size_t) snprintf(want, sizeof(want), "HTTP/1.1 200 OK\r\nContent-Length: %-10lu \r\n\r\n%s", (unsigned long) len, body);
    if (at + len > p->len || memcmp(p->buf + at, want, len) != 0) return false;
    at += len;
  }
  return at == p->len;
}

static void other_connections_are_served(void) {
  struct flood f;
  struct peer other;
  int polls = 0, asked = 0, most = 0, since = 0;
  flood_open(&f, REQUESTS);
  f.reads = true;
  peer_open(&other, listener);
  while (served < REQUESTS && polls < 1000000) {
    int before = served;
    flood_go(&f);
    if (others == asked) {
      peer_send_text(&other, "GET /other HTTP/1.1\r\n\r\n");
      asked++;
      since = 0;
    }
    mg_mgr_poll(&mgr, 0);
    polls++;
    since++;
    if (served - before > most) most = served - before;
    if (since > 3) break;
  }
  CHECK_EQ(served, REQUESTS);
  CHECK(since <= 3);
  CHECK(others > 20);
  // Two batches: one by MG_EV_POLL, one by MG_EV_READ.
  CHECK(most > 0 && most <= 512);
  POLL_UNTIL(&mgr, (flood_go(&f), f.said == f.len && all_answers(&f.p, REQUESTS)));
  peer_free(&other);
  flood_free(&f);
}

// The same when all the requests wait for the answer to the first.
static void requests_after_a_late_response(void) {
  struct flood f;
  int i;
  first = NULL;
  hold_first = true;
  flood_open(&f, REQUESTS + 1);
  f.reads = true;
  POLL_UNTIL(&mgr, (flood_go(&f), first != NULL));
  for (i = 0; i < 300; i++) {
    flood_go(&f);
    mg_mgr_poll(&mgr, 0);
  }
  CHECK_EQ(served, 0);
  CHECK(most_buffered <= MG_MAX_RECV_SIZE);
  if (first != NULL) first->is_resp = 0;  // it gets no answer at all
  POLL_UNTIL(&mgr, (flood_go(&f), served == REQUESTS && all_answers(&f.p, REQUESTS)));
  flood_free(&f);
}

static void a_client_that_does_not_read(void) {
  struct flood f;
  int i, before;
  padding = PADDING;
  flood_open(&f, REQUESTS);
  for (i = 0; i < 2000; i++) {
    flood_go(&f);
    mg_mgr_poll(&mgr, 0);
  }
  before = served;
  for (i = 0; i < 200; i++) {
    flood_go(&f);
    mg_mgr_poll(&mgr, 0);
  }
  CHECK_EQ(served, before);
  CHECK(served > 0 && served < REQUESTS);
  CHECK(most_queued <= (1 << 20) + 1000);
  CHECK(most_buffered <= 256 * 1024);
  // Reading sets it going again.
  f.reads = true;
  POLL_UNTIL(&mgr, (flood_go(&f), served == REQUESTS && f.said == f.len));
  POLL_UNTIL(&mgr, (flood_go(&f), all_answers(&f.p, REQUESTS)));
  padding = "";
  flood_free(&f);
}

// The client leaves without reading: its connection does not stay.
static void a_client_that_disconnects(void) {
  struct flood f;
  int i;
  padding = PADDING;
  flood_open(&f, REQUESTS);
  for (i = 0; i < 300; i++) {
    flood_go(&f);
    mg_mgr_poll(&mgr, 0);
  }
  padding = "";
  flood_free(&f);
}

// The client says all it has to say and shuts its side down: everything is answered.
static void a_client_that_half_closes(void) {
  struct flood f;
  flood_open(&f, 5000);
  POLL_UNTIL(&mgr, (flood_go(&f), f.said == f.len));
  peer_shut(&f.p);
  f.reads = true;
  POLL_UNTIL(&mgr, (flood_go(&f), f.p.end != PEER_OPEN));
  CHECK_EQ(f.p.end, PEER_FIN);
  CHECK(all_answers(&f.p, 5000));
  flood_free(&f);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  listener = serve(&mgr, serve_fn, NULL);
  CHECK(listener != NULL);
  if (listener == NULL) return DONE();
  other_connections_are_served();
  requests_after_a_late_response();
  a_client_that_does_not_read();
  a_client_that_disconnects();
  a_client_that_half_closes();
  mg_mgr_free(&mgr);
  return DONE();
}
