// Sharing a port between managers, passing on a listener, and adopting one.
#include "mongoose.h"

#include <sys/un.h>

#include "ext.h"

static struct mg_mgr mgr, other;
static struct mg_connection *listener;

static bool ask_once(struct mg_connection *l) {
  struct peer p;
  uint64_t end = real_ms() + 20000;
  bool ok;
  peer_open(&p, l);
  peer_send_text(&p, GET("/hi"));
  while (!peer_has(&p, strlen(HI)) && real_ms() < end) mg_mgr_poll(&mgr, 1), mg_mgr_poll(&other, 1);
  ok = peer_got(&p, HI);
  peer_free(&p);
  return ok;
}

static void two_managers_on_one_port(void) {
  struct mg_connection *second, *third;
  struct mgx_stats a, b;
  char url[64];
  int i;
  forget();
  mg_mgr_init(&mgr);
  mg_mgr_init(&other);
  CHECK(mgx_listen_reuseport(&mgr, true));
  CHECK(mgx_listen_reuseport(&other, true));
  listener = mg_http_listen(&mgr, "http://127.0.0.1:0", server, NULL);
  mg_snprintf(url, sizeof(url), "%s", url_of(listener, "http"));
  second = mg_http_listen(&other, url, server, NULL);
  CHECK(second != NULL);
  for (i = 0; i < 64; i++) CHECK(ask_once(listener));
  mgx_mgr_stats(&mgr, &a);
  mgx_mgr_stats(&other, &b);
  CHECK_EQ(a.accepted + b.accepted, 64);
  CHECK(a.accepted > 0 && b.accepted > 0);  // by chance not, once in 10^19 runs
  CHECK(mgx_listen_reuseport(&other, false));
  third = mg_http_listen(&other, url, server, NULL);
  CHECK(third == NULL);
  // One of them leaves; the other takes everything.
  CHECK(mgx_mgr_drain_wait(&mgr));
  for (i = 0; i < 8; i++) CHECK(second != NULL && ask_once(second));
  mg_mgr_free(&mgr);
  mg_mgr_free(&other);
}

// ---- over a UNIX socket, as two processes would
static void send_descriptor(int to, int fd) {
  union {
    struct cmsghdr align;
    char room[CMSG_SPACE(sizeof(int))];
  } u;
  struct iovec iov;
  struct msghdr msg;
  char byte = 'x';
  memset(&u, 0, sizeof(u));
  memset(&msg, 0, sizeof(msg));
  iov.iov_base = &byte;
  iov.iov_len = 1;
  msg.msg_iov = &iov;
  msg.msg_iovlen = 1;
  msg.msg_control = u.room;
  msg.msg_controllen = sizeof(u.room);
  CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
  CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
  CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &fd, sizeof(fd));
  CHECK(sendmsg(to, &msg, 0) == 1);
}

static int receive_descriptor(int from) {
  union {
    struct cmsghdr align;
    char room[CMSG_SPACE(sizeof(int))];
  } u;
  struct iovec iov;
  struct msghdr msg;
  char byte;
  int fd = -1;
  memset(&msg, 0, sizeof(msg));
  iov.iov_base = &byte;
  iov.iov_len = 1;
  msg.msg_iov = &iov;
  msg.msg_iovlen = 1;
  msg.msg_control = u.room;
  msg.msg_controllen = sizeof(u.room);
  CHECK(recvmsg(from, &msg, 0) == 1);
  if (CMSG_FIRSTHDR(&msg) != NULL) memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
  return fd;
}

