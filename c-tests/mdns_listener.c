// mDNS listeners: what is answered and what is not, names in .local, and listeners that close. Datagrams are put into the
// listener's buffer, and its output to the group arrives at a listener of the test.

#include "clock.h"
#include "dns.h"

static struct mg_mgr mgr;
static struct mg_connection *group;
static uint8_t heard[2000];
static size_t heard_len;
static int datagrams;

static void group_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    heard_len = c->recv.len < sizeof(heard) ? c->recv.len : sizeof(heard);
    memcpy(heard, c->recv.buf, heard_len);
    c->recv.len = 0;
    datagrams++;
  }
  (void) ev_data;
}

static struct mg_addr s_own;
static struct mg_dnssd_record record;
static int requests, responses, reads;
static long written;
static struct mg_mdns_resp last;
static char last_name[64];
static bool with_record;

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) reads++;
  if (ev == MG_EV_WRITE) written += *(long *) ev_data;
  if (ev == MG_EV_CLOSE) CHECK(!mg_mdns_query(c, "dev.local", MG_DNS_RTYPE_A));
  if (ev == MG_EV_MDNS_REQ) {
    struct mg_mdns_req *req = (struct mg_mdns_req *) ev_data;
    requests++;
    req->is_resp = true;
    req->addr = &s_own;
    if (with_record) req->r = &record;
  } else if (ev == MG_EV_MDNS_RESP) {
    last = *(struct mg_mdns_resp *) ev_data;
    mg_snprintf(last_name, sizeof(last_name), "%.*s", (int) last.name.len, last.name.buf);
    responses++;
  }
}

// As applications do: what they point at is in the frame of the handler.
static void fn_with_local_variables(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MDNS_REQ) {
    struct mg_mdns_req *req = (struct mg_mdns_req *) ev_data;
    // What it points at lives at least until the library has looked.
    static struct mg_addr addr;
    static struct mg_dnssd_record service;
    addr = s_own;
    service = record;
    req->is_resp = true;
    req->addr = &addr;
    req->r = &service;
  }
  (void) c;
}

static bool closes;

static void refusing_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MDNS_REQ) {
    struct mg_mdns_req *req = (struct mg_mdns_req *) ev_data;
    requests++;
    CHECK(req->is_resp);
    req->addr = &s_own;
    if (closes) mg_close_conn(c);
    else req->is_resp = false;
  }
}

// Leaves the address, or an address of IPv6, to the library.
static struct mg_addr s_ip6;
static void addressless_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MDNS_REQ && s_ip6.is_ip6) ((struct mg_mdns_req *) ev_data)->addr = &s_ip6;
  (void) c;
}

static struct mg_connection *listen_as(const char *name, mg_event_handler_t handler) {
  struct mg_connection *c = mg_mdns_listen(&mgr, handler, (void *) name);
  if (c == NULL) return NULL;
  c->loc = group->loc;
  return c;
}

static void receive(struct mg_connection *c, const void *data, size_t len) {
  long n = (long) len;
  c->rem = group->loc;
  mg_iobuf_add(&c->recv, c->recv.len, data, len);
  mg_call(c, MG_EV_READ, &n);
}

// The number of datagrams that the group hears of this one.
static int answers_to(struct mg_connection *c, const void *data, size_t len) {
  datagrams = 0;
  receive(c, data, len);
  poll_often(&mgr);
  return datagrams;
}

// With the zero at the end of the name.
#define LOCAL "\5local\0"
#define QUERY(name, type) "\x12\x34\0\0\0\1\0\0\0\0\0\0" name LOCAL "\0" type "\0\1"
#define RESPONSE(number) "\0\0\x84\0\0\0\0" number "\0\0\0\0"

// Whether the last answer has these bytes in it.
static bool response_contains(const char *bytes, size_t n) {
  size_t i;
  for (i = 0; i + n <= heard_len; i++) {
    if (memcmp((const char *) heard + i, bytes, n) == 0) return true;
  }
  return false;
}

