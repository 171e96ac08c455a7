// mgx_options.io_size: connections in the middle of a message hold a buffer of that size, at least 1024, also with TLS; idle
// ones hold none; and everything works through such buffers.
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
#include "tls.h"

enum { BODY = 300000 };

static struct mg_connection *accepted;
static bool secure, woken;
static size_t got_body, got_wakeup, answered;
static int errors;

static void server_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) {
    accepted = c;
    if (secure) {
      struct mg_tls_opts o = server_tls();
      mg_tls_init(c, &o);
    }
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    got_body = hm->body.len;
    mg_http_reply(c, 200, "", "%.*s", (int) hm->body.len, hm->body.buf);
  } else if (ev == MG_EV_WAKEUP) {
    got_wakeup = ((struct mg_str *) ev_data)->len;
    woken = true;
  } else if (ev == MG_EV_ERROR) {
    errors++;
  } else if (ev == MG_EV_CLOSE && c == accepted) {
    accepted = NULL;
  }
}

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT && secure) {
    struct mg_tls_opts o = client_tls();
    mg_tls_init(c, &o);
  } else if (ev == MG_EV_HTTP_MSG) {
    answered = ((struct mg_http_message *) ev_data)->body.len;
  } else if (ev == MG_EV_ERROR) {
    errors++;
  }
}

static void exchange_with_io_size(size_t io_size, size_t step) {
  struct mgx_options options;
  struct mg_mgr mgr;
  struct mg_connection *l, *c;
  char *body = make_body(BODY);
  accepted = NULL, got_body = got_wakeup = answered = 0, woken = false;
  mg_mgr_init(&mgr);
  memset(&options, 0, sizeof(options));
  options.io_size = io_size;
  mgx_mgr_options(&mgr, &options);
  mg_wakeup_init(&mgr);
  l = mg_http_listen(&mgr, secure ? "https://127.0.0.1:0" : "http://127.0.0.1:0", server_fn, NULL);
  CHECK(l != NULL);
  c = mg_http_connect(&mgr, url_of(l, secure ? "https" : "http"), client_fn, NULL);
  CHECK(c != NULL);
  mg_printf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BODY);
  mg_send(c, body, 100);
  POLL_UNTIL(&mgr, (accepted != NULL && accepted->recv.len > 100) || errors > 0);
  CHECK(accepted != NULL && accepted->recv.len > 100);
  if (accepted == NULL) return;
  CHECK_EQ(accepted->recv.size, step);
  CHECK(accepted->rtls.size <= 3 * step);

  mg_send(c, body + 100, BODY - 100);
  POLL_UNTIL(&mgr, answered > 0 || errors > 0);
  CHECK_EQ(got_body, BODY);
  CHECK_EQ(answered, BODY);
  CHECK(accepted != NULL);
  if (accepted == NULL) return;
  CHECK_EQ(accepted->recv.size, 0);
  CHECK_EQ(accepted->rtls.size, 0);

  // Messages from other threads do not go through these buffers.
  CHECK(mg_wakeup(&mgr, accepted->id, body, 5000));
  POLL_UNTIL(&mgr, woken);
  CHECK_EQ(got_wakeup, 5000);
  CHECK_EQ(errors, 0);
  mg_mgr_free(&mgr);
  free(body);
}

int main(void) {
  int i;
  mg_log_level = MG_LL_NONE;
  for (i = 0; i < 2; i++) {
    secure = i == 1;
    exchange_with_io_size(0, MG_IO_SIZE);
    exchange_with_io_size(1, 1024);
    exchange_with_io_size(1024, 1024);
    exchange_with_io_size(2000, 2000);
    if (!secure) exchange_with_io_size(65536, 65536);
  }
  pem_free();
  return DONE();
}
