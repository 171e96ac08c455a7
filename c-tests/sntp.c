// SNTP clients against a scripted server: which messages set the clock, which are ignored, and when the connection ends.
#include "clock.h"
#include "peer.h"

enum { TIME_MS = 1700000000 };  // seconds of the server's clock

static struct mg_connection *s_listener, *s_asked;
static unsigned char s_request[100];
static size_t s_request_len;
static struct mg_addr s_client;
static int s_times, s_errors, s_closes, s_writes_first;
static uint64_t s_time;

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    s_request_len = c->recv.len < sizeof(s_request) ? c->recv.len : sizeof(s_request);
    memcpy(s_request, c->recv.buf, s_request_len);
    s_client = c->rem;
    s_asked = c;
    c->recv.len = 0;
  }
  (void) ev_data;
}

static void client(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_WRITE && s_writes_first == 0) s_writes_first = 1;
  if (ev == MG_EV_CONNECT && s_writes_first == 0) s_writes_first = -1;
  if (ev == MG_EV_SNTP_TIME) s_times++, s_time = *(uint64_t *) ev_data;
  if (ev == MG_EV_ERROR) s_errors++;
  if (ev == MG_EV_CLOSE) s_closes++;
  if (ev == MG_EV_SNTP_TIME && c->fn_data != NULL) {
    if (strcmp((char *) c->fn_data, "close") == 0) mg_close_conn(c);
    if (strcmp((char *) c->fn_data, "free") == 0) mg_mgr_free(c->mgr);
  }
}

// A client whose request has reached the server.
static struct mg_connection *ask_at(struct mg_mgr *mgr, const char *url, const char *what) {
  struct mg_connection *c;
  s_times = s_errors = s_closes = s_writes_first = 0;
  s_request_len = 0;
  mg_boot_timestamp_ms = 0;
  c = mg_sntp_connect(mgr, url, client, (void *) what);
  CHECK(c != NULL);
  CHECK_EQ(s_writes_first, 1);
  POLL_UNTIL(mgr, s_request_len > 0);
  CHECK_EQ(s_request_len, 48);
  CHECK_EQ(s_request[0], 0x23);
  return c;
}

static struct mg_connection *ask(struct mg_mgr *mgr, const char *what) {
  return ask_at(mgr, url_of(s_listener, "udp"), what);
}

static void put32(unsigned char *to, uint32_t value) {
  value = mg_htonl(value);
  memcpy(to, &value, 4);
}

static void make_message(unsigned char *m) {
  memset(m, 0, 48);
  m[0] = 0x24;
  m[1] = 2;
  memcpy(m + 24, s_request + 40, 8);
  put32(m + 32, (uint32_t) TIME_MS + 2208988800U);
  put32(m + 40, (uint32_t) TIME_MS + 2208988800U);
}

static void answer(struct mg_connection *from, const void *message, size_t len) {
  from->rem = s_client;
  CHECK(mg_send(from, message, len));
}

// A server and a client with addresses of IPv6.
static void over_ip6(void) {
  struct mg_mgr mgr;
  struct mg_connection *ip4 = s_listener, *c;
  unsigned char m[48];
  long n = sizeof(m);
  char url[64];
  mg_mgr_init(&mgr);
  s_listener = mg_listen(&mgr, "udp://[::1]:0", server, NULL);
  CHECK(s_listener != NULL);
  if (s_listener != NULL) {
    mg_snprintf(url, sizeof(url), "udp://[::1]:%d", port_of(s_listener));
    c = ask_at(&mgr, url, NULL);
    make_message(m);
    // From somebody else, whose address differs in the last byte.
    mg_iobuf_add(&c->recv, 0, m, sizeof(m));
    c->rem.addr.ip[15] ^= 2;
    mg_call(c, MG_EV_READ, &n);
    poll_often(&mgr);
    CHECK(s_times == 0 && s_closes == 0);
    answer(s_listener, m, sizeof(m));
    POLL_UNTIL(&mgr, s_closes == 1);
    CHECK_EQ(s_times, 1);
  }
  mg_mgr_free(&mgr);
  s_listener = ip4;
}

