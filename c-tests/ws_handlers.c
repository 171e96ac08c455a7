// Actions of applications in WebSocket handlers: empty the buffer, drain, close, replace the handler, edit queued output.
// not under: short: frames must arrive together
#include "mongoose_ext.h"
#include "ws_peer.h"

static char seen[2000];

static void note(struct mg_connection *c, int ev, void *ev_data) {
  size_t n = strlen(seen);
  if (ev == MG_EV_WS_MSG || ev == MG_EV_WS_CTL) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    mg_snprintf(seen + n, sizeof(seen) - n, "%s%d:%.*s ", ev == MG_EV_WS_MSG ? "m" : "c", wm->flags, (int) wm->data.len, wm->data.buf);
  } else if (ev == MG_EV_CLOSE && c->is_accepted) {
    mg_snprintf(seen + n, sizeof(seen) - n, "close ");
  } else if (ev == MG_EV_ERROR) {
    mg_snprintf(seen + n, sizeof(seen) - n, "error:%s ", (char *) ev_data);
  }
}

static bool upgrades(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
  note(c, ev, ev_data);
  return ev == MG_EV_WS_MSG;
}

static struct mg_mgr mgr;

static struct peer open_with(mg_event_handler_t fn) {
  struct peer p;
  seen[0] = '\0';
  ws_open(&p, &mgr, serve(&mgr, fn, NULL));
  return p;
}

static void end(struct peer *p) {
  peer_free(p);
  mg_mgr_free(&mgr);
}

static void events_are(const char *want) {
  poll_often(&mgr);
  CHECK(strcmp(seen, want) == 0);
  if (strcmp(seen, want) != 0) fprintf(stderr, "seen: %s\nnot:  %s\n", seen, want);
}

// ---- the buffer is taken away

static void empties_the_buffer(struct mg_connection *c, int ev, void *ev_data) {
  if (upgrades(c, ev, ev_data)) {
    if (c->fn_data != NULL) {
      mg_iobuf_del(&c->recv, 0, c->recv.len);
    } else {
      c->recv.len = 0;
    }
  }
}

static void the_frame_counts_as_consumed_and_the_rest_is_lost(bool with_del) {
  char frames[200];
  struct peer p = open_with(empties_the_buffer);
  size_t n = ws_frame(frames, 0x81, "one", 3);
  n += ws_frame(frames + n, 0x81, "lost", 4);
  if (with_del) mgr.conns->fn_data = &mgr;
  CHECK(peer_send(&p, frames, n));
  events_are("m129:one ");
  // The next read starts clean.
  CHECK(ws_text(&p, "two"));
  events_are("m129:one m129:two ");
  // An open fragmented message is forgotten.
  CHECK(ws_send_frame(&p, 0x01, "x", 1));
  poll_often(&mgr);
  CHECK(ws_send_frame(&p, 0x80, "y", 1));
  events_are("m129:one m129:two c128:y m1:xy ");
  CHECK(ws_text(&p, "three"));
  events_are("m129:one m129:two c128:y m1:xy m129:three ");
  end(&p);
}

static void empties_the_buffer_on_control(struct mg_connection *c, int ev, void *ev_data) {
  upgrades(c, ev, ev_data);
  if (ev == MG_EV_WS_CTL) c->recv.len = 0;
}

static void a_fragmented_message_is_discarded(void) {
  struct peer p = open_with(empties_the_buffer_on_control);
  CHECK(ws_send_frame(&p, 0x01, "x", 1));
  poll_often(&mgr);
  CHECK(ws_send_frame(&p, 0x89, "p", 1));
  poll_often(&mgr);
  CHECK(ws_text(&p, "next"));
  events_are("c137:p m129:next ");
  WS_GOT(&p, "");
  peer_read(&p);
  WS_GOT(&p, "\x8a\x01p");
  end(&p);
}

static void in_order(struct mg_connection *c, int ev, void *ev_data) {
  upgrades(c, ev, ev_data);
}

struct frame {
  int first;
  const char *text;
};

// What comes of three frames that arrive together.
static void together(mg_event_handler_t fn, const struct frame frames[3], const char *want) {
  char bytes[200];
  struct peer p = open_with(fn);
  size_t i, n = 0;
  for (i = 0; i < 3; i++) n += ws_frame(bytes + n, frames[i].first, frames[i].text, strlen(frames[i].text));
  CHECK(peer_send(&p, bytes, n));
  events_are(want);
  end(&p);
}

static void takes_part_of_a_frame(struct mg_connection *c, int ev, void *ev_data) {
  if (upgrades(c, ev, ev_data)) mg_iobuf_del(&c->recv, 0, 1);
}

