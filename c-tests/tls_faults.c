// TLS and applications that do anything in any event, peers that send tiny records, and connections that close halfway.
// timeout: 120
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
#include "tls.h"

static struct side server, client;
static struct mg_mgr mgr;
static struct line line;
static bool mgr_freed;

// ---- a handler that does `what` in event `when` of one side

static int when, what;
static bool on_client, done;

enum { FREE, INIT, FREE_AND_INIT, CLOSE, ABORT, FREE_MGR, DROP_RTLS, DROP_RECV, DROP_SEND, FILL, POLL, BY_HAND, WHATS };

static void misbehave(struct mg_connection *c) {
  struct mg_tls_opts o = c->is_client ? client_tls() : server_tls();
  char buf[50];
  done = true;
  switch (what) {
    case FREE: mg_tls_free(c); break;
    case INIT: mg_tls_init(c, &o); break;
    case FREE_AND_INIT: mg_tls_free(c), mg_tls_init(c, &o); break;
    case CLOSE: mg_close_conn(c); break;
    case ABORT: mgx_conn_abort(c); break;
    case FREE_MGR: mgr_freed = true, mg_mgr_free(&mgr); break;
    case DROP_RTLS: mg_iobuf_free(&c->rtls); break;
    case DROP_RECV: mg_iobuf_free(&c->recv); break;
    case DROP_SEND: mg_iobuf_free(&c->send); break;
    case FILL: mg_iobuf_add(&c->rtls, c->rtls.len, "junk", 4); break;
    case POLL: mg_mgr_poll(&mgr, 0); break;
    default:
      mg_tls_send(c, "by hand", 7);
      mg_tls_recv(c, buf, sizeof(buf));
      mg_tls_flush(c), mg_tls_handshake(c);
      mg_tls_pending(c);
  }
}

static void any_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = c->is_client ? client_tls() : server_tls();
  struct side *s = c->is_client ? &client : &server;
  if (c->is_listening) return;
  side_note(s, c, ev, ev_data);
  if (ev == MG_EV_CONNECT || ev == MG_EV_ACCEPT) mg_tls_init(c, &o);
  if (ev == MG_EV_CONNECT) mg_printf(c, "%05000d", 7);
  if (ev == MG_EV_READ && !c->is_client && s->received == 5000) mg_printf(c, "%05000d", 8), c->is_draining = 1;
  if (ev == when && c->is_client == on_client && !done) misbehave(c);
}

static void misbehaviour_in_every_event(void) {
  static const int events[] = {MG_EV_OPEN, MG_EV_ACCEPT, MG_EV_CONNECT, MG_EV_TLS_HS, MG_EV_READ, MG_EV_WRITE, MG_EV_POLL, MG_EV_ERROR, MG_EV_CLOSE};
  size_t i;
  int side, spoil;
  for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
    for (side = 0; side < 2; side++) {
      for (what = 0; what < WHATS; what++) {
        // Errors come from a spoilt line: in the handshake, and behind it.
        for (spoil = 0; spoil < (events[i] == MG_EV_ERROR ? 2 : 1); spoil++) {
          struct mg_connection *l;
          struct mgx_limits limits;
          memset(&limits, 0, sizeof(limits));
          limits.header_timeout_ms = limits.idle_timeout_ms = limits.write_timeout_ms = 300;
          side_forget(&server), side_forget(&client);
          when = events[i], on_client = side == 1, done = mgr_freed = false;
          mg_mgr_init(&mgr);
          mgx_mgr_limits(&mgr, &limits);
          l = mg_listen(&mgr, "tcps://127.0.0.1:0", any_fn, NULL);
          line_open(&line, &mgr, port_of(l));
          if (when == MG_EV_ERROR) line.spoil_down = spoil == 0 ? 60 : 3000;
          mg_connect(&mgr, url_of(line.listener, "tcps"), any_fn, NULL);
          // Whatever becomes of it, it ends.
          POLL_UNTIL(&mgr, mgr_freed || (client.closes == 1 && (server.closes == 1 || server.log[0] == '\0')));
          if (!mgr_freed) mg_mgr_free(&mgr);
          CHECK(client.closes == 1 && server.closes <= 1);
          if (client.closes != 1) fprintf(stderr, "event %d, %s, action %d\n", when, side == 0 ? "server" : "client", what);
        }
      }
    }
  }
}

// ---- the answer in parts

static struct mg_connection *the_server;
static int messages, reads;

static void web_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = server_tls();
  if (c->is_listening) return;
  side_note(&server, c, ev, ev_data);
  if (ev == MG_EV_ACCEPT) mg_tls_init(c, &o), the_server = c;
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    messages++;
    mg_http_reply(c, 200, "", "%d", (int) hm->body.len);
  }
}

