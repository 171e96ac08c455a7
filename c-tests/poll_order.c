// The order of a poll: which connections are served, when and how often, with and without MG_EV_POLL, and what a poll leaves behind.
// The clock stands still unless a test moves it, so nothing happens late that should have happened at once.
#include "mongoose.h"

#include <poll.h>

#include "clock.h"
#include "ext.h"

static struct mg_mgr mgr;
static char turns[200];
static int written;

static void took(char what) {
  size_t n = strlen(turns);
  if (n + 1 < sizeof(turns)) turns[n] = what, turns[n + 1] = '\0';
}

// Notes the name of the connection: small for MG_EV_POLL, a capital for MG_EV_READ, followed by ! for MG_EV_CLOSE.
static void named(struct mg_connection *c, int ev, void *ev_data) {
  char name = c->fn_data == NULL ? '?' : *(const char *) c->fn_data;
  if (ev == MG_EV_POLL) took(name);
  if (ev == MG_EV_READ) took((char) (name - 'a' + 'A')), c->recv.len = 0;
  if (ev == MG_EV_CLOSE) took(name), took('!');
  (void) ev_data;
}

static struct mg_connection *udp(const char *name) {
  struct mg_connection *c = mg_listen(&mgr, "udp://127.0.0.1:0", named, (void *) name);
  CHECK(c != NULL);
  return c;
}

static void send_to(const struct mg_connection *c) {
  struct sockaddr_in sin;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_port = htons(port_of(c));
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(sendto(fd, "x", 1, 0, (struct sockaddr *) &sin, sizeof(sin)) == 1);
  close(fd);
}

// Waits until the system reports this of the connection's socket.
static void await(const struct mg_connection *c, short events) {
  struct pollfd p;
  p.fd = (int) (size_t) c->fd;
  p.events = events;
  CHECK(poll(&p, 1, 20000) == 1 && (p.revents & events) != 0);
}

static void once(const char *expected) {
  turns[0] = '\0';
  mg_mgr_poll(&mgr, 0);
  if (strcmp(turns, expected) != 0) fprintf(stderr, "turns: %s, expected: %s\n", turns, expected);
  CHECK(strcmp(turns, expected) == 0);
}

static void newest_first(void) {
  struct mg_connection *a, *c;
  mg_mgr_init(&mgr);
  a = udp("a"), udp("b"), c = udp("c"), udp("d");
  once("dcba");
  mgx_conn_poll_events(a, false), mgx_conn_poll_events(c, false);
  once("db");
  once("db");
  send_to(a), send_to(c);
  await(a, POLLIN), await(c, POLLIN);
  once("dCbA");
  once("db");
  mgx_conn_poll_events(a, true);
  once("dba");
  mg_mgr_free(&mgr);
}

static void one_turn_each(void) {
  struct mg_connection *a;
  mg_mgr_init(&mgr);
  a = udp("a");
  mgx_conn_poll_events(a, false);
  mgx_conn_poll_events(a, true);
  once("a");
  // One that closes before its turn, and another in its place.
  mgx_conn_poll_events(a, false);
  mg_close_conn(a);
  udp("b");
  once("b");
  mg_mgr_free(&mgr);
}

// ---- a handler goes on with its connection after a poll in which that has closed
static bool without_polls;
static unsigned long outlived;

static void closes_in_a_nested_poll(struct mg_connection *c, int ev, void *ev_data) {
  unsigned long id = c->id;
  int i;
  if (ev != MG_EV_POLL || c->is_closing) return;
  c->is_closing = 1;
  mg_mgr_poll(c->mgr, 0);
  for (i = 0; i < 10; i++) {  // would get its memory
    void *block = malloc(sizeof(*c));
    memset(block, 0xee, sizeof(*c));
    free(block);
  }
  if (c->id == id && c->mgr == &mgr && c->is_closing) outlived++;
  (void) ev_data;
}

static void closed_in_a_nested_poll(void) {
  mg_mgr_init(&mgr);
  outlived = 0;
  if (without_polls) mgx_conn_poll_events(udp("a"), false);
  udp("b")->fn = closes_in_a_nested_poll;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(outlived, 1);
  mg_mgr_free(&mgr);
}

// ---- a handler frees the manager, and makes another in its place or overwrites it
static int freed_by;

static void frees(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != freed_by) return;
  freed_by = -1;  // its last poll is on the way
  mg_mgr_free(&mgr);
  memset(&mgr, 0xee, sizeof(mgr));
  (void) c, (void) ev_data;
}

