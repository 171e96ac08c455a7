// Readiness that the kernel reports once is not forgotten, and readiness that it keeps reporting does not keep the process busy.
// not under: short: it counts reads
#include "mongoose.h"
#include "mongoose_ext.h"

#include "peer.h"

#ifdef __linux__
#include <dlfcn.h>

static int slow_fd = -1;  // this socket is read byte by byte

// The library's calls come here.
ssize_t recv(int fd, void *buf, size_t len, int flags) {
  static ssize_t (*next)(int, void *, size_t, int);
  if (next == NULL) *(void **) &next = dlsym(RTLD_NEXT, "recv");
  return next(fd, buf, fd == slow_fd && len > 1 ? 1 : len, flags);
}
#endif

static int reads, connects, closes, wakeups;
static size_t bytes;

static void counter(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) connects++;
  if (ev == MG_EV_CLOSE) closes++;
  if (ev == MG_EV_WAKEUP) wakeups++;
  if (ev == MG_EV_READ) {
    reads++;
    bytes += (size_t) *(long *) ev_data;
    c->recv.len = 0;
  }
}

static void reset_counters(void) {
  reads = connects = closes = wakeups = 0;
  bytes = 0;
}

// Ten polls of 10 ms each must last, once everything has settled.
static bool sleeps(struct mg_mgr *mgr) {
  int tries, i;
  for (tries = 0; tries < 20; tries++) {
    uint64_t begin = real_ms();
    for (i = 0; i < 10; i++) mg_mgr_poll(mgr, 10);
    if (real_ms() - begin >= 80) return true;
  }
  return false;
}

static struct mg_connection *accepted_of(struct mg_mgr *mgr) {
  struct mg_connection *c;
  for (c = mgr->conns; c != NULL && !c->is_accepted;) c = c->next;
  return c;
}

static void bytes_that_come_with_the_connection_are_read(void) {
  struct mg_mgr mgr;
  struct sockaddr_in sin;
  socklen_t len = sizeof(sin);
  char url[50];
  int fd = socket(AF_INET, SOCK_STREAM, 0), peer;
  reset_counters();
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == 0 && listen(fd, 1) == 0);
  CHECK(getsockname(fd, (struct sockaddr *) &sin, &len) == 0);
  mg_mgr_init(&mgr);
  mg_snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", (int) ntohs(sin.sin_port));
  mg_connect(&mgr, url, counter, NULL);
  peer = accept(fd, NULL, NULL);
  CHECK(send(peer, "220 hello\r\n", 11, 0) == 11);
  usleep(20000);
  POLL_UNTIL(&mgr, bytes == 11);
  CHECK_EQ(connects, 1);
  CHECK_EQ(reads, 1);
  mg_mgr_free(&mgr);
  close(peer);
  close(fd);
}

static void every_message_of_a_wrapped_socket_is_read(int type) {
  struct mg_mgr mgr;
  int fds[2], i;
  reset_counters();
  mg_mgr_init(&mgr);
  CHECK(socketpair(AF_UNIX, type, 0, fds) == 0);
  mg_wrapfd(&mgr, fds[0], counter, NULL);
  for (i = 0; i < 40; i++) CHECK(send(fds[1], "message", 7, 0) == 7);
  POLL_UNTIL(&mgr, bytes == 280);
#ifndef _WIN32  // the pair is a stream
  CHECK_EQ(reads, 40);
#endif
  CHECK(sleeps(&mgr));
  mg_mgr_free(&mgr);
  close(fds[1]);
}

// The peer sends, and reads nothing of a long reply.
static void unread_input_of_a_draining_connection_lets_polls_sleep(void) {
  struct mg_mgr mgr;
  struct peer p;
  char *body = make_body(4000000);
  struct mg_connection *c;
  reset_counters();
  mg_mgr_init(&mgr);
  c = mg_listen(&mgr, "tcp://127.0.0.1:0", counter, NULL);
  peer_connect(&p, port_of(c), 4096);
  POLL_UNTIL(&mgr, (c = accepted_of(&mgr)) != NULL);
  mg_send(c, body, 4000000);
  c->is_draining = 1;
  poll_often(&mgr);
  peer_send_text(&p, "more");
  poll_often(&mgr);
  peer_send_text(&p, "and more");
  CHECK(sleeps(&mgr));
  CHECK_EQ(reads, 0);
  // A drain that is taken back.
  c->is_draining = 0;
  POLL_UNTIL(&mgr, bytes == 12);
  c->is_draining = 1;
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(peer_got_bytes(&p, body, 4000000));
  CHECK_EQ(p.end, PEER_FIN);
  mg_mgr_free(&mgr);
  peer_free(&p);
  free(body);
}

