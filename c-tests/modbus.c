// A Modbus server: pipelined and short requests, malformed frames, and handlers that change what they must not.
// not under: short: what depends on bytes that arrive with a request
#include "peer.h"

static int s_requests, s_errors, s_closes, s_reads;
static const char *s_mode = "";
static uint16_t s_own[2] = {1, 2};

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ERROR) s_errors++;
  if (ev == MG_EV_CLOSE && c->is_accepted) s_closes++;
  if (ev == MG_EV_READ) s_reads++;
  if (ev == MG_EV_MODBUS_REQ) {
    struct mg_modbus_req *req = (struct mg_modbus_req *) ev_data;
    bool bits = req->func == 1 || req->func == 2;
    uint16_t i;
    s_requests++;
    CHECK_EQ(req->error, 0);
    for (i = 0; i < req->len && req->func < 5; i++) {
      if (bits) {
        ((unsigned char *) req->u.bits)[i] = (unsigned char) (i % 2 ? 0 : 255);  // what memcpy may leave
      } else {
        req->u.regs[i] = (uint16_t) (req->addr + i);
      }
    }
    if (strcmp(s_mode, "more") == 0) req->len = 65535;
    if (strcmp(s_mode, "fewer") == 0) req->len = 1;
    if (strcmp(s_mode, "none") == 0) req->len = 0;
    if (strcmp(s_mode, "moved") == 0) req->addr++;
    if (strcmp(s_mode, "own") == 0) req->u.regs = s_own;
    if (strcmp(s_mode, "null") == 0) req->u.regs = NULL;
    if (strcmp(s_mode, "error") == 0) req->error = 255;
    if (strcmp(s_mode, "poll") == 0) poll_often(c->mgr);
    if (strcmp(s_mode, "empty") == 0) mg_iobuf_del(&c->recv, 0, c->recv.len);
    if (strcmp(s_mode, "drain") == 0) c->is_draining = 1;
    if (strcmp(s_mode, "closing") == 0) c->is_closing = 1;
    if (strcmp(s_mode, "close") == 0) mg_close_conn(c);
    if (strcmp(s_mode, "free") == 0) mg_mgr_free(c->mgr);
  }
}

static struct mg_mgr s_mgr;
static struct mg_connection *s_listener;

// Says some bytes in this mode, and compares all that comes back.
static void expect(const char *mode, const char *request, const char *answer, bool closes) {
  unsigned char in[400], out[400];
  size_t i, n = strlen(request) / 2, m = strlen(answer) / 2;
  struct peer p;
  s_mode = mode;
  s_requests = s_errors = s_closes = 0;
  for (i = 0; i < n; i++) mg_str_to_num(mg_str_n(request + 2 * i, 2), 16, &in[i], 1);
  for (i = 0; i < m; i++) mg_str_to_num(mg_str_n(answer + 2 * i, 2), 16, &out[i], 1);
  peer_open(&p, s_listener);
  CHECK(peer_send(&p, in, n));
  POLL_UNTIL(&s_mgr, peer_has(&p, m) && (!closes || p.end != PEER_OPEN));
  poll_often(&s_mgr);
  peer_read(&p);
  CHECK(peer_got_bytes(&p, out, m));
  CHECK_EQ(p.end != PEER_OPEN, closes);
  peer_free(&p);
  if (!closes) POLL_UNTIL(&s_mgr, s_closes == 1);
}

