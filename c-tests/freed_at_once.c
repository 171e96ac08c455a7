// An application whose mg_free takes the memory out of reach: whatever uses a block afterwards crashes. What a handler may still
// look at is freed when it returns, everything else at once.
// flags: -DMG_ENABLE_CUSTOM_CALLOC=1
#include "mongoose.h"
#include "mongoose_ext.h"

#include <sys/mman.h>

#include "peer.h"

static struct mg_mgr mgr;
static int blocks;
static const char *secret;  // a block in use: is wiped before it is freed
static bool wiped;

void *mg_calloc(size_t count, size_t size) {
  const size_t len = count * size + 16;
  size_t *p = (size_t *) mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == (size_t *) MAP_FAILED) return NULL;
  *p = len;
  blocks++;
  return (char *) p + 16;
}

void mg_free(void *p) {
  if (p == NULL) return;
  if (p == secret) {
    const size_t len = *(size_t *) ((char *) p - 16) - 16;
    size_t n = 0;
    while (n < len && secret[n] == '\0') n++;
    wiped = n == len;
    secret = NULL;
  }
  blocks--;
  p = (char *) p - 16;
  CHECK(mprotect(p, *(size_t *) p, PROT_NONE) == 0);
}

static struct mg_connection *own_connection(mg_event_handler_t fn) {
  struct mg_connection *c = mg_alloc_conn(&mgr);
  c->fd = (void *) (size_t) -1;
  c->fn = fn;
  LIST_ADD_HEAD(struct mg_connection, &mgr.conns, c);
  return c;
}

static unsigned long closed_id;

static void closing_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_POLL) return;
  mg_close_conn(c);
  closed_id = c->id;
  (void) ev_data;
}

// One that the application has made itself.
static void a_connection_of_the_application(void) {
  int before = blocks;
  struct mg_connection *c = own_connection(closing_fn);
  const unsigned long id = c->id;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(closed_id, id);
  CHECK_EQ(blocks, before);
  own_connection(NULL)->is_closing = 1;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(blocks, before);
  mg_close_conn(own_connection(NULL));
  CHECK_EQ(blocks, before);
}

static void pausing_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ && c->is_accepted) mg_send(c, "bye", 3), c->is_full = c->is_draining = 1;
  (void) ev_data;
}

// Its socket lingers with unread input, and the connection is gone.
static void drained_while_paused(void) {
  static char data[100000];
  struct mg_connection *l = mg_listen(&mgr, "tcp://127.0.0.1:0", pausing_fn, NULL);
  struct peer p;
  peer_open(&p, l);
  CHECK(peer_send(&p, data, sizeof(data)));
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(p.end == PEER_FIN && peer_got(&p, "bye"));
  peer_free(&p);
  l->is_closing = 1;
  POLL_UNTIL(&mgr, mgr.conns == NULL);
}

static void secure_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) {
    struct mg_tls_opts opts;
    memset(&opts, 0, sizeof(opts));
    mg_tls_init(c, &opts);
    CHECK(c->is_tls_hs);
    mg_send(c, "secret", 6);
    secret = (const char *) c->send.buf;
    c->is_closing = 1;
  }
  if (ev == MG_EV_CLOSE) ++*(int *) c->fn_data;
  (void) ev_data;
}

// What a connection with TLS has not sent goes with it.
static void a_secret(void) {
  struct mg_connection *l = mg_listen(&mgr, "tcp://127.0.0.1:0", NULL, NULL);
  int closes = 0;
  mg_connect(&mgr, url_of(l, "tls"), secure_fn, &closes);
  POLL_UNTIL(&mgr, closes == 1);
  l->is_closing = 1;
  POLL_UNTIL(&mgr, mgr.conns == NULL);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  a_connection_of_the_application();
  drained_while_paused();
  a_secret();
  mg_mgr_free(&mgr);
  CHECK(secret == NULL && wiped);
  CHECK_EQ(blocks, 0);
  return DONE();
}
