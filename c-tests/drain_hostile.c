// Misbehaving peers in every state of a drain: they reset, half-close, send byte by byte, flood, or read nothing. Each
// connection closes once and frees its descriptor, no poll spins, and another client is served meanwhile. Uses a simulated
// clock.
// timeout: 120
#include "ext.h"

#include "clock.h"
#include "ws_peer.h"

static struct mg_mgr mgr;
static struct mg_connection *listener, *victim;
static int victim_closes, raw_bytes;
static enum mgx_reason why;

static void advance_clock(uint64_t ms) {
  clock_ms += ms;
  poll_often(&mgr);
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  bool of_victim = c == victim;
  if (ev == MG_EV_HTTP_MSG && mg_match(((struct mg_http_message *) ev_data)->uri, mg_str("/ws"), NULL)) {
    requests++, last = c;
    mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
    return;
  }
  if (of_victim && ev == MG_EV_READ && c->pfn == NULL) {
    raw_bytes += (int) c->recv.len;
    c->recv.len = 0;
  }
  server(c, ev, ev_data);
  if (of_victim && ev == MG_EV_CLOSE) {
    victim = NULL;
    victim_closes++;
    why = reason;
  }
}

enum state { GRACE, HALF_A_HEAD, HALF_A_BODY, HALF_A_CHUNK, UNANSWERED, NOT_READ, NOT_READ_GRACE, ENDLESS, RAW, WEBSOCKET, BY_FLAG, LINGERING, STATES };

static const char *const names[] = {"grace", "half a head", "half a body", "half a chunk", "unanswered", "not read", "not read, grace",
                                    "endless", "raw", "websocket", "by flag", "lingering"};

// Brings a connection into a state of its drain.
static void enter_state(struct peer *p, enum state state, int grace) {
  struct mgx_drain_opts opts;
  memset(&opts, 0, sizeof(opts));
  opts.idle_grace_ms = grace;
  victim_closes = 0;
  victim = join(&mgr, listener, p);
  CHECK(victim != NULL);
  if (victim == NULL) return;
  switch (state) {
    case HALF_A_HEAD: CHECK(peer_send_text(p, "GET /hi HTT")); break;
    case HALF_A_BODY: CHECK(peer_send_text(p, "POST /hi HTTP/1.1\r\nContent-Length: 5\r\n\r\nx")); break;
    case HALF_A_CHUNK: CHECK(peer_send_text(p, "POST /hi HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx")); break;
    case UNANSWERED: ask(&mgr, p, GET("/later")); break;
    case NOT_READ: case NOT_READ_GRACE: case BY_FLAG: ask(&mgr, p, GET("/big")); break;
    case ENDLESS: ask(&mgr, p, GET("/chunks")); break;
    case RAW: victim->pfn = NULL; break;
    case WEBSOCKET: ask(&mgr, p, "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"); break;
    case LINGERING: ask(&mgr, p, GET("/hi")); break;
    default: break;
  }
  poll_often(&mgr);
  if (state == NOT_READ) opts.idle_grace_ms = 0;
  if (state == LINGERING || state == BY_FLAG) {
    victim->is_draining = 1;
  } else {
    CHECK(mgx_conn_drain(victim, &opts));
  }
  poll_often(&mgr);
  CHECK_EQ(victim_closes, state == LINGERING);
}

enum deed { NOTHING, RESET, HALF_CLOSE, HALF_CLOSE_AND_READ, RESET_LATER, BYTE_BY_BYTE, FLOOD, DEEDS };

static void reset(struct peer *p) {
  struct linger now = {1, 0};
  setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(p->fd);
  p->fd = -1;
}

// The rest of the request, if there is one to end, and three more.
static const char *rest_of(enum state state) {
  static const char head[] = "P/1.1\r\nHost: a\r\n\r\n" GET("/hi") GET("/hi");
  static const char body[] = "yyyy" GET("/hi") GET("/hi");
  static const char chunk[] = "yyyy\r\n0\r\n\r\n" GET("/hi") GET("/hi");
  if (state == HALF_A_HEAD) return head;
  if (state == HALF_A_BODY) return body;
  if (state == HALF_A_CHUNK) return chunk;
  return GET("/hi") GET("/hi");
}