int main(void) {
  struct peer p;
  uint64_t end;
  size_t i, sent = 0, held = 0, seen;
  static unsigned char flood[12 * 1000];
  bool stuck = false;
  int still = 0;

  mg_mgr_init(&s_mgr);
  CHECK(mg_modbus_listen(&s_mgr, "tcp://nowhere:502", handler, NULL) == NULL);
  s_listener = mg_modbus_listen(&s_mgr, "tcp://127.0.0.1:0", handler, NULL);

  expect("", "000100000006" "010300100002", "000100000007" "0103" "04" "0010" "0011", false);
  expect("", "000100000006" "010100100009", "000100000005" "0101" "02" "5501", false);
  // Three at once, the second refused, with half of a fourth.
  expect("", "000100000006010300100001" "000200000006010300100000" "00030000000601060010abcd" "00040000",
         "0001000000050103020010" "000200000003018303" "00030000000601060010abcd", false);
  CHECK_EQ(s_requests, 2);
  // Functions without data are answered, although they are shorter than all that are known.
  expect("", "0005000000020107", "000500000003018701", false);
  expect("", "0005000000020103", "000500000003018303", false);
  expect("", "000500000004011800" "00", "000500000003019801", false);
  CHECK_EQ(s_requests, 0);
  // Beyond the last address.
  expect("", "000500000006" "0103ffff0002", "000500000003018302", false);
  expect("", "000500000009" "010fffff0002" "01" "03" "00", "000500000003018f03", false);
  expect("", "000500000008" "010fffff0002" "01" "03", "000500000003018f02", false);
  expect("", "000500000006" "0103ffff0001", "000500000005" "0103" "02" "ffff", false);
  // Not Modbus.
  expect("", "474554202f20485454502f312e300d0a0d0a", "", true);
  CHECK_EQ(s_errors, 1);

  // More values than there are, fewer, none.
  expect("more", "000100000006" "010300100002", "000100000007" "0103" "04" "0010" "0011", false);
  expect("more", "000100000006" "010100100002", "000100000004" "0101" "01" "01", false);
  expect("more", "000100000006" "01050010ff00", "000100000006" "01050010ff00", false);
  expect("more", "00010000000b" "011000100002" "04" "00010002", "000100000006" "011000100002", false);
  expect("fewer", "000100000006" "010300100002", "000100000005" "0103" "02" "0010", false);
  expect("none", "000100000006" "010300100002", "000100000003" "0103" "00", false);
  expect("none", "000100000006" "01060010abcd", "000100000006" "010600100000", false);
  expect("none", "000100000006" "01050010ff00", "000100000006" "010500100000", false);
  // The answer repeats the address that the handler leaves.
  expect("moved", "000100000006" "01060010abcd", "000100000006" "01060011abcd", false);
  // Other pointers are neither read nor freed.
  expect("own", "000100000006" "010300100002", "000100000003" "0183" "04", false);
  CHECK_EQ(s_own[0], 1);
  expect("null", "000100000006" "010100100002", "000100000003" "0181" "04", false);
  expect("error", "000100000006" "010300100002", "000100000003" "0183" "ff", false);

  // Whatever else handlers do.
  expect("poll", "000100000006010300100001" "000200000006010300100001", "0001000000050103020010" "0002000000050103020010", false);
  CHECK_EQ(s_requests, 2);
  expect("empty", "000100000006010300100001" "000200000006010300100001", "0001000000050103020010", false);
  expect("drain", "000100000006010300100001" "000200000006010300100001", "0001000000050103020010", true);
  CHECK_EQ(s_requests, 1);
  expect("closing", "000100000006010300100001" "000200000006010300100001", "", true);
  CHECK_EQ(s_requests, 1);
  expect("close", "000100000006010300100001" "000200000006010300100001", "", true);
  CHECK_EQ(s_requests, 1);

  // A client that asks for 250 bytes with 12, again and again, and never reads: the server stops taking and reading requests.
  s_mode = "";
  s_errors = s_closes = 0;
  for (i = 0; i < sizeof(flood); i += 12) memcpy(&flood[i], "\0\1\0\0\0\6\1\3\0\0\0\x7d", 12);
  peer_connect(&p, port_of(s_listener), 4096);
  end = real_ms() + 50000;
  while (!stuck && s_closes == 0 && real_ms() < end) {
    struct mg_connection *c;
    ssize_t n = sent >= 700000 ? 0 : send(p.fd, flood + sent % 12, sizeof(flood) - 12, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
      sent += (size_t) n;
      end = real_ms() + 50000;
    }
    mg_mgr_poll(&s_mgr, 0);
    for (c = s_mgr.conns; c != NULL; c = c->next) {
      if (!c->is_listening) {
        CHECK(c->send.len < 2 * 1024 * 1024 && c->recv.len <= 256 * 1024);
        // Nothing moves any more.
        still = n <= 0 && c->send.len + c->recv.len == held ? still + 1 : 0;
        held = c->send.len + c->recv.len;
        stuck = c->send.len >= 1024 * 1024 && (n < 0 || sent >= 700000) && still > 30;
      }
    }
  }
  CHECK(stuck);
  // When it reads, all is answered.
  sent -= sent % 12;
  do {
    seen = p.len;
    POLL_UNTIL(&s_mgr, peer_has(&p, sent / 12 * 259) || p.len > seen);
  } while (p.len > seen && p.len < sent / 12 * 259);
  CHECK_EQ(p.len, sent / 12 * 259);
  CHECK_EQ(s_errors, 0);
  peer_free(&p);
  POLL_UNTIL(&s_mgr, s_closes == 1);

  expect("free", "000100000006010300100001" "000200000006010300100001", "", true);
  CHECK(s_mgr.conns == NULL);
  mg_mgr_free(&s_mgr);
  return DONE();
}
