// Compile-time switches that take effect in mg_mgr_init.
// flags:
// flags: -DMG_ENABLE_LOG=0
// flags: -DMG_MAX_RECV_SIZE=50000
// flags: -DMG_IO_SIZE=65536
// flags: -DMG_IO_SIZE=128
#include "mongoose.h"

#include "check.h"

static char error[64];
static size_t received, first_size;

// Never consumes anything.
static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    if (first_size == 0) first_size = c->recv.size;
    received = c->recv.len;
  } else if (ev == MG_EV_ERROR) {
    snprintf(error, sizeof(error), "%s", (char *) ev_data);
  }
}

static void client(struct mg_connection *c, int ev, void *ev_data) {
  static char data[200000];
  if (ev == MG_EV_CONNECT) mg_send(c, data, sizeof(data));
  (void) ev_data;
}

int main(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  char url[40];
  int i;

  mg_mgr_init(&mgr);
#if MG_ENABLE_LOG
  CHECK_EQ(mg_log_level, MG_LL_DEBUG);
  mg_log_set(MG_LL_ERROR);
#else
  CHECK_EQ(mg_log_level, MG_LL_NONE);
#endif

  c = mg_listen(&mgr, "tcp://127.0.0.1:0", server, NULL);
  CHECK(c != NULL);
  if (c == NULL) return DONE();
  mg_snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", mg_ntohs(c->loc.port));
  CHECK(mg_connect(&mgr, url, client, NULL) != NULL);
  for (i = 0; i < 20000 && received < 200000 && error[0] == '\0'; i++) mg_mgr_poll(&mgr, 10);

  if (MG_MAX_RECV_SIZE < 200000) {
    CHECK(strcmp(error, "MG_MAX_RECV_SIZE") == 0);
    CHECK(received >= (size_t) MG_MAX_RECV_SIZE && received <= (size_t) MG_MAX_RECV_SIZE + 16384);
  } else {
    CHECK(error[0] == '\0');
    CHECK_EQ(received, 200000);
  }
  CHECK_EQ(first_size, MG_IO_SIZE > 1024 ? MG_IO_SIZE : 1024);
  mg_mgr_free(&mgr);
  return DONE();
}