static void act(struct peer *p, enum state state, enum deed deed) {
  static char junk[65536];
  const char *s;
  int i;
  switch (deed) {
    case RESET: reset(p); break;
    case HALF_CLOSE: peer_shut(p); break;
    case HALF_CLOSE_AND_READ:
      peer_shut(p);
      poll_often(&mgr);
      peer_read(p);
      break;
    case RESET_LATER:
      poll_often(&mgr);
      advance_clock(500);
      reset(p);
      break;
    case BYTE_BY_BYTE:
      for (s = rest_of(state); *s != '\0'; s++) {
        if (send(p->fd, s, 1, MSG_NOSIGNAL) != 1) break;
        mg_mgr_poll(&mgr, 0), mg_mgr_poll(&mgr, 0);
      }
      break;
    case FLOOD:
      memset(junk, 'j', sizeof(junk));
      for (i = 0; i < 100; i++) {
        if (send(p->fd, junk, sizeof(junk), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN) break;
        mg_mgr_poll(&mgr, 0);
      }
      break;
    default: break;
  }
}

// Polls sleep: five of 10 ms each take their time, once everything has settled.
static bool polls_sleep(void) {
  int tries, i;
  for (tries = 0; tries < 20; tries++) {
    uint64_t began = real_ms();
    for (i = 0; i < 5; i++) mg_mgr_poll(&mgr, 10);
    if (real_ms() - began >= 40) return true;
  }
  return false;
}

static void another_is_served(struct peer *other) {
  ask(&mgr, other, GET("/hi"));
  POLL_UNTIL(&mgr, peer_has(other, strlen(HI)));
  CHECK(peer_got(other, HI));
  other->len = 0;
}

static void connection_ends(enum state state, enum deed deed, int grace) {
  struct peer p, other;
  size_t files;
  int failed = checks_failed;
  forget();
  listener = serve(&mgr, handler, NULL);
  join(&mgr, listener, &other);
  another_is_served(&other);
  files = open_files();
  enter_state(&p, state, grace);
  act(&p, state, deed);
  poll_often(&mgr);
  CHECK(polls_sleep());
  another_is_served(&other);
  if (victim_closes == 0) advance_clock(29000);  // some limits
  CHECK(polls_sleep());
  if (victim_closes == 0) advance_clock(400000);  // all of them
  CHECK_EQ(victim_closes, 1);
  if (deed == RESET) CHECK(why == MGX_REASON_RESET || state == LINGERING);
  advance_clock(20000);
  if (p.fd >= 0) peer_drop(&p);
  peer_free(&p);
  another_is_served(&other);
  CHECK_EQ(open_files(), files);
  CHECK_EQ(count_conns(&mgr), 2);
  peer_free(&other);
  mg_mgr_free(&mgr);
  if (checks_failed > failed) fprintf(stderr, "^ %s, deed %d, grace %d\n", names[state], (int) deed, grace);
}

// ---- what dribbles in prolongs nothing but a body that goes on

static void send_byte_by_byte(enum state state, const char *bytes, int each_ms, int expected_ms, enum mgx_reason want) {
  struct peer p;
  int passed = 0, failed = checks_failed;
  forget();
  listener = serve(&mgr, handler, NULL);
  enter_state(&p, state, 0);
  while (victim_closes == 0 && passed < 400000) {
    if (*bytes != '\0' && passed % each_ms == 0) peer_send(&p, bytes++, 1);
    poll_often(&mgr);
    peer_read(&p);
    advance_clock(1000);
    passed += 1000;
  }
  CHECK_EQ(passed, expected_ms);
  CHECK_EQ(why, want);
  peer_drop(&p);
  mg_mgr_free(&mgr);
  if (checks_failed > failed) fprintf(stderr, "^ %s dribbled\n", names[state]);
}

static const char endless[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

// A half-close with an answer on its way that nobody reads, and a grace: the last look at the socket must not go on forever.
static void half_closed_and_not_read_with_a_grace(void) {
  struct peer p;
  forget();
  listener = serve(&mgr, handler, NULL);
  enter_state(&p, NOT_READ_GRACE, 1000);
  peer_shut(&p);
  poll_often(&mgr);
  advance_clock(1000);
  advance_clock(1000);
  CHECK_EQ(victim_closes, 0);
  CHECK(polls_sleep());
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(p.len > BIG && memcmp(p.buf + p.len - BIG, big_body, BIG) == 0);
  POLL_UNTIL(&mgr, victim_closes == 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// A grace without limit is for peers that may ask again, not for those that do not read.
static void a_grace_without_limit_and_a_peer_that_never_reads(void) {
  struct peer p;
  forget();
  listener = serve(&mgr, handler, NULL);
  enter_state(&p, NOT_READ_GRACE, -1);
  advance_clock(59999);
  CHECK_EQ(victim_closes, 0);
  advance_clock(1);
  CHECK_EQ(victim_closes, 1);
  CHECK_EQ(why, MGX_REASON_FLUSH_TIMEOUT);
  peer_drop(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  int state, deed;
  bool slow = under_tools();
  mg_log_set(MG_LL_NONE);
  big_body = make_body(BIG);
  for (state = 0; state < (int) STATES; state++) {
    for (deed = slow ? state % 2 : 0; deed < (int) DEEDS; deed += slow ? 2 : 1) connection_ends((enum state) state, (enum deed) deed, 1000);
  }
  connection_ends(GRACE, FLOOD, -1);
  connection_ends(RAW, BYTE_BY_BYTE, 50);
  send_byte_by_byte(HALF_A_HEAD, endless, 10000, 30000, MGX_REASON_HEADER_TIMEOUT);
  send_byte_by_byte(UNANSWERED, endless, 10000, 30000, MGX_REASON_RESPONSE_TIMEOUT);
  send_byte_by_byte(HALF_A_BODY, "xxxx", 20000, 61000, MGX_REASON_DRAINED);  // complete after a minute
  send_byte_by_byte(HALF_A_BODY, "xx", 20000, 50000, MGX_REASON_BODY_TIMEOUT);
  half_closed_and_not_read_with_a_grace();
  a_grace_without_limit_and_a_peer_that_never_reads();
  free(big_body);
  return DONE();
}
