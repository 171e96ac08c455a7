// Managers that survive in child processes: prefork servers, children that free their copy, daemons. A child creates its own
// poller at its first call and takes nothing from its parent.
// timeout: 180
#include "mongoose.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "peer.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static struct mg_mgr mgr;

static void reply_with_pid(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "%d\n", (int) getpid());
  (void) ev_data;
}

// A child ends with its parent's end of the pipe, whatever happens to the parent.
static void serve_until_closed(int pipe_end) {
  struct pollfd p;
  p.fd = pipe_end;
  p.events = POLLIN;
  while (poll(&p, 1, 0) == 0) mg_mgr_poll(&mgr, 20);
}

static pid_t begin_child(int *pipe_end) {
  int ends[2];
  pid_t pid;
  CHECK(pipe(ends) == 0);
  pid = fork();
  if (pid == 0) {
    close(ends[1]);
    *pipe_end = ends[0];
  } else {
    close(ends[0]);
    *pipe_end = ends[1];
  }
  CHECK(pid >= 0);
  return pid;
}

static void end_child(pid_t pid, int pipe_end) {
  int status = -1;
  close(pipe_end);
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
}

static const char *body_of(struct peer *p) {
  const char *at;
  peer_read(p);
  if (p->len == 0 || p->buf[p->len - 1] != '\n') return NULL;
  p->buf[p->len] = '\0';
  at = strstr(p->buf, "\r\n\r\n");
  return at == NULL || at[4] == '\0' ? NULL : at + 4;
}

// The process that answers; 0 when none does within 20 seconds.
static pid_t served_by(struct peer *p) {
  uint64_t until = real_ms() + 20000;
  const char *body = NULL;
  while ((body = body_of(p)) == NULL && p->end == PEER_OPEN && real_ms() < until) usleep(200);
  return body == NULL ? 0 : (pid_t) atoi(body);
}

static pid_t polled_and_served_by(struct peer *p) {
  const char *body = NULL;
  POLL_UNTIL(&mgr, (body = body_of(p)) != NULL);
  return body == NULL ? 0 : (pid_t) atoi(body);
}

enum { CHILDREN = 3, CONNECTIONS = 200 };

static void prefork(bool polled_before, bool at_once) {
  struct mg_connection *l = serve(&mgr, reply_with_pid, NULL);
  static struct peer p[CONNECTIONS];
  pid_t pids[CHILDREN];
  int ends[CHILDREN], i, k, lost = 0, strange = 0;
  if (polled_before) poll_often(&mgr);
  for (i = 0; i < CHILDREN; i++) {
    if ((pids[i] = begin_child(&ends[i])) == 0) {
      for (k = 0; k < i; k++) close(ends[k]);
      serve_until_closed(ends[i]);
      mg_mgr_free(&mgr);
      _exit(checks_failed);
    }
  }
  for (i = 0; i < CONNECTIONS; i++) {
    peer_open(&p[i], l);
    CHECK(peer_send_text(&p[i], GET));
    if (!at_once) lost += served_by(&p[i]) == 0;
    if (!at_once) peer_free(&p[i]);
  }
  for (i = 0; at_once && i < CONNECTIONS; i++) {
    pid_t by = served_by(&p[i]);
    bool known = false;
    for (k = 0; k < CHILDREN; k++) known = known || by == pids[k];
    lost += by == 0;
    strange += by != 0 && !known;
  }
  CHECK_EQ(lost, 0);
  CHECK_EQ(strange, 0);
  for (i = 0; i < CHILDREN; i++) end_child(pids[i], ends[i]);
  for (i = 0; at_once && i < CONNECTIONS; i++) peer_free(&p[i]);
  // The parent's copy works as before.
  peer_open(&p[0], l);
  CHECK(peer_send_text(&p[0], GET));
  CHECK_EQ(polled_and_served_by(&p[0]), getpid());
  peer_free(&p[0]);
  mg_mgr_free(&mgr);
}