static void requests_and_answers(void) {
  static const char a[] = QUERY("\3DEV", "\1"), ptr[] = QUERY("\5_http\4_tcp", "\x0c"), txt[] = QUERY("\3dev\5_http\4_tcp", "\x10");
  static const char two[] = "\0\0\0\0\0\3\0\0\0\0\0\0\3foo" LOCAL "\0\1\0\1\3dev" LOCAL "\0\1\0\1\3dev\xc0\x10\0\1\0\1";
  struct mg_connection *c = listen_as("dev", fn), *silent;
  struct mg_dns_rr rr;
  struct ip_mreq mreq;
  memset(&mreq, 0, sizeof(mreq));
  mreq.imr_multiaddr.s_addr = mg_htonl(0xe00000fb);
  CHECK(c != NULL && mgr.mdns == c && c->is_listening && c->is_udp);
  if (c == NULL) return;
  // It is a member of the group, or there is no network to be one in.
  CHECK(setsockopt((int) (size_t) c->fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, (void *) &mreq, sizeof(mreq)) != 0);
  s_own.addr.ip[0] = 10, s_own.addr.ip[3] = 7;
  // A name with no record: nothing to answer with, and no crash.
  CHECK_EQ(answers_to(c, LIT(ptr)), 0);
  CHECK_EQ(answers_to(c, LIT(txt)), 0);
  CHECK_EQ(requests, 2);
  record.srvcproto = mg_str("_http._tcp");
  record.txt = mg_str("\3a=b");
  record.port = 81;
  with_record = true;
  CHECK_EQ(answers_to(c, LIT(ptr)), 1);
  CHECK_EQ(answers_to(c, LIT(txt)), 1);
  // The owner is the instance.
  CHECK(heard_len > 40 && memcmp(heard + 12, "\3dev\5_http\4_tcp\5local", 21) == 0);
  CHECK(mg_dns_parse_rr(heard, heard_len, 12, false, &rr) == heard_len - 12 && rr.atype == MG_DNS_RTYPE_TXT && rr.alen == 4);
  written = 0;
  CHECK_EQ(answers_to(c, LIT(a)), 1);
  CHECK_EQ(written, heard_len);
  CHECK(heard_len > 20 && memcmp(heard + heard_len - 4, "\x0a\0\0\7", 4) == 0);
  // Each question counts; two of these three are for us.
  CHECK_EQ(answers_to(c, LIT(two)), 2);
  record.srvcproto = mg_str("_tcp");
  CHECK_EQ(answers_to(c, LIT(ptr)), 1);
  record.srvcproto = mg_str("._tcp");
  CHECK_EQ(answers_to(c, LIT(ptr)), 0);
  record.srvcproto = mg_str("_http._tcp");
  silent = listen_as("dev", fn_with_local_variables);
  CHECK_EQ(answers_to(silent, LIT(txt)), 1);
  CHECK(response_contains("\3a=b", 4));
  CHECK_EQ(answers_to(silent, LIT(ptr)), 1);
  CHECK(response_contains("\x0a\0\0\7", 4));
  silent->is_closing = 1;
  mg_mgr_poll(&mgr, 0);
  // Without a handler.
  silent = listen_as("dev", NULL);
  CHECK(mgr.mdns == silent);
  CHECK_EQ(answers_to(silent, LIT(a)), 1);
  CHECK_EQ(answers_to(silent, LIT(ptr)), 0);
  // Where nothing can be sent to, nothing is sent, and the listener stays.
  mg_aton(mg_str("255.255.255.255"), &silent->loc);
  CHECK_EQ(answers_to(silent, LIT(a)), 0);
  CHECK(!mg_mdns_query(silent, "dev.local", MG_DNS_RTYPE_A));
  poll_often(&mgr);
  CHECK(mgr.mdns == silent && !silent->is_closing);
  CHECK(!mg_mdns_query(c, "dev..local", MG_DNS_RTYPE_A) && !mg_mdns_query(c, "", MG_DNS_RTYPE_A));
  CHECK(!mg_mdns_query(c, "dev.local", 65536));
  CHECK(mg_mdns_query(c, "dev.local.", 257));
  poll_often(&mgr);
  CHECK(memcmp(heard + heard_len - 4, "\1\1\0\1", 4) == 0);
  // The other one stays, but lookups went through this one.
  silent->is_closing = 1;
  poll_often(&mgr);
  CHECK(mgr.mdns == NULL && count_conns(&mgr) == 2);
  mg_close_conn(c);
}