#ifndef _WIN32
// The socket stays open, and the poller cannot know that it is none of ours any more.
static void a_duplicate_of_a_closed_connections_socket_lets_polls_sleep(bool lingers) {
  struct mg_mgr mgr;
  struct peer p;
  struct mg_connection *c;
  int copy;
  reset_counters();
  mg_mgr_init(&mgr);
  c = mg_listen(&mgr, "tcp://127.0.0.1:0", counter, NULL);
  peer_connect(&p, port_of(c), 0);
  POLL_UNTIL(&mgr, (c = accepted_of(&mgr)) != NULL);
  copy = dup((int) (size_t) c->fd);
  CHECK(copy >= 0);
  if (lingers) c->is_draining = 1;
  else c->is_closing = 1;
  POLL_UNTIL(&mgr, closes == 1);
  if (lingers) {
    peer_shut(&p);
    poll_often(&mgr);
  } else {
    peer_send_text(&p, "for the owner of the duplicate");
  }
  CHECK(sleeps(&mgr));
  CHECK_EQ(reads, 0);
  mg_mgr_free(&mgr);
  close(copy);
  peer_free(&p);
}
#endif

// From the end of the stream on, every event says readable, too.
static void a_half_closed_peer_that_reads_slowly_lets_polls_sleep(void) {
  struct mg_mgr mgr;
  struct peer p;
  size_t size = 8000000;
  char *body = make_body(size);
  struct mg_connection *c;
  int i;
  reset_counters();
  mg_mgr_init(&mgr);
  c = mg_listen(&mgr, "tcp://127.0.0.1:0", counter, NULL);
  peer_connect(&p, port_of(c), 4096);
  POLL_UNTIL(&mgr, (c = accepted_of(&mgr)) != NULL);
  mg_send(c, body, size);
  poll_often(&mgr);
  peer_shut(&p);
  poll_often(&mgr);
  for (i = 0; i < 3; i++) {
    size_t left = c->send.len;
    POLL_UNTIL(&mgr, (peer_take(&p, 500000), c->send.len < left));
    CHECK(sleeps(&mgr));
  }
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(peer_got_bytes(&p, body, size));
  mg_mgr_free(&mgr);
  peer_free(&p);
  free(body);
}

static void print_back(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    mg_printf(c, "to %.*s", (int) c->recv.len, c->recv.buf);
    c->recv.len = 0;
  }
  (void) ev_data;
}

static void printed_answers_go_to_the_sender_of_each_datagram(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  struct sockaddr_in sin;
  int fds[3], i;
  mg_mgr_init(&mgr);
  c = mg_listen(&mgr, "udp://127.0.0.1:0", print_back, NULL);
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_port = c->loc.port;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (i = 0; i < 3; i++) {
    char name = (char) ('a' + i);
    fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(sendto(fds[i], &name, 1, 0, (struct sockaddr *) &sin, sizeof(sin)) == 1);
  }
  poll_often(&mgr);
  for (i = 0; i < 3; i++) {
    char buf[20], want[] = "to a";
    want[3] = (char) ('a' + i);
    CHECK_EQ(recv(fds[i], buf, sizeof(buf), MSG_DONTWAIT), 4);
    CHECK(memcmp(buf, want, 4) == 0);
    close(fds[i]);
  }
  mg_mgr_free(&mgr);
}

static void output_without_a_destination_is_harmless(void) {
  struct mg_mgr mgr;
  struct mg_connection *listener, *c;
  unsigned long id;
  reset_counters();
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, "tcp://127.0.0.1:0", counter, NULL);
  id = listener->id;
  CHECK(mg_wakeup_init(&mgr));
  for (c = mgr.conns; c != NULL; c = c->next) mg_send(c, "to everybody", 12);
  poll_often(&mgr);
  for (c = mgr.conns; c != NULL; c = c->next) mg_send(c, "again", 5);
  CHECK(sleeps(&mgr));
  CHECK_EQ(closes, 0);
  CHECK_EQ(count_conns(&mgr), 2);
  CHECK(mg_wakeup(&mgr, id, "x", 1));
  poll_often(&mgr);
  CHECK_EQ(wakeups, 1);
  mg_mgr_free(&mgr);
}

static void a_full_connection_resumes_reading(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  int fds[2];
  reset_counters();
  mg_mgr_init(&mgr);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  c = mg_wrapfd(&mgr, fds[0], counter, NULL);
  c->is_full = 1;
  CHECK(send(fds[1], "x", 1, 0) == 1);
  poll_often(&mgr);
  CHECK(shutdown(fds[1], SHUT_WR) == 0);
  CHECK(sleeps(&mgr));
  CHECK_EQ(reads, 0);
  c->is_full = 0;
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(reads, 1);
  mg_mgr_free(&mgr);
  close(fds[1]);
}

