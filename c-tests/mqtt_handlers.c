// Actions of applications in MQTT handlers - edit the buffer, close, drain, poll - and misbehaving peers.
// timeout: 200
// not under: short: packets must arrive together
#include "mongoose_ext.h"
#include "peer.h"

static struct mg_mgr mgr;
static char seen[2000], error[100];
static int closes, commands;

static void note(int ev, void *ev_data) {
  size_t n = strlen(seen);
  if (ev == MG_EV_MQTT_CMD) {
    struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
    commands++;
    if (n < sizeof(seen) - 40) mg_snprintf(seen + n, sizeof(seen) - n, "%d:%d ", mm->cmd, mm->id);
  } else if (ev == MG_EV_MQTT_MSG) {
    struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
    if (n < sizeof(seen) - 40) mg_snprintf(seen + n, sizeof(seen) - n, "%.*s=%.*s ", (int) mm->topic.len, mm->topic.buf, (int) mm->data.len, mm->data.buf);
  } else if (ev == MG_EV_ERROR) {
    mg_snprintf(error, sizeof(error), "%s", (char *) ev_data);
  } else if (ev == MG_EV_CLOSE) {
    closes++;
  }
}

static struct peer open_with(mg_event_handler_t fn) {
  struct peer p;
  seen[0] = error[0] = '\0';
  closes = commands = 0;
  mg_mgr_init(&mgr);
  peer_open(&p, mg_mqtt_listen(&mgr, "mqtt://127.0.0.1:0", fn, NULL));
  POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
  return p;
}

static void end(struct peer *p) {
  peer_free(p);
  mg_mgr_free(&mgr);
}

#define SAY(p, bytes) CHECK(peer_send(p, bytes, sizeof(bytes) - 1))
#define GOT(p, want) CHECK(peer_got_bytes(p, want, sizeof(want) - 1))

static void plain(struct mg_connection *c, int ev, void *ev_data) {
  note(ev, ev_data);
  (void) c;
}

#define TWO "\x32\6\0\1a\0\1x" "\x32\6\0\1b\0\2y"
#define ACKS "\x40\2\0\1\x40\2\0\2"

static void a_byte_at_a_time(void) {
  struct peer p = open_with(plain);
  size_t i;
  for (i = 0; i < sizeof(TWO) - 1; i++) {
    CHECK(peer_send(&p, &TWO[i], 1));
    poll_often(&mgr);
  }
  POLL_UNTIL(&mgr, peer_has(&p, 8));
  GOT(&p, ACKS);
  CHECK(strcmp(seen, "a=x 3:1 b=y 3:2 ") == 0);
  end(&p);
}

// ---- the buffer is taken away, emptied or moved

static int edit, edit_in;

static void edits_the_buffer(struct mg_connection *c, int ev, void *ev_data) {
  note(ev, ev_data);
  if (ev != edit_in) return;
  if (edit == 0) c->recv.len = 0;
  if (edit == 1) mg_iobuf_free(&c->recv);
  if (edit == 2) mg_iobuf_del(&c->recv, 0, c->recv.len);
  if (edit == 3) mg_iobuf_resize(&c->recv, c->recv.size + 100000);
  if (edit == 4) {
    // Taken over by the application.
    free(c->recv.buf);
    memset(&c->recv, 0, sizeof(c->recv));
  }
}

static void buffers_may_be_edited(void) {
  for (edit = 0; edit < 5; edit++) {
    for (edit_in = MG_EV_MQTT_CMD; edit_in <= MG_EV_MQTT_MSG; edit_in++) {
      struct peer p = open_with(edits_the_buffer);
      SAY(&p, TWO);
      POLL_UNTIL(&mgr, peer_has(&p, edit == 3 ? 8 : 4));
      poll_often(&mgr);
      CHECK(strncmp(seen, "a=x ", 4) == 0);
      CHECK((strstr(seen, "b=y 3:2 ") != NULL) == (edit == 3));
      // The next read starts clean.
      edit_in += 1000;
      SAY(&p, "\xc0\0");
      POLL_UNTIL(&mgr, strstr(seen, "12:0 ") != NULL);
      edit_in -= 1000;
      CHECK_EQ(closes, 0);
      end(&p);
    }
  }
}

