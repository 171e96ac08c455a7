// The usage pattern of language bindings: they keep ids instead of pointers, read every field, and call mg_close_conn.
#include "mongoose.h"

#include <pthread.h>

#include "peer.h"

// ---- connections known by a number
struct owner {
  int magic;
  size_t events;
  unsigned long ids[20];
  int num_ids, closes;
};

static bool is_known(struct owner *o, unsigned long id) {
  int i;
  for (i = 0; i < o->num_ids; i++) {
    if (o->ids[i] == id) return true;
  }
  return false;
}

static void read_all_fields(struct mg_connection *c) {
  size_t sum = c->recv.len + c->recv.size + c->send.len + c->send.size + c->rtls.len + c->id + c->loc.port + c->rem.port;
  sum += c->is_listening + c->is_client + c->is_accepted + c->is_resolving + c->is_arplooking + c->is_connecting + c->is_tls + c->is_tls_hs;
  sum += c->is_udp + c->is_websocket + c->is_mqtt5 + c->is_hexdumping + c->is_draining + c->is_closing + c->is_full + c->is_tls_throttled;
  sum += c->is_resp + c->is_readable + c->is_writable + c->dscp;
  CHECK(sum > 0);
  CHECK(c->recv.len <= c->recv.size && c->send.len <= c->send.size);
  CHECK((c->recv.buf == NULL) == (c->recv.size == 0) && (c->send.buf == NULL) == (c->send.size == 0));
}

static void binding(struct mg_connection *c, int ev, void *ev_data) {
  struct owner *o = (struct owner *) c->mgr->userdata;
  CHECK_EQ((int) (size_t) c->fn_data, 1234);
  CHECK_EQ(o->magic, 5678);
  o->events++;
  if (!is_known(o, c->id)) o->ids[o->num_ids++] = c->id;  // OPEN of a listener comes inside mg_listen
  if (ev != MG_EV_POLL) read_all_fields(c);
  if (ev == MG_EV_HTTP_MSG && c->is_accepted) mg_http_reply(c, 200, "", "hi");
  if (ev == MG_EV_HTTP_MSG && c->is_client) c->is_draining = 1;
  if (ev == MG_EV_CONNECT) mg_printf(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  if (ev == MG_EV_CLOSE) {
    c->is_draining = 1;  // too late to matter
    o->closes++;
  }
  (void) ev_data;
}

static void all_fields_are_readable(void) {
  struct mg_mgr mgr;
  struct owner o;
  struct mg_connection *l;
  memset(&o, 0, sizeof(o));
  o.magic = 5678;
  mg_mgr_init(&mgr);
  mgr.userdata = &o;
  l = mg_http_listen(&mgr, "http://127.0.0.1:0", binding, (void *) (size_t) 1234);
  CHECK(o.num_ids == 1 && o.ids[0] == l->id);
  mg_http_connect(&mgr, url_of(l, "http"), binding, (void *) (size_t) 1234);
  POLL_UNTIL(&mgr, o.closes == 2);
  CHECK_EQ(o.num_ids, 3);
  read_all_fields(l);
  mg_mgr_free(&mgr);
  CHECK_EQ(o.closes, 3);
}

// ---- mg_error on a listener closes it
static int errors, closes, messages, opens, reads;
static char text[100];

static void forget(void) {
  errors = closes = messages = opens = reads = 0;
  text[0] = '\0';
}

static void counts(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ERROR) errors++, mg_snprintf(text, sizeof(text), "%s", (char *) ev_data);
  if (ev == MG_EV_OPEN) opens++;
  if (ev == MG_EV_CLOSE) closes++;
  if (ev == MG_EV_READ) reads++;
  if (ev == MG_EV_HTTP_MSG) messages++;
  (void) c;
}

static void an_error_on_a_listener(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  forget();
  l = serve(&mgr, counts, NULL);
  mg_error(l, "%s %d", "no good", 7);
  CHECK(errors == 1 && closes == 0 && l->is_closing && strcmp(text, "no good 7") == 0);
  mg_mgr_poll(&mgr, 0);
  CHECK(closes == 1 && mgr.conns == NULL);
  l = mg_http_listen(&mgr, "http://127.0.0.1:0", counts, NULL);
  mg_error(l, "once more");
  l->is_closing = 0;  // and the application thinks better of it
  mg_mgr_poll(&mgr, 0);
  CHECK(mgr.conns == l);
  mg_mgr_free(&mgr);
}

