// What an application hears when its own mg_calloc has no memory for output: MG_EV_ERROR with "OOM", once, after which the
// connection closes and sends none of it.
// flags: -DMG_ENABLE_CUSTOM_CALLOC=1
#include "mongoose.h"
#include "mongoose_ext.h"

#include "dns.h"

enum { BIG = 200000 };

static bool starving, full;
static size_t most = BIG / 2;
static int allowed = -1;  // number of allocations before one fails, if not negative
static int blocks;
static char *big, *long_header;

void *mg_calloc(size_t count, size_t size) {
  const bool refused = (starving && count * size > most) || (full && count * size >= MG_IO_SIZE);
  void *p = NULL;
  if (allowed != 0 && !refused) p = calloc(count, size);
  if (allowed >= 0) allowed--;
  blocks += p != NULL;
  return p;
}

void mg_free(void *p) {
  blocks -= p != NULL;
  if (p != NULL) full = false;
  free(p);
}

// Nothing is added to the list, and nothing stays allocated.
static void methods(void) {
  struct mg_rpc *head = NULL;
  int i, before = blocks;
  for (i = 0; i < 2; i++) {
    allowed = i;
    mg_rpc_add(&head, mg_str("sum"), NULL, NULL);
    allowed = -1;
    CHECK(head == NULL);
    CHECK_EQ(blocks, before);
  }
}

static void long_head(struct mg_connection *c, struct mg_http_message *hm) {
  mg_http_reply(c, 200, long_header, "hi");
  CHECK_EQ(c->send.len, 0);
  (void) hm;
}

static void long_body(struct mg_connection *c, struct mg_http_message *hm) {
  mg_http_reply(c, 200, "", "%s", big);
  (void) hm;
}

static void long_bytes(struct mg_connection *c, struct mg_http_message *hm) {
  mgx_http_reply(c, 200, NULL, big, BIG);
  (void) hm;
}

static void long_head_before_chunks(struct mg_connection *c, struct mg_http_message *hm) {
  mgx_http_begin(c, 200, long_header);
  CHECK_EQ(c->send.len, 0);
  (void) hm;
}

static void long_chunk(struct mg_connection *c, struct mg_http_message *hm) {
  size_t before;
  mgx_http_begin(c, 200, NULL);
  before = c->send.len;
  mg_http_write_chunk(c, big, BIG);
  CHECK_EQ(c->send.len, before);
  (void) hm;
}

static void long_printed_chunk(struct mg_connection *c, struct mg_http_message *hm) {
  size_t before;
  mgx_http_begin(c, 200, NULL);
  before = c->send.len;
  mg_http_printf_chunk(c, "%s", big);
  CHECK_EQ(c->send.len, before);
  (void) hm;
}

static void long_upgrade(struct mg_connection *c, struct mg_http_message *hm) {
  mgx_ws_upgrade(c, hm, long_header);
  CHECK(!c->is_websocket);
}

static void long_formatted_upgrade(struct mg_connection *c, struct mg_http_message *hm) {
  mg_ws_upgrade(c, hm, "%s", long_header);
  CHECK(!c->is_websocket);
}

static void long_text(struct mg_connection *c, struct mg_http_message *hm) {
  CHECK_EQ(mg_printf(c, "%s", big), 0);
  CHECK_EQ(c->send.len, 0);
  (void) hm;
}

static void long_publication(struct mg_connection *c, struct mg_http_message *hm) {
  struct mg_mqtt_opts o;
  memset(&o, 0, sizeof(o));
  o.topic = mg_str("t");
  o.message = mg_str_n(big, BIG);
  o.qos = 1;
  CHECK_EQ(mg_mqtt_pub(c, &o), 0);
  CHECK_EQ(c->send.len, 0);
  (void) hm;
}

// A file from the cache: there is room for its head, but not for its body.
static void kept_file(struct mg_connection *c, struct mg_http_message *hm) {
  struct mg_http_serve_opts opts;
  memset(&opts, 0, sizeof(opts));
  starving = false;
  CHECK(mgx_mgr_file_cache(c->mgr, 1, 1000000));
  CHECK(mg_file_write(&mg_fs_posix, "small", big, 16384));
  mg_http_serve_file(c, hm, "small", &opts);
  mg_iobuf_free(&c->send);
  c->is_resp = 1;
  starving = true;
  most = 20000;
  mg_http_serve_file(c, hm, "small", &opts);
  most = BIG / 2;
  CHECK(c->send.len < 1000 && c->is_draining);
}

// What was queued before is not taken for the text.
static void long_printed_frame(struct mg_connection *c, struct mg_http_message *hm) {
  size_t before;
  starving = false;
  mg_iobuf_resize(&c->send, BIG + 1000);
  mg_send(c, big, BIG);
  before = c->send.len;
  starving = true;
  mg_ws_printf(c, WEBSOCKET_OP_TEXT, "%s", big);
  CHECK_EQ(c->send.len, before);
  mg_iobuf_free(&c->send);  // no other connection is to get this block
  (void) hm;
}

typedef void (*action_t)(struct mg_connection *, struct mg_http_message *);