static void frees_and_makes(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != freed_by) return;
  freed_by = -1;
  mg_mgr_free(&mgr);
  mg_mgr_init(&mgr);
  udp("n");
  (void) c, (void) ev_data;
}

static void timer_frees(void *arg) {
  mg_mgr_free(&mgr);
  memset(&mgr, 0xee, sizeof(mgr));
  (void) arg;
}

static void freed_in(int ev) {
  struct mg_connection *c;
  struct mg_mgr freed;
  mg_mgr_init(&mgr);
  udp("a"), c = udp("b"), udp("c");
  if (without_polls) mgx_conn_poll_events(udp("d"), false);
  c->fn = frees;
  freed_by = ev;  // -1: in a timer
  if (ev == MG_EV_READ) send_to(c), await(c, POLLIN);
  if (ev == MG_EV_CLOSE) c->is_closing = 1;
  if (ev == -1) mg_timer_add(&mgr, 0, MG_TIMER_RUN_NOW, timer_frees, NULL);
  mg_mgr_poll(&mgr, 0);
  memset(&freed, 0xee, sizeof(freed));
  CHECK(memcmp(&mgr, &freed, sizeof(mgr)) == 0);
}

static void freed_and_made_anew(void) {
  mg_mgr_init(&mgr);
  udp("a")->fn = frees_and_makes;
  freed_by = MG_EV_POLL;
  if (without_polls) mgx_conn_poll_events(udp("b"), false);
  once(without_polls ? "b!" : "");
  once("n");
  mg_mgr_free(&mgr);
}

// ---- without MG_EV_POLL
static void writes_on(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) last = c;
  if (ev == MG_EV_CLOSE && c == last) last = NULL, closed++;
  if (ev == MG_EV_WRITE && ++written < 5) mg_send(c, "x", 1);
  if (ev == MG_EV_READ) requests++, c->recv.len = 0;
  (void) ev_data;
}

static struct mg_connection *accepted(struct peer *p) {
  struct mg_connection *l;
  forget();
  written = 0;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", writes_on, NULL);
  peer_open(p, l);
  POLL_UNTIL(&mgr, last != NULL);
  mgx_conn_poll_events(last, false);
  poll_often(&mgr);
  return last;
}

static void work_goes_on(void) {
  struct peer p;
  struct mg_connection *c = accepted(&p);
  int i;
  mg_send(c, "x", 1);
  poll_often(&mgr);
  CHECK_EQ(written, 5);
  POLL_UNTIL(&mgr, peer_has(&p, 5));
  for (i = 0; i < 3; i++) {
    mg_send(c, "x", 1);
    mg_mgr_poll(&mgr, 0);
  }
  CHECK_EQ(written, 8);

  // Reading that was held back.
  c->is_full = 1;
  CHECK(peer_send_text(&p, "a"));
  await(c, POLLIN);
  poll_often(&mgr);
  CHECK_EQ(requests, 0);
  c->is_full = 0;
  poll_often(&mgr);
  CHECK_EQ(requests, 1);

  // A reset.
  peer_drop(&p);
  await(c, POLLERR);
  poll_often(&mgr);
  CHECK_EQ(closed, 1);
  mg_mgr_free(&mgr);
}

// Not to an own protocol handler of the application either.
static void idle_protocols(void) {
  struct mg_connection *a;
  mg_mgr_init(&mgr);
  a = udp("a"), udp("b");
  a->pfn = named, a->pfn_data = (void *) "p", a->fn_data = (void *) "p";
  mgx_conn_poll_events(a, false);
  once("bp");
  once("b");
  once("b");
  mg_mgr_free(&mgr);
}

// A flag that is set directly is seen 100 ms later.
static void a_flag_set_directly(void) {
  struct mg_connection *a;
  mg_mgr_init(&mgr);
  a = udp("a");
  mgx_conn_poll_events(a, false);
  once("");
  a->is_closing = 1;
  clock_ms += 100;
  CHECK_EQ(mgx_mgr_timeout_ms(&mgr), 0);
  once("a!");
  mg_mgr_free(&mgr);
}

// What is due keeps a poll from sleeping.
static void nothing_due_waits(void) {
  uint64_t began = real_ms();
  mg_mgr_init(&mgr);
  if (without_polls) mgx_conn_poll_events(udp("a"), false);
  udp("b")->is_closing = 1;
  turns[0] = '\0';
  mg_mgr_poll(&mgr, 30000);
  CHECK(strcmp(turns, "bb!") == 0);
  CHECK(real_ms() - began < 20000);
  mg_mgr_free(&mgr);
}