// ---- mg_close_conn
static void closed_between_polls(void) {
  struct mg_mgr mgr;
  struct mg_connection *l, *second;
  struct peer p;
  size_t files = open_files();
  unsigned short port;
  forget();
  l = serve(&mgr, counts, NULL);
  second = mg_http_listen(&mgr, "http://127.0.0.1:0", counts, NULL);
  peer_open(&p, l);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 3);
  port = port_of(l);
  mg_close_conn(l);
  CHECK_EQ(closes, 1);
  CHECK_EQ(count_conns(&mgr), 2);
  CHECK(!port_answers(port));
  CHECK(mgr.conns->is_accepted);
  mg_close_conn(mgr.conns);
  CHECK_EQ(closes, 2);
  POLL_UNTIL(&mgr, peer_read(&p));
  mg_mgr_poll(&mgr, 0);
  CHECK(mgr.conns == second);
  mg_mgr_free(&mgr);
  CHECK_EQ(closes, 3);
  peer_free(&p);
  CHECK_EQ(open_files(), files);
}

// The same connection, from inside each of its events.
static int close_in, again;

static void closes_itself(struct mg_connection *c, int ev, void *ev_data) {
  if (c->is_listening) return;
  counts(c, ev, ev_data);
  if (closes > 0) again++;  // anything after CLOSE, or CLOSE twice
  if (ev == close_in && (ev != MG_EV_READ || c->recv.len > 0)) {
    unsigned long id = c->id;
    mg_close_conn(c);
    CHECK_EQ(c->id, id);  // readable until the handler returns
    if (ev != MG_EV_CLOSE) CHECK_EQ(closes, 1);
    mg_close_conn(c);
    CHECK(c->send.len == 0 || ev == MG_EV_CLOSE);
  }
  if (ev == MG_EV_HTTP_MSG) c->is_closing = 1;  // a normal end, for MG_EV_CLOSE
}

static void closed_inside_handlers(void) {
  static const int events[] = {MG_EV_OPEN, MG_EV_ACCEPT, MG_EV_POLL, MG_EV_READ, MG_EV_HTTP_HDRS, MG_EV_HTTP_MSG, MG_EV_CLOSE, MG_EV_USER};
  size_t i;
  for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
    struct mg_mgr mgr;
    struct mg_connection *l, *c;
    struct peer p;
    size_t files = open_files();
    int failed = checks_failed;
    forget();
    again = 0;
    close_in = events[i];
    l = serve(&mgr, closes_itself, NULL);
    peer_open(&p, l);
    peer_send_text(&p, "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    if (close_in == MG_EV_USER) {
      POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
      for (c = mgr.conns; c != NULL;) {
        struct mg_connection *next = c->next;
        if (c->is_accepted) mg_call(c, MG_EV_USER, NULL);
        c = next;
      }
    }
    POLL_UNTIL(&mgr, closes > 0 && count_conns(&mgr) == 1);
    POLL_UNTIL(&mgr, peer_read(&p));
    CHECK_EQ(closes, 1);
    CHECK_EQ(again, 1);  // CLOSE itself
    CHECK(messages <= 1);
    mg_mgr_free(&mgr);
    peer_free(&p);
    CHECK_EQ(open_files(), files);
    if (checks_failed > failed) fprintf(stderr, "... in event %d\n", close_in);
  }
}

// Others, from a handler that is in the middle of the list: neighbours, all of them, and from a timer.
static struct mg_mgr *the_mgr;
static int close_whom;

static void closes_others(struct mg_connection *c, int ev, void *ev_data) {
  counts(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_connection *t, *next;
    if (close_whom == 0 && c->next != NULL) mg_close_conn(c->next);
    if (close_whom == 1) {
      for (t = c->mgr->conns; t != NULL && t->next != c; t = t->next) continue;
      if (t != NULL) mg_close_conn(t);
    }
    for (t = c->mgr->conns; close_whom == 2 && t != NULL; t = next) {
      next = t->next;
      mg_close_conn(t);
    }
    if (close_whom != 2) mg_http_reply(c, 200, "", "hi");
  }
}

static void closed_by_others(void) {
  for (close_whom = 0; close_whom < 3; close_whom++) {
    struct mg_mgr mgr;
    struct mg_connection *l;
    struct peer p[5];
    size_t files = open_files();
    int i;
    forget();
    l = serve(&mgr, closes_others, NULL);
    for (i = 0; i < 5; i++) peer_open(&p[i], l);
    POLL_UNTIL(&mgr, count_conns(&mgr) == 6);
    peer_send_text(&p[2], "GET / HTTP/1.1\r\n\r\n");
    POLL_UNTIL(&mgr, closes == (close_whom == 2 ? 6 : 1));
    CHECK_EQ(count_conns(&mgr), close_whom == 2 ? 0 : 5);
    CHECK_EQ(messages, 1);
    if (close_whom != 2) POLL_UNTIL(&mgr, peer_has(&p[2], 50));
    mg_mgr_free(&mgr);
    CHECK_EQ(closes, 6);
    for (i = 0; i < 5; i++) peer_free(&p[i]);
    CHECK_EQ(open_files(), files);
  }
}