static action_t action;
static bool answers;
static int errors, closes;

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG && answers) {
    action(c, (struct mg_http_message *) ev_data);
  } else if (ev == MG_EV_HTTP_MSG) {
    starving = true;
    action(c, (struct mg_http_message *) ev_data);
    starving = false;
    CHECK_EQ(errors, 1);
    CHECK(c->is_closing);
  }
  if (ev == MG_EV_ERROR) {
    errors++;
    CHECK(strcmp((char *) ev_data, "OOM") == 0);
  }
  if (ev == MG_EV_CLOSE && c->is_accepted) closes++;
}

// A file that is read block by block: a manager that keeps no block yet has room for the head only.
static void file(struct mg_connection *c, struct mg_http_message *hm) {
  struct mg_http_serve_opts opts;
  memset(&opts, 0, sizeof(opts));
  c->send.align = 64;
  most = MG_IO_SIZE / 2;
  mg_http_serve_file(c, hm, "small", &opts);
  most = BIG / 2;
  CHECK(c->send.len > 0 && c->send.len < 1000);
}

static void no_room_for_a_block_of_a_file(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, fn, NULL);
  struct peer p;
  action = file;
  errors = closes = 0;
  CHECK(mg_file_write(&mg_fs_posix, "small", big, 16384));
  peer_open(&p, l);
  CHECK(peer_send_text(&p, "GET / HTTP/1.1\r\n\r\n"));
  POLL_UNTIL(&mgr, closes == 1 && peer_read(&p));
  CHECK_EQ(p.len, 0);
  CHECK_EQ(errors, 1);
  mg_mgr_free(&mgr);
  peer_free(&p);
}

// What another thread sends finds no room. Another connection is none the worse.
static void messages_of_threads(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p[2];
  unsigned long ids[2];
  errors = closes = 0;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", fn, NULL);
  peer_open(&p[0], l);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
  ids[0] = mgr.conns->id;
  peer_open(&p[1], l);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 3);
  ids[1] = mgr.conns->id;
  CHECK(mgx_send_to(&mgr, ids[0], big, BIG));
  CHECK(mgx_send_to(&mgr, ids[1], "x", 1));
  starving = true;
  POLL_UNTIL(&mgr, peer_has(&p[1], 1));
  starving = false;
  CHECK(errors == 1 && closes == 1);
  POLL_UNTIL(&mgr, peer_read(&p[0]));
  CHECK_EQ(p[0].len, 0);
  peer_free(&p[0]), peer_free(&p[1]);
  mg_mgr_free(&mgr);
}

// A lookup that is to be repeated over TCP: its connection is closed, too.
static void a_lookup_over_tcp(void) {
  struct mg_mgr mgr, other;
  struct dns_server server;
  struct lookup l;
  mg_mgr_init(&mgr);
  mg_mgr_init(&other);
  dns_start(&server, &other);
  mgr.dns4.url = mgr.dns6.url = server.url;
  memset(&l, 0, sizeof(l));
  mg_connect(&mgr, "tcp://big.test:1", lookup_fn, &l);
  POLL_UNTIL(&other, server.queries == 1);
  starving = true;
  most = MG_IO_SIZE / 2;
  POLL_UNTIL(&mgr, l.closes == 1);
  starving = false;
  most = BIG / 2;
  CHECK(fails_with(l, "resolve OOM"));
  poll_often(&mgr);
  CHECK(mgr.conns == mgr.dns4.c && mgr.conns->next == NULL);
  mg_mgr_free(&mgr);
  mg_mgr_free(&other);
}

static int s_packets;

static void mqtt_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ERROR) {
    errors++;
    CHECK(strcmp((char *) ev_data, "OOM") == 0);
  }
  if (ev == MG_EV_MQTT_MSG || ev == MG_EV_MQTT_CMD) s_packets++;
  (void) c;
}

