// Shared by TLS tests: certificates, connections that log their events, and a proxy between two of them that can delay, cut and
// corrupt the stream.
#ifndef TLS_H
#define TLS_H

#include "mongoose.h"
#include "mongoose_ext.h"

#include "peer.h"

static struct {
  const char *name;
  struct mg_str text;
} pem_files[32];

// A file of c-tests/certs. Freed by pem_free.
static inline struct mg_str pem(const char *name) {
  char path[1000];
  size_t i, n = strlen(__FILE__) - strlen("tls.h");
  for (i = 0; i < 31 && pem_files[i].name != NULL; i++) {
    if (strcmp(pem_files[i].name, name) == 0) return pem_files[i].text;
  }
  mg_snprintf(path, sizeof(path), "%.*scerts/%s", (int) n, __FILE__, name);
  pem_files[i].name = name;
  pem_files[i].text = mg_file_read(&mg_fs_posix, path);
  CHECK(pem_files[i].text.len > 0);
  return pem_files[i].text;
}

static inline void pem_free(void) {
  size_t i;
  for (i = 0; i < 32; i++) mg_free(pem_files[i].text.buf);
}

static inline struct mg_tls_opts server_tls(void) {
  struct mg_tls_opts o;
  memset(&o, 0, sizeof(o));
  o.cert = pem("server-p256.pem");
  o.key = pem("server-p256.key");
  return o;
}

static inline struct mg_tls_opts client_tls(void) {
  struct mg_tls_opts o;
  memset(&o, 0, sizeof(o));
  o.ca = pem("ca.pem");
  o.name = mg_str("localhost");
  return o;
}

// Events of one side, as letters: O open, C connect, A accept, H handshake complete, R read, W write (each once in a row),
// E error, X close.
struct side {
  struct mg_connection *c;
  char log[200], error[64];
  size_t received, written;
  int handshakes, closes;
  enum mgx_reason reason;
  size_t unsent;
  struct mg_str data;  // all received data
};

static inline void side_note(struct side *s, struct mg_connection *c, int ev, void *ev_data) {
  static const char letters[] = "EO..CAHRWX";
  size_t n = strlen(s->log);
  char letter = ev >= 0 && ev < 10 ? letters[ev] : '.';
  if (letter != '.' && n + 1 < sizeof(s->log) && (n == 0 || s->log[n - 1] != letter || ev == MG_EV_CLOSE)) s->log[n] = letter;
  if (ev == MG_EV_OPEN) s->c = c;
  if (ev == MG_EV_TLS_HS) s->handshakes++;
  if (ev == MG_EV_READ) s->received += (size_t) * (long *) ev_data;
  if (ev == MG_EV_WRITE) s->written += (size_t) * (long *) ev_data;
  if (ev == MG_EV_ERROR) mg_snprintf(s->error, sizeof(s->error), "%s", (char *) ev_data);
  if (ev == MG_EV_CLOSE) {
    s->closes++;
    s->reason = mgx_close_reason(c);
    s->unsent = mgx_close_unsent(c);
    s->c = NULL;
  }
}

// Consumes the received data.
static inline void side_keep(struct side *s, struct mg_connection *c) {
  s->data.buf = (char *) realloc(s->data.buf, s->data.len + c->recv.len + 1);
  memcpy(s->data.buf + s->data.len, c->recv.buf, c->recv.len);
  s->data.len += c->recv.len;
  s->data.buf[s->data.len] = '\0';
  c->recv.len = 0;
}

static inline void side_forget(struct side *s) {
  free(s->data.buf);
  memset(s, 0, sizeof(*s));
}

static inline bool side_events_are(const struct side *s, const char *want) {
  if (strcmp(s->log, want) == 0) return true;
  fprintf(stderr, "saw %s, want %s (%s)\n", s->log, want, s->error);
  return false;
}

static inline bool side_received(const struct side *s, const char *want, size_t len) {
  if (s->data.len == len && (len == 0 || memcmp(s->data.buf, want, len) == 0)) return true;
  fprintf(stderr, "got %lu bytes, expected %lu: %.*s\n", (unsigned long) s->data.len, (unsigned long) len,
          (int) (s->data.len < 200 ? s->data.len : 200), s->data.buf == NULL ? "" : s->data.buf);
  return false;
}

// ---- a proxy between a client and a server of the same manager

struct line {
  struct mg_connection *listener;
  unsigned short to;          // the server's port
  size_t per_poll;            // bytes that pass in each direction per poll; 0: all
  size_t cut_up, cut_down;    // cut after this many bytes to the server, to the client; 0: never
  size_t spoil_down;          // offset of the byte to corrupt on the way to the client; 0: none
  size_t up, down;            // bytes forwarded
  bool reset;                 // cut with a reset
  bool held;                  // forward nothing
  struct mg_connection *ends[2];  // to the client, to the server
};

static inline void line_cut(struct line *l) {
  int i;
  for (i = 0; i < 2; i++) {
    if (l->ends[i] == NULL) continue;
    if (l->reset) {
      mgx_conn_abort(l->ends[i]);
    } else {
      l->ends[i]->is_draining = 1;
    }
  }
}

static inline void line_pass(struct line *l, struct mg_connection *from, struct mg_connection *to) {
  bool down = from == l->ends[1];
  size_t n = from->recv.len, *passed = down ? &l->down : &l->up, cut = down ? l->cut_down : l->cut_up;
  if (to == NULL || l->held || from->is_draining || to->is_draining) return;
  if (l->per_poll > 0 && n > l->per_poll) n = l->per_poll;
  if (cut > 0 && *passed + n > cut) n = cut - *passed;
  if (down && l->spoil_down > *passed && l->spoil_down <= *passed + n) from->recv.buf[l->spoil_down - *passed - 1] ^= 0x40;
  mg_send(to, from->recv.buf, n);
  mg_iobuf_del(&from->recv, 0, n);
  *passed += n;
  if (cut > 0 && *passed == cut) line_cut(l);
}

static inline void line_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct line *l = (struct line *) c->fn_data;
  int i = c->is_client ? 1 : 0;
  if (c->is_listening) return;
  if (ev == MG_EV_ACCEPT) {
    char url[50];
    l->ends[0] = c;
    mg_snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", l->to);
    l->ends[1] = mg_connect(c->mgr, url, line_fn, l);
  } else if (ev == MG_EV_POLL || (ev == MG_EV_READ && l->per_poll == 0)) {
    if (c == l->ends[i]) line_pass(l, c, l->ends[1 - i]);
  } else if (ev == MG_EV_CLOSE && c == l->ends[i]) {
    l->ends[i] = NULL;
    if (l->ends[1 - i] != NULL) {
      // End of stream follows the remaining data.
      if (c->recv.len > 0 && !c->is_draining) mg_send(l->ends[1 - i], c->recv.buf, c->recv.len);
      l->ends[1 - i]->is_draining = 1;
    }
  }
  (void) ev_data;
}

// Opens a proxy to the listener at `port`. Connect to l->listener's port.
static inline void line_open(struct line *l, struct mg_mgr *mgr, unsigned short port) {
  memset(l, 0, sizeof(*l));
  l->to = port;
  l->listener = mg_listen(mgr, "tcp://127.0.0.1:0", line_fn, l);
  CHECK(l->listener != NULL);
}

#endif
