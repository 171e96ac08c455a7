// Asks the local link for services of a kind and prints the first answer: NAME SERVICE ADDRESS:PORT TEXT.
//
// usage: mdns_query NAME

#include "mongoose.h"

static bool done;

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MDNS_RESP) {
    struct mg_mdns_resp *r = (struct mg_mdns_resp *) ev_data;
    if (r->rr->atype != MG_DNS_RTYPE_PTR) return;
    printf("%.*s %.*s ", (int) r->name.len, r->name.buf, (int) r->sd.srvcproto.len, r->sd.srvcproto.buf);
    printf("%d.%d.%d.%d:%d ", r->addr.addr.ip[0], r->addr.addr.ip[1], r->addr.addr.ip[2], r->addr.addr.ip[3], r->sd.port);
    printf("%.*s\n", r->sd.txt.len == 0 ? 0 : (int) r->sd.txt.len - 1, r->sd.txt.len == 0 ? "" : r->sd.txt.buf + 1);
    done = true;
  }
  (void) c;
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  int i;
  if (argc != 2) return 2;
  mg_mgr_init(&mgr);
  if ((c = mg_mdns_listen(&mgr, handler, NULL)) == NULL) return 1;
  for (i = 0; i < 300 && !done; i++) {
    if (i % 10 == 0 && !mg_mdns_query(c, argv[1], MG_DNS_RTYPE_PTR)) return 1;
    mg_mgr_poll(&mgr, 100);
  }
  mg_mgr_free(&mgr);
  return done ? 0 : 1;
}
