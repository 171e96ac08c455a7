// Listens on each URL in turn, connects to it, and prints what became of it.
//
// usage: listen_on URL...     port 0 is replaced by the one that the kernel chose

#include "mongoose.h"

static int s_done;

static void server(struct mg_connection *c, int ev, void *ev_data) {
  (void) c, (void) ev, (void) ev_data;
}

static void client(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) printf("scope %d, connected from scope %d\n", c->rem.scope_id, c->loc.scope_id);
  if (ev == MG_EV_ERROR) printf("%s\n", (char *) ev_data);
  if (ev == MG_EV_CONNECT || ev == MG_EV_ERROR) s_done = 1;
}

int main(int argc, char **argv) {
  int i;
  mg_log_set(MG_LL_NONE);
  for (i = 1; i < argc; i++) {
    struct mg_mgr mgr;
    struct mg_connection *l;
    char url[200];
    mg_mgr_init(&mgr);
    errno = 0;
    l = mg_listen(&mgr, argv[i], server, NULL);
    printf("%s ", argv[i]);
    if (l == NULL) {
      printf("%s\n", strerror(errno));
    } else {
      mg_snprintf(url, sizeof(url), "%.*s%d", (int) strlen(argv[i]) - 1, argv[i], mg_ntohs(l->loc.port));
      s_done = 0;
      mg_connect(&mgr, url, client, NULL);
      while (!s_done) mg_mgr_poll(&mgr, 50);
    }
    mg_mgr_free(&mgr);
  }
  return 0;
}