// ---- memory
static void polls_leave_nothing(void) {
  size_t before = 0;
  int i;
  mg_mgr_init(&mgr);
  for (i = 0; i < 20; i++) udp("a");
  if (without_polls) mgx_conn_poll_events(mgr.conns, false);
  for (i = 0; i < 4000; i++) {
    if (i == 1000) before = memory_in_use();
    clock_ms += 100;
    turns[0] = '\0';
    mg_mgr_poll(&mgr, 0);
  }
  CHECK(memory_in_use() < before + 20000);
  mg_mgr_free(&mgr);
}

static void closed_ones_leave_nothing(void) {
  size_t before = 0;
  int i;
  mg_mgr_init(&mgr);
  if (without_polls) mgx_conn_poll_events(udp("a"), false);
  for (i = 0; i < 4000; i++) {
    if (i == 1000) before = memory_in_use();
    mg_close_conn(udp("b"));
  }
  CHECK(memory_in_use() < before + 20000);
  mg_mgr_free(&mgr);
}

static size_t address_space(void) {
  unsigned long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f == NULL) return 0;
  if (fscanf(f, "%lu", &pages) != 1) pages = 0;
  fclose(f);
  return pages * 4096;
}

// They wait in pages of their own, a megabyte of them for each manager here.
static void messages_that_nobody_fetches_leave_nothing(void) {
  static char text[16000];
  size_t before = 0;
  int i, k;
  for (i = 0; i < 120; i++) {
    struct mg_connection *c;
    if (i == 20) before = address_space();
    mg_mgr_init(&mgr);
    c = udp("a");
    CHECK(mg_wakeup_init(&mgr));
    for (k = 0; k < 60; k++) CHECK(mg_wakeup(&mgr, c->id, text, sizeof(text)));
    mg_mgr_free(&mgr);
  }
  CHECK(address_space() < before + 50000000);
}

static void managers_leave_nothing(void) {
  size_t before = 0;
  int i;
  for (i = 0; i < 60; i++) {
    if (i == 20) before = memory_in_use();
    mg_mgr_init(&mgr);
    udp("a");
    CHECK(mg_wakeup_init(&mgr));
    mg_mgr_free(&mgr);
  }
  CHECK(memory_in_use() < before + 20000);
}

// What a handler queues for a connection that has closed is freed with that.
static void sends_after_the_end(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_POLL || c->is_closing) return;
  c->is_closing = 1;
  mg_mgr_poll(c->mgr, 0);
  mg_iobuf_add(&c->send, 0, turns, sizeof(turns));
  mg_iobuf_add(&c->recv, 0, turns, sizeof(turns));
  (void) ev_data;
}

static void late_output_leaves_nothing(void) {
  size_t before = 0;
  int i;
  mg_mgr_init(&mgr);
  for (i = 0; i < 600; i++) {
    if (i == 100) before = memory_in_use();
    udp("a")->fn = sends_after_the_end;
    mg_mgr_poll(&mgr, 0);
  }
  CHECK(mgr.conns == NULL);
  CHECK(memory_in_use() < before + 20000);
  mg_mgr_free(&mgr);
}

