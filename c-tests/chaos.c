// Handlers that do everything an application may do, and much that it should not, at random moments. Invariants: each connection
// gets MG_EV_OPEN first and exactly one MG_EV_CLOSE last, the list of connections is consistent, no poll hangs, the process
// sleeps when idle, and no memory is leaked or used after free (valgrind, AddressSanitizer).
//
// chaos [first seed [number of seeds [polls for each]]]
// timeout: 60
// not under: short: progress is counted in polls
#include "mongoose.h"
#include "mongoose_ext.h"

#include <poll.h>
#include <pthread.h>

#include "peer.h"

#define MAX_LIVE 2048
#define MAX_DEPTH 4
#define BUDGET 300  // actions from one poll to the next
#ifdef _WIN32
#define SLOW_MS 60000  // enough for wine to open a thousand sockets
#else
#define SLOW_MS 10000
#endif

static uint64_t seed_now, state;
static struct mg_mgr mgr;
static bool managed;        // the manager is initialised
static int freeing, depth;  // calls of mg_mgr_free, and of act, on the stack
static int budget;
static size_t enough;  // connections: then no more are opened
static bool quiet;     // handlers only watch
static bool extended;  // the extension API takes part
static bool verbose;
static unsigned generation;  // counts managers
static mg_event_handler_t http_pfn;
static int owners[4];  // where fn_data points
static unsigned long events_seen[MG_EV_USER], opened, closed, freed_inside;

#define FATAL(...)                                                                      \
  do {                                                                                  \
    fprintf(stderr, "seed %llu: ", (unsigned long long) seed_now), fprintf(stderr, __VA_ARGS__); \
    fprintf(stderr, "\n"), abort();                                                     \
  } while (0)

static unsigned rnd(unsigned n) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (unsigned) ((state * 2685821657736338717ull) >> 33) % n;
}

static bool one_in(unsigned n) {
  return rnd(n) == 0;
}

// ---- which connections are alive: between their MG_EV_OPEN and their MG_EV_CLOSE

struct live {
  struct mg_connection *c;
  unsigned serial;
  bool seen_by_fn, closing;
};

static struct live lives[MAX_LIVE];
static size_t num_lives;
static unsigned last_serial;

static struct live *find(const struct mg_connection *c) {
  size_t i;
  for (i = 0; i < num_lives; i++) {
    if (lives[i].c == c) return &lives[i];
  }
  return NULL;
}

static bool is_listed_alive(const struct mg_connection *c, unsigned serial) {
  const struct live *l = c == NULL ? NULL : find(c);
  return l != NULL && l->serial == serial && !l->closing;
}

static struct live *enlist(struct mg_connection *c) {
  struct live *l = &lives[num_lives];
  if (num_lives == MAX_LIVE) FATAL("too many connections");
  num_lives++;
  memset(l, 0, sizeof(*l));
  l->c = c;
  l->serial = ++last_serial;
  opened++;
  return l;
}

// The connection at hand, or any.
static struct mg_connection *pick(struct mg_connection *self, unsigned serial) {
  size_t i;
  if (is_listed_alive(self, serial) && rnd(2)) return self;
  for (i = 0; i < 4 && num_lives > 0; i++) {
    struct live *l = &lives[rnd((unsigned) num_lives)];
    if (!l->closing) return l->c;
  }
  return NULL;
}

static size_t check_list(void) {
  size_t n = 0, strangers = 0;
  struct mg_connection *c;
  for (c = mgr.conns; c != NULL; c = c->next) {
    if (++n > MAX_LIVE) FATAL("the list has no end");
    if (c->mgr != &mgr) FATAL("connection %lu of another manager on the list", c->id);
    if (find(c) == NULL) strangers++;
  }
  // The wakeup connection has no handler of ours.
  if (strangers > 1) FATAL("%d connections on the list are not open", (int) strangers);
  return n - strangers;
}

// ---- timers

struct alarm {
  struct mg_timer *t;
  unsigned serial;
  bool once;
};

static struct alarm alarms[12];
static struct mg_timer own_timer;
static bool own_timer_runs;

static void act_in_handler(struct mg_connection *self, unsigned serial);

static void on_alarm(void *arg) {
  struct alarm *a = (struct alarm *) arg;
  unsigned serial = a->serial;
  if (a->t == NULL) FATAL("a freed timer was called");
  act_in_handler(NULL, 0);
  if (a->serial == serial && a->once) a->t = NULL;
}

static void on_own_timer(void *arg) {
  if (!own_timer_runs || arg != &own_timer) FATAL("a timer off the list was called");
  act_in_handler(NULL, 0);
}

