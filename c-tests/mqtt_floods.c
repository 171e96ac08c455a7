// A long stream of QoS 1 messages from peers that read the acknowledgements, and from peers that do not.
// timeout: 200
// not under: valgrind: too many packets
#include "peer.h"

static struct mg_mgr mgr;
static char error[100];
static int closes, commands, late;

static void plain(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MQTT_CMD) commands++;
  if ((ev == MG_EV_MQTT_CMD || ev == MG_EV_MQTT_MSG) && error[0] != '\0') late++;
  if (ev == MG_EV_ERROR) mg_snprintf(error, sizeof(error), "%s", (char *) ev_data);
  if (ev == MG_EV_CLOSE) closes++;
  (void) c;
}

static struct peer open_with(mg_event_handler_t fn, int receive_buffer) {
  struct peer p;
  error[0] = '\0';
  closes = commands = late = 0;
  mg_mgr_init(&mgr);
  peer_connect(&p, port_of(mg_mqtt_listen(&mgr, "mqtt://127.0.0.1:0", fn, NULL)), receive_buffer);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
  return p;
}

static void end(struct peer *p) {
  peer_free(p);
  mg_mgr_free(&mgr);
}

static void a_peer_that_reads_no_replies_is_dropped(void) {
  struct peer p = open_with(plain, 4096);
  char *packets = (char *) malloc(100000 * 7);
  size_t i, sent = 0;
  uint64_t until = real_ms() + 90000;
  for (i = 0; i < 100000; i++) memcpy(packets + 7 * i, "\x32\5\0\1t\0\7", 7);
  // More than the sockets' buffers can hold of the answers.
  while (closes == 0 && real_ms() < until) {
    ssize_t n = send(p.fd, packets + sent, 700000 - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) sent = (sent + (size_t) n) % 700000;
    mg_mgr_poll(&mgr, 0);
  }
  CHECK_EQ(closes, 1);
  CHECK(strcmp(error, "MQTT peer takes no replies") == 0);
  CHECK_EQ(late, 0);
  free(packets);
  end(&p);
}

// As many replies as are counted at once, of which none could be sent yet, are no flood.
static void the_first_replies_are_no_flood(void) {
  struct peer p = open_with(plain, 0);
  struct mg_connection *c = mgr.conns;
  const size_t total = (1 << 20) / 4;
  size_t i;
  long n = (long) (total * 7);
  mg_iobuf_resize(&c->recv, total * 7);
  for (i = 0; i < total; i++) memcpy(c->recv.buf + 7 * i, "\x32\5\0\1t\0\7", 7);
  c->recv.len = total * 7;
  c->pfn(c, MG_EV_READ, &n);
  CHECK_EQ(commands, total);
  CHECK_EQ(c->send.len, total * 4);
  CHECK_EQ(closes, 0);
  CHECK(error[0] == '\0');
  end(&p);
}

// A peer that does read gets as many as it likes.
static void a_long_stream_is_acknowledged(void) {
  struct peer p = open_with(plain, 0);
  size_t i, total = 300000;
  char *packets = (char *) malloc(total * 7);
  size_t sent = 0;
  uint64_t until = real_ms() + 90000;
  for (i = 0; i < total; i++) memcpy(packets + 7 * i, "\x32\5\0\1t\0\7", 7);
  while (p.len < total * 4 && real_ms() < until) {
    ssize_t n = sent < total * 7 ? send(p.fd, packets + sent, total * 7 - sent, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (n > 0) sent += (size_t) n;
    mg_mgr_poll(&mgr, 0);
    peer_read(&p);
  }
  CHECK_EQ(p.len, total * 4);
  CHECK_EQ(commands, total);
  CHECK_EQ(closes, 0);
  free(packets);
  end(&p);
}

// A refusal closes the connection, but what came with it is still handled, up to the first failure.
static void a_flood_behind_a_refusal_ends(void) {
  struct peer p = open_with(plain, 0);
  struct mg_connection *c = mgr.conns;
  const size_t total = (1 << 20) / 2 + 10;
  size_t i;
  long n = (long) (4 + 4 * total);
  mg_iobuf_resize(&c->recv, (size_t) n + 1);
  memcpy(c->recv.buf, "\x20\2\0\5", 4);
  for (i = 0; i < total; i++) memcpy(c->recv.buf + 4 + 4 * i, "\x62\2\0\7", 4);
  c->recv.len = (size_t) n;
  mg_call(c, MG_EV_READ, &n);
  CHECK(strcmp(error, "MQTT peer takes no replies") == 0);
  CHECK_EQ(commands, (1 << 20) / 2);  // the refusal, and all but the last of two mebibytes of replies
  CHECK_EQ(late, 0);
  end(&p);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  a_peer_that_reads_no_replies_is_dropped();
  the_first_replies_are_no_flood();
  a_flood_behind_a_refusal_ends();
  a_long_stream_is_acknowledged();
  return DONE();
}