// The handler decides what is answered, and may close the listener instead.
static void refusals(void) {
  static const char two[] = "\0\0\0\0\0\2\0\0\0\0\0\0\3dev" LOCAL "\0\1\0\1\3dev\xc0\x10\0\1\0\1";
  struct mg_connection *c = listen_as("dev", refusing_fn);
#ifndef _WIN32
  unsigned char ttl = 0;
  socklen_t len = sizeof(ttl);
  CHECK_EQ(getsockopt((int) (size_t) c->fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, &len), 0);
  CHECK_EQ(ttl, 255);
#endif
  requests = 0;
  CHECK_EQ(answers_to(c, LIT(two)), 0);
  CHECK_EQ(requests, 2);
  requests = 0;
  closes = true;
  CHECK_EQ(answers_to(c, LIT(two)), 0);
  CHECK_EQ(requests, 1);
  CHECK(mgr.mdns == NULL);
}

// Then answers tell the address that leads there.
static void own_addresses(void) {
  static const char a[] = QUERY("\3dev", "\1");
  struct mg_connection *c = listen_as("dev", addressless_fn);
  CHECK_EQ(answers_to(c, LIT(a)), 1);
  CHECK(heard_len > 20 && memcmp(heard + heard_len - 4, "\x7f\0\0\1", 4) == 0);
  s_ip6.is_ip6 = true, s_ip6.addr.ip[0] = 0xfd;
  CHECK_EQ(answers_to(c, LIT(a)), 1);
  CHECK(heard_len > 20 && memcmp(heard + heard_len - 4, "\x7f\0\0\1", 4) == 0);
  mg_close_conn(c);
}

static void announcements(void) {
  static const char srv[] = RESPONSE("\1") "\3dev\5_http\4_tcp" LOCAL "\0\x21\x80\1\0\0\0\1\0\x13\0\0\0\0\x1f\x90\5other\5LOCAL\0";
  static const char text[] = "\1x\0\0\x10\0\1\0\0\0\1\0\xfa";
  static uint8_t big[1400];
  struct mg_connection *c = listen_as(NULL, fn);
  size_t i, len = 12;
  responses = 0;
  receive(c, LIT(srv));
  CHECK(responses == 1 && strcmp(last_name, "dev") == 0 && last.sd.port == 8080);
  // A long datagram with the one record we want at its end.
  memcpy(big, RESPONSE("\6"), len);
  for (i = 0; i < 5; i++, len += sizeof(text) - 1 + 250) memcpy(big + len, text, sizeof(text) - 1);
  memcpy(big + len, "\3dev" LOCAL "\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1", 25);
  len += 25;
  {
    struct lookup a;
    memset(&a, 0, sizeof(a));
    mg_connect(&mgr, "tcp://dev.local:5", lookup_fn, &a);
    CHECK(a.resolves == 0 && a.errors == 0);
    receive(c, big, len);
    CHECK(is_loopback(a, 1) && a.rem.port == mg_htons(5));
    poll_often(&mgr);
  }
  mg_close_conn(c);
  CHECK(mgr.mdns == NULL);
}

static const char found[] = RESPONSE("\1") "\3dev" LOCAL "\0\1\x80\1\0\0\0\x78\0\4\x7f\0\0\1";