static void the_rest_of_a_frame_is_removed(void) {
  static const struct frame frames[] = {{0x81, "one"}, {0x81, "second"}, {0x81, "last"}};
  together(takes_part_of_a_frame, frames, "m129:one m129:second m129:last ");
}

static void a_first_fragment_may_be_empty(void) {
  struct peer p = open_with(in_order);
  CHECK(ws_send_frame(&p, 0x01, "", 0));
  poll_often(&mgr);
  CHECK(ws_send_frame(&p, 0x80, "y", 1));
  events_are("c128:y m1:y ");
  end(&p);
}

static void takes_part_on_control(struct mg_connection *c, int ev, void *ev_data) {
  upgrades(c, ev, ev_data);
  if (ev == MG_EV_WS_CTL) mg_iobuf_del(&c->recv, 0, 1);
}

static void the_rest_of_a_fragmented_message_is_removed(void) {
  static const struct frame frames[] = {{0x01, "x"}, {0x80, "y"}, {0x81, "next"}};
  together(takes_part_on_control, frames, "c128:y m129:next ");
}

// In compatible mode a connection that drains goes on reading.
static void a_frame_behind_a_removed_close_frame(void) {
  char frames[100];
  struct peer p = open_with(takes_part_on_control);
  size_t n = ws_frame(frames, 0x88, "\x03\xe8", 2);
  n += ws_frame(frames + n, 0x81, "after", 5);
  mgx_mgr_compat(&mgr, true);
  CHECK(peer_send(&p, frames, n));
  events_are("c136:\x03\xe8 m129:after close ");
  end(&p);
}

static void a_fragmented_message_behind_another(void) {
  static const struct frame frames[] = {{0x81, "a"}, {0x02, "x"}, {0x80, "y"}};
  together(in_order, frames, "m129:a c128:y m2:xy ");
}

static void in_read(struct mg_connection *c, int ev, void *ev_data) {
  upgrades(c, ev, ev_data);
  if (ev == MG_EV_READ && c->is_websocket) c->recv.len = 0;
}

static void a_partial_frame_is_discarded(void) {
  struct peer p = open_with(in_read);
  CHECK(peer_send(&p, "\x81\xff\x00\x00\x00", 5));
  poll_often(&mgr);
  CHECK(ws_text(&p, "whole"));
  events_are("m129:whole ");
  end(&p);
}

// Neither what is kept of a message nor its length means anything once the buffer is empty.
static void a_kept_message_is_discarded(void) {
  struct peer p = open_with(in_read);
  CHECK(ws_send_frame(&p, 0x02, "a fragment that is longer than the frame after it", 49));
  poll_often(&mgr);
  mgr.conns->fn = in_order;
  CHECK(ws_text(&p, "whole"));
  events_are("m129:whole ");
  end(&p);
}

// Its first bytes look like a frame, which nobody takes them for, however often the server polls.
static void a_kept_message_is_no_frame(void) {
  struct peer p = open_with(in_order);
  CHECK(ws_send_frame(&p, 0x02, "\x01" "ab", 3));
  poll_often(&mgr);
  CHECK(ws_send_frame(&p, 0x80, "c", 1));
  events_are("c128:c m2:\x01" "abc ");
  end(&p);
}

// The application puts a frame into the buffer itself.
static void frames_of_the_application(void) {
  char frame[20];
  struct peer p = open_with(in_order);
  size_t n = ws_frame(frame, 0x81, "own", 3);
  mg_iobuf_add(&mgr.conns->recv, 0, frame, n);
  events_are("m129:own ");
  CHECK_EQ(mgr.conns->recv.len, 0);
  end(&p);
}

static void read_comes_last(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ && seen[0] != '\0') CHECK(strstr(seen, "last") != NULL);
  takes_part_of_a_frame(c, ev, ev_data);
}

static void frames_behind_a_removed_one_are_handled_at_once(void) {
  static const struct frame frames[] = {{0x81, "one"}, {0x81, "second"}, {0x81, "last"}};
  together(read_comes_last, frames, "m129:one m129:second m129:last ");
}

// ---- what is kept of a fragmented message is where it always was

static size_t kept, buffered;

static void inspects_the_buffer(struct mg_connection *c, int ev, void *ev_data) {
  upgrades(c, ev, ev_data);
  if (ev == MG_EV_READ && c->is_websocket) {
    kept = (size_t) c->pfn_data;
    buffered = c->recv.len;
    if (kept > 0) CHECK(c->recv.buf[0] == 0x02 && memcmp(c->recv.buf + 1, "abcd", kept - 1) == 0);
  }
}