// A packet that cannot be acknowledged: the application does not hear of it.
static void mqtt_acknowledgements(void) {
  static const char packet[] = "\x32\6\0\1a\0\1x";
  struct mg_mgr mgr;
  struct mg_connection *c;
  struct peer p;
  long n = sizeof(packet) - 1;
  mg_mgr_init(&mgr);
  errors = s_packets = 0;
  peer_open(&p, mg_mqtt_listen(&mgr, "mqtt://127.0.0.1:0", mqtt_fn, NULL));
  POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
  c = mgr.conns;
  mg_iobuf_add(&c->recv, 0, packet, (size_t) n);
  mg_send(c, big, BIG);
  c->send.len = c->send.size;
  starving = true;
  mg_call(c, MG_EV_READ, &n);
  starving = false;
  CHECK_EQ(errors, 1);
  CHECK_EQ(s_packets, 0);
  CHECK(c->is_closing);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// The request of a firmware check, asked of a server that is silent anyway.
static int s_checks;
static char s_check[30];

void mg_ota_device_id(char *buf, size_t len) {
  mg_snprintf(buf, len, "me");
  most = 0;
  starving = true;
}

static void check_done(const char *message) {
  starving = false;
  most = BIG / 2;
  s_checks++;
  mg_snprintf(s_check, sizeof(s_check), "%s", message == NULL ? "NULL" : message);
}

static void firmware_check(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", NULL, NULL);
  mg_ota_url_check(&mgr, url_of(l, "http"), check_done);
  POLL_UNTIL(&mgr, s_checks > 0 && count_conns(&mgr) == 1);
  CHECK_EQ(s_checks, 1);
  CHECK(strcmp(s_check, "Out of memory") == 0);
  mg_mgr_free(&mgr);
}

#define UPGRADE                                                                                                    \
  "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// What the library keeps for later makes room when there is no other.
static void answer(struct mg_connection *c, struct mg_http_message *hm) {
  mg_http_reply(c, 200, "", "%d", (int) hm->body.len);
}

static bool has_answer(struct peer *p) {
  peer_read(p);
  return p->len > 5 && memcmp(p->buf + p->len - 5, "\r\n\r\n0", 5) == 0;
}

static void kept_memory_is_given_back(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, fn, NULL);
  struct peer p[2];
  action = answer, answers = true;
  errors = 0;
  peer_open(&p[0], l), peer_open(&p[1], l);
  CHECK(peer_send_text(&p[0], UPGRADE));
  POLL_UNTIL(&mgr, has_answer(&p[0]));
  CHECK(peer_send_text(&p[1], UPGRADE));
  POLL_UNTIL(&mgr, has_answer(&p[1]));
  // Now the output's memory is kept, and input uses all that was kept of it.
  CHECK(peer_send_text(&p[0], "GET / HTTP/1.1\r\n"));
  poll_often(&mgr);
  full = true;
  p[1].len = 0;
  CHECK(peer_send_text(&p[1], UPGRADE));
  POLL_UNTIL(&mgr, has_answer(&p[1]) || errors > 0);
  CHECK(!full);
  CHECK_EQ(errors, 0);
  mg_mgr_free(&mgr);
  peer_free(&p[0]), peer_free(&p[1]);
}

// There is no room to say in the queued answer that it is the last: the next one says it.
static void drain_without_room(struct mg_connection *c, struct mg_http_message *hm) {
  struct mgx_drain_opts opts;
  const size_t size = c->send.size;
  memset(&opts, 0, sizeof(opts));
  opts.idle_grace_ms = 100000;
  answer(c, hm);
  CHECK(c->send.len > 0);
  c->send.size = c->send.len;
  most = 0;
  starving = true;
  mgx_conn_drain(c, &opts);
  starving = false;
  most = BIG / 2;
  if (c->send.size < size) c->send.size = size;
  action = answer;
}

static void an_announcement_without_room(void) {
  struct mg_mgr mgr;
  struct peer p;
  action = drain_without_room, answers = true;
  errors = closes = 0;
  peer_open(&p, serve(&mgr, fn, NULL));
  CHECK(peer_send_text(&p, "GET / HTTP/1.1\r\n\r\n"));
  POLL_UNTIL(&mgr, has_answer(&p));
  poll_often(&mgr);
  CHECK(peer_drop_close(&p, 0) == 0 && closes == 0);
  p.len = 0;
  CHECK(peer_send_text(&p, "GET / HTTP/1.1\r\n\r\n"));
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(has_answer(&p));
  CHECK_EQ(peer_drop_close(&p, 0), 1);
  CHECK_EQ(errors, 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  static const action_t all[] = {long_head,          long_body,    long_bytes,             long_head_before_chunks, long_chunk,
                                 long_printed_chunk, long_upgrade, long_formatted_upgrade, long_publication,
                                 kept_file, long_printed_frame, long_text};
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, fn, NULL), *c = NULL;
  size_t i;
  mg_log_set(MG_LL_NONE);
  big = make_body(BIG);
  long_header = (char *) calloc(1, BIG + 10);
  snprintf(long_header, BIG + 10, "A: %s\r\n", big);
  for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
    struct peer p;
    int failed = checks_failed;
    action = all[i];
    errors = closes = 0;
    peer_open(&p, l);
    CHECK(peer_send_text(&p, UPGRADE));
    POLL_UNTIL(&mgr, closes == 1 && peer_read(&p));
    CHECK_EQ(p.len, 0);
    CHECK_EQ(errors, 1);
    if (checks_failed > failed) fprintf(stderr, "... in action %d\n", (int) i);
    peer_free(&p);
  }
  for (i = 0; i < 2; i++) {
    errors = 0;
    starving = true;
    if (i == 0) c = mgx_ws_connect(&mgr, url_of(l, "ws"), fn, NULL, long_header);
    if (i == 1) c = mg_ws_connect(&mgr, url_of(l, "ws"), fn, NULL, "%s", long_header);
    starving = false;
    CHECK_EQ(errors, 1);
    CHECK(c != NULL && c->is_closing);
  }
  mg_mgr_free(&mgr);
  no_room_for_a_block_of_a_file();
  kept_memory_is_given_back();
  an_announcement_without_room();
  methods();
  mqtt_acknowledgements();
  messages_of_threads();
  a_lookup_over_tcp();
  firmware_check();
  free(big);
  free(long_header);
  return DONE();
}