static void listener_passed_to_another_process(void) {
  struct mg_connection *adopted;
  struct peer waiting, idle;
  size_t files = open_files();
  int pair[2], fd;
  forget();
  listener = serve(&mgr, server, NULL);
  mg_mgr_init(&other);
  join(&mgr, listener, &idle);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  CHECK(mgx_listener_fd(listener) >= 0);
  CHECK_EQ(mgx_listener_fd(last), -1);
  send_descriptor(pair[0], mgx_listener_fd(listener));
  fd = receive_descriptor(pair[1]);
  CHECK(fd >= 0 && fd != mgx_listener_fd(listener));
  adopted = mgx_listen_fd(&other, fd, "http://", server, NULL);
  CHECK(adopted != NULL);
  CHECK_EQ(mgx_listener_fd(adopted), fd);
  CHECK_EQ(port_of(adopted), port_of(listener));
  CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(ask_once(adopted));
  // The predecessor leaves. What waits in the socket's queue at that moment stays there, for the successor.
  CHECK(mgx_mgr_drain(&mgr, NULL));
  POLL_UNTIL(&mgr, mgx_mgr_phase(&mgr) == MGX_MGR_IDLE_GRACE);
  peer_open(&waiting, adopted);
  CHECK(peer_send_text(&waiting, GET("/hi")));
  poll_often(&mgr);
  CHECK_EQ(waiting.len, 0);
  POLL_UNTIL(&other, peer_has(&waiting, strlen(HI)));
  CHECK(peer_got(&waiting, HI));
  // The predecessor's poller hears nothing more of the socket.
  {
    uint64_t began = real_ms();
    struct peer p;
    peer_open(&p, adopted);
    while (mgx_mgr_phase(&mgr) != MGX_MGR_DONE && real_ms() < began + 20000) mg_mgr_poll(&mgr, 60000);
    began = real_ms();
    mg_mgr_poll(&mgr, 300);
    CHECK(real_ms() >= began + 290);
    peer_free(&p);
  }
  expect_end(&mgr, &idle, "");
  mg_mgr_free(&mgr);
  mg_mgr_free(&other);
  peer_free(&idle);
  peer_free(&waiting);
  close(pair[0]);
  close(pair[1]);
  CHECK_EQ(open_files(), files);
}

// ---- what may be adopted
static int bound_socket(int type, bool listening, struct sockaddr_in *sin) {
  int fd = socket(AF_INET, type, 0);
  socklen_t len = sizeof(*sin);
  memset(sin, 0, sizeof(*sin));
  sin->sin_family = AF_INET;
  sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, (struct sockaddr *) sin, sizeof(*sin)) == 0);
  if (listening) CHECK(listen(fd, 5) == 0);
  getsockname(fd, (struct sockaddr *) sin, &len);
  return fd;
}

static void echo(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_READ) mg_send(c, c->recv.buf, c->recv.len), c->recv.len = 0;
  (void) ev_data;
}

static void adopted_sockets(void) {
  struct sockaddr_in sin;
  struct mg_connection *c;
  struct peer p;
  char buf[10] = "";
  int fd, data = 5, pipes[2];
  forget();
  mg_mgr_init(&mgr);
  mg_mgr_init(&other);
  // A blocking one, as systemd hands them out.
  fd = bound_socket(SOCK_STREAM, true, &sin);
  c = mgx_listen_fd(&mgr, fd, "tcp://", echo, &data);
  CHECK(c != NULL);
  CHECK(c->is_listening && !c->is_udp && !c->is_tls && c->pfn == NULL && c->fn_data == &data);
  CHECK_EQ(c->loc.port, sin.sin_port);
  join(&mgr, c, &p);
  CHECK(last->fn_data == &data);
  CHECK(peer_send_text(&p, "abc"));
  expect_open(&mgr, &p, "abc");
  peer_free(&p);
  c->is_closing = 1;
  mg_mgr_poll(&mgr, 0);
  CHECK(fcntl(fd, F_GETFD) < 0);  // it was the manager's

  fd = bound_socket(SOCK_DGRAM, false, &sin);
  c = mgx_listen_fd(&mgr, fd, "udp://", echo, NULL);
  CHECK(c != NULL && c->is_listening && c->is_udp);
  p.fd = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK(sendto(p.fd, "hello", 5, 0, (struct sockaddr *) &sin, sizeof(sin)) == 5);
  POLL_UNTIL(&mgr, recv(p.fd, buf, sizeof(buf), MSG_DONTWAIT) == 5);
  CHECK(memcmp(buf, "hello", 5) == 0);
  close(p.fd);

  // Refused, and still the caller's.
  fd = bound_socket(SOCK_STREAM, false, &sin);
  CHECK(mgx_listen_fd(&mgr, fd, "http://", server, NULL) == NULL);  // not listening
  CHECK(fcntl(fd, F_GETFD) >= 0);
  CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
  close(fd);
  CHECK(pipe(pipes) == 0);
  CHECK(mgx_listen_fd(&mgr, pipes[0], "http://", server, NULL) == NULL);
  CHECK(fcntl(pipes[0], F_GETFD) >= 0);
  close(pipes[0]);
  close(pipes[1]);
  CHECK(mgx_listen_fd(&mgr, -1, "http://", server, NULL) == NULL);
  CHECK(mgx_listen_fd(&mgr, 99999, "http://", server, NULL) == NULL);
  mg_mgr_free(&mgr);
  mg_mgr_free(&other);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  two_managers_on_one_port();
  listener_passed_to_another_process();
  adopted_sockets();
  return DONE();
}
