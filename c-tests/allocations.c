// What the library asks of the allocator while connections answer, wait and close: nothing. There is room from the start. And
// nothing is lost when it gets none.
// not under: valgrind asan: they replace malloc themselves
#include "ext.h"

static bool counting;
static int allocations, failing;  // so many fail

#ifdef __GLIBC__
// The library's calls come here.
#ifdef __cplusplus
extern "C" {
#endif
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);

void *malloc(size_t size) {
  allocations += counting;
  return failing > 0 && failing-- > 0 ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  allocations += counting;
  return failing > 0 && failing-- > 0 ? NULL : __libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size) {
  allocations += counting;
  return failing > 0 && failing-- > 0 ? NULL : __libc_realloc(ptr, size);
}
#ifdef __cplusplus
}
#endif
#endif

enum { MANY = 40 };

static struct mg_mgr mgr;
static struct mg_connection *listener;
static struct peer peers[MANY];

static void poll_counted(int n) {
  allocations = 0;
  counting = true;
  while (n-- > 0) mg_mgr_poll(&mgr, 0);
  counting = false;
}

static void open_peers(int n, mg_event_handler_t fn) {
  int i;
  forget();
  listener = serve(&mgr, fn, NULL);
  for (i = 0; i < n; i++) join(&mgr, listener, &peers[i]);
  poll_often(&mgr);
}

static void end(int n) {
  int i;
  mg_mgr_free(&mgr);
  for (i = 0; i < n; i++) peer_free(&peers[i]);
}

// The first bring spare buffers.
static void requests_again(void) {
  int i, all = 0;
  open_peers(1, server);
  for (i = 0; i < 30; i++) {
    CHECK(peer_send_text(&peers[0], GET("/hi")));
    poll_counted(20);
    if (i >= 10) all += allocations;
    expect_open(&mgr, &peers[0], HI);
  }
  CHECK_EQ(all, 0);
  end(1);
}

// Input waits, and is looked at in every poll. More of it arrives together with other input.
static void paused(void) {
  struct mg_connection *c;
  int i, round;
  open_peers(MANY, server);
  for (c = mgr.conns; c->next != listener; c = c->next) c->is_full = 1;
  for (i = 0; i < 10; i++) ask(&mgr, &peers[0], GET("/hi")), poll_often(&mgr);
  peer_read(&peers[0]);
  peers[0].len = 0;
  for (round = 0; round < 4; round++) {
    for (i = 0; i < MANY; i++) CHECK(peer_send_text(&peers[i], GET("/hi")));
    poll_counted(30);
    CHECK_EQ(allocations, 0);
    expect_open(&mgr, &peers[0], HI);
  }
  for (c = mgr.conns; c != listener; c = c->next) c->is_full = 0;
  for (i = 1; i < MANY; i++) expect_open(&mgr, &peers[i], HI HI HI HI);
  end(MANY);
}

// ---- the older connection sends on the newer one, which has been serviced in that poll
static struct mg_connection *newer;

static void sends_on_newer(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_POLL && newer != NULL && c->is_listening) mg_send(newer, "hi", 2);
  (void) ev_data;
}

static void sent_to_another(void) {
  open_peers(1, sends_on_newer);
  newer = last;
  poll_often(&mgr);
  poll_counted(30);
  CHECK_EQ(allocations, 0);
  newer = NULL;
  POLL_UNTIL(&mgr, peer_has(&peers[0], 100));
  end(1);
}

// ---- one handler closes all
static bool close_all;

static void closes(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_connection *other, *next;
  note(c, ev);
  if (ev != MG_EV_POLL || !c->is_listening || !close_all) return;
  for (other = c->mgr->conns; other != NULL; other = next) {
    next = other->next;
    if (other != c) mg_close_conn(other);
  }
  (void) ev_data;
}

static void closed_at_once(void) {
  open_peers(MANY, closes);
  close_all = true;
  poll_counted(1);
  close_all = false;
  CHECK_EQ(allocations, 0);
  CHECK_EQ(closed, MANY);
  end(MANY);
}

// ---- their sockets wait for the peers to close theirs
static void answers_and_drains(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) c->is_draining = 1;
}

static void drained(void) {
  int i;
  open_peers(8, answers_and_drains);
  // The first waits for its response. It and the next make room for what is not kept for each.
  ask(&mgr, &peers[0], GET("/later"));
  poll_often(&mgr);
  mg_http_reply(last, 200, "", "hi");
  POLL_UNTIL(&mgr, closed == 1);
  for (i = 1; i < 8; i++) {
    CHECK(peer_send_text(&peers[i], GET("/hi")));
    allocations = 0;
    counting = i > 1;
    POLL_UNTIL(&mgr, closed == i + 1);
    counting = false;
    CHECK_EQ(allocations, 0);
    POLL_UNTIL(&mgr, peer_read(&peers[i]));
    CHECK_EQ(peers[i].end, PEER_FIN);
  }
  end(8);
}

// An event of a connection without MG_EV_POLL is not lost, although there is no memory to note it, or to go through what was noted.
static void woken_without_memory(int failures) {
  open_peers(2, server);
  mgx_conn_poll_events(last, false);
  // After a pause the system tells of it only once.
  last->is_full = 1;
  CHECK(peer_send_text(&peers[1], GET("/hi")));
  poll_often(&mgr);
  last->is_full = 0;
  expect_open(&mgr, &peers[1], HI);
  CHECK(peer_send_text(&peers[1], GET("/hi")));
  failing = failures;
  mg_mgr_poll(&mgr, 0);
  failing = 0;
  expect_open(&mgr, &peers[1], HI);
  end(2);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  requests_again();
  paused();
  sent_to_another();
  closed_at_once();
  drained();
  woken_without_memory(1);
  woken_without_memory(1000);
  return DONE();
}
