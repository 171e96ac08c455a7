// Immediately before the library closes an idle connection it checks the socket once more: a request that arrived before the FIN
// was sent is answered as the last one, whatever the moment of its arrival. Uses a simulated clock.
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
#include "ext.h"

#include "tls.h"

#include "clock.h"

static struct mg_mgr mgr, other;
static struct mg_connection *listener;
static struct peer peer;
static int sent, handler_polls, send_at_poll;
static bool secure;

enum end { CONN_DRAIN, MGR_DRAIN, IDLE_TIMEOUT, ENDS };
enum moment { BETWEEN_POLLS, IN_A_POLL_EVENT, IN_ANOTHERS_POLL_EVENT, IN_A_TIMER, MOMENTS };
static enum moment moment;
static struct side client;

// The request leaves, unless the peer has seen the end already.
static void send_request(void) {
  if (sent > 0) return;
  if (secure) {
    poll_often(&other);
    if (client.c == NULL) return;
    mg_printf(client.c, GET("/hi"));
    poll_often(&other);
    sent++;
  } else if (!peer_read(&peer)) {
    CHECK(peer_send_text(&peer, GET("/hi")));
    sent++;
  }
}

static void in_handler(void) {
  if (send_at_poll > 0 && ++handler_polls == send_at_poll) send_request();
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o;
  server(c, ev, ev_data);
  if (ev == MG_EV_ACCEPT && secure) o = server_tls(), mg_tls_init(c, &o);
  if (ev == MG_EV_POLL && c->is_accepted && moment == IN_A_POLL_EVENT) in_handler();
  if (ev == MG_EV_POLL && c->is_listening && moment == IN_ANOTHERS_POLL_EVENT) in_handler();
}

static void on_timer(void *arg) {
  if (moment == IN_A_TIMER) in_handler();
  (void) arg;
}

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = client_tls();
  side_note(&client, c, ev, ev_data);
  if (ev == MG_EV_CONNECT) mg_tls_init(c, &o);
  if (ev == MG_EV_READ) side_keep(&client, c);
}

static void poll_both(void) {
  mg_mgr_poll(&mgr, 0);
  if (secure) poll_often(&other);
}

#define BOTH_UNTIL(cond)                                                    \
  do {                                                                      \
    uint64_t both_end = real_ms() + 50000;                                  \
    while (!(cond) && real_ms() < both_end) poll_both();                    \
    CHECK(cond);                                                            \
  } while (0)

// Everything but the announcement.
static size_t expect_response_in(const char *text) {
  size_t n = 0;
  for (; text != NULL && (text = strstr(text, "\r\n\r\nhi")) != NULL; text++) n++;
  return n;
}

// `at`: the poll, or the handler call, in which the request arrives.
static void request_arrives_at(enum end end, enum moment when, int at, bool asked_before) {
  struct mgx_limits limits;
  struct mgx_mgr_drain_opts mo;
  struct mgx_drain_opts co;
  int i, failed = checks_failed, late;
  size_t want;
  char *text;
  bool in_time;
  forget();
  sent = handler_polls = send_at_poll = 0;
  moment = when;
  mg_mgr_init(&mgr);
  listener = mg_http_listen(&mgr, secure ? "https://127.0.0.1:0" : "http://127.0.0.1:0", handler, NULL);
  memset(&limits, 0, sizeof(limits));
  memset(&mo, 0, sizeof(mo));
  memset(&co, 0, sizeof(co));
  limits.idle_timeout_ms = mo.idle_grace_ms = co.idle_grace_ms = 500;
  if (end == IDLE_TIMEOUT) mgx_mgr_limits(&mgr, &limits);
  mg_timer_add(&mgr, 0, MG_TIMER_REPEAT, on_timer, NULL);
  if (secure) {
    side_forget(&client);
    mg_mgr_init(&other);
    mg_connect(&other, url_of(listener, "https"), client_fn, NULL);
    BOTH_UNTIL(opened == 1 && client.handshakes == 1);
  } else {
    join(&mgr, listener, &peer);
  }
  for (i = 0; i < 5; i++) poll_both();
  if (asked_before) {
    send_request();
    sent = 0;
    BOTH_UNTIL(requests == 1);
    for (i = 0; i < 5; i++) poll_both();
  }
  if (end == CONN_DRAIN) CHECK(mgx_conn_drain(last, &co));
  if (end == MGR_DRAIN) CHECK(mgx_mgr_drain(&mgr, &mo));
  for (i = 0; i < 5; i++) poll_both();
  CHECK_EQ(closed, 0);
  clock_ms += 500;
  send_at_poll = when == BETWEEN_POLLS ? 0 : at + 1;
  for (i = 0; i < 6; i++) {
    if (when == BETWEEN_POLLS && i == at) send_request();
    mg_mgr_poll(&mgr, 0);
  }
  late = sent;
  if (at == 0 && when != IN_ANOTHERS_POLL_EVENT) CHECK_EQ(late, 1);
  want = (size_t) late + asked_before;
  in_time = end == IDLE_TIMEOUT && closed == 0;
  if (in_time) {  // it came before the timeout was noticed: not idle at all
    BOTH_UNTIL(requests == (int) want);
    clock_ms += 500;
  }
  BOTH_UNTIL((closed == 1) && (secure ? client.closes == 1 : peer_read(&peer)));
  text = secure ? client.data.buf : peer.buf;
  if (!secure) CHECK_EQ(peer.end, PEER_FIN);
  if (!secure && peer.len > 0) peer.buf[peer.len] = '\0';
  CHECK_EQ(requests, want);
  if (!in_time) CHECK_EQ(reason, end == IDLE_TIMEOUT && late == 0 ? MGX_REASON_IDLE_TIMEOUT : MGX_REASON_DRAINED);
  CHECK_EQ(want == 0 ? 0 : expect_response_in(text), want);
  if (late > 0 && end != IDLE_TIMEOUT && text != NULL && strstr(text, "Connection: close\r\n") == NULL) CHECK(!"announced");
  if (checks_failed > failed) fprintf(stderr, "^ end %d, moment %d, at %d, asked before %d, TLS %d\n", (int) end, (int) when, at, asked_before, secure);
  if (secure) mg_mgr_free(&other);
  peer_free(&peer);
  mg_mgr_free(&mgr);
}

