// An error reply to a client that is still sending its body arrives completely, although nobody reads the rest of the upload.
#include "mongoose.h"

#include <pthread.h>

#include "peer.h"

#define REPLY_SIZE (1 << 20)

static char *body;
static int replies, closes, errors;

enum mode { FROM_HEADERS, FROM_HEADERS_DRAIN_FIRST, FROM_READ_AFTER_TAKE_OVER, FROM_POLL };

static void refuse(struct mg_connection *c) {
  mg_http_reply(c, 413, "A: b\r\n", "%.*s", REPLY_SIZE, body);
  c->is_draining = 1;
  replies++;
}

static void server(struct mg_connection *c, int ev, void *ev_data) {
  enum mode mode = (enum mode) *(int *) c->fn_data;
  if (ev == MG_EV_CLOSE && c->is_accepted) closes++;
  if (ev == MG_EV_ERROR) errors++;
  if (ev == MG_EV_HTTP_MSG) errors++;
  if (ev == MG_EV_HTTP_HDRS && mode == FROM_HEADERS) {
    refuse(c);
  } else if (ev == MG_EV_HTTP_HDRS && mode == FROM_HEADERS_DRAIN_FIRST) {
    c->is_draining = 1;
    refuse(c);
  } else if (ev == MG_EV_HTTP_HDRS && mode == FROM_READ_AFTER_TAKE_OVER) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    mg_iobuf_del(&c->recv, 0, hm->head.len);
    c->pfn = NULL;
    c->data[0] = 'T';
  } else if (ev == MG_EV_READ && mode == FROM_READ_AFTER_TAKE_OVER && c->data[0] == 'T') {
    size_t *received = (size_t *) (c->data + 8);
    *received += c->recv.len;
    c->recv.len = 0;
    if (*received > 200000) {
      c->data[0] = 0;
      refuse(c);
    }
  } else if (ev == MG_EV_POLL && mode == FROM_POLL && c->is_accepted && replies == 0 && c->recv.len > 200000) {
    refuse(c);
  }
}

// A client that does nothing but send while it can, and then reads to the end. Blocking calls, in a thread of its own.
struct uploader {
  pthread_t thread;
  unsigned short port;
  struct peer peer;
  unsigned long announced;  // as the length of the body
  size_t sent;
  int send_error;  // errno of the send that failed
  bool pause;      // reads only after everything was sent
  volatile bool done;
};

#define UPLOAD_SIZE (64u << 20)

static void *upload(void *arg) {
  struct uploader *u = (struct uploader *) arg;
  static char piece[65536];
  char head[100];
  snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %lu\r\n\r\n", u->announced);
  peer_connect(&u->peer, u->port, 0);
  if (!peer_send_text(&u->peer, head)) u->send_error = errno;
  while (u->sent < UPLOAD_SIZE && u->send_error == 0) {
    ssize_t n = send(u->peer.fd, piece, sizeof(piece), MSG_NOSIGNAL);
    if (n < 0) u->send_error = errno;
    else u->sent += (size_t) n;
    if (!u->pause && peer_read(&u->peer)) break;
  }
  for (;;) {
    char buf[65536];
    ssize_t n;
    if (u->peer.end != PEER_OPEN || peer_read(&u->peer)) break;
    n = recv(u->peer.fd, buf, 1, MSG_PEEK);  // sleeps until there is something
    if (n < 0 && errno != EINTR) u->peer.end = errno;
  }
  u->done = true;
  return NULL;
}

static void refused_upload(enum mode mode, bool pause) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct uploader u;
  struct mg_str want;
  int m = (int) mode;
  replies = closes = errors = 0;
  memset(&u, 0, sizeof(u));
  l = serve(&mgr, server, &m);
  u.port = port_of(l);
  u.pause = pause;
  u.announced = mode == FROM_POLL ? 3000000 : 100000000;  // what a handler does not take over must fit in c->recv
  pthread_create(&u.thread, NULL, upload, &u);
  POLL_UNTIL(&mgr, u.done);
  pthread_join(u.thread, NULL);

  CHECK_EQ(u.peer.end, PEER_FIN);  // no ECONNRESET
  CHECK_EQ(u.send_error, 0);
  if (pause) CHECK_EQ(u.sent, UPLOAD_SIZE);
  CHECK_EQ(peer_drop_close(&u.peer, 0), 1);
  want = make_reply("413 Payload Too Large", "A: b\r\n", body, REPLY_SIZE);
  CHECK(peer_got_str(&u.peer, want));
  CHECK_EQ(replies, 1);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(errors, 0);
  free(want.buf);
  peer_free(&u.peer);
  mg_mgr_free(&mgr);
}

static void a_1_mb_error_reply_while_the_client_still_uploads(void) {
  refused_upload(FROM_HEADERS, false);
  refused_upload(FROM_HEADERS, true);
  refused_upload(FROM_HEADERS_DRAIN_FIRST, true);
  refused_upload(FROM_READ_AFTER_TAKE_OVER, false);
  refused_upload(FROM_READ_AFTER_TAKE_OVER, true);
  refused_upload(FROM_POLL, false);
}

int main(void) {
  mg_log_set(MG_LL_ERROR);
  body = make_body(REPLY_SIZE);
  a_1_mb_error_reply_while_the_client_still_uploads();
  free(body);
  return DONE();
}
