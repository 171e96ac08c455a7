// The socket is full exactly where close_notify begins: the connection waits until that is out too, so the peer does not take a
// complete answer for one that was cut off.
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
#include "tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/types.h>

static struct side server, client;
static struct mg_connection *the_server;
static bool full;
static int refused;

// An alert in TLS 1.3: 2 bytes, their type and the tag, behind the head of the record.
#define CLOSE_NOTIFY 24

// The library's calls come here.
ssize_t send(int fd, const void *buf, size_t len, int flags) {
  static ssize_t (*next)(int, const void *, size_t, int);
  if (next == NULL) *(void **) &next = dlsym(RTLD_NEXT, "send");
  if (full && the_server != NULL && fd == (int) (size_t) the_server->fd && len == CLOSE_NOTIFY) {
    refused++;
    errno = EAGAIN;
    return -1;
  }
  return next(fd, buf, len, flags);
}

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = c->is_client ? client_tls() : server_tls();
  struct side *s = c->is_client ? &client : &server;
  if (c->is_listening) return;
  side_note(s, c, ev, ev_data);
  if (ev == MG_EV_CONNECT || ev == MG_EV_ACCEPT) mg_tls_init(c, &o);
  if (ev == MG_EV_ACCEPT) the_server = c;
  if (ev == MG_EV_CLOSE && c == the_server) the_server = NULL;
  if (ev == MG_EV_READ && !c->is_client && c->recv.len > 0) {
    bool first = s->data.len == 0;
    side_keep(s, c);
    if (!first) return;
    mg_printf(c, "%01000d", 1);
    c->is_draining = 1;
    full = true;
  } else if (ev == MG_EV_READ && c->is_client) {
    side_keep(s, c);
  }
}

int main(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  char url[60];
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL);
  mg_snprintf(url, sizeof(url), "tcps://127.0.0.1:%d", mg_ntohs(l->loc.port));
  mg_connect(&mgr, url, fn, NULL);
  POLL_UNTIL(&mgr, server.handshakes == 1 && client.handshakes == 1);
  mg_send(client.c, "a", 1);
  POLL_UNTIL(&mgr, client.data.len == 1000 && refused > 0);
  mg_mgr_poll(&mgr, 0), mg_mgr_poll(&mgr, 0);
  CHECK(server.closes == 0 && client.closes == 0);
  full = false;
  // The kernel tells that there is room. As there was room all the time, something has to happen on the socket.
  mg_send(client.c, "b", 1);
  POLL_UNTIL(&mgr, server.closes == 1 && client.closes == 1);
  CHECK_EQ(client.reason, MGX_REASON_PEER_CLOSED);
  CHECK_EQ(server.reason, MGX_REASON_DRAINED);
  side_forget(&server), side_forget(&client);
  mg_mgr_free(&mgr);
  pem_free();
  return DONE();
}
