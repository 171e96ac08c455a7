// Datagrams arrive completely or not at all, each printed text is a separate datagram, and one that cannot be sent is an error.

#include "mongoose.h"
#include "mongoose_ext.h"

#include "peer.h"

static struct mg_mgr mgr;
static struct mg_connection *listener, *client;
static char got[20][32];
static size_t lengths[20], total;
static int count, consume = 1, errors, closes, number, again, forgive;
static char bytes[70000], error[100];

static void server_fn(struct mg_connection *c, int ev, void *ev_data) {
  size_t n;
  if (ev != MG_EV_READ || count >= 20) return;
  n = (size_t) * (long *) ev_data;
  lengths[count] = n;
  mg_snprintf(got[count], sizeof(got[0]), "%.*s", (int) (n < 31 ? n : 31), (char *) c->recv.buf + c->recv.len - n);
  CHECK(c->recv.len >= n && memcmp(c->recv.buf + c->recv.len - n, bytes, n) == 0);
  total = c->recv.len;
  count++;
  if (consume) c->recv.len = 0;
}

static void text_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_READ || count >= 20) return;
  mg_snprintf(got[count++], sizeof(got[0]), "%.*s", (int) c->recv.len, (char *) c->recv.buf);
  c->recv.len = 0;
  (void) ev_data;
}

static int writes;

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_WRITE) writes++;
  if (ev == MG_EV_CLOSE) closes++;
  if (ev == MG_EV_ERROR) {
    errors++;
    number = mgx_close_errno(c);
    mg_snprintf(error, sizeof(error), "%s", (char *) ev_data);
    if (forgive) c->is_closing = 0;
    if (again) CHECK(!mg_send(c, bytes, sizeof(bytes)));
  }
}

static void start(mg_event_handler_t fn) {
  mg_mgr_init(&mgr);
  count = errors = closes = number = writes = 0;
  listener = mg_listen(&mgr, "udp://127.0.0.1:0", fn, NULL);
  client = mg_connect(&mgr, url_of(listener, "udp"), client_fn, NULL);
}

static void sizes(void) {
  static const size_t all[] = {1, 16383, 16384, 16385, 20000, 32768, 60000, 65507, 9};
  size_t i;
  start(server_fn);
  for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
    CHECK(mg_send(client, bytes, all[i]));
    POLL_UNTIL(&mgr, count == (int) i + 1);
    CHECK_EQ(lengths[i], all[i]);
  }
  // Behind what was not consumed.
  consume = 0;
  CHECK(mg_send(client, bytes, 10000) && mg_send(client, bytes, 40000) && mg_send(client, bytes, 5));
  POLL_UNTIL(&mgr, count == 12);
  CHECK_EQ(total, 50005);
  consume = 1;
  mg_mgr_free(&mgr);
}

static int dropped;
static char line[300];
static size_t line_len;

static void log_fn(char c, void *arg) {
  if (line_len + 1 < sizeof(line)) line[line_len++] = c, line[line_len] = '\0';
  if (c == '\n') {
    if (strstr(line, "dropped") != NULL) dropped++;
    line_len = 0;
  }
  (void) arg;
}

static void limit(void) {
  struct mgx_options o;
  start(server_fn);
  memset(&o, 0, sizeof(o));
  o.max_recv_size = 20000;
  mgx_mgr_options(&mgr, &o);
  mg_log_set_fn(log_fn, NULL);
  // One after the other, so that each is dropped or delivered for itself.
  CHECK(mg_send(client, bytes, 20001));
  POLL_UNTIL(&mgr, dropped == 1);
  CHECK(count == 0 && mg_send(client, bytes, 20000));
  POLL_UNTIL(&mgr, count == 1);
  CHECK_EQ(lengths[0], 20000);
  // An application that does not consume gets no more than the limit, and the listener lives.
  consume = 0;
  CHECK(mg_send(client, bytes, 12000) && mg_send(client, bytes, 12000) && mg_send(client, bytes, 8000) && mg_send(client, bytes, 1));
  POLL_UNTIL(&mgr, dropped == 3);
  CHECK_EQ(count, 3);
  CHECK_EQ(total, 20000);
  listener->recv.len = 0;
  consume = 1;
  CHECK(mg_send(client, bytes, 7));
  POLL_UNTIL(&mgr, count == 4);
  CHECK(lengths[3] == 7 && dropped == 3 && !listener->is_closing);
  mg_log_set_fn(NULL, NULL);
  mg_mgr_free(&mgr);
}

