// Handlers that poll while handling a packet, and peers that keep sending: every packet is handled once and in order, and the
// message passed to a handler does not change until it returns.
// timeout: 200
#include "mongoose_ext.h"
#include "client.h"

static int s_poll_in;          // the event in which the handler polls; -1: in all
static int s_seen, s_answers;  // messages, and commands for them
static int s_opens, s_closes, s_depth, s_deepest;
static char s_error[100];
static struct script s_peer;
static struct mg_connection *s_conn;

// Sent one after the other, in the middle of callbacks too.
static char *s_stream;
static size_t s_stream_len, s_stream_sent, s_piece;
static bool s_hangs_up;  // after the last byte

static void stream_add(const void *data, size_t len) {
  s_stream = (char *) realloc(s_stream, s_stream_len + len + 1);
  memcpy(s_stream + s_stream_len, data, len);
  s_stream_len += len;
}

// Message i: QoS 1, its number as topic, `len` bytes of data that can be told from others'.
static void stream_add_message(int i, size_t len) {
  unsigned char head[20];
  size_t n = 0, body = 2 + 6 + 2 + len, k;
  char *data = (char *) malloc(len + 1);
  head[n++] = 0x32;
  for (k = body; k > 127; k >>= 7) head[n++] = (unsigned char) (k | 128);
  head[n++] = (unsigned char) k;
  head[n++] = 0, head[n++] = 6;
  mg_snprintf((char *) head + n, 7, "%06d", i);
  n += 6;
  head[n++] = (unsigned char) ((i + 1) >> 8), head[n++] = (unsigned char) (i + 1);
  stream_add(head, n);
  for (k = 0; k < len; k++) data[k] = (char) ('a' + (i + (int) k) % 26);
  stream_add(data, len);
  free(data);
}

static void stream_go_on(size_t len) {
  if (len > s_stream_len - s_stream_sent) len = s_stream_len - s_stream_sent;
  if (len > 0 && peer_send(&s_peer.peer, s_stream + s_stream_sent, len)) s_stream_sent += len;
  if (s_hangs_up && s_stream_sent == s_stream_len) peer_shut(&s_peer.peer), s_hangs_up = false;
}

static size_t length_of(int i) {
  return (size_t) (i * 37 % 300);
}

static bool is_message(const struct mg_mqtt_message *mm, int i, size_t len) {
  char topic[7];
  size_t k;
  mg_snprintf(topic, sizeof(topic), "%06d", i);
  if (mm->cmd != MQTT_CMD_PUBLISH || mm->id != i + 1 || mm->data.len != len || mg_strcmp(mm->topic, mg_str(topic)) != 0) return false;
  for (k = 0; k < len; k++) {
    if (mm->data.buf[k] != (char) ('a' + (i + (int) k) % 26)) return false;
  }
  return true;
}

static void poll_here(struct mg_connection *c, int ev) {
  int i;
  if (s_poll_in != -1 && s_poll_in != ev) return;
  if (++s_depth > s_deepest) s_deepest = s_depth;
  for (i = 0; i < 3; i++) {
    stream_go_on(s_piece);
    mg_mgr_poll(c->mgr, 1);
  }
  s_depth--;
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
  if (c->is_listening) return;
  if (ev == MG_EV_OPEN) s_conn = c;
  if (ev == MG_EV_MQTT_OPEN) {
    s_opens++;
    poll_here(c, ev);
  } else if (ev == MG_EV_MQTT_MSG) {
    CHECK(s_seen == s_answers && is_message(mm, s_seen, length_of(s_seen)));
    poll_here(c, ev);
    CHECK(is_message(mm, s_seen, length_of(s_seen)));
    s_seen++;
  } else if (ev == MG_EV_MQTT_CMD && mm->cmd == MQTT_CMD_PUBLISH) {
    CHECK(s_seen == s_answers + 1 && is_message(mm, s_answers, length_of(s_answers)));
    poll_here(c, ev);
    CHECK(is_message(mm, s_answers, length_of(s_answers)));
    s_answers++;
  } else if (ev == MG_EV_MQTT_CMD) {
    poll_here(c, ev);
  } else if (ev == MG_EV_READ) {
    poll_here(c, ev);
  } else if (ev == MG_EV_ERROR) {
    mg_snprintf(s_error, sizeof(s_error), "%s", (char *) ev_data);
  } else if (ev == MG_EV_CLOSE) {
    s_closes++;
  }
}

