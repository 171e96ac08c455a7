// An application with its own mg_calloc and mg_free, each logging with MG_DEBUG: all memory visible to it comes from them,
// logging allocates nothing, and at the end every block has been freed.
// flags: -DMG_ENABLE_CUSTOM_CALLOC=1
// flags:
#include "mongoose.h"

#include "peer.h"

static long live, total, depth, deepest;
static void *blocks[100000];
static size_t num_blocks;
static unsigned long logged;

static void enter(void) {
  if (++depth > deepest) deepest = depth;
}

void *mg_calloc(size_t count, size_t size) {
  void *p;
  enter();
  p = calloc(count, size);
  if (p != NULL) {
    live++, total++;
    if (num_blocks < sizeof(blocks) / sizeof(blocks[0])) blocks[num_blocks++] = p;
  }
  MG_DEBUG(("%p %lu %lu", p, (unsigned long) count, (unsigned long) size));
  depth--;
  return p;
}

void mg_free(void *p) {
  size_t i;
  enter();
  if (p != NULL) live--;
  for (i = num_blocks; i > 0; i--) {
    if (blocks[i - 1] != p) continue;
    blocks[i - 1] = blocks[--num_blocks];
    break;
  }
  MG_DEBUG(("%p", p));
  depth--;
  free(p);
}

static bool is_ours(const void *p) {
  size_t i;
  for (i = 0; i < num_blocks; i++) {
    if (blocks[i] == p) return true;
  }
  return p == NULL;
}

static void discard(char ch, void *arg) {
  if (ch == '\n') ++*(unsigned long *) arg;
}

static int messages, responses;
static bool done;

static void check_connection(struct mg_connection *c) {
  CHECK(is_ours(c));
  CHECK(is_ours(c->recv.buf));
  CHECK(is_ours(c->send.buf));
  CHECK(is_ours(c->rtls.buf));
}

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_POLL) check_connection(c);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    struct mg_str copy = mg_strdup(hm->body);
    char *text = mg_mprintf("%m", mg_print_base64, (int) copy.len, copy.buf);
    messages++;
    CHECK(is_ours(copy.buf) && is_ours(text));
    mg_http_reply(c, 200, "", "%s", text);
    check_connection(c);
    mg_iobuf_resize(&c->send, c->send.size * 2);
    check_connection(c);
    mg_free(copy.buf);
    mg_free(text);
  }
}

static void client(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_POLL) check_connection(c);
  if (ev == MG_EV_CONNECT) {
    char *body = make_body(100000);
    mg_printf(c, "POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n%s", body);
    free(body);
  }
  if (ev == MG_EV_HTTP_MSG) responses++;
  if (ev == MG_EV_CLOSE) done = true;
  (void) ev_data;
}

static void timer(void *arg) {
  ++*(int *) arg;
}

static void text_functions(void) {
  struct mg_str json = mg_str("{\"a\":\"b\\nc\",\"h\":\"0102\",\"e\":\"aGk=\"}");
  struct mg_iobuf io = {0, 0, 0, 64};
  char *a = mg_json_get_str(json, "$.a"), *b;
  int n = 0;
  CHECK(a != NULL && strcmp(a, "b\nc") == 0 && is_ours(a));
  mg_free(a);
  b = mg_json_get_hex(json, "$.h", &n);
  CHECK(b != NULL && n == 2 && b[1] == 2 && is_ours(b));
  mg_free(b);
  b = mg_json_get_b64(json, "$.e", &n);
  CHECK(b != NULL && n == 2 && strcmp(b, "hi") == 0 && is_ours(b));
  mg_free(b);
  mg_xprintf(mg_pfn_iobuf, &io, "%s %d", "text", 1);
  CHECK(io.len == 6 && is_ours(io.buf));
  mg_iobuf_free(&io);
}

static void rpc(void) {
  struct mg_rpc *head = NULL;
  mg_rpc_add(&head, mg_str("list"), mg_rpc_list, NULL);
  CHECK(is_ours(head) && is_ours(head->method.buf));
  mg_rpc_del(&head, NULL);
  CHECK(head == NULL);
}

static struct mg_dash_user *s_user;

static bool fields_fn(enum mg_dash_op op, struct mg_dash_user *u) {
  CHECK(is_ours(u));
  s_user = u;
  return op == MG_DASH_READ;
}

static int authenticate(char *name, size_t size, const char *pass) {
  return size > 0 && name[0] == '\0' && strcmp(pass, "p") == 0 ? 7 : 0;
}

// The user of a session is gone with the last connection that it has.
static void dashboard(struct mg_mgr *mgr) {
  static struct mg_field fields[] = {{NULL, MG_VAL_INT, NULL, 0}};
  static struct mg_field_set set = {"set", fields, fields_fn, NULL, NULL, NULL};
  static struct mg_dash dash;
  struct mg_connection *l = mg_http_listen(mgr, "http://127.0.0.1:0", mg_dash_ev_handler, &dash);
  struct peer p;
  dash.authenticate = authenticate, dash.sets = &set;
  peer_open(&p, l);
  peer_send_text(&p, "GET /api/websocket?access_token=p HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  POLL_UNTIL(mgr, peer_has(&p, 12) && mgr->conns->is_websocket);
  mg_dash_send_change(mgr, &set);
  CHECK(s_user != NULL);
  l->is_closing = 1;
  POLL_UNTIL(mgr, peer_read(&p) && !is_ours(s_user));
  peer_free(&p);
}

int main(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p;
  int called = 0, i;

  mg_log_set(MG_LL_DEBUG);
  mg_log_set_fn(discard, &logged);
  text_functions();
  rpc();
  CHECK_EQ(live, 0);

  l = serve(&mgr, server, NULL);
  CHECK(mg_wakeup_init(&mgr));
  CHECK(is_ours(mg_timer_add(&mgr, 1, MG_TIMER_ONCE, timer, &called)));
  CHECK(is_ours(mg_timer_add(&mgr, 1, MG_TIMER_REPEAT, timer, &called)));
  for (i = 0; i < 3; i++) {
    done = false;
    CHECK(mg_http_connect(&mgr, url_of(l, "http"), client, NULL) != NULL);
    POLL_UNTIL(&mgr, done);
  }
  CHECK_EQ(messages, 3);
  CHECK_EQ(responses, 3);
  POLL_UNTIL(&mgr, called > 3);
  dashboard(&mgr);
  peer_open(&p, l);  // left in the middle of a request
  peer_send_text(&p, "GET / HTTP/1.1\r\n");
  POLL_UNTIL(&mgr, mgr.conns->recv.len > 0);
  CHECK(live > 0);
  mg_mgr_free(&mgr);
  peer_free(&p);

  CHECK_EQ(live, 0);
  CHECK_EQ(num_blocks, 0);
  CHECK(total > 20);
  CHECK_EQ(deepest, 1);
  CHECK(logged > (unsigned long) total);
  return DONE();
}
