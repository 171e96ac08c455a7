// Clients: HTTP requests of all kinds, several at a time, repeatedly; datagrams.
#include "mongoose.h"

#include "peer.h"

static int messages, closes, errors, reads, writes;
static char text[200];

static void forget(void) {
  messages = closes = errors = reads = writes = 0;
  text[0] = '\0';
}

static void note(struct mg_connection *c, int ev) {
  if (ev == MG_EV_CLOSE && c->is_client) closes++;
  if (ev == MG_EV_ERROR) errors++;
  if (ev == MG_EV_READ) reads++;
  if (ev == MG_EV_WRITE) writes++;
}

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_match(hm->uri, mg_str("/chunks"), NULL)) {
      mg_printf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      mg_http_printf_chunk(c, "%s", "one ");
      mg_http_write_chunk(c, "two", 3);
      mg_http_printf_chunk(c, "");
    } else if (mg_match(hm->uri, mg_str("/close"), NULL)) {
      mg_printf(c, "HTTP/1.1 200 OK\r\n\r\nuntil close");
      c->is_draining = 1;
    } else if (mg_match(hm->uri, mg_str("/204"), NULL)) {
      mg_printf(c, "HTTP/1.1 204 No Content\r\n\r\n");
      c->is_resp = 0;
    } else if (mg_match(hm->uri, mg_str("/fail"), NULL)) {
      c->is_closing = 1;
    } else {
      struct mg_str *auth = mg_http_get_header(hm, "Authorization");
      mg_http_reply(c, 200, "", "%.*s %.*s %.*s", (int) hm->method.len, hm->method.buf, (int) hm->body.len, hm->body.buf,
                    auth == NULL ? 0 : (int) auth->len, auth == NULL ? "" : auth->buf);
    }
  }
}

struct request {
  const char *uri, *body;
  int status;
};

static void client(struct mg_connection *c, int ev, void *ev_data) {
  struct request *r = (struct request *) c->fn_data;
  note(c, ev);
  if (ev == MG_EV_OPEN) CHECK(c->fd == (void *) (size_t) -1);  // no socket yet
  if (ev == MG_EV_CONNECT) {
    struct mg_str host = mg_url_host("http://u:p@example.org:81/x");
    mg_printf(c, "%s %s HTTP/1.1\r\nHost: %.*s\r\nContent-Length: %d\r\n", r->body == NULL ? "GET" : "POST", r->uri, (int) host.len,
              host.buf, r->body == NULL ? 0 : (int) strlen(r->body));
    mg_http_bauth(c, "user", "pass");
    mg_printf(c, "\r\n");
    mg_send(c, r->body, r->body == NULL ? 0 : strlen(r->body));  // NULL and 0 for no body
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    messages++;
    r->status = mg_http_status(hm);
    mg_snprintf(text, sizeof(text), "%.*s", (int) hm->body.len, hm->body.buf);
    c->is_draining = 1;
  }
}

static void fetch(struct mg_mgr *mgr, struct mg_connection *l, const char *uri, const char *body, int status, const char *want) {
  struct request r;
  r.uri = uri;
  r.body = body;
  r.status = 0;
  forget();
  CHECK(mg_http_connect(mgr, url_of(l, "http"), client, &r) != NULL);
  POLL_UNTIL(mgr, closes == 1);
  CHECK_EQ(messages, 1);
  CHECK_EQ(r.status, status);
  CHECK(strcmp(text, want) == 0);
  CHECK_EQ(errors, 0);
}

static void requests(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, server, NULL);
  fetch(&mgr, l, "/", NULL, 200, "GET  Basic dXNlcjpwYXNz");
  fetch(&mgr, l, "/", "data", 200, "POST data Basic dXNlcjpwYXNz");
  fetch(&mgr, l, "/chunks", NULL, 200, "one two");
  fetch(&mgr, l, "/close", NULL, 200, "until close");
  fetch(&mgr, l, "/204", NULL, 204, "");
  mg_mgr_free(&mgr);
}

// ---- the request is queued right after the call, before anything is connected
static void receives(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) messages++, c->is_closing = 1;
  (void) ev_data;
}

static void queued_at_once(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, server, NULL), *c;
  forget();
  c = mg_http_connect(&mgr, url_of(l, "http"), receives, NULL);
  CHECK(c->send.len == 0 && c->is_client && !c->is_udp);
  mg_printf(c, "GET / HTTP/1.0\r\n\r\n");
  CHECK_EQ(c->send.len, 18);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(messages, 1);
  mg_mgr_free(&mgr);
}

// ---- one connection at a time, made again by a timer whenever there is none
static struct mg_connection *single;
static int connects;

static void comes_and_goes(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_CONNECT) connects++, mg_printf(c, "GET /fail HTTP/1.1\r\n\r\n");
  if (ev == MG_EV_CLOSE) single = NULL;
  (void) ev_data;
}

static char url[64];

static void reconnect(void *arg) {
  if (single == NULL) single = mg_http_connect((struct mg_mgr *) arg, url, comes_and_goes, NULL);
}