// In the last moment a request comes, and the end of the stream behind it.
static void asks_and_ends(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev != MG_EV_POLL || !c->is_accepted || !c->is_draining || sent > 0) return;
  CHECK(peer_send_text(&peer, GET("/no-answer")));
  peer_shut(&peer);
  sent++;
}

static void leave(void) {
  peer_free(&peer);
  mg_mgr_free(&mgr);
}

// They are read later: the time for the response begins then.
static void the_end_of_the_stream_behind_the_request(void) {
  forget();
  sent = 0;
  listener = serve(&mgr, asks_and_ends, NULL);
  join(&mgr, listener, &peer);
  CHECK(mgx_conn_drain(last, NULL));
  poll_often(&mgr);
  clock_ms += 1000;
  POLL_UNTIL(&mgr, sent == 1);
  CHECK(last != NULL && !last->is_draining && requests == 0);
  clock_ms += 3000;
  POLL_UNTIL(&mgr, requests == 1);
  poll_often(&mgr);
  clock_ms += 4999;
  poll_often(&mgr);
  CHECK_EQ(closed, 0);
  clock_ms += 1;
  POLL_UNTIL(&mgr, closed == 1);
  CHECK_EQ(reason, MGX_REASON_PEER_CLOSED);
  leave();
}

// The connection was given up long before its output is sent: a last request still has its time.
static void a_request_behind_slow_output(void) {
  forget();
  big_body = make_body(BIG);
  listener = serve(&mgr, server, NULL);
  join(&mgr, listener, &peer);
  ask(&mgr, &peer, GET("/big"));
  poll_often(&mgr);
  CHECK(mgx_conn_drain(last, NULL));
  poll_often(&mgr);
  clock_ms += 1000;
  POLL_UNTIL(&mgr, last->is_draining);
  poll_often(&mgr);
  CHECK(closed == 0 && last->send.len > 0);
  CHECK(peer_send_text(&peer, GET("/no-answer")));
  POLL_UNTIL(&mgr, peer_read(&peer) || requests == 2);
  poll_often(&mgr);
  CHECK(requests == 2 && closed == 0);
  clock_ms += 30000;
  POLL_UNTIL(&mgr, closed == 1);
  CHECK_EQ(reason, MGX_REASON_RESPONSE_TIMEOUT);
  leave();
  free(big_body);
}

int main(void) {
  int end, when, at, before, tls;
  mg_log_set(MG_LL_NONE);
  for (tls = 0; tls < 2; tls++) {
    secure = tls == 1;
    for (end = 0; end < (int) ENDS; end++) {
      for (when = 0; when < (int) MOMENTS; when++) {
        for (at = 0; at < 4; at++) {
          for (before = 0; before < 2; before++) request_arrives_at((enum end) end, (enum moment) when, at, before == 1);
        }
      }
    }
  }
  secure = false;
  the_end_of_the_stream_behind_the_request();
  a_request_behind_slow_output();
  side_forget(&client);
  pem_free();
  return DONE();
}