static void fragments_are_at_the_start_of_the_buffer(void) {
  char frames[200];
  struct peer p = open_with(inspects_the_buffer);
  size_t n = ws_frame(frames, 0x02, "ab", 2);
  n += ws_frame(frames + n, 0x00, "c", 1);
  n += ws_frame(frames + n, 0x89, "ping", 4);
  n += ws_frame(frames + n, 0x00, "d", 1);
  CHECK(peer_send(&p, frames, n));
  CHECK(peer_send(&p, "\x80", 1));
  events_are("c0:c c137:ping c0:d ");
  CHECK_EQ(kept, 5);
  CHECK_EQ(buffered, 6);
  CHECK(peer_send(&p, "\x80\0\0\0\0", 5));
  events_are("c0:c c137:ping c0:d c128: m2:abcd ");
  CHECK_EQ(kept, 0);
  CHECK_EQ(buffered, 0);
  end(&p);
}

// ---- packets inside a message: the application moves wm->data forward, and drains in the middle of it

static int packets;

static void packets_in_a_message(struct mg_connection *c, int ev, void *ev_data) {
  if (upgrades(c, ev, ev_data)) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    while (wm->data.len > 0 && wm->data.len > (size_t) wm->data.buf[0]) {
      size_t len = (size_t) wm->data.buf[0] + 1, before = c->send.len;
      packets++;
      if (wm->data.buf[1] == 'q') c->is_draining = 1;
      mg_send(c, wm->data.buf, len);
      CHECK_EQ(mg_ws_wrap(c, c->send.len - before, WEBSOCKET_OP_BINARY), c->send.len);
      wm->data.buf += len;
      wm->data.len -= len;
    }
  }
}

static void draining_inside_a_loop_leaves_the_buffer_alone(void) {
  char frames[200];
  struct peer p = open_with(packets_in_a_message);
  size_t n = ws_frame(frames, 0x82, "\x01" "a\x04" "quit\x02" "zz", 10);
  n += ws_frame(frames + n, 0x82, "\x01" "b", 2);
  CHECK(peer_send(&p, frames, n));
  POLL_UNTIL(&mgr, peer_read(&p));
  WS_GOT(&p, "\x82\x02\x01" "a\x82\x05\x04" "quit\x82\x03\x02" "zz\x88\x02\x03\xe8");
  CHECK_EQ(packets, 3);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(strstr(seen, "close") != NULL);
  end(&p);
}

// ---- closing

static void closes_in_handler(struct mg_connection *c, int ev, void *ev_data) {
  if (upgrades(c, ev, ev_data)) {
    if (c->fn_data == NULL) c->is_closing = 1;
    if (c->fn_data == (void *) 1) mg_error(c, "enough");
    if (c->fn_data == (void *) 2) mg_close_conn(c);
  }
}

static void nothing_is_handled_after_closing(void) {
  int i;
  for (i = 0; i < 3; i++) {
    char frames[200];
    struct peer p = open_with(closes_in_handler);
    size_t n = ws_frame(frames, 0x81, "one", 3);
    n += ws_frame(frames + n, 0x81, "two", 3);
    mgr.conns->fn_data = (void *) (size_t) i;
    CHECK(peer_send(&p, frames, n));
    POLL_UNTIL(&mgr, strstr(seen, "close") != NULL);
    events_are(i == 1 ? "m129:one error:enough close " : "m129:one close ");
    end(&p);
  }
}

static void clears_is_closing(struct mg_connection *c, int ev, void *ev_data) {
  upgrades(c, ev, ev_data);
  if (ev == MG_EV_ERROR) c->is_closing = 0;
}

static void an_unknown_opcode_can_be_tolerated(void) {
  char frames[200];
  struct peer p = open_with(clears_is_closing);
  size_t n = ws_frame(frames, 0x83, "?", 1);
  n += ws_frame(frames + n, 0x81, "two", 3);
  CHECK(peer_send(&p, frames, n));
  events_are("error:unknown WS op 3 m129:two ");
  end(&p);
}

static void echoes(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
  if (upgrades(c, ev, ev_data)) mg_ws_send(c, wm->data.buf, wm->data.len, WEBSOCKET_OP_TEXT);
}