// A child goes on with each of the connections of its parent, which does not poll any more.
static void a_child_serves_all_connections(void) {
  struct mg_connection *l = serve(&mgr, reply_with_pid, NULL);
  static struct peer p[CONNECTIONS];
  int i, end, strange = 0;
  pid_t pid;
  for (i = 0; i < CONNECTIONS; i++) {
    peer_open(&p[i], l);
    POLL_UNTIL(&mgr, count_conns(&mgr) == (size_t) i + 2);
  }
  if ((pid = begin_child(&end)) == 0) {
    serve_until_closed(end);
    mg_mgr_free(&mgr);
    _exit(checks_failed);
  }
  for (i = 0; i < CONNECTIONS; i++) CHECK(peer_send_text(&p[i], GET));
  for (i = 0; i < CONNECTIONS; i++) strange += served_by(&p[i]) != pid;
  CHECK_EQ(strange, 0);
  end_child(pid, end);
  for (i = 0; i < CONNECTIONS; i++) peer_free(&p[i]);
  mg_mgr_free(&mgr);
}

// The child frees its copy, before or after it has polled; the parent has a connection open and goes on.
static void a_child_frees_its_copy(bool polls_before, bool closes_first) {
  struct mg_connection *l = serve(&mgr, reply_with_pid, NULL), *c, *next;
  struct peer kept, fresh;
  int status = -1;
  pid_t pid;
  CHECK(mg_wakeup_init(&mgr));
  peer_open(&kept, l);
  CHECK(peer_send_text(&kept, GET));
  CHECK_EQ(polled_and_served_by(&kept), getpid());
  kept.len = 0;
  pid = fork();
  if (pid == 0) {
    if (polls_before) poll_often(&mgr);
    for (c = mgr.conns; closes_first && c != NULL; c = next) {
      next = c->next;
      mg_close_conn(c);
    }
    mg_mgr_free(&mgr);
    _exit(mgr.conns != NULL || mgr.epoll_fd != -1);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
  CHECK(!peer_read(&kept));
  CHECK(peer_send_text(&kept, GET));
  CHECK_EQ(polled_and_served_by(&kept), getpid());
  peer_open(&fresh, l);
  CHECK(peer_send_text(&fresh, GET));
  CHECK_EQ(polled_and_served_by(&fresh), getpid());
  peer_free(&kept);
  peer_free(&fresh);
  mg_mgr_free(&mgr);
}

// A handler forks, and goes on in the child: what that does with its copy, in the handler or later, is nothing to the parent.
enum { LISTENS_AND_EXITS, CLOSES_ALL, FREES, POLLS_ON };
static int child_does;
static pid_t forked;

static void forks(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  struct mg_connection *other, *next;
  if (ev != MG_EV_HTTP_MSG) return;
  if (mg_match(hm->uri, mg_str("/fork"), NULL) && (forked = fork()) == 0) {
    for (other = c->mgr->conns; child_does == CLOSES_ALL && other != NULL; other = next) {
      next = other->next;
      if (other != c) mg_close_conn(other);
    }
    if (child_does == LISTENS_AND_EXITS) {
      if (mg_http_listen(c->mgr, "http://127.0.0.1:0", reply_with_pid, NULL) == NULL) _exit(1);
      if (mg_http_connect(c->mgr, "http://127.0.0.1:9", reply_with_pid, NULL) == NULL) _exit(1);
      _exit(0);
    }
    if (child_does == FREES) mg_mgr_free(c->mgr);
    return;
  }
  reply_with_pid(c, ev, ev_data);
}

static void a_handler_forks(int what) {
  struct mg_connection *l = serve(&mgr, forks, NULL);
  struct peer kept, p;
  pid_t me = getpid();
  int status = -1, i;
  child_does = what;
  forked = 0;
  peer_open(&kept, l);
  CHECK(peer_send_text(&kept, GET));
  CHECK_EQ(polled_and_served_by(&kept), me);
  kept.len = 0;
  peer_open(&p, l);
  CHECK(peer_send_text(&p, "GET /fork HTTP/1.1\r\nHost: a\r\n\r\n"));
  for (i = 0; i < 10000 && forked == 0 && getpid() == me; i++) mg_mgr_poll(&mgr, 5);
  if (getpid() != me) {
    // The parent's requests are not for this process: it closes what it has and leaves.
    if (what == POLLS_ON) poll_often(&mgr);
    if (what != FREES) mg_mgr_free(&mgr);
    _exit(0);
  }
  CHECK_EQ(polled_and_served_by(&p), me);
  CHECK(waitpid(forked, &status, 0) == forked);
  CHECK_EQ(status, 0);
  CHECK(peer_send_text(&kept, GET));
  CHECK_EQ(polled_and_served_by(&kept), me);
  peer_free(&p);
  peer_open(&p, l);
  CHECK(peer_send_text(&p, GET));
  CHECK_EQ(polled_and_served_by(&p), me);
  peer_free(&kept);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// A child of a parent that goes on polling: it drops what it inherited and opens its own, and neither disturbs the other.
static void a_child_of_a_polling_parent(void) {
  struct mg_connection *l = serve(&mgr, reply_with_pid, NULL), *c, *own;
  struct peer kept, p;
  unsigned short port = 0;
  int end, i, report[2];
  pid_t pid;
  peer_open(&kept, l);
  CHECK(peer_send_text(&kept, GET));
  CHECK_EQ(polled_and_served_by(&kept), getpid());
  kept.len = 0;
  CHECK(pipe(report) == 0);
  pid = begin_child(&end);
  if (pid == 0) {
    for (c = mgr.conns; c != NULL; c = c->next) c->is_closing = 1;
    mg_mgr_poll(&mgr, 0);
    own = mg_http_listen(&mgr, "http://127.0.0.1:0", reply_with_pid, NULL);
    port = own == NULL ? 0 : port_of(own);
    if (write(report[1], &port, sizeof(port)) != (ssize_t) sizeof(port)) _exit(2);
    serve_until_closed(end);
    mg_mgr_free(&mgr);
    _exit(checks_failed);
  }
  CHECK(read(report[0], &port, sizeof(port)) == (ssize_t) sizeof(port));
  for (i = 0; i < 20; i++) {
    peer_connect(&p, port, 0);
    CHECK(peer_send_text(&p, GET));
    CHECK_EQ(served_by(&p), pid);
    peer_free(&p);
    CHECK(peer_send_text(&kept, GET));
    CHECK_EQ(polled_and_served_by(&kept), getpid());
    kept.len = 0;
  }
  end_child(pid, end);
  CHECK(peer_send_text(&kept, GET));
  CHECK_EQ(polled_and_served_by(&kept), getpid());
  close(report[0]), close(report[1]);
  peer_free(&kept);
  mg_mgr_free(&mgr);
}

// An answer for which the socket has no room yet when the child takes over.
static char *big;
enum { BIG = 8000000 };

static void reply_with_much(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "%s", big);
  (void) ev_data;
}

static void a_child_goes_on_sending(void) {
  struct mg_connection *l;
  struct mg_str want;
  struct peer p;
  uint64_t until;
  int end;
  pid_t pid;
  big = make_body(BIG);
  want = make_reply("200 OK", "", big, BIG);
  l = serve(&mgr, reply_with_much, NULL);
  peer_connect(&p, port_of(l), 65536);
  CHECK(peer_send_text(&p, GET));
  POLL_UNTIL(&mgr, mgr.conns != l && mgr.conns->send.len > 0);
  poll_often(&mgr);
  CHECK(mgr.conns->send.len > 0);
  pid = begin_child(&end);
  if (pid == 0) {
    serve_until_closed(end);
    mg_mgr_free(&mgr);
    free(want.buf);
    free(big);
    _exit(checks_failed);
  }
  until = real_ms() + 20000;
  while (!peer_has(&p, want.len) && real_ms() < until) usleep(200);
  CHECK(peer_got_str(&p, want));
  end_child(pid, end);
  peer_free(&p);
  mg_mgr_free(&mgr);
  free(want.buf);
  free(big);
}

// Another thread is in a handler at the time. It does not exist in the child, which is not kept waiting.
static int handling, may_return;

static void lingers_in_handler(struct mg_connection *c, int ev, void *ev_data) {
  reply_with_pid(c, ev, ev_data);
  if (ev != MG_EV_HTTP_MSG) return;
  __atomic_store_n(&handling, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&may_return, __ATOMIC_SEQ_CST) == 0) usleep(100);
}