static void plain_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = client_tls();
  side_note(&client, c, ev, ev_data);
  if (ev == MG_EV_CONNECT) mg_tls_init(c, &o);
  if (ev == MG_EV_READ) reads++, side_keep(&client, c);
}

static void begin(mg_event_handler_t fn, bool http) {
  struct mg_connection *l;
  side_forget(&server), side_forget(&client);
  messages = reads = 0;
  mg_mgr_init(&mgr);
  l = http ? mg_http_listen(&mgr, "https://127.0.0.1:0", fn, NULL) : mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL);
  line_open(&line, &mgr, port_of(l));
  mg_connect(&mgr, url_of(line.listener, "tcps"), plain_fn, NULL);
  POLL_UNTIL(&mgr, client.handshakes == 1 && server.handshakes == 1);
}

static void finish(void) {
  mg_mgr_free(&mgr);
  CHECK(client.closes == 1 && server.closes == 1);
}

// A request of which a part of a record has arrived when the drain begins is received to its end and served.
static void partial_records(size_t part) {
  struct mgx_drain_opts o;
  uint64_t start;
  size_t up;
  memset(&o, 0, sizeof(o));
  o.idle_grace_ms = 50;
  begin(web_fn, true);
  poll_often(&mgr);
  line.per_poll = 1;
  up = line.up;
  mg_printf(client.c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n%01000d", 1);
  POLL_UNTIL(&mgr, line.up == up + part);
  line.held = true;
  POLL_UNTIL(&mgr, the_server->rtls.len == part);
  CHECK_EQ(the_server->recv.len, 0);
  start = real_ms();
  mgx_conn_drain(the_server, &o);
  while (real_ms() < start + 200) mg_mgr_poll(&mgr, 5);
  CHECK_EQ(server.closes, 0);
  line.held = false, line.per_poll = 0;
  POLL_UNTIL(&mgr, client.closes == 1);
  CHECK_EQ(messages, 1);
  CHECK(client.data.len > 4 && memcmp(client.data.buf + client.data.len - 4, "1000", 4) == 0);
  CHECK(client.data.len > 0 && strstr(client.data.buf, "Connection: close") != NULL);
  finish();
}

// An answer that is aborted never looks complete.
static void aborted_responses_look_truncated(void) {
  begin(web_fn, false);
  mg_send(the_server, "part", 4);
  POLL_UNTIL(&mgr, client.data.len == 4);
  mgx_conn_abort(the_server);
  POLL_UNTIL(&mgr, client.closes == 1);
  CHECK_EQ(client.reason, MGX_REASON_RESET);
  finish();
}

// ---- input that was decrypted and waits for the application

static void paused_server_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = server_tls();
  if (c->is_listening) return;
  side_note(&server, c, ev, ev_data);
  if (ev == MG_EV_ACCEPT) mg_tls_init(c, &o), the_server = c;
  if (ev == MG_EV_READ) {
    side_keep(&server, c);
    c->is_full = 1;
  }
}

static void resume_reading(void *arg) {
  if (the_server != NULL && server.c != NULL) the_server->is_full = 0;
  (void) arg;
}

// The client has sent all, said good-bye and gone; the server takes it piece by piece, and a timer lets it go on.
static void reading_resumed_by_a_timer(void) {
  char *body = make_body(100000);
  begin(paused_server_fn, false);
  mg_timer_add(&mgr, 10, MG_TIMER_REPEAT, resume_reading, NULL);
  mg_send(client.c, body, 100000);
  client.c->is_draining = 1;
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
  CHECK(side_received(&server, body, 100000));
  CHECK(server.log[strlen(server.log) - 1] == 'X');
  CHECK_EQ(server.reason, MGX_REASON_PEER_CLOSED);
  finish();
  free(body);
}

// As many records as bytes: they cost time in proportion, and no memory.
static void smallest_records(void) {
  int i;
  begin(paused_server_fn, false);
  for (i = 0; i < 20000; i++) mg_tls_send(client.c, "x", 1);
  for (i = 0; i < 10000 && server.data.len < 20000 && server.c != NULL; i++) {
    mg_mgr_poll(&mgr, 1);
    the_server->is_full = 0;
    CHECK(the_server->rtls.size <= 3 * MG_IO_SIZE);
  }
  CHECK(server.data.len > 1000);
  POLL_UNTIL(&mgr, the_server->rtls.len == 0);
  CHECK(the_server->rtls.size == 0 && the_server->recv.size == 0 && the_server->send.size == 0);
  finish();
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  misbehaviour_in_every_event();
  partial_records(1);
  partial_records(100);
  aborted_responses_look_truncated();
  reading_resumed_by_a_timer();
  smallest_records();
  side_forget(&server), side_forget(&client);
  pem_free();
  return DONE();
}