// Without a Close frame, and nothing behind it is handled.
static void replies_before_an_unknown_opcode_are_sent(void) {
  char frames[200];
  struct peer p = open_with(echoes);
  size_t n = ws_frame(frames, 0x81, "one", 3);
  n += ws_frame(frames + n, 0x83, "?", 1);
  n += ws_frame(frames + n, 0x81, "two", 3);
  CHECK(peer_send(&p, frames, n));
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(p.end == PEER_FIN);
  WS_GOT(&p, "\x81\x03one");
  peer_shut(&p);
  POLL_UNTIL(&mgr, strstr(seen, "close") != NULL);
  events_are("m129:one error:unknown WS op 3 close ");
  end(&p);
}

static void frees_the_manager(struct mg_connection *c, int ev, void *ev_data) {
  if (upgrades(c, ev, ev_data)) mg_mgr_free(c->mgr);
}

static void the_manager_may_be_freed(void) {
  char frames[200];
  struct peer p = open_with(frees_the_manager);
  size_t n = ws_frame(frames, 0x01, "o", 1);
  n += ws_frame(frames + n, 0x80, "ne", 2);
  n += ws_frame(frames + n, 0x81, "two", 3);
  CHECK(peer_send(&p, frames, n));
  POLL_UNTIL(&mgr, strstr(seen, "close") != NULL);
  CHECK(strcmp(seen, "c128:ne m1:one close ") == 0);
  peer_free(&p);
}

// ---- another protocol takes over

static char raw[100];

static void raw_handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) mg_snprintf(raw, sizeof(raw), "%.*s", (int) c->recv.len, (char *) c->recv.buf);
  (void) ev_data;
}

static void replaces_the_handler(struct mg_connection *c, int ev, void *ev_data) {
  if (upgrades(c, ev, ev_data)) c->pfn = NULL, c->fn = raw_handler;
}

static void the_rest_belongs_to_the_new_handler(void) {
  char frames[200];
  struct peer p = open_with(replaces_the_handler);
  size_t n = ws_frame(frames, 0x81, "last", 4);
  memcpy(frames + n, "raw bytes", 9);
  CHECK(peer_send(&p, frames, n + 9));
  POLL_UNTIL(&mgr, raw[0] != '\0');
  CHECK(strcmp(raw, "raw bytes") == 0);
  end(&p);
}

// The application's own server, which has something of its own in c->pfn_data before it upgrades.
static void upgrades_itself(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message hm;
  note(c, ev, ev_data);
  if (ev == MG_EV_WS_MSG && ((struct mg_ws_message *) ev_data)->data.len == 5) {
    // Says goodbye, and goes on with its own protocol.
    mg_ws_send(c, NULL, 0, WEBSOCKET_OP_CLOSE);
    c->pfn = NULL, c->is_websocket = 0;
    return;
  }
  if (ev != MG_EV_READ || c->is_websocket) return;
  if (mg_http_parse((char *) c->recv.buf, c->recv.len, &hm) <= 0) return;
  c->pfn_data = (void *) 3;
  mg_ws_upgrade(c, &hm, NULL);
  c->recv.len = 0;
}

static void a_server_that_is_not_http_may_upgrade(void) {
  struct peer p;
  seen[0] = '\0';
  mg_mgr_init(&mgr);
  ws_open(&p, &mgr, mg_listen(&mgr, "tcp://127.0.0.1:0", upgrades_itself, NULL));
  CHECK(ws_text(&p, "hello"));
  events_are("m129:hello ");
  // The second one knows nothing of the first.
  CHECK(peer_send_text(&p, WS_REQUEST));
  POLL_UNTIL(&mgr, peer_has(&p, 2 + strlen(WS_ANSWER)));
  WS_GOT(&p, "\x88\0" WS_ANSWER);
  p.len = 0;
  CHECK(ws_send_frame(&p, 0x88, "\x03\xe8", 2));
  POLL_UNTIL(&mgr, peer_read(&p));
  WS_GOT(&p, "\x88\2\x03\xe8");
  end(&p);
}

// ---- nested polls

static int nested;

static void polls_in_handler(struct mg_connection *c, int ev, void *ev_data) {
  if (upgrades(c, ev, ev_data) && nested++ < 3) mg_mgr_poll(c->mgr, 1);
}

static void a_handler_may_poll(void) {
  struct peer p = open_with(polls_in_handler);
  CHECK(ws_text(&p, "1") && ws_text(&p, "2"));
  poll_often(&mgr);
  CHECK(ws_text(&p, "3"));
  events_are("m129:1 m129:2 m129:3 ");
  end(&p);
}

// ---- much output

static int messages;

static void sends_much(struct mg_connection *c, int ev, void *ev_data) {
  static char much[16 << 20];
  if (upgrades(c, ev, ev_data) && ++messages == 1) mg_ws_send(c, much, sizeof(much), WEBSOCKET_OP_BINARY);
}