int main(void) {
  unsigned char m[100] = {0}, first[48];
  struct mg_mgr mgr;
  struct mg_connection *c, *other;
  size_t i;

  mg_mgr_init(&mgr);
  s_listener = mg_listen(&mgr, "udp://127.0.0.1:0", server, NULL);
  other = mg_listen(&mgr, "udp://127.0.0.1:0", server, NULL);

  // The right answer. The way takes 200 ms there and back.
  c = ask(&mgr, NULL);
  memcpy(first, s_request, 48);
  clock_ms += 200;
  make_message(m);
  answer(s_listener, m, 48);
  POLL_UNTIL(&mgr, s_closes == 1);
  CHECK_EQ(s_times, 1);
  CHECK_EQ(s_time, (uint64_t) TIME_MS * 1000 + 100);
  CHECK_EQ(mg_now(), s_time);
  CHECK_EQ(s_errors, 0);

  // Requests do not tell our clock, nor what the next request will say.
  c = ask(&mgr, NULL);
  CHECK(memcmp(first + 40, s_request + 40, 8) != 0);
  for (i = 1; i < 40; i++) CHECK_EQ(s_request[i], 0);

  // Ignored: another origin, too short, from somebody else, to another request. The clock stays.
  make_message(m);
  m[31] ^= 1;
  answer(s_listener, m, 48);
  make_message(m);
  answer(s_listener, m, 47);
  answer(s_listener, m, 1);
  answer(other, m, 48);
  memcpy(m + 24, first + 40, 8);
  answer(s_listener, m, 48);
  answer(other, m, 48);
  poll_often(&mgr);
  CHECK_EQ(s_times, 0);
  CHECK_EQ(s_closes, 0);
  CHECK_EQ(mg_boot_timestamp_ms, 0);
  // The messages of others have not moved the address of the server: a second request arrives there.
  s_request_len = 0;
  mg_sntp_request(c);
  POLL_UNTIL(&mgr, s_request_len == 48);
  CHECK(s_asked == s_listener);
  for (i = 0; i < MG_DATA_SIZE; i++) CHECK_EQ(c->data[i], 0);
  // Longer messages have extensions.
  make_message(m);
  answer(s_listener, m, 68);
  POLL_UNTIL(&mgr, s_closes == 1);
  CHECK_EQ(s_times, 1);
  CHECK_EQ(s_time, (uint64_t) TIME_MS * 1000);

  // Servers that do not know the time: the end, and nothing else.
  for (i = 0; i < 7; i++) {
    ask(&mgr, NULL);
    make_message(m);
    if (i == 0) m[0] = 0xe4;       // clock not set
    if (i == 1) m[0] = 0x25;       // broadcast
    if (i == 2) m[0] = 0x23;       // a client's message
    if (i == 3) m[1] = 0;          // go away
    if (i == 4) memset(m + 40, 0, 8);
    if (i == 5) memset(m + 32, 0, 8);  // no time of arrival
    if (i == 6) put32(m + 32, (uint32_t) TIME_MS + 2208988800U + 60);  // a clock that jumped meanwhile
    answer(s_listener, m, 48);
    POLL_UNTIL(&mgr, s_closes == 1);
    CHECK_EQ(s_times, 0);
    CHECK_EQ(s_errors, 0);
    CHECK_EQ(mg_boot_timestamp_ms, 0);
  }

  // The first moment that can be told, and the one before it.
  for (i = 0; i < 2; i++) {
    ask(&mgr, NULL);
    make_message(m);
    put32(m + 32, 2208988800U);
    put32(m + 40, 2208988800U);
    if (i == 1) put32(m + 36, 0x00420000), put32(m + 44, 0x00420000);  // a millisecond
    answer(s_listener, m, 48);
    POLL_UNTIL(&mgr, s_closes == 1);
    CHECK_EQ(s_times, i);
    if (i == 1) CHECK_EQ(s_time, 1);
  }

  over_ip6();

  // No answer: the end after three seconds, whatever the application has in c->data.
  c = ask(&mgr, NULL);
  memset(c->data, 0xff, sizeof(c->data));
  clock_ms += 2999;
  poll_often(&mgr);
  CHECK_EQ(s_closes, 0);
  clock_ms += 1;
  // The end does not wait for the poll's.
  mg_mgr_poll(&mgr, 600000);
  poll_often(&mgr);
  CHECK_EQ(s_closes, 1);
  CHECK_EQ(s_times, 0);
  CHECK_EQ(s_errors, 0);

  // The application closes the connection, or frees everything, in the event.
  ask(&mgr, "close");
  make_message(m);
  answer(s_listener, m, 48);
  POLL_UNTIL(&mgr, s_closes == 1);
  CHECK_EQ(count_conns(&mgr), 2);
  ask(&mgr, "free");
  make_message(m);
  answer(s_listener, m, 48);
  POLL_UNTIL(&mgr, s_closes == 1);
  CHECK(mgr.conns == NULL);
  mg_mgr_free(&mgr);
  return DONE();
}
