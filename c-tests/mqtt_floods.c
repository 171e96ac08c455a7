// A long stream of QoS 1 messages from peers that read the acknowledgements, and from peers that do not.
// timeout: 200
// not under: valgrind: too many packets
#include "peer.h"

static struct mg_mgr mgr;
static char error[100];
static int closes, commands;

static void plain(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MQTT_CMD) commands++;
  if (ev == MG_EV_ERROR) mg_snprintf(error, sizeof(error), "%s", (char *) ev_data);
  if (ev == MG_EV_CLOSE) closes++;
  (void) c;
}

static struct peer open_with(mg_event_handler_t fn, int receive_buffer) {
  struct peer p;
  error[0] = '\0';
  closes = commands = 0;
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
  free(packets);
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

int main(void) {
  mg_log_set(MG_LL_NONE);
  a_peer_that_reads_no_replies_is_dropped();
  a_long_stream_is_acknowledged();
  return DONE();
}