// Without MG_EV_POLL a connection is looked at now and then, also when no poll ever sleeps.
static void flags_without_poll_events_are_noticed_by_busy_polls(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  uint64_t end = real_ms() + 10000;
  reset_counters();
  mg_mgr_init(&mgr);
  c = mg_listen(&mgr, "tcp://127.0.0.1:0", counter, NULL);
  mgx_conn_poll_events(c, false);
  poll_often(&mgr);
  c->is_closing = 1;
  while (closes == 0 && real_ms() < end) mg_mgr_poll(&mgr, 0);
  CHECK_EQ(closes, 1);
  mg_mgr_free(&mgr);
}

static void never_respond(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CLOSE && c->is_accepted) closes++;
  (void) ev_data;
}

static void a_connection_without_poll_events_is_closed_at_the_deadline(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  struct peer p;
  struct mgx_mgr_drain_opts opts;
  reset_counters();
  c = serve(&mgr, never_respond, NULL);
  peer_open(&p, c);
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, (c = accepted_of(&mgr)) != NULL && c->is_resp);
  mgx_conn_poll_events(c, false);
  memset(&opts, 0, sizeof(opts));
  opts.deadline_ms = 50;
  mgx_mgr_drain(&mgr, &opts);
  POLL_UNTIL(&mgr, mgx_mgr_phase(&mgr) == MGX_MGR_DONE);
  CHECK_EQ(closes, 1);
  mg_mgr_free(&mgr);
  peer_free(&p);
}

static void a_drain_whose_deadline_comes_before_the_end_of_its_first_phase_lets_polls_sleep(void) {
  struct mg_mgr mgr;
  struct mgx_mgr_drain_opts opts;
  int polls = 0;
  reset_counters();
  mg_mgr_init(&mgr);
  mg_listen(&mgr, "tcp://127.0.0.1:0", counter, NULL);
  memset(&opts, 0, sizeof(opts));
  opts.lame_duck_ms = 400;
  opts.deadline_ms = 50;
  mgx_mgr_drain(&mgr, &opts);
  for (; mgx_mgr_phase(&mgr) != MGX_MGR_DONE && polls < 1000; polls++) mg_mgr_poll(&mgr, 100);
  CHECK(polls < 20);
  CHECK_EQ(closes, 1);
  mg_mgr_free(&mgr);
}

#ifdef __linux__
static void drains(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) {
    struct mgx_drain_opts opts;
    memset(&opts, 0, sizeof(opts));
    opts.linger_idle_ms = opts.linger_total_ms = -1;
    slow_fd = (int) (size_t) c->fd;
    mg_send(c, "bye", 3);
    mgx_conn_drain(c, &opts);
    c->is_draining = 1;
  }
  (void) ev_data;
}

static void a_drained_client_reads_all_that_follows_however_many_reads_that_takes(void) {
  static char data[300];
  struct mg_mgr mgr;
  struct sockaddr_in sin;
  socklen_t len = sizeof(sin);
  struct peer p;
  size_t files;
  char url[50];
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  memset(&sin, 0, sizeof(sin));
  memset(&p, 0, sizeof(p));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == 0 && listen(fd, 1) == 0);
  CHECK(getsockname(fd, (struct sockaddr *) &sin, &len) == 0);
  mg_mgr_init(&mgr);
  files = open_files();
  mg_snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", (int) ntohs(sin.sin_port));
  mg_connect(&mgr, url, drains, NULL);
  p.fd = accept(fd, NULL, NULL);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(p.end == PEER_FIN && peer_got(&p, "bye"));
  CHECK(peer_send(&p, data, sizeof(data)));
  peer_shut(&p);
  POLL_UNTIL(&mgr, open_files() == files + 1);  // the peer
  slow_fd = -1;
  peer_free(&p);
  close(fd);
  mg_mgr_free(&mgr);
}
#endif

int main(void) {
  mg_log_level = MG_LL_NONE;
  bytes_that_come_with_the_connection_are_read();
  every_message_of_a_wrapped_socket_is_read(SOCK_SEQPACKET);
  every_message_of_a_wrapped_socket_is_read(SOCK_DGRAM);
  unread_input_of_a_draining_connection_lets_polls_sleep();
#ifndef _WIN32
  a_duplicate_of_a_closed_connections_socket_lets_polls_sleep(false);
  a_duplicate_of_a_closed_connections_socket_lets_polls_sleep(true);
#endif
  a_half_closed_peer_that_reads_slowly_lets_polls_sleep();
  printed_answers_go_to_the_sender_of_each_datagram();
  output_without_a_destination_is_harmless();
  a_full_connection_resumes_reading();
  flags_without_poll_events_are_noticed_by_busy_polls();
  a_connection_without_poll_events_is_closed_at_the_deadline();
  a_drain_whose_deadline_comes_before_the_end_of_its_first_phase_lets_polls_sleep();
#ifdef __linux__
  a_drained_client_reads_all_that_follows_however_many_reads_that_takes();
#endif
  return DONE();
}