static void close_all(void *arg) {
  struct mg_mgr *mgr = (struct mg_mgr *) arg;
  while (mgr->conns != NULL) mg_close_conn(mgr->conns);
}

static void closed_by_a_timer(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  forget();
  l = serve(&mgr, counts, NULL);
  mg_http_connect(&mgr, url_of(l, "http"), counts, NULL);
  mg_connect(&mgr, url_of(l, "tcp"), counts, NULL);
  mg_listen(&mgr, "udp://127.0.0.1:0", counts, NULL);
  CHECK(mg_wakeup_init(&mgr));
  mg_timer_add(&mgr, 1, MG_TIMER_ONCE, close_all, &mgr);
  POLL_UNTIL(&mgr, mgr.conns == NULL);
  CHECK_EQ(opens, closes);
  CHECK_EQ(mgr.pipe.fd, -1);
  CHECK(!mg_wakeup(&mgr, 1, "x", 1));
  mg_mgr_free(&mgr);
}

static struct mg_connection *client_conn;

static void closes_the_client(struct mg_connection *c, int ev, void *ev_data) {
  counts(c, ev, ev_data);
  if (ev == MG_EV_OPEN && c->is_client) mg_close_conn(c);
}

static void closed_while_being_opened(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  size_t files;
  forget();
  l = serve(&mgr, counts, NULL);
  files = open_files();
  client_conn = mg_connect(&mgr, url_of(l, "tcp"), closes_the_client, NULL);
  CHECK_EQ(closes, 1);
  CHECK_EQ(count_conns(&mgr), 1);
  CHECK_EQ(open_files(), files);
  client_conn = mg_connect(&mgr, url_of(l, "tcp"), counts, NULL);  // and before it is connected
  CHECK(client_conn != NULL);
  mg_close_conn(client_conn);
  CHECK_EQ(closes, 2);
  CHECK_EQ(open_files(), files);
  poll_often(&mgr);
  mg_mgr_free(&mgr);
}

// With output waiting: it is lost, as with is_closing.
static void closed_with_output(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  struct peer p;
  char *body = make_body(10000000);
  forget();
  peer_open(&p, serve(&mgr, counts, NULL));
  POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
  c = mgr.conns;
  mg_send(c, body, 10000000);
  mg_mgr_poll(&mgr, 0);
  CHECK(c->send.len > 0);
  mg_close_conn(c);
  CHECK_EQ(closes, 1);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(p.len < 10000000 && memcmp(p.buf, body, p.len) == 0);
  mg_mgr_free(&mgr);
  peer_free(&p);
  free(body);
}

// ---- an interpreter: one thread polls, the others only call mg_wakeup
static int woken;

static void counts_wakeups(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_WAKEUP) woken++;
  (void) c, (void) ev_data;
}

static void *polls(void *arg) {
  struct mg_mgr *mgr = (struct mg_mgr *) arg;
  uint64_t end = real_ms() + 20000;
  while (woken < 300 && real_ms() < end) mg_mgr_poll(mgr, 1000);
  return NULL;
}

static void *wakes(void *arg) {
  int i;
  for (i = 0; i < 100; i++) mg_wakeup(the_mgr, *(unsigned long *) arg, "x", 1);
  return NULL;
}

static void polled_in_another_thread(void) {
  struct mg_mgr mgr;
  pthread_t poller, wakers[3];
  unsigned long id;
  int i;
  id = serve(&mgr, counts_wakeups, NULL)->id;
  CHECK(mg_wakeup_init(&mgr));
  the_mgr = &mgr;
  pthread_create(&poller, NULL, polls, &mgr);
  for (i = 0; i < 3; i++) pthread_create(&wakers[i], NULL, wakes, &id);
  for (i = 0; i < 3; i++) pthread_join(wakers[i], NULL);
  pthread_join(poller, NULL);
  CHECK_EQ(woken, 300);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  all_fields_are_readable();
  an_error_on_a_listener();
  closed_between_polls();
  closed_inside_handlers();
  closed_by_others();
  closed_by_a_timer();
  closed_while_being_opened();
  closed_with_output();
  polled_in_another_thread();
  return DONE();
}