// A peer that sends all of its message before it reads is not kept from that.
static void a_message_arrives_while_much_is_queued(void) {
  char frame[200];
  size_t n = ws_frame(frame, 0x81, "two", 3);
  struct peer p = open_with(sends_much);
  const struct mg_connection *c = mgr.conns;
  messages = 0;
  CHECK(ws_text(&p, "one"));
  POLL_UNTIL(&mgr, messages == 1);
  CHECK(c->send.len > 1 << 20);
  CHECK(peer_send(&p, frame, 4));
  POLL_UNTIL(&mgr, c->recv.len == 4);
  CHECK(peer_send(&p, frame + 4, n - 4));
  POLL_UNTIL(&mgr, messages == 2);
  CHECK(c->send.len > 1 << 20);
  end(&p);
}

// ---- frames out

static void wraps_frames(struct mg_connection *c, int ev, void *ev_data) {
  if (upgrades(c, ev, ev_data)) {
    size_t before = c->send.len;
    mg_printf(c, "xy%d", 42);
    c->send.buf[before] = 'X';
    mg_ws_wrap(c, c->send.len - before, WEBSOCKET_OP_TEXT);
    before = c->send.len;
    CHECK_EQ(mg_ws_wrap(c, before + 1, WEBSOCKET_OP_TEXT), before);  // more than there is: nothing
    mg_ws_printf(c, WEBSOCKET_OP_TEXT, "%m", MG_ESC("a\nb"));
    mg_ws_printf(c, WEBSOCKET_OP_TEXT, "%s", "");
    before = c->send.len;
    mg_ws_send(c, "frag", 4, WEBSOCKET_OP_TEXT);
    c->send.buf[before] &= 0x7f;
    mg_ws_send(c, "ment", 4, WEBSOCKET_OP_CONTINUE);
  }
}

static void queued_output_is_wrapped_into_frames(void) {
  struct peer p = open_with(wraps_frames);
  CHECK(ws_text(&p, "go"));
  POLL_UNTIL(&mgr, peer_has(&p, 6 + 8 + 2 + 12));
  WS_GOT(&p, "\x81\x04Xy42" "\x81\x06\"a\\nb\"" "\x81\x00" "\x01\x04" "frag\x80\x04ment");
  end(&p);
}

// An answer that comes later than the request.
static void upgrades_later(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) c->data[0] = 1;
  if (ev == MG_EV_POLL && c->data[0] > 0 && ++c->data[0] == 5) {
    struct mg_http_message hm;
    CHECK(mg_http_parse(WS_REQUEST, strlen(WS_REQUEST), &hm) > 0);
    mg_ws_upgrade(c, &hm, NULL);
  }
}

static void an_upgrade_may_come_later(void) {
  char frames[400];
  struct peer p;
  seen[0] = '\0';
  peer_open(&p, serve(&mgr, upgrades_later, NULL));
  memcpy(frames, WS_REQUEST, strlen(WS_REQUEST));
  CHECK(peer_send(&p, frames, strlen(WS_REQUEST) + ws_frame(frames + strlen(WS_REQUEST), 0x89, "early", 5)));
  POLL_UNTIL(&mgr, peer_has(&p, strlen(WS_ANSWER) + 7));
  WS_GOT(&p, WS_ANSWER "\x8a\x05" "early");
  events_are("c137:early ");
  end(&p);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  the_frame_counts_as_consumed_and_the_rest_is_lost(false);
  the_frame_counts_as_consumed_and_the_rest_is_lost(true);
  a_fragmented_message_is_discarded();
  the_rest_of_a_frame_is_removed();
  the_rest_of_a_fragmented_message_is_removed();
  a_frame_behind_a_removed_close_frame();
  a_first_fragment_may_be_empty();
  a_fragmented_message_behind_another();
  a_partial_frame_is_discarded();
  a_kept_message_is_discarded();
  a_kept_message_is_no_frame();
  frames_of_the_application();
  frames_behind_a_removed_one_are_handled_at_once();
  fragments_are_at_the_start_of_the_buffer();
  draining_inside_a_loop_leaves_the_buffer_alone();
  nothing_is_handled_after_closing();
  an_unknown_opcode_can_be_tolerated();
  replies_before_an_unknown_opcode_are_sent();
  the_manager_may_be_freed();
  the_rest_belongs_to_the_new_handler();
  a_server_that_is_not_http_may_upgrade();
  a_handler_may_poll();
  a_message_arrives_while_much_is_queued();
  queued_output_is_wrapped_into_frames();
  an_upgrade_may_come_later();
  return DONE();
}