static void begin(bool is_client, mg_event_handler_t fn) {
  s_seen = s_answers = s_opens = s_closes = s_deepest = 0;
  s_error[0] = '\0';
  s_stream_len = s_stream_sent = 0;
  s_piece = 1000;
  s_hangs_up = false;
  s_poll_in = -1;
  s_conn = NULL;
  mg_mgr_init(&mgr);
  if (is_client) {
    char url[60];
    script_open(&s_peer);
    mg_snprintf(url, sizeof(url), "mqtt://127.0.0.1:%d", s_peer.port);
    mg_mqtt_connect(&mgr, url, NULL, fn, NULL);
    script_accept(&s_peer);
  } else {
    peer_open(&s_peer.peer, mg_mqtt_listen(&mgr, "mqtt://127.0.0.1:0", fn, NULL));
    s_peer.listener = -1;
    POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
  }
}

static void end(void) {
  peer_free(&s_peer.peer);
  if (s_peer.listener >= 0) script_close(&s_peer);
  mg_mgr_free(&mgr);
  free(s_stream);
  s_stream = NULL;
}

static void every_packet_once(bool is_client, int event, size_t at_first, size_t piece, bool hangs_up) {
  enum { COUNT = 300 };
  int i;
  begin(is_client, handler);
  s_poll_in = event;
  if (is_client) stream_add("\x20\2\0\0", 4);
  for (i = 0; i < COUNT; i++) stream_add_message(i, length_of(i));
  s_piece = piece;
  s_hangs_up = hangs_up;
  stream_go_on(at_first);
  POLL_UNTIL(&mgr, (stream_go_on(at_first), s_answers == COUNT));
  CHECK(s_seen == COUNT && s_error[0] == '\0' && s_opens == is_client);
  if (hangs_up) POLL_UNTIL(&mgr, s_closes == 1);
  else CHECK_EQ(s_closes, 0);
  if (!hangs_up) {
    // One acknowledgement for each, in order.
    struct peer *p = &s_peer.peer;
    size_t from = is_client ? 2 + 10 + 2 + 19 : 0;
    POLL_UNTIL(&mgr, peer_has(p, from + 4 * COUNT));
    CHECK_EQ(p->len, from + 4 * COUNT);
    for (i = 0; i < COUNT && p->len >= from + 4 * COUNT; i++) {
      const unsigned char *a = (const unsigned char *) p->buf + from + 4 * i;
      CHECK(a[0] == 0x40 && a[1] == 2 && (a[2] << 8 | a[3]) == i + 1);
    }
  }
  end();
}

static void all_packets_once(void) {
  static const int events[] = {MG_EV_MQTT_OPEN, MG_EV_MQTT_MSG, MG_EV_MQTT_CMD, MG_EV_READ, -1};
  size_t i;
  for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
    every_packet_once(true, events[i], 200, 97, false);
    every_packet_once(false, events[i], 200, 97, false);
    // More than what stays near: the rest waits outside, and more comes behind it.
    every_packet_once(false, events[i], 40000, 1000, false);
    // The peer leaves while all of it is still to be handled.
    every_packet_once(false, events[i], 100000, 1000, true);
  }
}

// ---- a handler that waits for more, while little is left of much that was there before

static bool arrives(uint64_t bytes) {
  struct mgx_stats stats;
  int i;
  for (i = 0; i < 5000; i++) {
    mgx_mgr_stats(&mgr, &stats);
    if (stats.bytes_in == bytes) return true;
    mg_mgr_poll(&mgr, 1);
  }
  return false;
}

static void waits_for_more(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_MQTT_MSG) return;
  CHECK(is_message((struct mg_mqtt_message *) ev_data, s_seen, 180));
  if (s_seen == 0) CHECK(arrives(s_stream_sent));
  if (s_seen == 250) {
    stream_go_on(s_stream_len);
    CHECK(arrives(s_stream_len));
  }
  s_seen++;
  (void) c;
}

static void more_arrives_behind_much(void) {
  int i;
  size_t len = 0;
  begin(false, waits_for_more);
  for (i = 0; i < 320; i++) {
    if (i == 310) len = s_stream_len;
    stream_add_message(i, 180);
  }
  stream_go_on(len);
  POLL_UNTIL(&mgr, s_seen == 320);
  end();
}