// What is emptied includes what the library holds outside of the buffer.
static void much_may_be_deleted(void) {
  enum { PACKETS = 20000 };
  struct peer p = open_with(edits_the_buffer);
  struct mg_connection *c = mgr.conns;
  long n = 2 * PACKETS;
  size_t i;
  edit = 0;
  edit_in = MG_EV_MQTT_CMD;
  mg_iobuf_resize(&c->recv, (size_t) n);
  for (i = 0; i < PACKETS; i++) memcpy(c->recv.buf + 2 * i, "\xc0\0", 2);
  c->recv.len = (size_t) n;
  c->pfn(c, MG_EV_READ, &n);
  CHECK_EQ(commands, 1);
  CHECK_EQ(c->recv.len, 0);
  poll_often(&mgr);
  CHECK_EQ(commands, 1);
  edit_in = 0;
  end(&p);
}

// ---- connections end

static void ends_the_connection(struct mg_connection *c, int ev, void *ev_data) {
  note(ev, ev_data);
  if (ev != edit_in) return;
  if (edit == 0) c->is_closing = 1;
  if (edit == 1) mg_error(c, "enough");
  if (edit == 2) mg_close_conn(c);
  if (edit == 3) c->is_draining = 1;
  if (edit == 4) mg_mgr_free(c->mgr);
}

static void nothing_is_handled_after_close(void) {
  for (edit = 0; edit < 5; edit++) {
    for (edit_in = MG_EV_MQTT_CMD; edit_in <= MG_EV_MQTT_MSG; edit_in++) {
      struct peer p = open_with(ends_the_connection);
      SAY(&p, TWO);
      POLL_UNTIL(&mgr, closes > 0 && peer_read(&p));
      CHECK(strstr(seen, "b=y") == NULL);
      CHECK_EQ(closes, edit == 4 ? 2 : 1);  // then the listener is closed as well
      if (edit == 3) GOT(&p, "\x40\2\0\1");
      CHECK(strcmp(error, edit == 1 ? "enough" : "") == 0);
      end(&p);
    }
  }
}

static void polls_in_handler(struct mg_connection *c, int ev, void *ev_data) {
  note(ev, ev_data);
  if (ev == MG_EV_MQTT_MSG) poll_often(c->mgr);
}

static void a_handler_may_poll(void) {
  struct peer p = open_with(polls_in_handler);
  SAY(&p, TWO);
  POLL_UNTIL(&mgr, peer_has(&p, 8));
  SAY(&p, TWO);
  POLL_UNTIL(&mgr, peer_has(&p, 16));
  CHECK(strcmp(seen, "a=x 3:1 b=y 3:2 a=x 3:1 b=y 3:2 ") == 0);
  GOT(&p, ACKS ACKS);
  end(&p);
}

static void drains_on_disconnect(struct mg_connection *c, int ev, void *ev_data) {
  note(ev, ev_data);
  if (ev == MG_EV_MQTT_CMD && ((struct mg_mqtt_message *) ev_data)->cmd == MQTT_CMD_DISCONNECT) {
    mg_mqtt_ping(c);
    c->is_draining = 1;
  }
}

static void packets_after_disconnect_are_dropped(void) {
  struct peer p = open_with(drains_on_disconnect);
  SAY(&p, "\x32\6\0\1a\0\1x\xe0\0\x32\6\0\1b\0\2y");
  POLL_UNTIL(&mgr, peer_read(&p));
  GOT(&p, "\x40\2\0\1\xc0\0");
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(strcmp(seen, "a=x 3:1 14:0 ") == 0);
  end(&p);
}