static void texts(void) {
  start(text_fn);
  CHECK_EQ(mg_printf(client, "temp=%d", 21), 7);
  CHECK_EQ(mg_printf(client, "%s", ""), 0);
  CHECK_EQ(mg_printf(client, "hum=%d", 40), 6);
  CHECK(client->send.len == 13 && count == 0);
  CHECK(mg_send(client, "at once", 7));
  POLL_UNTIL(&mgr, count == 3);
  CHECK(strcmp(got[0], "at once") == 0 && strcmp(got[1], "temp=21") == 0 && strcmp(got[2], "hum=40") == 0);
  CHECK(writes == 3 && client->send.len == 0);
  // What the application puts into the buffer itself belongs to the text in front of it; what it takes out is gone.
  mg_printf(client, "a");
  CHECK_EQ(mg_printf(client, "%s", ""), 0);
  mg_iobuf_add(&client->send, client->send.len, "+b", 2);
  mg_printf(client, "c");
  POLL_UNTIL(&mgr, count == 5);
  CHECK(strcmp(got[3], "a+b") == 0 && strcmp(got[4], "c") == 0);
  mg_printf(client, "ol");
  mg_printf(client, "older");
  client->send.len = 0;
  mg_printf(client, "new");
  mg_printf(client, "er");
  POLL_UNTIL(&mgr, count == 7);
  CHECK(strcmp(got[5], "new") == 0 && strcmp(got[6], "er") == 0);
  // A listener answers its last sender in several texts, too.
  CHECK(mg_printf(listener, "one") == 3 && mg_printf(listener, "two") == 3);
  client->fn = text_fn;
  POLL_UNTIL(&mgr, count == 9);
  CHECK(strcmp(got[7], "one") == 0 && strcmp(got[8], "two") == 0);
  mg_mgr_free(&mgr);
}

static void too_long(void) {
  start(server_fn);
  CHECK(!mg_send(client, bytes, 65508));
  CHECK(errors == 1 && number == EMSGSIZE && client->is_closing);
  POLL_UNTIL(&mgr, closes == 1);
  mg_mgr_free(&mgr);
  // Printed: what stands behind it is not held up if the application goes on.
  start(server_fn);
  forgive = 1;
  mg_iobuf_add(&client->send, 0, bytes, 66000);
  mg_printf(client, "%.*s", 5, bytes);
  mg_printf(client, "%.*s", 7, bytes);
  POLL_UNTIL(&mgr, count == 2);
  CHECK(errors == 1 && number == EMSGSIZE && strstr(error, "sendto: ") == error);
  CHECK(lengths[0] == 5 && lengths[1] == 7 && closes == 0);
  // A handler that answers an error with the same mistake.
  forgive = 0;
  again = 1;
  CHECK(!mg_send(client, bytes, sizeof(bytes)));
  CHECK_EQ(errors, 2);
  POLL_UNTIL(&mgr, closes == 1);
  again = 0;
  mg_mgr_free(&mgr);
}

// A drain leaves the application the datagram that it has not removed.
static void drains_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) mg_send(c, "x", 1), c->is_draining = 1;
  if (ev == MG_EV_CLOSE && c->is_listening) closes++, total = c->recv.len;
  (void) ev_data;
}

static void drained(void) {
  start(drains_fn);
  mg_send(client, "hello", 5);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(total, 5);
  mg_mgr_free(&mgr);
}

// ---- what a plain socket receives, and what the client does in MG_EV_WRITE
enum action { PRINT_MORE, CUT, CLOSE };