static void paused_ones_leave_nothing(void) {
  struct peer p;
  struct mg_connection *c = accepted(&p);
  size_t before = 0;
  int i;
  c->is_full = 1;
  for (i = 0; i < 9000; i++) {
    if (i == 1000) before = memory_in_use();
    CHECK(peer_send_text(&p, "a"));
    mg_mgr_poll(&mgr, 0);
  }
  CHECK(memory_in_use() < before + 20000);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// The blocks that large output needed are kept for the next, until nothing has happened for 100 ms.
static void rest_frees_memory(void) {
  struct peer p;
  struct mg_connection *c = accepted(&p);
  char *block = (char *) calloc(1, BIG / 10);
  size_t before;
  written = 5;  // nothing more
  CHECK(mg_send(c, block, BIG / 10));
  free(block);
  POLL_UNTIL(&mgr, peer_has(&p, BIG / 10));
  mgx_conn_poll_events(c, true);
  poll_often(&mgr);
  CHECK(c->send.len == 0);
  before = memory_in_use();
  mg_mgr_poll(&mgr, 99);
  CHECK(memory_in_use() == before);
  mg_mgr_poll(&mgr, 100);
  CHECK(before == 0 || memory_in_use() + BIG / 20 < before);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// ---- times
static void counts_errors(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ERROR) requests++;
  (void) c, (void) ev_data;
}

// What begins before the first poll has all its time.
static void a_lookup_before_the_first_poll(void) {
  struct mg_connection *l;
  char url[60];
  forget();
  mg_mgr_init(&mgr);
  l = udp("a");
  mg_snprintf(url, sizeof(url), "udp://127.0.0.1:%d", port_of(l));
  mgr.dns4.url = url;
  CHECK(mg_connect(&mgr, "tcp://example.test:80", counts_errors, NULL) != NULL);
  poll_often(&mgr);
  CHECK_EQ(requests, 0);
  clock_ms += (uint64_t) mgr.dnstimeout;
  poll_often(&mgr);
  CHECK_EQ(requests, 1);
  mg_mgr_free(&mgr);
}

// A poll that goes on after an event that told nothing new does not begin its time again.
static void the_rest_of_a_wait(void) {
  struct peer p;
  struct mg_connection *c = accepted(&p);
  uint64_t began;
  c->is_full = 1;
  CHECK(peer_send_text(&p, "a"));
  await(c, POLLIN);
  mg_mgr_poll(&mgr, 0);
  clock_ms += 50000;
  began = real_ms();
  mg_mgr_poll(&mgr, 40000);
  CHECK(real_ms() - began < 20000);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// ---- several failures in one poll
static void resets_at_once(void) {
  struct peer p[3];
  struct mg_connection *l, *c;
  int i;
  forget();
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", writes_on, NULL);
  for (i = 0; i < 3; i++) peer_open(&p[i], l);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 4);
  for (i = 0; i < 3; i++) peer_drop(&p[i]);
  for (c = mgr.conns; c != l; c = c->next) await(c, POLLERR);
  mg_mgr_poll(&mgr, 0);
  CHECK(mgr.conns == l && l->next == NULL);
  mg_mgr_free(&mgr);
}

// ---- mg_mgr_free
static int reopened;

static void opens_another(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_CLOSE) return;
  CHECK_EQ(mgx_close_reason(c), MGX_REASON_FORCED);
  closed++;
  if (closed <= reopened) mg_listen(c->mgr, "udp://127.0.0.1:0", opens_another, NULL);
  (void) ev_data;
}

// What a handler opens when its connection closes is closed, too. One that always opens another is not obeyed for ever.
static void freed_in_spite_of(int another) {
  forget();
  reopened = another;
  mg_mgr_init(&mgr);
  mg_listen(&mgr, "udp://127.0.0.1:0", opens_another, NULL);
  mg_mgr_free(&mgr);
  CHECK(mgr.conns == NULL);
  if (another < 10) CHECK_EQ(closed, another + 1);
}

static int refusals;

static void refuses(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) last = c;
  if (ev == MG_EV_POLL && c->is_closing && requests++ < refusals) c->is_closing = 0;
  if (ev == MG_EV_CLOSE && c->is_accepted) closed++, reason = mgx_close_reason(c);
  (void) ev_data;
}

// One that is not to close is asked twice. The application has ended it even if its peer has, too.
static void freed_against_its_will(bool peer_closes) {
  struct mg_connection *l;
  struct peer p;
  forget();
  refusals = peer_closes ? 1 : 1000;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", refuses, NULL);
  peer_open(&p, l);
  POLL_UNTIL(&mgr, last != NULL);
  mg_close_conn(l);
  if (peer_closes) peer_shut(&p), await(last, POLLIN);
  mg_mgr_free(&mgr);
  CHECK_EQ(requests, peer_closes ? 1 : 2);
  CHECK_EQ(closed, 1);
  CHECK_EQ(reason, MGX_REASON_FORCED);
  peer_free(&p);
}

// ---- flags that a handler sees
static void sees_flags(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_POLL && c->is_writable) written++, requests += c->is_readable;
  (void) ev_data;
}

static void writable_only(void) {
  struct mg_connection *l;
  char url[60];
  forget();
  written = 0;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", writes_on, NULL);
  mg_snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port_of(l));
  mg_connect(&mgr, url, sees_flags, NULL);
  POLL_UNTIL(&mgr, written > 0);
  CHECK_EQ(requests, 0);
  mg_mgr_free(&mgr);
}