// Each event of the first packet waits for more: a little, then so much that the buffer grows.
static void waits_in_each_event(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
  if (ev == MG_EV_ACCEPT) s_conn = c;
  if (ev != MG_EV_MQTT_CMD && ev != MG_EV_MQTT_MSG) return;
  if (s_seen == 0) {
    size_t want = c->recv.len + (ev == MG_EV_MQTT_MSG ? 100 : 30000);
    stream_go_on(want - c->recv.len);
    POLL_UNTIL(c->mgr, c->recv.len == want);
  }
  CHECK(is_message(mm, s_seen, s_seen == 0 ? 10 : 1000));
  s_seen += ev == MG_EV_MQTT_CMD;
}

static void packets_stay_while_the_buffer_grows(void) {
  int i;
  begin(false, waits_in_each_event);
  stream_add_message(0, 10);
  stream_go_on(s_stream_len);
  for (i = 1; i < 40; i++) stream_add_message(i, 1000);
  POLL_UNTIL(&mgr, s_seen > 0);
  stream_go_on(s_stream_len);
  POLL_UNTIL(&mgr, s_seen == 40);
  poll_often(&mgr);
  // An idle connection has no buffer.
  CHECK(s_conn->recv.size == 0 && s_conn->recv.buf == NULL);
  end();
}

// ---- handlers take from the buffer themselves

static int s_taking;

static void consumes_packets(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
  if (ev != MG_EV_MQTT_CMD) return;
  CHECK(is_message(mm, s_seen, 10));
  s_seen++;
  if (s_taking == 0) mg_iobuf_del(&c->recv, 0, mm->dgram.len);  // its own packet
  if (s_taking == 1) mg_iobuf_del(&c->recv, 0, mm->dgram.len / 2);
  if (s_taking == 2 && s_seen == 1) c->recv.len = 0;  // all that is there, at a time when no more is
  poll_here(c, ev);
  if (s_taking == 3) mg_iobuf_del(&c->recv, 0, mm->dgram.len);
}

static void consumed_packets_are_not_removed_twice(void) {
  for (s_taking = 0; s_taking < 4; s_taking++) {
    int i;
    begin(false, consumes_packets);
    for (i = 0; i < 50; i++) stream_add_message(i, 10);
    s_piece = s_stream_len / 50;
    POLL_UNTIL(&mgr, (stream_go_on(s_piece), s_seen == 50));
    end();
  }
}

static size_t s_data_len;  // of every other message

static size_t length_in_turn(int i) {
  return i % 2 == 0 ? 15 : s_data_len;
}

static void consumes_in_the_first_event(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
  if (ev == MG_EV_MQTT_MSG) {
    CHECK(is_message(mm, s_seen, length_in_turn(s_seen)));
    mg_iobuf_del(&c->recv, 0, mm->dgram.len);
  } else if (ev == MG_EV_MQTT_CMD) {
    CHECK(is_message(mm, s_seen, length_in_turn(s_seen)));
    // Whole, and terminated for those who scan on.
    CHECK(mm->data.buf + mm->data.len == mm->dgram.buf + mm->dgram.len && mm->dgram.buf[mm->dgram.len] == '\0');
    CHECK(mm->topic.buf == mm->dgram.buf + 4);
    s_seen++;
  }
}

// The second event tells of the same packet.
static void a_packet_may_be_consumed_between_its_events(void) {
  for (s_data_len = 0; s_data_len < 20; s_data_len += 10) {
    int i;
    begin(false, consumes_in_the_first_event);
    for (i = 0; i < 50; i++) stream_add_message(i, length_in_turn(i));
    stream_go_on(s_stream_len);
    POLL_UNTIL(&mgr, s_seen == 50);
    end();
  }
}

// Inserts packets of its own behind one, while most of what arrived is put aside.
enum { BEFORE = 41, INSERTED = 200, BEHIND = 300, PACKET = 112 };

static void inserts_packets(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
  if (ev != MG_EV_MQTT_CMD) return;
  CHECK(is_message(mm, s_seen, 100) && mm->dgram.len == PACKET);
  if (++s_seen == BEFORE) mg_iobuf_add(&c->recv, PACKET, s_stream + BEFORE * PACKET, INSERTED * PACKET);
}

static void inserted_packets_are_handled_in_their_place(void) {
  struct mg_connection *c;
  long len = BEHIND * PACKET;
  int i;
  begin(false, inserts_packets);
  for (i = 0; i < BEFORE + INSERTED + BEHIND; i++) stream_add_message(i, 100);
  c = mgr.conns;
  mg_iobuf_add(&c->recv, 0, s_stream, BEFORE * PACKET);
  mg_iobuf_add(&c->recv, c->recv.len, s_stream + (BEFORE + INSERTED) * PACKET, (size_t) len);
  mg_call(c, MG_EV_READ, &len);
  CHECK_EQ(s_seen, BEFORE + INSERTED + BEHIND);
  CHECK_EQ(c->recv.len, 0);
  end();
}