static void a_half_close_loses_no_acknowledgement(void) {
  struct peer p = open_with(plain);
  SAY(&p, TWO);
  peer_shut(&p);
  POLL_UNTIL(&mgr, peer_read(&p));
  GOT(&p, ACKS);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(closes, 1);
  end(&p);
}

// A handler in front of ours.
static mg_event_handler_t s_library;

static void wrapper(struct mg_connection *c, int ev, void *ev_data) {
  s_library(c, ev, ev_data);
}

static void installs_wrapper(struct mg_connection *c, int ev, void *ev_data) {
  note(ev, ev_data);
  if (ev == MG_EV_ACCEPT) s_library = c->pfn, c->pfn = wrapper;
}

static void the_protocol_handler_may_be_wrapped(void) {
  struct peer p = open_with(installs_wrapper);
  SAY(&p, TWO);
  POLL_UNTIL(&mgr, peer_has(&p, 8));
  CHECK(strcmp(seen, "a=x 3:1 b=y 3:2 ") == 0);
  end(&p);
}

// ---- versions

static void version_5_is_detected(void) {
  struct peer p = open_with(plain);
  SAY(&p, "\x10\x0d\0\4MQTT\5\2\0\0\0\0\0" "\x30\4\0\1a\0" "\x32\7\0\1a\0\1\0z" "\x32\6\0\1a\0\2\0" "\x34\7\0\1a\0\3\0z" "\x50\5\0\4\x80\0\0"
          "\x50\4\0\5\x10\0" "\x50\2\0\6");
  POLL_UNTIL(&mgr, peer_has(&p, 26));
  poll_often(&mgr);
  GOT(&p, "\x40\4\0\1\0\0" "\x40\4\0\2\0\0" "\x50\4\0\3\0\0" "\x62\2\0\5" "\x62\2\0\6");  // nothing for the refused one
  CHECK(strcmp(seen, "1:0 a= 3:0 a=z 3:1 a= 3:2 a=z 3:3 5:4 5:5 5:6 ") == 0);
  end(&p);
  p = open_with(plain);
  SAY(&p, "\x10\x0c\0\4MQTT\4\2\0\0\0\0" "\x32\7\0\1a\0\1\0z");
  POLL_UNTIL(&mgr, peer_has(&p, 4));
  GOT(&p, "\x40\2\0\1");
  end(&p);
}

// ---- bad peers

static void expect_silent_end(const char *bytes, size_t len) {
  struct peer p = open_with(plain);
  CHECK(peer_send(&p, bytes, len));
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.len, 0);
  CHECK_EQ(closes, 1);
  CHECK(error[0] == '\0' && strstr(seen, "3:") == NULL);
  end(&p);
}

static void malformed_packets_end_a_connection(void) {
  static const char *bad[] = {"\x36\5\0\1a\0\1", "\x32\4\0\1a\0", "\x30\2\0\3", "\xc0\x80\x80\x80\x80", "\x40\1\0"};
  static const size_t lens[] = {7, 6, 4, 5, 3};
  size_t i;
  for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) expect_silent_end(bad[i], lens[i]);
  // Version 5 without a property block, or with one that is too long.
  expect_silent_end("\x10\x0d\0\4MQTT\5\2\0\0\0\0\0\x30\3\0\1a", 20);
  expect_silent_end("\x10\x0d\0\4MQTT\5\2\0\0\0\0\0\x30\5\0\1a\2x", 22);
  // Behind a refusal, which alone would let us go on.
  expect_silent_end("\x20\2\0\5\x40\1\0", 7);
}

// A large buffer full of the smallest packets: what is behind each, and moves when it is taken off, is a small part of that.
static size_t most_behind;

static void measures_the_buffer(struct mg_connection *c, int ev, void *ev_data) {
  note(ev, ev_data);
  if (ev == MG_EV_MQTT_CMD) {
    size_t behind = c->recv.len - ((struct mg_mqtt_message *) ev_data)->dgram.len;
    if (behind > most_behind) most_behind = behind;
    CHECK_EQ(c->recv.buf[c->recv.len], 0);
  }
}