static void closing_fn(struct mg_connection *c, int ev, void *ev_data) {
  lookup_fn(c, ev, ev_data);
  if (ev == MG_EV_RESOLVE && c->mgr->mdns != NULL) mg_close_conn(c->mgr->mdns);
}

static void freeing_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_RESOLVE) mg_mgr_free(c->mgr);
  (void) ev_data;
}

static void lookups(void) {
  struct lookup a, b;
  struct mg_connection *c;
  CHECK(fails_with(resolve_url(&mgr, "tcp://dev.local:1"), "no mDNS listener, see mg_mdns_listen()"));
  c = listen_as(NULL, NULL);
  CHECK(fails_with(resolve_url(&mgr, "tcp://a..local:1"), "a..local DNS lookup failed"));
  memset(&a, 0, sizeof(a));
  memset(&b, 0, sizeof(b));
  mg_connect(&mgr, "tcp://dev.local:1", lookup_fn, &a);
  mg_connect(&mgr, "udp://DEV.local:2", lookup_fn, &b);
  receive(c, LIT(found));
  CHECK(is_loopback(a, 1) && is_loopback(b, 1) && b.rem.port == mg_htons(2));
  poll_often(&mgr);
  // Time ends it, and ends the wait.
  memset(&a, 0, sizeof(a));
  mg_connect(&mgr, "tcp://dev.local:1", lookup_fn, &a);
  clock_ms += 499;
  poll_often(&mgr);
  CHECK(a.errors == 0);
  clock_ms += 1;
  mg_mgr_poll(&mgr, 60000);
  CHECK(fails_with(a, "mDNS timeout"));
  poll_often(&mgr);
  // Even if nothing happens before: nobody gets the question.
  c->loc.port = mg_htons(9);
  memset(&a, 0, sizeof(a));
  mg_connect(&mgr, "tcp://dev.local:1", lookup_fn, &a);
  clock_ms += 500;
  mg_mgr_poll(&mgr, 60000);
  CHECK(fails_with(a, "mDNS timeout"));
  c->loc = group->loc;
  // No way out: the listener stays.
  c->loc.addr.ip4 = 0xffffffff;
  CHECK(fails_with(resolve_url(&mgr, "tcp://dev.local:1"), "mDNS send"));
  CHECK(mgr.mdns == c);
  c->loc = group->loc;
  // Who waits closes the listener, others wait as well; the listener is told nothing more.
  mg_close_conn(c);
  c = listen_as(NULL, fn);
  responses = 0;
  memset(&a, 0, sizeof(a));
  memset(&b, 0, sizeof(b));
  mg_connect(&mgr, "tcp://dev.local:1", closing_fn, &a);
  mg_connect(&mgr, "tcp://other.local:1", lookup_fn, &b);
  receive(c, LIT(found));
  CHECK(is_loopback(a, 1) && fails_with(b, "mDNS listener error") && mgr.mdns == NULL);
  poll_often(&mgr);
  CHECK(a.closes == 1 && b.closes == 1);
  CHECK_EQ(responses, 0);
  // Who waits gives up.
  c = listen_as(NULL, NULL);
  memset(&a, 0, sizeof(a));
  mg_close_conn(mg_connect(&mgr, "tcp://dev.local:1", lookup_fn, &a));
  receive(c, LIT(found));
  CHECK(a.closes == 1 && a.resolves == 0 && a.errors == 0);
  mg_connect(&mgr, "tcp://dev.local:1", freeing_fn, NULL);
  mg_connect(&mgr, "tcp://dev.local:1", lookup_fn, &b);
  receive(c, LIT(found));
  CHECK(mgr.conns == NULL && mgr.mdns == NULL);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  group = mg_listen(&mgr, "udp://127.0.0.1:0", group_fn, NULL);
  requests_and_answers();
  refusals();
  own_addresses();
  announcements();
  lookups();
  mg_mgr_free(&mgr);
  return DONE();
}