static void frees_the_buffer(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_MQTT_CMD) return;
  mg_iobuf_free(&c->recv);
  s_seen++;
  (void) ev_data;
}

static void a_buffer_that_is_freed_stays_away(void) {
  struct mg_connection *c;
  long len;
  begin(false, frees_the_buffer);
  stream_add_message(0, 10);
  len = (long) s_stream_len;
  c = mgr.conns;
  mg_iobuf_add(&c->recv, 0, s_stream, s_stream_len);
  mg_call(c, MG_EV_READ, &len);
  CHECK_EQ(s_seen, 1);
  CHECK(c->recv.buf == NULL && c->recv.size == 0);
  end();
}

// ---- handlers hand the connection over to another protocol

static char s_taken[100000];
static size_t s_taken_len;
static int s_swap;

// The other protocol: takes all there is.
static void other(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_READ && ev != MG_EV_POLL) return;
  if (c->recv.len > 0) {
    CHECK(s_taken_len + c->recv.len <= sizeof(s_taken));
    memcpy(s_taken + s_taken_len, c->recv.buf, c->recv.len);
    s_taken_len += c->recv.len;
    c->recv.len = 0;
  }
  (void) ev_data;
}

static void replaces_the_handler(struct mg_connection *c, int ev, void *ev_data) {
  if (c->is_listening || (ev != MG_EV_MQTT_CMD && ev != MG_EV_MQTT_MSG)) return;
  CHECK(is_message((struct mg_mqtt_message *) ev_data, 0, 10));
  if (s_swap != ev || c->pfn == other) return;
  c->pfn = other;
  poll_here(c, ev);
}

// Whoever takes over gets the rest, all of it and in order. What it took inside the callback begins with the packet itself.
static void the_rest_goes_to_the_new_protocol(void) {
  static const size_t at_first[] = {30, 20000, 60000};
  size_t i, k;
  for (i = 0; i < 3; i++) {
    for (s_swap = MG_EV_MQTT_CMD; s_swap <= MG_EV_MQTT_MSG; s_swap++) {
      begin(false, replaces_the_handler);
      stream_add_message(0, 10);
      for (k = 0; k < 70000; k++) stream_add(k % 3 ? "x" : "\xff", 1);
      s_taken_len = 0;
      stream_go_on(at_first[i]);
      POLL_UNTIL(&mgr, (stream_go_on(1000), s_taken_len == s_stream_len));
      CHECK(memcmp(s_taken, s_stream, s_stream_len) == 0);
      end();
    }
  }
}

// A single byte is enough to wake up for.
static void the_new_protocol_gets_its_first_byte_at_once(void) {
  uint64_t start = real_ms();
  s_swap = MG_EV_MQTT_CMD;
  begin(false, replaces_the_handler);
  s_poll_in = 0;
  stream_add_message(0, 10);
  stream_add("x", 1);
  s_taken_len = 0;
  stream_go_on(s_stream_len);
  while (s_taken_len == 0 && real_ms() - start < 30000) mg_mgr_poll(&mgr, 10000);
  CHECK(s_taken_len == 1 && s_taken[0] == 'x' && real_ms() - start < 9000);
  end();
}

// A handler in front of ours that steps aside.
static mg_event_handler_t s_library;

static void wrapper(struct mg_connection *c, int ev, void *ev_data) {
  s_library(c, ev, ev_data);
}

static void restores_the_handler(struct mg_connection *c, int ev, void *ev_data) {
  if (c->is_listening) return;
  if (ev == MG_EV_ACCEPT) s_library = c->pfn, c->pfn = wrapper;
  if (ev == MG_EV_MQTT_CMD) {
    CHECK(is_message((struct mg_mqtt_message *) ev_data, s_seen, 10));
    c->pfn = s_seen++ % 2 ? wrapper : s_library;
  }
}

static void buffered_packets_are_handled_after_a_handler_change(void) {
  uint64_t start = real_ms();
  int i;
  begin(false, restores_the_handler);
  for (i = 0; i < 20; i++) stream_add_message(i, 10);
  stream_go_on(s_stream_len);
  while (s_seen < 20 && real_ms() - start < 30000) mg_mgr_poll(&mgr, 10000);
  CHECK(s_seen == 20 && real_ms() - start < 9000);
  end();
}

// ---- connections end inside

static int s_ending;