// They say what the poll has found. A handler that clears them changes nothing about that.
static void clears_flags(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) last = c;
  if (ev == MG_EV_POLL) c->is_readable = c->is_writable = 0;
  if (ev == MG_EV_READ) requests++, c->recv.len = 0;
  (void) ev_data;
}

static void flags_cleared(void) {
  struct mg_connection *l;
  struct peer p;
  forget();
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", clears_flags, NULL);
  peer_open(&p, l);
  POLL_UNTIL(&mgr, last != NULL);
  poll_often(&mgr);
  CHECK(peer_send_text(&p, "x"));
  await(last, POLLIN);
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(requests, 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// What is queued in MG_EV_WRITE has its own poll.
static void one_write_a_poll(void) {
  struct peer p;
  struct mg_connection *c = accepted(&p);
  int i;
  mgx_conn_poll_events(c, true);
  poll_often(&mgr);
  mg_send(c, "x", 1);
  for (i = 1; i <= 5; i++) {
    mg_mgr_poll(&mgr, 0);
    CHECK_EQ(written, i);
  }
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// Output that a handler queues on a connection that has had its turn is sent in the same poll, time and again.
static void sends_to_last(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_POLL) mg_send(last, "x", 1);
  (void) c, (void) ev_data;
}

static void sent_in_the_same_poll(void) {
  struct peer p;
  struct mg_connection *c = accepted(&p);
  int i;
  mgx_conn_poll_events(c, true);
  poll_often(&mgr);
  written = 5;
  c->next->fn = sends_to_last;
  for (i = 6; i <= 9; i++) {
    mg_mgr_poll(&mgr, 0);
    CHECK_EQ(written, i);
  }
  // With more queued in MG_EV_WRITE: sent once in its turn and once after it.
  for (i = written = 0; written < 5; i = written) {
    mg_mgr_poll(&mgr, 0);
    CHECK(written > i && written <= i + 2);
  }
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// Of a file that is read in blocks, a poll sends eight: the others wait for their turn, too. The next poll does not sleep.
static size_t counts_blocks(void *fd, void *buf, size_t len) {
  written++;
  return mg_fs_posix.rd(fd, buf, len);
}

static void serves_in_blocks(struct mg_connection *c, int ev, void *ev_data) {
  static struct mg_fs fs;
  struct mg_http_serve_opts o;
  if (ev != MG_EV_HTTP_MSG) return;
  memset(&o, 0, sizeof(o));
  fs = mg_fs_posix;
  fs.rd = counts_blocks;
  o.fs = &fs;
  mg_http_serve_file(c, (struct mg_http_message *) ev_data, "blocks.bin", &o);
}

static void eight_blocks_a_poll(void) {
  char *block = (char *) calloc(1, 100 * MG_IO_SIZE);
  struct mg_connection *l = serve(&mgr, serves_in_blocks, NULL);
  struct peer p;
  uint64_t began;
  int i;
  CHECK(mg_file_write(&mg_fs_posix, "blocks.bin", block, 100 * MG_IO_SIZE));
  free(block);
  written = 0;
  peer_open(&p, l);
  CHECK(peer_send_text(&p, GET("/")));
  POLL_UNTIL(&mgr, written > 0);
  for (i = 0; i < 3; i++) {
    peer_read(&p);
    written = 0;
    began = real_ms();
    mg_mgr_poll(&mgr, 20000);
    CHECK(real_ms() - began < 10000);
    CHECK(written == 8 || cut_transfers() > 0);
  }
  POLL_UNTIL(&mgr, peer_has(&p, 100 * MG_IO_SIZE));
  peer_free(&p);
  mg_mgr_free(&mgr);
  remove("blocks.bin");
}

// A handler that closes when the last of a file is out hears of nothing more, whatever it leaves behind.
static void closes_behind_a_file(struct mg_connection *c, int ev, void *ev_data) {
  if (c->is_listening) return;
  if (closed > 0) requests++;
  if (ev == MG_EV_CLOSE) closed++;
  if (ev == MG_EV_WRITE && closed == 0 && opened++ > 1 && !c->is_resp) {
    mg_close_conn(c);
    mg_iobuf_add(&c->recv, 0, "GET / HTTP/1.1\r\n\r\n", 18);
  }
  serves_in_blocks(c, ev, ev_data);
}

static void closed_behind_a_file(void) {
  char *block = (char *) calloc(1, 10 * MG_IO_SIZE);
  struct mg_connection *l;
  struct peer p;
  forget();
  l = serve(&mgr, closes_behind_a_file, NULL);
  CHECK(mg_file_write(&mg_fs_posix, "blocks.bin", block, 10 * MG_IO_SIZE));
  free(block);
  peer_open(&p, l);
  CHECK(peer_send_text(&p, GET("/")));
  POLL_UNTIL(&mgr, closed > 0);
  poll_often(&mgr);
  CHECK_EQ(closed, 1);
  CHECK_EQ(requests, 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
  remove("blocks.bin");
}

// A handler closes within a file, whose protocol handler it has taken away, and serves one on a connection that gets its place: that
// gets all of it.
static int served_end;

static void serves_on_another(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message hm;
  serves_in_blocks(c, ev, ev_data);
  if (ev != MG_EV_WRITE || opened++ > 0) return;
  c->pfn = NULL;
  mg_close_conn(c);
  CHECK(mg_http_parse(GET("/"), strlen(GET("/")), &hm) > 0);
  serves_in_blocks(mg_wrapfd(&mgr, served_end, named, NULL), MG_EV_HTTP_MSG, &hm);
}

static void a_file_in_its_place(void) {
  const size_t size = 10 * MG_IO_SIZE;
  char *block = (char *) calloc(1, size);
  struct mg_connection *l;
  struct peer p, other;
  int ends[2];
  forget();
  memset(&other, 0, sizeof(other));
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  served_end = ends[0];
  other.fd = ends[1];
  CHECK(mg_file_write(&mg_fs_posix, "blocks.bin", block, size));
  free(block);
  l = serve(&mgr, serves_on_another, NULL);
  peer_open(&p, l);
  CHECK(peer_send_text(&p, GET("/")));
  POLL_UNTIL(&mgr, peer_has(&other, size));
  peer_free(&p);
  mg_mgr_free(&mgr);
  peer_free(&other);
  remove("blocks.bin");
}

// A drain that begins before the first poll has all its time.
static void a_drain_before_the_first_poll(void) {
  int ends[2];
  struct mg_connection *c;
  char *block = (char *) calloc(1, BIG);
  forget();
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  mg_mgr_init(&mgr);
  c = mg_wrapfd(&mgr, ends[0], counts_errors, NULL);
  CHECK(mg_send(c, block, BIG));
  CHECK(mgx_conn_drain(c, NULL));
  poll_often(&mgr);
  CHECK(mgr.conns == c);
  free(block);
  close(ends[1]);
  mg_mgr_free(&mgr);
}

// As long as the application has linked a connection of its own, every poll goes over all.
static void wakes_leave_nothing(void) {
  struct mg_connection *c, *own;
  size_t before = 0;
  int i;
  mg_mgr_init(&mgr);
  c = udp("a");
  mgx_conn_poll_events(c, false);
  own = mg_alloc_conn(&mgr);
  own->fn = named, own->fn_data = (void *) "o", own->fd = (void *) (size_t) -1;
  own->next = mgr.conns, mgr.conns = own;
  clock_ms += 100;
  for (i = 0; i < 8000; i++) {
    if (i == 1000) before = memory_in_use();
    mgx_conn_poll_events(c, false);
    once("o");
  }
  CHECK(memory_in_use() < before + 20000);
  mg_mgr_free(&mgr);
}

// ---- what wakes a poll
// What is known already, of a connection that is paused, does not: nothing can be done about it.
static void known_events_do_not_wake(bool more, bool end) {
  struct peer p;
  struct mg_connection *c = accepted(&p);
  uint64_t began;
  c->is_full = 1;
  CHECK(peer_send_text(&p, "a"));
  if (end) peer_shut(&p);
  await(c, POLLIN);
  if (!more) poll_often(&mgr); else mg_mgr_poll(&mgr, 0);
  if (more && !end) CHECK(peer_send_text(&p, "b"));
  began = real_ms();
  mg_mgr_poll(&mgr, 20);
  CHECK(real_ms() - began >= 19);
  c->is_full = 0;
  POLL_UNTIL(&mgr, requests > 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// The end of the stream wakes a poll although reading is paused, and is not forgotten: no further event may tell of it.
static void the_end_behind_a_pause(void) {
  struct peer p;
  struct mg_connection *c = accepted(&p);
  uint64_t began;
  c->is_full = 1;
  CHECK(peer_send_text(&p, "what waits"));
  await(c, POLLIN);
  poll_often(&mgr);
  peer_shut(&p);
  began = real_ms();
  mg_mgr_poll(&mgr, 20000);
  CHECK(real_ms() - began < 10000);
  c->is_full = 0;
  POLL_UNTIL(&mgr, requests > 0 && closed == 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// Nor does a client that has connected, after the poll that tells it so.
static void counts_connects(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) opened++;
  (void) c, (void) ev_data;
}

static void connected(void) {
  struct mg_connection *l;
  uint64_t began;
  forget();
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", writes_on, NULL);
  mg_connect(&mgr, url_of(l, "tcp"), counts_connects, NULL);
  POLL_UNTIL(&mgr, last != NULL);
  while (opened == 0) mg_mgr_poll(&mgr, 1);
  began = real_ms();
  mg_mgr_poll(&mgr, 20);
  CHECK(real_ms() - began >= 19);
  mg_mgr_free(&mgr);
}

// However short it is, it does not wait when something is due: at least one of many takes less than that.
static void counts(void *arg) {
  ++*(int *) arg;
}

static uint64_t real_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

static void a_poll_of_a_millisecond(void) {
  uint64_t began, took = 1000;
  int i, calls = 0;
  mg_mgr_init(&mgr);
  mg_timer_add(&mgr, 1, MG_TIMER_REPEAT, counts, &calls);
  for (i = 0; i < 1000 && took >= 1000; i++) {
    clock_ms++;
    began = real_us();
    mg_mgr_poll(&mgr, 1);
    took = real_us() - began;
  }
  CHECK(took < 1000);
  CHECK(calls >= i - 1);
  mg_mgr_free(&mgr);
}

// The same with input that is left from the poll before.
static void input_left_over(void) {
  uint64_t began, took = 1000;
  struct mg_connection *a;
  int i, k;
  mg_mgr_init(&mgr);
  a = udp("a");
  for (i = 0; i < 50 && took >= 1000; i++) {
    for (k = 0; k < 17; k++) send_to(a);  // one more than a poll reads
    await(a, POLLIN);
    turns[0] = '\0';
    mg_mgr_poll(&mgr, 0);
    CHECK(turns[0] == 'a' && strlen(turns) == 17);
    began = real_us();
    mg_mgr_poll(&mgr, 20);
    took = real_us() - began;
    poll_often(&mgr);
  }
  CHECK(took < 1000);
  mg_mgr_free(&mgr);
}

// The end of a drain, and that of the socket which lingers after it.
static void a_drain_ends_a_wait(void) {
  struct mgx_drain_opts o;
  struct mg_connection *l;
  struct peer p;
  uint64_t began;
  memset(&o, 0, sizeof(o));
  o.idle_grace_ms = o.linger_idle_ms = 20;
  forget();
  l = serve(&mgr, server, NULL);
  join(&mgr, l, &p);
  CHECK(mgx_conn_drain(last, &o));
  mg_mgr_poll(&mgr, 0);
  began = real_ms();
  mg_mgr_poll(&mgr, 20000);
  CHECK(real_ms() - began < 10000);
  CHECK_EQ(closed, 0);
  clock_ms += 20;
  poll_often(&mgr);
  CHECK_EQ(closed, 1);
  began = real_ms();
  mg_mgr_poll(&mgr, 20000);
  CHECK(real_ms() - began < 10000);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// A connection that has gone leaves no time at which it would have had something to do.
static void broker(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MQTT_OPEN) opened++;
  if (ev == MG_EV_MQTT_CMD && c->is_accepted) mg_send(c, "\x20\2\0\0", 4);
  (void) ev_data;
}

static void no_time_left_behind(void) {
  struct mg_mqtt_opts o;
  struct mg_connection *l, *c;
  memset(&o, 0, sizeof(o));
  o.keepalive = 100;
  forget();
  mg_mgr_init(&mgr);
  l = mg_mqtt_listen(&mgr, "mqtt://127.0.0.1:0", broker, NULL);
  c = mg_mqtt_connect(&mgr, url_of(l, "mqtt"), &o, broker, NULL);
  POLL_UNTIL(&mgr, opened == 1);
  CHECK(mgx_mgr_timeout_ms(&mgr) >= 0);
  mg_close_conn(c);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
  CHECK_EQ(mgx_mgr_timeout_ms(&mgr), -1);
  mg_mgr_free(&mgr);
}

// A client that has closed its sending side waits for a response, which the application gives up.
static void a_response_given_up(void) {
  struct mg_connection *l;
  struct peer p;
  uint64_t began;
  struct mgx_limits limits;
  memset(&limits, 0, sizeof(limits));
  limits.half_close_ms = 60000;
  forget();
  l = serve(&mgr, server, NULL);
  mgx_mgr_limits(&mgr, &limits);
  join(&mgr, l, &p);
  CHECK(peer_send_text(&p, GET("/none")));
  peer_shut(&p);
  POLL_UNTIL(&mgr, requests == 1);
  poll_often(&mgr);
  CHECK_EQ(closed, 0);
  last->is_resp = 0;
  began = real_ms();
  mg_mgr_poll(&mgr, 20000);
  CHECK(real_ms() - began < 10000);
  CHECK_EQ(closed, 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// ---- the list belongs to the application, too
static void an_own_connection_taken_off(void) {
  static struct mg_connection own;
  struct mg_connection *c;
  mg_mgr_init(&mgr);
  c = udp("a");
  own.mgr = &mgr, own.fn = named, own.fn_data = (void *) "o";
  c->next = &own;
  once("ao");
  c->next = NULL;
  own.next = c;  // the memory is the application's again
  mg_close_conn(c);
  CHECK(mgr.conns == NULL);
  CHECK(own.next == c);
  mg_mgr_free(&mgr);
}

// What it has queued is not sent, and lets polls sleep.
static void an_own_connection_with_output(void) {
  struct mg_connection *own;
  uint64_t began;
  mg_mgr_init(&mgr);
  own = mg_alloc_conn(&mgr);
  own->fn = named, own->fn_data = (void *) "o", own->fd = (void *) (size_t) -1;
  own->next = mgr.conns, mgr.conns = own;
  mg_send(own, "x", 1);
  once("o");
  began = real_ms();
  mg_mgr_poll(&mgr, 20);
  CHECK(real_ms() - began >= 19);
  CHECK_EQ(own->send.len, 1);
  mg_mgr_free(&mgr);
}

// ---- a response to a connection that has had its turn, and is to close
static struct mg_connection *asking;

static void answers_newer(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) asking = c;
  if (ev != MG_EV_POLL || !c->is_listening || asking == NULL) return;
  mg_http_reply(asking, 200, "", "hi");
  asking->is_draining = 1;
  asking = NULL;
  (void) ev_data;
}

static void the_last_response_says_so(void) {
  struct mg_connection *l = serve(&mgr, answers_newer, NULL);
  struct peer p;
  peer_open(&p, l);
  CHECK(peer_send_text(&p, GET("/")));
  expect_end(&mgr, &p, "HTTP/1.1 200 OK\r\nContent-Length: 2          \r\nConnection: close\r\n\r\nhi");
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  int ways;
  mg_log_set(MG_LL_NONE);  // a reset is an error
  newest_first();
  one_turn_each();
  for (ways = 0; ways < 2; ways++) {
    without_polls = ways == 1;
    closed_in_a_nested_poll();
    freed_in(-1);
    freed_in(MG_EV_POLL);
    freed_in(MG_EV_READ);
    freed_in(MG_EV_CLOSE);
    freed_and_made_anew();
    nothing_due_waits();
    polls_leave_nothing();
    closed_ones_leave_nothing();
  }
  work_goes_on();
  idle_protocols();
  a_flag_set_directly();
  wakes_leave_nothing();
  managers_leave_nothing();
  messages_that_nobody_fetches_leave_nothing();
  late_output_leaves_nothing();
  paused_ones_leave_nothing();
  rest_frees_memory();
  a_lookup_before_the_first_poll();
  the_rest_of_a_wait();
  resets_at_once();
  freed_in_spite_of(1);
  freed_in_spite_of(1 << 30);
  freed_against_its_will(false);
  freed_against_its_will(true);
  writable_only();
  flags_cleared();
  one_write_a_poll();
  sent_in_the_same_poll();
  eight_blocks_a_poll();
  closed_behind_a_file();
  a_file_in_its_place();
  a_drain_before_the_first_poll();
  for (ways = 0; ways < 4; ways++) known_events_do_not_wake(ways >= 2, ways % 2 == 1);
  connected();
  the_end_behind_a_pause();
  a_poll_of_a_millisecond();
  input_left_over();
  a_drain_ends_a_wait();
  no_time_left_behind();
  a_response_given_up();
  an_own_connection_taken_off();
  an_own_connection_with_output();
  the_last_response_says_so();
  return DONE();
}