static void one_at_a_time(void) {
  struct mg_mgr mgr;
  forget();
  connects = 0;
  snprintf(url, sizeof(url), "%s", url_of(serve(&mgr, server, NULL), "http"));
  mg_timer_add(&mgr, 5, MG_TIMER_REPEAT | MG_TIMER_RUN_NOW, reconnect, &mgr);
  POLL_UNTIL(&mgr, closes >= 5);
  CHECK(connects >= 5);
  CHECK(count_conns(&mgr) <= 3);
  mg_mgr_free(&mgr);
  CHECK(single == NULL);
}

// ---- a list of pages, at most five at a time; failed ones are tried again
#define PAGES 40
static int state[PAGES], tries[PAGES], in_flight, most_in_flight, fetched;

static void page(struct mg_connection *c, int ev, void *ev_data) {
  int i = *(int *) c->data;
  note(c, ev);
  if (ev == MG_EV_CONNECT) {
    mg_printf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", i % 7 == 0 && tries[i] < 3 ? "/fail" : "/page");
  } else if (ev == MG_EV_HTTP_MSG) {
    state[i] = 2;
    fetched++;
    c->is_closing = 1;
  } else if (ev == MG_EV_CLOSE) {
    in_flight--;
    if (state[i] == 1) state[i] = 0;
  }
  (void) ev_data;
}

static void start_more(void *arg) {
  int i;
  for (i = 0; i < PAGES && in_flight < 5; i++) {
    if (state[i] == 0) {
      struct mg_connection *c = mg_http_connect((struct mg_mgr *) arg, url, page, NULL);
      *(int *) c->data = i;
      state[i] = 1;
      tries[i]++;
      in_flight++;
    }
  }
  if (in_flight > most_in_flight) most_in_flight = in_flight;
}

static void five_at_a_time(void) {
  struct mg_mgr mgr;
  forget();
  snprintf(url, sizeof(url), "%s", url_of(serve(&mgr, server, NULL), "http"));
  mg_timer_add(&mgr, 1, MG_TIMER_REPEAT | MG_TIMER_RUN_NOW, start_more, &mgr);
  POLL_UNTIL(&mgr, fetched == PAGES);
  CHECK_EQ(most_in_flight, 5);
  CHECK_EQ(tries[0], 3);
  CHECK_EQ(tries[1], 1);
  mg_mgr_free(&mgr);
  CHECK_EQ(in_flight, 0);
}

// ---- bad addresses
static void bad_urls(void) {
  struct mg_mgr mgr;
  mg_mgr_init(&mgr);
  CHECK(mg_http_connect(&mgr, NULL, client, NULL) == NULL);
  CHECK(mg_http_connect(&mgr, "", client, NULL) == NULL);
  CHECK(mg_http_listen(&mgr, "http://no.such.name:1", server, NULL) == NULL);
  CHECK(mg_listen(&mgr, "invalid:31:14", server, NULL) == NULL);
  CHECK(mgr.conns == NULL);
  mg_mgr_free(&mgr);
}

// ---- datagrams
static void udp_server(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_READ) {
    CHECK_EQ(*(long *) ev_data, c->recv.len);
    mg_send(c, c->recv.buf, c->recv.len);  // to the sender
    c->recv.len = 0;
  }
}

static struct mg_addr saved;
static int opens, resolves;

static void udp_client(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_OPEN) {
    opens++;
    CHECK(strncmp((char *) ev_data, "udp://127.0.0.1:", 16) == 0);
  }
  if (ev == MG_EV_RESOLVE) {
    resolves++;
    CHECK(c->is_client && c->is_udp);
    memcpy(&saved, &c->rem, sizeof(saved));
  }
  if (ev == MG_EV_CONNECT) connects++;
  if (ev == MG_EV_READ) {
    mg_snprintf(text, sizeof(text), "%.*s", (int) c->recv.len, (char *) c->recv.buf);
    messages++;
    c->recv.len = 0;
    CHECK(memcmp(&c->rem, &saved, sizeof(saved)) == 0);
    memset(&c->rem, 0, sizeof(c->rem));
    mg_multicast_restore(c, (uint8_t *) &saved);
    CHECK(memcmp(&c->rem, &saved, sizeof(saved)) == 0);
  }
}

static void ping(void *arg) {
  mg_printf((struct mg_connection *) arg, "%s", "from the timer");
}

static void datagrams(void) {
  struct mg_mgr mgr;
  struct mg_connection *l, *c;
  int i;
  forget();
  connects = 0;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "udp://127.0.0.1:0", udp_server, NULL);
  CHECK(l != NULL && l->is_udp && l->is_listening);
  c = mg_connect(&mgr, url_of(l, "udp"), udp_client, NULL);
  CHECK(opens == 1 && resolves == 1 && connects == 1);  // all inside the call
  for (i = 0; i < 3; i++) {
    CHECK(mg_send(c, "hello", 5));
    POLL_UNTIL(&mgr, messages == i + 1);
    CHECK(strcmp(text, "hello") == 0);
  }
  CHECK(mg_ntohs(c->loc.port) != 0);
  mg_timer_add(&mgr, 1, MG_TIMER_ONCE, ping, c);
  POLL_UNTIL(&mgr, messages == 4);
  CHECK(strcmp(text, "from the timer") == 0);  // one datagram
  CHECK_EQ(c->send.len, 0);
  CHECK_EQ(errors, 0);
  CHECK_EQ(closes, 0);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  requests();
  queued_at_once();
  one_at_a_time();
  five_at_a_time();
  bad_urls();
  datagrams();
  return DONE();
}