static void ends_the_connection(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CLOSE && !c->is_listening) s_closes++;
  if (ev != MG_EV_MQTT_CMD && ev != MG_EV_MQTT_MSG) return;
  CHECK(is_message((struct mg_mqtt_message *) ev_data, 0, 10));
  s_seen++;
  if (ev != s_poll_in) return;
  if (s_ending == 0) c->is_closing = 1;
  if (s_ending == 1) c->is_draining = 1;
  if (s_ending == 2) mg_close_conn(c);
  if (s_ending == 3) script_reset(&s_peer), s_peer.peer.fd = -1;
  poll_here(s_ending == 2 ? mgr.conns : c, ev);
  if (s_ending == 4) mg_mgr_free(&mgr);
  CHECK(is_message((struct mg_mqtt_message *) ev_data, 0, 10));
}

static void nothing_arrives_after_close(void) {
  int ev, i;
  for (ev = MG_EV_MQTT_CMD; ev <= MG_EV_MQTT_MSG; ev++) {
    for (s_ending = 0; s_ending < 5; s_ending++) {
      begin(false, ends_the_connection);
      s_poll_in = ev;
      for (i = 0; i < 3; i++) stream_add_message(i, 10);
      // The peer that breaks off does so when only one message is there.
      stream_go_on(s_ending == 3 ? s_stream_len / 3 : s_stream_len);
      if (s_ending == 3) s_stream_len = s_stream_sent;
      POLL_UNTIL(&mgr, s_closes == 1);
      CHECK(s_seen >= 1 && s_seen <= 2);
      end();
    }
  }
}

// ---- what is too long

static enum mgx_reason s_reason;

static void plain(struct mg_connection *c, int ev, void *ev_data) {
  if (c->is_listening) return;
  if (ev == MG_EV_MQTT_CMD) s_seen++;
  if (ev == MG_EV_ERROR) mg_snprintf(s_error, sizeof(s_error), "%s", (char *) ev_data);
  if (ev == MG_EV_CLOSE) s_closes++, s_reason = mgx_close_reason(c);
}

// The limit is for whole packets: one of that length is handled, and one that is a byte longer is refused when it is announced.
static void too_long(bool v5) {
  struct peer *p = &s_peer.peer;
  size_t sent = 0, len = 5 + MG_MAX_RECV_SIZE - 5;
  char *packet = (char *) calloc(1, len);
  begin(false, plain);
  if (v5) CHECK(peer_send(p, "\x10\x0d\0\4MQTT\5\2\0\0\0\0\0", 15));
  memcpy(packet, "\x00\xfb\xff\xbf\x01", 5);
  CHECK_EQ(len, 3 * 1024 * 1024);
  while (sent < len && s_closes == 0) {
    size_t n = len - sent > 10000 ? 10000 : len - sent;
    if (peer_send(p, packet + sent, n)) sent += n;
    mg_mgr_poll(&mgr, 0);
  }
  POLL_UNTIL(&mgr, s_seen == 1 + v5);
  CHECK(s_closes == 0 && s_error[0] == '\0');
  CHECK(peer_send(p, "\x00\xfc\xff\xbf\x01", 5));
  POLL_UNTIL(&mgr, peer_read(p));
  CHECK(strcmp(s_error, "MG_MAX_RECV_SIZE") == 0 && s_closes == 1 && s_reason == MGX_REASON_LIMIT);
  if (v5) CHECK(peer_got_bytes(p, "\xe0\1\x95", 3));
  free(packet);
  end();
}

// Announced is enough: nobody waits for the rest.
static void refused_at_once(bool is_client) {
  begin(is_client, plain);
  CHECK(peer_send(&s_peer.peer, "\x30\xff\xff\xff\x7f", 5));
  POLL_UNTIL(&mgr, s_closes == 1);
  CHECK(strcmp(s_error, "MG_MAX_RECV_SIZE") == 0 && s_seen == 0);
  end();
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  more_arrives_behind_much();
  all_packets_once();
  packets_stay_while_the_buffer_grows();
  consumed_packets_are_not_removed_twice();
  a_packet_may_be_consumed_between_its_events();
  inserted_packets_are_handled_in_their_place();
  a_buffer_that_is_freed_stays_away();
  the_rest_goes_to_the_new_protocol();
  the_new_protocol_gets_its_first_byte_at_once();
  buffered_packets_are_handled_after_a_handler_change();
  nothing_arrives_after_close();
  refused_at_once(false);
  refused_at_once(true);
  too_long(false);
  too_long(true);
  return DONE();
}