static void *polls_until_handled(void *arg) {
  POLL_UNTIL(&mgr, __atomic_load_n(&handling, __ATOMIC_SEQ_CST) == 1);
  (void) arg;
  return NULL;
}

static void while_a_thread_is_in_a_handler(void) {
  struct mg_connection *l = serve(&mgr, lingers_in_handler, NULL);
  pthread_t thread;
  struct peer p;
  int status = -1;
  pid_t pid;
  peer_open(&p, l);
  CHECK(peer_send_text(&p, GET));
  CHECK(pthread_create(&thread, NULL, polls_until_handled, NULL) == 0);
  while (__atomic_load_n(&handling, __ATOMIC_SEQ_CST) == 0) usleep(100);
  pid = fork();
  if (pid == 0) {
    // Not _exit, at which valgrind would find lost what only the other thread's stack pointed to.
    const char *outcome = mg_http_listen(&mgr, "http://127.0.0.1:0", reply_with_pid, NULL) == NULL ? "exit 1" : "exit 0";
    execl("/bin/sh", "sh", "-c", outcome, (char *) NULL);
    _exit(2);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
  __atomic_store_n(&may_return, 1, __ATOMIC_SEQ_CST);
  pthread_join(thread, NULL);
  CHECK_EQ(polled_and_served_by(&p), getpid());
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// A child polls without a complaint, and sleeps when there is nothing to do.
static int log_lines;

static void count_line(char ch, void *param) {
  log_lines += ch == '\n';
  (void) param;
}

static void an_idle_child(void) {
  int status = -1;
  pid_t pid;
  serve(&mgr, reply_with_pid, NULL);
  CHECK(mg_wakeup_init(&mgr));
  poll_often(&mgr);
  pid = fork();
  if (pid == 0) {
    uint64_t began;
    log_lines = 0;
    mg_log_set_fn(count_line, NULL);
    poll_often(&mgr);
    began = real_ms();
    mg_mgr_poll(&mgr, 30);
    _exit(log_lines > 0 || real_ms() - began < 28);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
  mg_mgr_free(&mgr);
}

// The same with a connection that has no socket: it waits for other addresses, the first having failed, or has just closed.
static int forks_at, child_lines, clients_closed;

static int lines_of_a_child(void) {
  int status = -1;
  pid_t pid = fork();
  if (pid == 0) {
    log_lines = 0;
    mg_log_set_fn(count_line, NULL);
    mg_mgr_poll(&mgr, 0);
    _exit(log_lines);
  }
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void forking_client(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CLOSE) clients_closed++;
  if (ev == forks_at) child_lines = lines_of_a_child();
  if (ev == MG_EV_CONNECT) c->is_closing = 1;
  (void) ev_data;
}

// Knows one IPv4 address, at which nobody listens, and does not answer when it is asked for others.
static void half_silent_dns(struct mg_connection *c, int ev, void *ev_data) {
  static const char address[] = "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1";
  if (ev != MG_EV_READ) return;
  if (c->recv.buf[c->recv.len - 3] == 1) {
    c->recv.buf[2] |= 0x80, c->recv.buf[7] = 1;
    mg_iobuf_add(&c->recv, c->recv.len, address, sizeof(address) - 1);
    mg_send(c, c->recv.buf, c->recv.len);
  } else {
    ++*(int *) c->fn_data;
  }
  c->recv.len = 0;
  (void) ev_data;
}

static void a_client_without_a_socket(void) {
  int questions = 0;
  struct mg_connection *l = serve(&mgr, reply_with_pid, NULL), *c;
  struct mg_connection *dns = mg_listen(&mgr, "udp://127.0.0.1:0", half_silent_dns, &questions);
  char url[64];
  forks_at = MG_EV_CLOSE, child_lines = -1, clients_closed = 0;
  CHECK(mg_connect(&mgr, url_of(l, "tcp"), forking_client, NULL) != NULL);
  POLL_UNTIL(&mgr, clients_closed == 1);
  CHECK_EQ(child_lines, 0);
  forks_at = -1;
  mg_snprintf(url, sizeof(url), "udp://127.0.0.1:%d", port_of(dns));
  mgr.dns4.url = mgr.dns6.url = url;
  c = mg_connect(&mgr, "tcp://a.test:1", forking_client, NULL);
  POLL_UNTIL(&mgr, questions == 1);
  CHECK(c->is_connecting && (int) (size_t) c->fd == -1);
  CHECK_EQ(lines_of_a_child(), 0);
  mg_mgr_free(&mgr);
}

// Timers and messages of threads reach the child's own poll.
static void wakes(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_WAKEUP) *(int *) c->fn_data += 1;
  (void) ev_data;
}

static void messages_reach_the_child(void) {
  int woken = 0, status = -1, i;
  struct mg_connection *l = serve(&mgr, wakes, &woken);
  pid_t pid;
  CHECK(mg_wakeup_init(&mgr));
  poll_often(&mgr);
  CHECK(mg_wakeup(&mgr, l->id, "x", 1));  // for the parent alone
  pid = fork();
  if (pid == 0) {
    mg_wakeup(&mgr, l->id, "x", 1);
    for (i = 0; i < 50 && woken == 0; i++) mg_mgr_poll(&mgr, 100);
    mg_mgr_free(&mgr);
    _exit(woken != 1);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
  poll_often(&mgr);
  CHECK_EQ(woken, 1);  // the other was the child's
  CHECK(mg_wakeup(&mgr, l->id, "x", 1));
  POLL_UNTIL(&mgr, woken == 2);
  mg_mgr_free(&mgr);
}

// daemon(): the manager is made before, and the process that made it is gone.
static void a_daemon(void) {
  struct mg_connection *l;
  struct peer p;
  int report[2], stop[2], status = -1, i;
  struct { unsigned short port; pid_t pid; } daemon_is;
  pid_t pid;
  memset(&daemon_is, 0, sizeof(daemon_is));
  CHECK(pipe(report) == 0 && pipe(stop) == 0);
  pid = fork();
  if (pid == 0) {
    close(stop[1]);
    l = serve(&mgr, reply_with_pid, NULL);
    poll_often(&mgr);
    if (fork() != 0) _exit(0);
    setsid();
    daemon_is.port = port_of(l);
    daemon_is.pid = getpid();
    if (write(report[1], &daemon_is, sizeof(daemon_is)) != (ssize_t) sizeof(daemon_is)) _exit(2);
    serve_until_closed(stop[0]);
    mg_mgr_free(&mgr);
    _exit(0);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
  CHECK(read(report[0], &daemon_is, sizeof(daemon_is)) == (ssize_t) sizeof(daemon_is));
  for (i = 0; i < 20; i++) {
    peer_connect(&p, daemon_is.port, 0);
    CHECK(peer_send_text(&p, GET));
    CHECK_EQ(served_by(&p), daemon_is.pid);
    peer_free(&p);
  }
  close(report[0]), close(report[1]), close(stop[0]), close(stop[1]);
}

int main(void) {
  mg_log_set(MG_LL_ERROR);
  prefork(false, false);
  prefork(false, true);
  prefork(true, true);
  a_child_frees_its_copy(false, false);
  a_child_frees_its_copy(true, false);
  a_child_frees_its_copy(false, true);
  a_child_of_a_polling_parent();
  a_child_serves_all_connections();
  a_child_goes_on_sending();
  a_handler_forks(LISTENS_AND_EXITS);
  a_handler_forks(CLOSES_ALL);
  a_handler_forks(FREES);
  a_handler_forks(POLLS_ON);
  while_a_thread_is_in_a_handler();
  an_idle_child();
  a_client_without_a_socket();
  messages_reach_the_child();
  a_daemon();
  return DONE();
}