// Consumes each packet itself, and nothing of those behind it.
static void takes_the_packet(struct mg_connection *c, int ev, void *ev_data) {
  measures_the_buffer(c, ev, ev_data);
  if (ev == MG_EV_MQTT_CMD) mg_iobuf_del(&c->recv, 0, ((struct mg_mqtt_message *) ev_data)->dgram.len);
}

static void many_small_packets_in_a_large_buffer(mg_event_handler_t fn) {
  struct peer p = open_with(fn);
  struct mg_connection *c = mgr.conns;
  size_t i, n = 500000;
  long count = 1;
  mg_iobuf_resize(&c->recv, n + 5);
  for (i = 0; i < n; i++) c->recv.buf[i] = i & 1 ? 0 : 0xc0;
  // In between one that is longer than what is kept near, and an incomplete one at the end.
  memcpy(c->recv.buf + 200000, "\x30\x80\x80\x02", 4);
  memcpy(c->recv.buf + 200004, "\0\1l", 3);
  memcpy(c->recv.buf + n, "\x32\6\0\1", 4);
  c->recv.len = n + 4;
  mg_call(c, MG_EV_READ, &count);
  CHECK_EQ(commands, (n - 32768 - 4) / 2 + 1);
  CHECK(most_behind > 0 && most_behind <= 16384);
  CHECK(c->recv.len == 4 && memcmp(c->recv.buf, "\x32\6\0\1", 4) == 0);
  SAY(&p, "e\0\1x");
  POLL_UNTIL(&mgr, peer_has(&p, 4));
  GOT(&p, "\x40\2\0\1");
  end(&p);
}

// ---- a graceful shutdown of the manager: what has arrived is acknowledged

static void a_manager_drains(void) {
  struct mgx_mgr_drain_opts o;
  struct peer p = open_with(plain);
  uint64_t start = real_ms();
  memset(&o, 0, sizeof(o));
  o.idle_grace_ms = 200;
  SAY(&p, "\x32\6\0\1a\0\1x\x32\6\0\1b");
  POLL_UNTIL(&mgr, peer_has(&p, 4));
  CHECK(mgx_mgr_drain(&mgr, &o));
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  GOT(&p, "\x40\2\0\1");
  CHECK(real_ms() - start >= 190);
  end(&p);
}

// Somebody who always has something to say does not hold up a shutdown for long: between two packets is a good moment, because
// what was not acknowledged is sent again elsewhere.
static void a_manager_drains_with_a_busy_client(void) {
  struct mgx_mgr_drain_opts o;
  struct peer p = open_with(plain);
  uint64_t start = real_ms();
  size_t sent = 0;
  memset(&o, 0, sizeof(o));
  o.idle_grace_ms = 200;
  CHECK(mgx_mgr_drain(&mgr, &o));
  while (!peer_read(&p) && real_ms() - start < 20000) {
    if (peer_send(&p, "\x32\6\0\1a\0\1x", 8)) sent++;
    mg_mgr_poll(&mgr, 5);
  }
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(real_ms() - start < 10000);
  CHECK_EQ(p.len, 4 * (size_t) commands);  // what was handled was acknowledged
  CHECK(commands > 0 && (size_t) commands <= sent);
  end(&p);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  a_byte_at_a_time();
  buffers_may_be_edited();
  much_may_be_deleted();
  nothing_is_handled_after_close();
  a_handler_may_poll();
  packets_after_disconnect_are_dropped();
  a_half_close_loses_no_acknowledgement();
  the_protocol_handler_may_be_wrapped();
  version_5_is_detected();
  malformed_packets_end_a_connection();
  many_small_packets_in_a_large_buffer(measures_the_buffer);
  many_small_packets_in_a_large_buffer(takes_the_packet);
  a_manager_drains();
  a_manager_drains_with_a_busy_client();
  return DONE();
}