static void change_timers(void) {
  struct alarm *a = &alarms[rnd(sizeof(alarms) / sizeof(alarms[0]))];
  if (one_in(6)) {
    if (own_timer_runs) {
      mg_timer_free(&mgr.timers, &own_timer);
    } else {
      mg_timer_init(&mgr.timers, &own_timer, rnd(5), MG_TIMER_REPEAT | (one_in(2) ? MG_TIMER_RUN_NOW : 0), on_own_timer, &own_timer);
    }
    own_timer_runs = !own_timer_runs;
  } else if (a->t != NULL) {
    mg_timer_free(&mgr.timers, a->t);
    mg_free(a->t);
    a->t = NULL;
    a->serial++;
  } else {
    unsigned flags = one_in(2) ? MG_TIMER_REPEAT : MG_TIMER_ONCE;
    a->once = flags == MG_TIMER_ONCE;
    a->serial++;
    a->t = mg_timer_add(&mgr, rnd(10), flags | (one_in(2) ? MG_TIMER_RUN_NOW : 0), on_alarm, a);
  }
}

static void forget_timers(void) {
  size_t i;
  for (i = 0; i < sizeof(alarms) / sizeof(alarms[0]); i++) {
    alarms[i].t = NULL;
    alarms[i].serial++;
  }
  own_timer_runs = false;
}

// ---- a thread that sends wakeups, to living and dead connections

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static bool gate_open, thread_ends;
static unsigned long newest_id;

static void *wake(void *arg) {
  static char text[8000];
  unsigned n = 0;
  bool ends = false;
  while (!ends) {
    pthread_mutex_lock(&gate);
    n = n * 1103515245u + 12345u;
    if (gate_open) mg_wakeup(&mgr, newest_id - (n >> 16) % 16 % (newest_id + 1), text, (n >> 8) % 64 == 0 ? sizeof(text) : (n >> 8) % 50);
    ends = thread_ends;
    pthread_mutex_unlock(&gate);
    usleep(500);
  }
  return arg;
}

static void open_gate(bool open) {
  pthread_mutex_lock(&gate);
  gate_open = open;
  newest_id = mgr.nextid;
  pthread_mutex_unlock(&gate);
}

// ---- peers outside the library: sockets of our own, and the far ends of wrapped pairs

static int peers[24];