static enum action action;

static void acting_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CLOSE) closes++;
  if (ev != MG_EV_WRITE) return;
  if (++writes == 1 && action == PRINT_MORE) mg_printf(c, "z");
  if (action == CUT) c->send.len = 0;
  if (action == CLOSE) c->is_closing = 1;
  (void) ev_data;
}

// Prints a, b and c, and closes. A byte each, and all of them in one poll.
static void single_bytes(enum action what, const char *expected) {
  struct sockaddr_in sin;
  socklen_t len = sizeof(sin);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  char url[64], text[10];
  size_t n = 0;
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == 0 && getsockname(fd, (struct sockaddr *) &sin, &len) == 0);
  mg_snprintf(url, sizeof(url), "udp://127.0.0.1:%d", ntohs(sin.sin_port));
  closes = writes = 0;
  action = what;
  mg_mgr_init(&mgr);
  client = mg_connect(&mgr, url, acting_fn, NULL);
  POLL_UNTIL(&mgr, !client->is_resolving && !client->is_connecting);
  CHECK(mg_printf(client, "a") == 1 && mg_printf(client, "?") == 1);
  client->send.len = 1;
  CHECK(mg_printf(client, "b") == 1 && mg_printf(client, "c") == 1);
  client->is_draining = what == PRINT_MORE;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(writes, what == PRINT_MORE ? 3 : 1);
  if (what == CUT) client->is_draining = 1;
  POLL_UNTIL(&mgr, closes == 1);
  mg_mgr_free(&mgr);
  CHECK(sendto(fd, "end", 3, 0, (struct sockaddr *) &sin, sizeof(sin)) == 3);
  for (;;) {
    ssize_t one = recv(fd, text, sizeof(text), 0);
    if (one == 3 && memcmp(text, "end", 3) == 0) break;
    CHECK(n < strlen(expected) && one == 1 && text[0] == expected[n]);
    n++;
  }
  CHECK_EQ(n, strlen(expected));
  close(fd);
}

// ---- two senders whose datagrams wait together: each gets the answer to its own
static void echo_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_READ) return;
  mg_printf(c, "%.*s", (int) c->recv.len, (char *) c->recv.buf);
  c->recv.len = 0;
  count++;
  (void) ev_data;
}

static void two_senders(void) {
  struct sockaddr_in sin;
  int i, fds[2];
  char text[10] = "";
  start(echo_fn);
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_port = htons(port_of(listener));
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (i = 0; i < 2; i++) {
    fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(sendto(fds[i], i == 0 ? "a" : "b", 1, 0, (struct sockaddr *) &sin, sizeof(sin)) == 1);
  }
  POLL_UNTIL(&mgr, count == 2 && listener->send.len == 0);
  for (i = 0; i < 2; i++) {
    CHECK(recv(fds[i], text, sizeof(text), 0) == 1 && text[0] == (i == 0 ? 'a' : 'b'));
    close(fds[i]);
  }
  mg_mgr_free(&mgr);
}

// An empty datagram ends the connection that sends it, without an event; a flag of the built-in stack means nothing here.
static void empty(void) {
  start(server_fn);
  client->is_arplooking = 1;
  CHECK(mg_send(client, bytes, 3));
  client->is_arplooking = 0;
  POLL_UNTIL(&mgr, count == 1);
  CHECK_EQ(writes, 1);
  CHECK(!mg_send(client, "", 0) && client->is_closing);
  CHECK(writes == 1 && errors == 0);
  POLL_UNTIL(&mgr, closes == 1);
  mg_mgr_free(&mgr);
}

int main(void) {
  size_t i;
  for (i = 0; i < sizeof(bytes); i++) bytes[i] = (char) ('a' + i % 23);
  mg_log_set(MG_LL_ERROR);
  sizes();
  limit();
  texts();
  too_long();
  drained();
  single_bytes(PRINT_MORE, "abcz");
  single_bytes(CUT, "a");
  single_bytes(CLOSE, "a");
  two_senders();
  empty();
  return DONE();
}