static void adopt(int fd) {
  int *p = &peers[rnd(sizeof(peers) / sizeof(peers[0]))];
  if (*p >= 0) close(*p);
  *p = fd;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static struct mg_connection *some_listener(bool udp) {
  size_t i;
  for (i = 0; i < 8 && num_lives > 0; i++) {
    struct live *l = &lives[rnd((unsigned) num_lives)];
    if (!l->closing && l->c->is_listening && l->c->is_udp == udp) return l->c;
  }
  return NULL;
}

static void call_listener(void) {
  bool udp = one_in(5);
  struct mg_connection *l = some_listener(udp);
  struct sockaddr_in sin;
  int fd;
  if (l == NULL) return;
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_port = l->loc.port;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  fd = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
  if (fd < 0) FATAL("socket: %s", strerror(errno));
  adopt(fd);
  (void) !connect(fd, (struct sockaddr *) &sin, sizeof(sin));
}

static void say(int fd) {
  static const char *const texts[] = {
      "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /a HTTP/1.1\r\n\r\nGET /b?c HTTP/1.1\r\nConnection: close\r\n\r\nGET /c HTTP/1.1\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789GET / HTTP/1.0\r\n\r\n",
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n3;x=y\r\nfgh\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n\r\n",
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nQ\r\n",
      "PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\nuntil the end",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      "GET / HTTP/1.1\r\nTransfer-Encoding: zip\r\n\r\n",
      "GET /ws HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x02hi\x01\x01" "a\x80\x02" "bc\x89\x01x\x88\x02\x03\xe8",
      "GET /ws HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
      "\x81\x02hi\x82\x03" "abc\x8a\x01x",
      "\x82\x7e\x10\x10",
      "HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x02hi",
      "no protocol at all\r\n\r\n",
      "\1\2\3\377",
  };
  const char *text = texts[rnd(sizeof(texts) / sizeof(texts[0]))];
  size_t len = strlen(text);
  if (one_in(10)) {
    static char big[100000];
    (void) !send(fd, big, rnd(sizeof(big)), MSG_NOSIGNAL | MSG_DONTWAIT);
  } else {
    (void) !send(fd, text, one_in(3) ? rnd((unsigned) len) : len, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

static void step_peers(void) {
  static char sink[50000];
  size_t i;
  for (i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
    int fd = peers[i];
    struct linger reset = {1, 0};
    if (fd < 0) {
      if (one_in(8)) call_listener();
      continue;
    }
    switch (rnd(16)) {
      case 0: case 1: case 2: say(fd); break;
      case 3: case 4: case 5: case 6: (void) !recv(fd, sink, rnd(sizeof(sink)), MSG_DONTWAIT); break;
      case 7: if (one_in(3)) shutdown(fd, SHUT_WR); break;
      case 8: if (one_in(6)) shutdown(fd, SHUT_RD); break;
      case 9:
        if (one_in(2)) setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(fd);
        peers[i] = -1;
        break;
      default: break;
    }
  }
}

static void drop_peers(void) {
  size_t i;
  for (i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
    if (peers[i] >= 0) close(peers[i]);
    peers[i] = -1;
  }
}

// ---- handlers

static void handler(struct mg_connection *c, int ev, void *ev_data);
static void other_handler(struct mg_connection *c, int ev, void *ev_data);
static void protocol(struct mg_connection *c, int ev, void *ev_data);

static int *some_owner(void) {
  return &owners[rnd(sizeof(owners) / sizeof(owners[0]))];
}

static mg_event_handler_t some_handler(void) {
  return one_in(2) ? handler : other_handler;
}

static void open_listener(void) {
  static const char *const schemes[] = {"http", "http", "tcp", "udp"};
  const char *scheme = schemes[rnd(4)];
  char url[50];
  if (num_lives >= enough || !managed) return;
  mg_snprintf(url, sizeof(url), "%s://127.0.0.1:0", scheme);
  if (scheme[0] == 'h') {
    struct mg_connection *c = mg_http_listen(&mgr, url, some_handler(), some_owner());
    if (c != NULL && http_pfn == NULL) http_pfn = c->pfn;
  } else {
    mg_listen(&mgr, url, some_handler(), some_owner());
  }
}

static void open_client(void) {
  bool udp = one_in(5);
  struct mg_connection *l = some_listener(udp), *c;
  char url[50];
  int port = l == NULL ? 1 : mg_ntohs(l->loc.port);
  if (num_lives >= enough || !managed) return;
  mg_snprintf(url, sizeof(url), "%s://127.0.0.1:%d/x", udp ? "udp" : "tcp", port);
  if (!udp && one_in(4)) {
    mg_ws_connect(&mgr, url, some_handler(), some_owner(), "%s", one_in(2) ? "A: b\r\n" : "");
    return;
  }
  if (udp || one_in(3)) {
    c = mg_connect(&mgr, url, some_handler(), some_owner());
  } else {
    c = mg_http_connect(&mgr, url, some_handler(), some_owner());
  }
  if (c != NULL && find(c) != NULL && one_in(2)) mg_printf(c, "GET /%d HTTP/1.1\r\nContent-Length: 0\r\n\r\n", rnd(1000));
}

static void wrap_pair(void) {
  static const int kinds[] = {SOCK_STREAM, SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
  int fds[2];
  if (num_lives >= enough || !managed) return;
  if (socketpair(AF_UNIX, kinds[rnd(4)], 0, fds) != 0) FATAL("socketpair: %s", strerror(errno));
  adopt(fds[1]);
  mg_wrapfd(&mgr, fds[0], some_handler(), some_owner());
}

static void *stolen[32];

static void steal(struct mg_iobuf *io) {
  void **place = &stolen[rnd(sizeof(stolen) / sizeof(stolen[0]))];
  mg_free(*place);
  *place = io->buf;
  memset(io, 0, sizeof(*io));
}

static void free_stolen(void) {
  size_t i;
  for (i = 0; i < sizeof(stolen) / sizeof(stolen[0]); i++) {
    mg_free(stolen[i]);
    stolen[i] = NULL;
  }
}

static void change_buffer(struct mg_iobuf *io) {
  static const char text[] = "GET / HTTP/1.1\r\n\r\n";
  switch (rnd(9)) {
    case 0: mg_iobuf_free(io); break;
    case 1: mg_iobuf_resize(io, io->len + rnd(40000)); break;
    case 2: mg_iobuf_resize(io, rnd((unsigned) io->len + 1)); break;
    case 3: io->len = 0; break;
    case 4: io->len = rnd((unsigned) io->len + 1); break;
    case 5: mg_iobuf_del(io, rnd((unsigned) io->len + 1), rnd(1000)); break;
    case 6: if (io->len < 100000) mg_iobuf_add(io, rnd((unsigned) io->len + 1), text, rnd(sizeof(text))); break;
    case 7: if (io->len < 100000) mg_iobuf_add(io, io->len, text, sizeof(text) - 1); break;
    default: steal(io); break;
  }
}

// A large file, a small one, one that shrinks and grows, none; also from a file system without descriptors.
static void serve_some(struct mg_connection *c, struct mg_http_message *hm) {
  static struct mg_fs own;
  const char *names[] = {"big", "big", "small", "changing", "nothing", "."};
  struct mg_http_serve_opts opts;
  struct mg_http_message head;
  const char *request = one_in(3) ? "GET /big HTTP/1.1\r\nRange: bytes=100000-\r\n\r\n" : "GET /. HTTP/1.1\r\n\r\n";
  if (c->send.len > 1000000) return;
  memset(&opts, 0, sizeof(opts));
  own = mg_fs_posix;
  own.mkd = NULL, own.sk = one_in(2) ? own.sk : NULL;
  opts.fs = one_in(3) ? &own : NULL;
  opts.root_dir = ".";
  opts.ssi_pattern = one_in(9) ? "#" : NULL;
  if (hm == NULL) mg_http_parse(request, strlen(request), hm = &head);
  if (one_in(10)) mg_file_write(&mg_fs_posix, "changing", request, rnd(19));
  if (one_in(10) && truncate("changing", (off_t) rnd(400000)) != 0) FATAL("cannot change the size of a file");
  if (one_in(4)) {
    mg_http_serve_dir(c, hm, &opts);
  } else {
    mg_http_serve_file(c, hm, names[rnd(6)], &opts);
  }
}

static void send_some(struct mg_connection *c) {
  static char bytes[300000];
  size_t len = one_in(20) ? rnd(sizeof(bytes)) : one_in(4) ? rnd(20000) : rnd(300);
  if (c->send.len > 1000000) return;
  switch (rnd(12)) {
    case 11: serve_some(c, NULL); break;
    case 8: mg_ws_send(c, bytes, len, (int) rnd(11)); break;
    case 9: mg_ws_printf(c, WEBSOCKET_OP_TEXT, "%d", 42); break;
    case 10: mg_ws_wrap(c, rnd(20), WEBSOCKET_OP_TEXT); break;
    case 0: mg_printf(c, "%.*s", (int) len, "printed"); break;
    case 1: mg_printf(c, "GET /%d HTTP/1.1\r\n\r\n", rnd(100)); break;
    case 2: mg_http_reply(c, 200 + (int) rnd(300), one_in(2) ? "A: b\r\n" : "", "%*s%d", (int) rnd(100), "", 1); break;
    case 3: mg_http_reply(c, 200, "Connection: keep-alive\r\n", "%M", mg_print_esc, (int) rnd(200), bytes); break;
    case 4: mg_http_printf_chunk(c, "%d-%s", 42, "chunk"); break;
    case 5: mg_http_printf_chunk(c, ""); break;
    case 6: mg_http_write_chunk(c, bytes, rnd(500)); break;
    default: mg_send(c, bytes, len); break;
  }
}

static bool listed(const struct mg_connection *c) {
  const struct mg_connection *other;
  for (other = mgr.conns; other != NULL && other != c;) other = other->next;
  return other != NULL;
}

static void free_manager(void) {
  size_t i;
  open_gate(false);
  // A last MG_EV_HTTP_MSG, whose handler we are in, comes before MG_EV_CLOSE.
  for (i = 0; i < num_lives; i++) {
    if (!listed(lives[i].c)) lives[i].closing = true;
  }
  freeing++;
  managed = false;
  mg_mgr_free(&mgr);
  freeing--;
  if (mgr.conns != NULL || mgr.timers != NULL) FATAL("mg_mgr_free left something behind");
  if (freeing == 0) {
    for (i = 0; i < num_lives; i++) {
      if (!lives[i].closing) FATAL("a connection got no MG_EV_CLOSE");
    }
    forget_timers();
  }
}

static void start_manager(void) {
  int i;
  mg_mgr_init(&mgr);
  generation++;
  managed = true;
  for (i = 0; i < 6; i++) open_listener();
  if (managed && one_in(2)) mg_wakeup_init(&mgr);
  if (managed) open_gate(true);
}

// Through the extension API.
static void extended_action(struct mg_connection *c) {
  switch (rnd(20)) {
    case 0: case 1: case 2: mgx_conn_poll_events(c, one_in(2)); break;
    case 3: {
      struct mgx_drain_opts o;
      memset(&o, 0, sizeof(o));
      o.idle_grace_ms = (int) rnd(20) - 1;
      o.response_timeout_ms = (int) rnd(20) - 1;
      o.flush_timeout_ms = (int) rnd(20) - 1;
      o.linger_idle_ms = (int) rnd(20);
      o.linger_bytes = rnd(2000);
      mgx_conn_drain(c, one_in(3) ? NULL : &o);
      break;
    }
    case 4: if (one_in(2)) mgx_conn_close(c); break;
    case 5: if (one_in(2)) mgx_conn_abort(c); break;
    case 6: case 7: case 8: if (managed) mgx_send_to(&mgr, mgr.nextid - rnd(20) % (mgr.nextid + 1), "sent", rnd(5)); break;
    case 9: if (managed) mgx_wakeup_mgr(&mgr); break;
    case 10: if (managed && one_in(4)) mgx_mgr_compat(&mgr, one_in(3)); break;
    case 11:
      if (managed && one_in(4)) {
        struct mgx_limits l;
        memset(&l, 0, sizeof(l));
        if (one_in(2)) l.idle_timeout_ms = 1 + (int) rnd(30);
        if (one_in(2)) l.header_timeout_ms = 1 + (int) rnd(30);
        if (one_in(2)) l.body_timeout_ms = 1 + (int) rnd(30);
        if (one_in(2)) l.write_timeout_ms = 1 + (int) rnd(30);
        if (one_in(4)) l.max_conns_per_ip = 1 + rnd(30);
        if (one_in(2)) l.max_send_queue = rnd(20000);
        if (one_in(4)) l.max_ws_message = rnd(100);
        mgx_mgr_limits(&mgr, &l);
      }
      break;
    case 12:
      if (managed && one_in(10)) {
        struct mgx_mgr_drain_opts o;
        memset(&o, 0, sizeof(o));
        o.lame_duck_ms = (int) rnd(10);
        o.idle_grace_ms = (int) rnd(20) - 1;
        o.deadline_ms = 1 + (int) rnd(50);
        o.spread_ms = (int) rnd(10);
        mgx_mgr_drain(&mgr, one_in(4) ? NULL : &o);
      }
      break;
    case 13: if (managed && one_in(2)) mgx_mgr_drain_cancel(&mgr); break;
    case 14: {
      struct mgx_drain_status status;
      if (managed) mgx_mgr_drain_status(&mgr, &status);
      break;
    }
    case 15: mgx_conn_phase(c), mgx_close_reason(c), mgx_close_unsent(c); break;
    case 16: mgx_http_reply(c, 200, NULL, "\0\1", 2); break;
    case 17: mgx_write(c, "written"); break;
    default: if (one_in(10)) mgx_error(c, "%s%n"); break;
  }
}

static void action(struct mg_connection *self, unsigned serial) {
  struct mg_connection *c = pick(self, serial);
  unsigned what = rnd(100);
  long none = 0;
  if (c == NULL) what = 50 + rnd(50);
  if (verbose) fprintf(stderr, "%*s%u on %lu\n", depth * 2, "", what, c == NULL ? 0 : c->id);
  if (extended && c != NULL && one_in(6)) {
    extended_action(c);
  } else if (what < 4) {
    if (one_in(2)) c->is_closing = 1;
  } else if (what < 7) {
    c->is_draining = !one_in(5);
  } else if (what < 10) {
    c->is_full = one_in(2);
  } else if (what < 12) {
    c->is_resp = one_in(2);
  } else if (what < 14) {
    if (one_in(2)) mg_close_conn(c);
  } else if (what < 16) {
    if (one_in(2)) mg_error(c, "error %d", rnd(100));
  } else if (what < 20) {
    mg_call(c, MG_EV_USER + (int) rnd(3), NULL);
  } else if (what < 22) {
    mg_call(c, MG_EV_READ, &none);
  } else if (what < 28) {
    change_buffer(&c->recv);
  } else if (what < 32) {
    change_buffer(&c->send);
  } else if (what < 34) {
    c->fn = some_handler();
    c->fn_data = some_owner();
  } else if (what < 35) {
    c->pfn = one_in(3) ? NULL : one_in(2) ? protocol : http_pfn;
  } else if (what < 36) {
    c->is_closing = 0;
  } else if (what < 37) {
    mg_dscp(c, (uint8_t) rnd(64));
  } else if (what < 50) {
    send_some(c);
  } else if (what < 56) {
    if (managed && num_lives < enough && (freeing == 0 || one_in(50))) open_client();
  } else if (what < 58) {
    if (managed && num_lives < enough && one_in(3) && (freeing == 0 || one_in(50))) open_listener();
  } else if (what < 61) {
    if (freeing == 0 || one_in(50)) wrap_pair();
  } else if (what < 66) {
    if (managed) change_timers();
  } else if (what < 69) {
    if (managed) mg_wakeup(&mgr, mgr.nextid - rnd(10) % (mgr.nextid + 1), "wake", rnd(5));
  } else if (what < 70) {
    if (managed) mg_wakeup_init(&mgr);
  } else if (what < 74) {
    if (depth < 3) mg_mgr_poll(&mgr, 0);
  } else if (what < 76) {
    if (!one_in(60)) return;
    freed_inside++;
    free_manager();
    // The outer mg_mgr_free, if any, must find the manager as it left it.
    if (freeing == 0) start_manager();
  } else if (what < 78) {
    check_list();
  } else if (self != NULL && is_listed_alive(self, serial)) {
    send_some(self);
  }
}

static void act_in_handler(struct mg_connection *self, unsigned serial) {
  int n = one_in(3) ? 1 + (int) rnd(3) : 0;
  if (quiet || depth >= MAX_DEPTH) return;
  depth++;
  while (n-- > 0 && budget-- > 0) action(self, serial);
  depth--;
}

// What may be done to a connection in its MG_EV_CLOSE.
static void act_on_closed(struct mg_connection *c) {
  if (quiet || depth >= MAX_DEPTH) return;
  switch (rnd(12)) {
    case 0: mg_close_conn(c); break;
    case 1: c->is_closing = 0; break;
    case 2: c->is_draining = 1; break;
    case 3: steal(&c->recv); break;
    case 4: steal(&c->send); break;
    case 5: mg_iobuf_free(one_in(2) ? &c->recv : &c->send); break;
    case 6: if (!c->is_udp) mg_send(c, "late", 4); break;
    case 7: mg_printf(c, "%d", 1); break;
    case 8: mg_http_reply(c, 200, "", "late"); break;
    default: break;
  }
}

static struct live *watch(struct mg_connection *c, int ev, void *ev_data) {
  struct live *l = find(c);
  size_t i = 0, n = 0;
  if (ev < MG_EV_USER) events_seen[ev]++;
  if (verbose) fprintf(stderr, "%*sevent %d of %p\n", depth * 2, "", ev, (void *) c);
  if (ev == MG_EV_OPEN && l == NULL) l = enlist(c);
  if (l == NULL) FATAL("event %d for a connection that is not open", ev);
  if (c->mgr != &mgr) FATAL("event %d: wrong manager", ev);
  if (c->fn_data < (void *) owners || c->fn_data >= (void *) (owners + 4)) FATAL("event %d: wrong fn_data", ev);
  if (c->recv.len > c->recv.size || c->send.len > c->send.size) FATAL("event %d: inconsistent buffers", ev);
  if (ev == MG_EV_HTTP_MSG || ev == MG_EV_HTTP_HDRS || ev == MG_EV_WS_OPEN) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    for (i = 0; i < hm->head.len; i++) n += (size_t) hm->head.buf[i];
    if (ev == MG_EV_HTTP_MSG) for (i = 0; i < hm->body.len; i++) n += (size_t) hm->body.buf[i];
  } else if (ev == MG_EV_WS_MSG || ev == MG_EV_WS_CTL) {
    struct mg_str *s = &((struct mg_ws_message *) ev_data)->data;
    for (i = 0; i < s->len; i++) n += (size_t) s->buf[i];
  } else if (ev == MG_EV_WAKEUP) {
    struct mg_str *s = (struct mg_str *) ev_data;
    for (i = 0; i < s->len; i++) n += (size_t) s->buf[i];
  } else if (ev == MG_EV_READ || ev == MG_EV_WRITE) {
    if (*(long *) ev_data < 0) FATAL("a count of %ld", *(long *) ev_data);
  } else if (ev == MG_EV_ERROR) {
    n = strlen((char *) ev_data);
  }
  owners[0] += (int) (n & 1);
  return l;
}

static void uploaded(struct mg_connection *c, const char *message) {
  if (one_in(2)) mg_http_reply(c, message == NULL ? 200 : 400, "", "%s", message);
  if (one_in(4)) c->is_draining = 1;
  if (one_in(20)) mg_close_conn(c);
  act_in_handler(NULL, 0);
}

// Takes the body of a request, one way or another.
static void take_body(struct mg_connection *c, struct mg_http_message *hm) {
  switch (rnd(3)) {
    case 0: mg_http_start_upload(c, hm, mg_str(one_in(5) ? "../x" : "upload"), mg_str("."), &mg_fs_posix, one_in(2) ? uploaded : NULL); break;
    case 1: mg_http_start_ota(c, hm, one_in(2) ? uploaded : NULL); break;
    default: mg_iobuf_del(&c->recv, 0, hm->head.len), c->pfn = NULL; break;
  }
}

static void on_event(struct mg_connection *c, int ev, void *ev_data) {
  struct live *l = watch(c, ev, ev_data);
  unsigned serial = l->serial;
  if (ev == MG_EV_OPEN) {
    if (l->seen_by_fn) FATAL("MG_EV_OPEN twice");
    l->seen_by_fn = true;
  }
  if (ev == MG_EV_CLOSE) {
    size_t i;
    closed++;
    *l = lives[--num_lives];
    lives[num_lives].c = NULL;
    for (i = mgr.conns == NULL ? 1 : 0; i < 1; i++) check_list();
    act_on_closed(c);
    act_in_handler(NULL, 0);
    act_on_closed(c);
    return;
  }
  if (!quiet && ev == MG_EV_HTTP_MSG && (one_in(16) || mg_http_get_header((struct mg_http_message *) ev_data, "Sec-WebSocket-Key") != NULL)) {
    mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
    if (!is_listed_alive(c, serial)) return;
  } else if (!quiet && ev == MG_EV_HTTP_MSG && one_in(6)) serve_some(c, (struct mg_http_message *) ev_data);
  else if (!quiet && ev == MG_EV_HTTP_MSG && !one_in(4)) mg_http_reply(c, 200, "", "%d bytes", (int) ((struct mg_http_message *) ev_data)->body.len);
  if (!quiet && ev == MG_EV_READ && one_in(3)) c->recv.len = 0;
  if (!quiet && ev == MG_EV_HTTP_HDRS && one_in(5)) {
    take_body(c, (struct mg_http_message *) ev_data);
    if (!is_listed_alive(c, serial)) return;
  }
  if (ev != MG_EV_POLL || one_in(4)) act_in_handler(c, serial);
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  on_event(c, ev, ev_data);
}

static void other_handler(struct mg_connection *c, int ev, void *ev_data) {
  on_event(c, ev, ev_data);
}

static void protocol(struct mg_connection *c, int ev, void *ev_data) {
  struct live *l = watch(c, ev, ev_data);
  if (ev == MG_EV_CLOSE) {
    if (l->closing) FATAL("MG_EV_CLOSE twice");
    l->closing = true;
    act_on_closed(c);
    act_in_handler(NULL, 0);
  } else if (ev < MG_EV_HTTP_HDRS || ev > MG_EV_WS_CTL) {
    // What those show is still in the receive buffer when the user's handler sees it.
    act_in_handler(c, l->serial);
  }
}

// ---- one seed

static void poll_once(int ms) {
  uint64_t begin = real_ms();
  budget = BUDGET;
  mg_mgr_poll(&mgr, ms);
  if (real_ms() - begin > SLOW_MS) FATAL("a poll of %d ms took %d ms", ms, (int) (real_ms() - begin));
  if (check_list() != num_lives) FATAL("%d connections are open, not %d", (int) check_list(), (int) num_lives);
}

// When nobody does anything any more, polls must sleep.
static void check_sleep(void) {
  int i;
  uint64_t took = 0, end = real_ms() + 5000;
  quiet = true;
  open_gate(false);
  if (extended) {
    struct mgx_limits none;
    memset(&none, 0, sizeof(none));
    mgx_mgr_limits(&mgr, &none);
  }
  while (mgr.timers != NULL) {
    struct mg_timer *t = mgr.timers;
    mg_timer_free(&mgr.timers, t);
    if (t != &own_timer) mg_free(t);
  }
  forget_timers();
  while (took < 100 && real_ms() < end) {
    uint64_t begin = real_ms();
    for (i = 0; i < 10; i++) poll_once(12);
    took = real_ms() - begin;
  }
  if (took < 100) {
    struct mg_connection *c;
    for (c = mgr.conns; c != NULL; c = c->next) {
      fprintf(stderr, "%lu: listening %d udp %d accepted %d client %d connecting %d draining %d closing %d full %d resp %d recv %d send %d\n", c->id,
              c->is_listening, c->is_udp, c->is_accepted, c->is_client, c->is_connecting, c->is_draining, c->is_closing, c->is_full, c->is_resp,
              (int) c->recv.len, (int) c->send.len);
    }
    FATAL("polls do not sleep: ten took %d ms", (int) took);
  }
  quiet = false;
}

// A connection that could do something, though no poll lets it.
static struct mg_connection *find_stalled(void) {
  struct mg_connection *c;
  for (c = mgr.conns; c != NULL; c = c->next) {
    struct pollfd p = {(int) (size_t) c->fd, POLLIN | POLLOUT, 0};
    if (c->is_closing || c->is_draining || poll(&p, 1, 0) <= 0) continue;
    if (c->is_listening && !c->is_udp) p.revents &= ~POLLOUT;
    if ((p.revents & POLLIN) && !c->is_full && !(p.revents & POLLHUP)) {
      char byte;
      // Requests that pile up behind one that is not answered stay with the peer.
      if (c->is_resp && c->recv.len >= 65536) continue;
      // Behind the end of the stream a half-closed connection stays readable.
      if (c->is_listening || recv(p.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0) return c;
    }
    if ((p.revents & POLLOUT) && c->send.len > 0 && !c->is_connecting) return c;
  }
  return NULL;
}

static void check_progress(void) {
  struct mg_connection *c;
  int tries;
  quiet = true;
  for (tries = 0; tries < 2000 && find_stalled() != NULL; tries++) poll_once(1);
  c = find_stalled();
  if (c != NULL) {
    FATAL("%lu makes no progress: listening %d udp %d accepted %d client %d connecting %d resp %d recv %d send %d", c->id, c->is_listening, c->is_udp,
          c->is_accepted, c->is_client, c->is_connecting, c->is_resp, (int) c->recv.len, (int) c->send.len);
  }
  quiet = false;
}

static void run(uint64_t seed, int polls) {
  int i;
  seed_now = seed;
  state = seed * 0x9e3779b97f4a7c15ull + 1;
  enough = 40;
  extended = seed % 2 == 0;
  if (seed % 4 == 3) {
    // A crowd.
    enough = 300 + rnd(200);
    polls /= 5;
  }
  start_manager();
  for (i = 0; i < polls; i++) {
    step_peers();
    budget = BUDGET;
    if (num_lives < enough / 2) {
      if (one_in(3)) open_listener();
      if (one_in(2)) open_client();
      if (one_in(8)) wrap_pair();
      if (enough > 100) while (num_lives < enough / 2) open_client();
    }
    if (one_in(3)) act_in_handler(NULL, 0);
    if (one_in(50)) mg_wakeup_init(&mgr);
    if (one_in(300) || mgx_mgr_phase(&mgr) == MGX_MGR_DONE) {
      free_manager();
      start_manager();
    }
    open_gate(true);
    poll_once((int) rnd(3));
  }
  check_sleep();
  check_progress();
  if (one_in(2)) drop_peers();
  free_manager();
  if (num_lives != 0) FATAL("%d connections got no MG_EV_CLOSE", (int) num_lives);
  drop_peers();
  free_stolen();
}

static void count_name(const char *name, void *arg) {
  if (strstr(name, "..") != NULL) (*(size_t *) arg)++;
}

int main(int argc, char **argv) {
  uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
  int seeds = argc > 2 ? atoi(argv[2]) : 3, polls = argc > 3 ? atoi(argv[3]) : 150, i;
  size_t before, temporary = 0;
  void *text = calloc(1, 2000000);
  pthread_t thread;
  verbose = getenv("CHAOS_VERBOSE") != NULL;
  mg_log_level = MG_LL_NONE;
  memset(peers, 0xff, sizeof(peers));
  if (!mg_file_write(&mg_fs_posix, "big", text, 2000000) || !mg_file_write(&mg_fs_posix, "small", text, 2000) ||
      !mg_file_write(&mg_fs_posix, "changing", text, 200000)) FATAL("cannot write to the working directory");
  free(text);
  before = open_files();
  pthread_create(&thread, NULL, wake, NULL);
  for (i = 0; i < seeds; i++) run(first + (uint64_t) i, polls);
  pthread_mutex_lock(&gate);
  thread_ends = true;
  pthread_mutex_unlock(&gate);
  pthread_join(thread, NULL);
  fprintf(stderr, "%lu connections, %lu managers freed by handlers; events by number:", opened, freed_inside);
  for (i = 0; i < MG_EV_USER; i++) fprintf(stderr, " %lu", events_seen[i]);
  fprintf(stderr, "\n");
  CHECK_EQ(closed, opened);
  CHECK_EQ(open_files(), before);
  // Uploads that did not come to an end have left nothing.
  mg_fs_posix.ls(".", count_name, &temporary);
  CHECK_EQ(temporary, 0);
  return DONE();
}
