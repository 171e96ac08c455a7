// A reverse proxy: forwards requests to the server behind it. Bodies of any size pass in both directions in pieces, no faster
// than the slower side reads them.
//
// usage: reverse-proxy -h
//   UPSTREAM_URL   such as http://127.0.0.1:9000
//
// - A client's connection stays open for further requests, and so does its connection to the server.
// - Hop-by-hop headers (Connection, Keep-Alive, TE, ...) are not forwarded; X-Forwarded-For is added.
// - Bodies are parsed and framed again: one side's length information never reaches the other side unchecked.
// - 502: the server is unreachable or sends an invalid response. 504: it does not respond.
// - WebSocket connections pass too.

#include "example.h"

#define QUEUE_MAX (256 * 1024)  // most bytes queued
#define HEAD_MAX (64 * 1024)

static const char *const s_usage =
    "usage: reverse-proxy [-l URL] [-t SECONDS] UPSTREAM_URL     Ctrl-C or SIGTERM ends it\n"
    "  -l URL   where to listen, default http://0.0.0.0:8000; port 0 is any free port\n"
    "  -t SECONDS   how long to wait for the server, default 60\n"
    "  UPSTREAM_URL   such as http://127.0.0.1:9000\n";

// How the body is delimited, and the current position in it.
enum kind { NONE, LENGTH, CHUNKED, UNTIL_CLOSE };
enum place { CHUNK_SIZE, SIZE_MORE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, LINE, TRAILER, TRAILER_LF, LAST_LF };

struct body {
  enum kind kind;
  uint64_t left;  // LENGTH: remaining bytes. CHUNKED: remaining bytes of this chunk
  enum place at;  // CHUNKED
  bool done;
};

// A client's connection and its connection to the server; fn_data of both.
struct pair {
  struct mg_connection *client, *server;  // NULL if not connected
  struct body request, response;
  struct mg_iobuf head;                   // of the request, while it might have to be resent
  bool busy;                              // a request is in progress
  bool answered;                          // the head of its response was forwarded
  bool is_head, is_safe;                  // the method is HEAD; the method is safe
  bool is_old;                            // the client uses HTTP/1.0
  bool last;                              // the client's connection closes after this response
  bool used, keep;                        // the server's connection had an earlier request; may have another one
  bool upgrade, tunnel;                   // requested; granted: raw bytes from now on
  bool chunked;                           // the body goes to the client in chunks
  uint64_t since;                         // when data last moved
};

static const char *s_upstream;
static uint64_t s_silence = 60000;
static mg_event_handler_t s_http;  // the protocol handler of HTTP connections
static bool s_leaving;
static bool is(struct mg_str s, const char *text) {
  return mg_strcasecmp(s, mg_str(text)) == 0;
}

// ---- heads

// Removes the header line at the start of `*rest`. False at the end, or if it is malformed.
static bool next_header(struct mg_str *rest, struct mg_str *name, struct mg_str *value) {
  const char *end = rest->len == 0 ? NULL : (const char *) memchr(rest->buf, '\n', rest->len), *colon;
  struct mg_str line;
  if (end == NULL) return false;
  line = mg_str_n(rest->buf, (size_t) (end - rest->buf));
  rest->len -= line.len + 1;
  rest->buf += line.len + 1;
  if (line.len > 0 && line.buf[line.len - 1] == '\r') line.len--;
  if (line.len == 0 || (colon = (const char *) memchr(line.buf, ':', line.len)) == NULL) return false;
  *name = mg_str_n(line.buf, (size_t) (colon - line.buf));
  // mg_http_parse stores only the first 30.
  if (name->len == 0 || memchr(name->buf, ' ', name->len) != NULL || memchr(line.buf, '\r', line.len) != NULL) return false;
  *value = mg_str_n(colon + 1, line.len - name->len - 1);
  while (value->len > 0 && (value->buf[0] == ' ' || value->buf[0] == '\t')) value->buf++, value->len--;
  return true;
}

// The lines after the first one.
static struct mg_str header_lines(struct mg_http_message *hm) {
  const char *end = (const char *) memchr(hm->head.buf, '\n', hm->head.len);
  size_t first = (size_t) (end - hm->head.buf) + 1;
  return mg_str_n(hm->head.buf + first, hm->head.len - first);
}

// Whether this header exists, including after the first 30, to which mg_http_get_header is limited.
static bool has_header(struct mg_http_message *hm, const char *header, struct mg_str *value) {
  struct mg_str lines = header_lines(hm), name;
  while (next_header(&lines, &name, value)) {
    if (is(name, header)) return true;
  }
  return false;
}

// Whether a list header such as "Connection: a, b", possibly on several lines, contains this token.
static bool lists(struct mg_http_message *hm, const char *header, struct mg_str word) {
  struct mg_str lines = header_lines(hm), name, value, item, rest;
  while (next_header(&lines, &name, &value)) {
    if (!is(name, header)) continue;
    for (rest = value; mg_span(rest, &item, &rest, ',');) {
      while (item.len > 0 && item.buf[0] == ' ') item.buf++, item.len--;
      while (item.len > 0 && item.buf[item.len - 1] == ' ') item.len--;
      if (mg_strcasecmp(item, word) == 0) return true;
    }
  }
  return false;
}

// Whether a header is hop-by-hop, or one that the proxy writes itself.
static bool is_ours(struct mg_http_message *hm, struct mg_str name) {
  static const char *names[] = {"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "TE",
                                "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Expect", "X-Forwarded-For"};
  size_t i;
  for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    if (is(name, names[i])) return true;
  }
  return lists(hm, "Connection", name);
}

// How the body of a message is delimited. False for unknown codings.
static bool find_body(struct mg_http_message *hm, struct body *b) {
  struct mg_str coding;
  memset(b, 0, sizeof(*b));
  if (has_header(hm, "Transfer-Encoding", &coding)) {
    b->kind = CHUNKED;
    while (coding.len > 0 && coding.buf[coding.len - 1] == ' ') coding.len--;
    return is(coding, "chunked");
  }
  if (hm->body.len == (size_t) -1) {
    b->kind = UNTIL_CLOSE;
  } else if (hm->body.len > 0) {
    b->kind = LENGTH;
    b->left = hm->body.len;
  }
  b->done = b->kind == NONE;
  return true;
}

// ---- bodies

static void put(struct mg_connection *to, bool chunked, const char *data, size_t len) {
  if (len > 0 && chunked) {
    mg_http_write_chunk(to, data, len);
  } else if (len > 0) {
    mg_send(to, data, len);
  }
}

static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Forwards the data of chunks, without extensions and trailers. Returns the number of bytes used, or -1 if they are malformed.
static long pass_chunks(struct body *b, const char *data, size_t len, struct mg_connection *to, bool chunked) {
  size_t i = 0, n;
  while (i < len && !b->done) {
    char c = data[i];
    switch (b->at) {
      case CHUNK_SIZE:
        b->left = 0;
        if (hex(c) < 0) return -1;
        b->at = SIZE_MORE;
        break;
      case SIZE_MORE:
        if (hex(c) >= 0) {
          if (b->left >> 56) return -1;
          b->left = b->left * 16 + (uint64_t) hex(c);
          i++;
        } else {
          b->at = EXTENSION;
          if (c != '\r' && c != ';') return -1;
        }
        break;
      case EXTENSION:
      case TRAILER:
        if (c == '\n') return -1;
        if (c == '\r') b->at = b->at == TRAILER ? TRAILER_LF : SIZE_LF;
        i++;
        break;
      case DATA:
        n = len - i < b->left ? len - i : (size_t) b->left;
        put(to, chunked, data + i, n);
        i += n;
        if ((b->left -= n) == 0) b->at = DATA_CR;
        break;
      case DATA_CR:
        if (c != '\r') return -1;
        b->at = DATA_LF;
        i++;
        break;
      case LINE:
        b->at = c == '\r' ? LAST_LF : TRAILER;
        if (c == '\r') i++;
        break;
      default:  // the end of a line
        if (c != '\n') return -1;
        b->done = b->at == LAST_LF;
        if (b->done && chunked) mg_http_write_chunk(to, "", 0);
        b->at = b->at == SIZE_LF ? (b->left > 0 ? DATA : LINE) : b->at == DATA_LF ? CHUNK_SIZE : LINE;
        i++;
    }
  }
  return (long) i;
}

// Forwards the received part of a body, and removes it from the buffer. False if it is malformed.
static bool pass(struct body *b, struct mg_connection *from, struct mg_connection *to, bool chunked) {
  size_t len = from->recv.len;
  if (b->kind == CHUNKED) {
    long n = pass_chunks(b, (char *) from->recv.buf, len, to, chunked);
    if (n < 0) return false;
    len = (size_t) n;
  } else {
    if (b->kind == LENGTH && len > b->left) len = (size_t) b->left;
    if (b->kind == NONE) len = 0;
    put(to, chunked, (char *) from->recv.buf, len);
    if (b->kind == LENGTH) b->done = (b->left -= len) == 0;
  }
  mg_iobuf_del(&from->recv, 0, len);
  // Read no more until some of it was sent: see MG_EV_WRITE.
  if (to->send.len > QUEUE_MAX) from->is_full = 1;
  return true;
}

// ---- one request and its response

static void on_server(struct mg_connection *c, int ev, void *ev_data);

// Closes the connection to the server.
static void leave_server(struct pair *p) {
  if (p->server == NULL) return;
  p->server->fn_data = NULL;
  p->server->is_closing = 1;
  p->server = NULL;
}

// Ends the request; the client gets this status if no part of a response was forwarded yet.
static void give_up(struct pair *p, int status, const char *why) {
  leave_server(p);
  if (!p->busy || p->client == NULL) return;
  p->busy = false;
  if (p->answered) {
    p->client->is_closing = 1;  // the client notices that the response is incomplete
  } else {
    mg_http_reply(p->client, status, "Content-Type: text/plain\r\nConnection: close\r\n", "%s", p->is_head ? "" : why);
    p->client->is_draining = 1;
  }
}

// The response has been forwarded. If it came early, the rest of the request must not be taken for the next one.
static void finish(struct pair *p) {
  struct mg_connection *c = p->client;
  long none = 0;
  if (p->chunked && p->response.kind == UNTIL_CLOSE) mg_http_write_chunk(c, "", 0);
  p->busy = false;
  c->is_resp = 0;
  if (!p->keep || !p->request.done) leave_server(p);
  if (p->last || !p->request.done) {
    c->is_draining = 1;
    return;
  }
  c->is_full = 0;
  c->pfn = s_http;
  if (c->recv.len > 0) mg_call(c, MG_EV_READ, &none);  // the next request has already arrived
}

static void pass_request(struct pair *p) {
  if (!p->busy || p->server == NULL) return;
  if (!p->request.done && !pass(&p->request, p->client, p->server, p->request.kind == CHUNKED)) {
    give_up(p, 400, "malformed chunk\n");
  }
  // Further requests wait; so does a client that sends too many.
  if (p->busy && p->request.done && p->client->recv.len > QUEUE_MAX) p->client->is_full = 1;
}

// Sends the head of the request, on the existing connection or on a new one. The server may be closing an existing connection
// at this moment, so it only gets requests that can be repeated.
static bool ask(struct pair *p) {
  if (!p->is_safe || p->request.kind != NONE) leave_server(p);
  p->used = p->server != NULL;
  if (p->server == NULL) p->server = mg_connect(p->client->mgr, s_upstream, on_server, p);
  if (p->server == NULL) return false;
  mg_send(p->server, p->head.buf, p->head.len);
  p->since = mg_millis();
  return true;
}

static void print_request(struct pair *p, struct mg_http_message *hm) {
  struct mg_str rest = header_lines(hm), name, value, host = mg_url_host(s_upstream);
  struct mg_iobuf *to = &p->head;
  mg_iobuf_free(to);
  mg_xprintf(mg_pfn_iobuf, to, "%.*s %.*s%s%.*s HTTP/1.1\r\n", (int) hm->method.len, hm->method.buf, (int) hm->uri.len,
             hm->uri.buf, hm->query.buf != NULL ? "?" : "", (int) hm->query.len, hm->query.len > 0 ? hm->query.buf : "");
  // The host of a target such as http://host/path counts more than the header; hm has it in its place.
  if (mg_http_get_header(hm, "Host") != NULL) {
    host = *mg_http_get_header(hm, "Host");
    mg_xprintf(mg_pfn_iobuf, to, "Host: %.*s\r\n", (int) host.len, host.buf);
  } else if (!has_header(hm, "Host", &value)) {
    mg_xprintf(mg_pfn_iobuf, to, "Host: %.*s:%d\r\n", (int) host.len, host.buf, mg_url_port(s_upstream));
  }
  while (next_header(&rest, &name, &value)) {
    if (is_ours(hm, name) || (is(name, "Host") && mg_http_get_header(hm, "Host") != NULL)) continue;
    mg_xprintf(mg_pfn_iobuf, to, "%.*s: %.*s\r\n", (int) name.len, name.buf, (int) value.len, value.buf);
  }
  mg_xprintf(mg_pfn_iobuf, to, "X-Forwarded-For: ");
  for (rest = header_lines(hm); next_header(&rest, &name, &value);) {
    if (is(name, "X-Forwarded-For")) mg_xprintf(mg_pfn_iobuf, to, "%.*s, ", (int) value.len, value.buf);
  }
  mg_xprintf(mg_pfn_iobuf, to, "%M\r\n", mg_print_ip, &p->client->rem);
  if (p->upgrade) {
    struct mg_str *protocol = mg_http_get_header(hm, "Upgrade");
    mg_xprintf(mg_pfn_iobuf, to, "Connection: Upgrade\r\nUpgrade: %.*s\r\n", (int) protocol->len, protocol->buf);
  }
  if (p->request.kind == LENGTH || has_header(hm, "Content-Length", &value)) {
    mg_xprintf(mg_pfn_iobuf, to, "Content-Length: %llu\r\n", (unsigned long long) p->request.left);
  } else if (p->request.kind == CHUNKED) {
    mg_xprintf(mg_pfn_iobuf, to, "Transfer-Encoding: chunked\r\n");
  }
  mg_xprintf(mg_pfn_iobuf, to, "\r\n");
}

// The head of a request is there. From here on we read what follows it.
static void start(struct mg_connection *c, struct mg_http_message *hm) {
  struct pair *p = (struct pair *) c->fn_data;
  bool keep_alive = lists(hm, "Connection", mg_str("keep-alive"));
  if (p == NULL) {
    if ((p = (struct pair *) calloc(1, sizeof(*p))) == NULL) {
      c->is_closing = 1;
      return;
    }
    p->head.align = 512;
    p->client = c;
    c->fn_data = p;
  }
  p->busy = true;
  p->answered = p->tunnel = p->chunked = false;
  p->is_head = is(hm->method, "HEAD");
  p->is_safe = p->is_head || is(hm->method, "GET") || is(hm->method, "OPTIONS");
  p->is_old = is(hm->proto, "HTTP/1.0");
  p->last = s_leaving || lists(hm, "Connection", mg_str("close")) || (p->is_old && !keep_alive);
  p->upgrade = lists(hm, "Connection", mg_str("upgrade")) && mg_http_get_header(hm, "Upgrade") != NULL;
  c->is_resp = 1;
  if (hm->uri.buf[0] != '/' && !(is(hm->method, "OPTIONS") && is(hm->uri, "*"))) {
    give_up(p, 400, "want a path\n");
  } else if (!find_body(hm, &p->request)) {
    give_up(p, 501, "unknown transfer coding\n");
  } else {
    print_request(p, hm);
    mg_iobuf_del(&c->recv, 0, hm->head.len);
    c->pfn = NULL;
    if (!ask(p)) {
      give_up(p, 502, "cannot reach the server\n");
    } else {
      pass_request(p);
    }
  }
}

static void print_response(struct pair *p, struct mg_http_message *hm) {
  struct mg_str rest = header_lines(hm), name, value;
  struct mg_connection *c = p->client;
  struct mg_str *length = is(hm->uri, "204") ? NULL : mg_http_get_header(hm, "Content-Length");
  bool unknown = p->response.kind == CHUNKED || p->response.kind == UNTIL_CLOSE;
  p->chunked = unknown && !p->is_old && !p->tunnel;
  if (unknown && !p->chunked) p->last = true;
  mg_printf(c, "HTTP/1.1 %.*s %.*s\r\n", (int) hm->uri.len, hm->uri.buf, (int) hm->proto.len, hm->proto.len > 0 ? hm->proto.buf : "");
  while (next_header(&rest, &name, &value)) {
    if (is_ours(hm, name)) continue;
    mg_printf(c, "%.*s: %.*s\r\n", (int) name.len, name.buf, (int) value.len, value.buf);
  }
  if (p->tunnel) {
    struct mg_str *protocol = mg_http_get_header(hm, "Upgrade");
    if (protocol == NULL) protocol = &hm->uri;
    mg_printf(c, "Connection: Upgrade\r\nUpgrade: %.*s\r\n\r\n", (int) protocol->len, protocol->buf);
    return;
  }
  if (p->chunked) {
    mg_printf(c, "Transfer-Encoding: chunked\r\n");
  } else if (length != NULL) {
    mg_printf(c, "Content-Length: %.*s\r\n", (int) length->len, length->buf);  // of a response to HEAD, too
  }
  mg_printf(c, "%s\r\n", p->last ? "Connection: close\r\n" : p->is_old ? "Connection: keep-alive\r\n" : "");
}

// The head of a response. False while it is not whole, or when there is nothing to go on with.
static bool pass_head(struct pair *p) {
  struct mg_connection *s = p->server;
  struct mg_http_message hm;
  struct mg_str rest, name, value;
  int n, status;
  do {
    n = mg_http_parse((char *) s->recv.buf, s->recv.len, &hm);
    status = n > 0 ? mg_http_status(&hm) : 0;
    if (n == 0 && s->recv.len < HEAD_MAX) return false;
    if (n <= 0 || n > HEAD_MAX || status < 100 || status > 999 || (status == 101 && !p->upgrade)) {
      give_up(p, 502, "the server makes no sense\n");
      return false;
    }
    // An interim response: the library has already sent 100 Continue, and the others are not forwarded.
    if (status < 200 && status != 101) mg_iobuf_del(&s->recv, 0, (size_t) n);
  } while (status < 200 && status != 101);
  for (rest = header_lines(&hm); next_header(&rest, &name, &value);) (void) 0;  // every line must be a header
  p->tunnel = status == 101;
  p->keep = !lists(&hm, "Connection", mg_str("close")) && is(hm.method, "HTTP/1.1");
  if (!find_body(&hm, &p->response) || rest.len > 0) {
    give_up(p, 502, "the server makes no sense\n");
    return false;
  }
  if (p->tunnel) {
    p->response.kind = p->request.kind = UNTIL_CLOSE;
    p->response.done = p->request.done = false;
    p->last = true;
  } else if (p->is_head || status == 204 || status == 304) {
    memset(&p->response, 0, sizeof(p->response));
    p->response.done = true;
  }
  if (p->response.kind == UNTIL_CLOSE) p->keep = false;
  print_response(p, &hm);
  mg_iobuf_del(&s->recv, 0, hm.head.len);
  p->answered = true;
  if (p->tunnel) pass_request(p);  // what the client has sent in the meantime
  return true;
}

static void pass_response(struct pair *p) {
  if (!p->busy || p->client == NULL) return;
  if (!p->answered && !pass_head(p)) return;
  if (!pass(&p->response, p->server, p->client, p->chunked)) {
    give_up(p, 502, "malformed chunk\n");
  } else if (p->response.done) {
    if (p->server->recv.len > 0) p->keep = false;  // unsolicited data
    finish(p);
  }
}

// The server's connection has ended, or never came to be.
static void server_ended(struct pair *p, bool failed) {
  p->server = NULL;
  if (!p->busy || p->client == NULL) return;
  if (p->answered && p->response.kind == UNTIL_CLOSE && !failed) {
    finish(p);
  } else if (!p->answered && p->used) {
    // The server was closing it when the request was sent.
    if (!ask(p)) give_up(p, 502, "cannot reach the server\n");
  } else {
    give_up(p, 502, failed ? "cannot reach the server\n" : "the server has hung up\n");
  }
}

// Something has left on one side: the other may be read again.
static void written(struct mg_connection *c, struct mg_connection *other) {
  if (other != NULL && c->send.len < QUEUE_MAX / 2) other->is_full = 0;
}

static void on_server(struct mg_connection *c, int ev, void *ev_data) {
  struct pair *p = (struct pair *) c->fn_data;
  if (p == NULL) return;
  if (ev == MG_EV_READ) {
    p->since = mg_millis();
    if (p->busy) {
      pass_response(p);
    } else {
      leave_server(p);  // unsolicited data
    }
  } else if (ev == MG_EV_WRITE) {
    p->since = mg_millis();
    written(c, p->client);
  } else if (ev == MG_EV_POLL && p->busy && !p->tunnel) {
    bool client_stalls = !p->request.done && c->send.len == 0 && !c->is_connecting;
    if (c->is_full) p->since = mg_millis();  // the client does not read
    if (mg_millis() - p->since > s_silence) {
      give_up(p, client_stalls ? 408 : 504, client_stalls ? "timed out waiting for the request\n" : "the server is silent\n");
    }
  } else if (ev == MG_EV_ERROR) {
    c->fn_data = NULL;
    server_ended(p, true);
  } else if (ev == MG_EV_CLOSE) {
    server_ended(p, mgx_close_reason(c) == MGX_REASON_RESET);
  }
  (void) ev_data;
}

static void on_client(struct mg_connection *c, int ev, void *ev_data) {
  struct pair *p = (struct pair *) c->fn_data;
  if (ev == MG_EV_HTTP_HDRS) {
    start(c, (struct mg_http_message *) ev_data);
  } else if (p == NULL) {
    return;
  } else if (ev == MG_EV_READ) {
    p->since = mg_millis();
    pass_request(p);
  } else if (ev == MG_EV_WRITE) {
    p->since = mg_millis();
    written(c, p->server);
  } else if (ev == MG_EV_CLOSE) {
    if (p->tunnel && p->server != NULL) {
      p->server->fn_data = NULL;
      p->server->is_draining = 1;  // the client's last bytes are still sent
    } else {
      leave_server(p);
    }
    mg_iobuf_free(&p->head);
    free(p);
  }
}

// No new connections, no new requests; responses in progress are passed on to their end.
static void leave(struct mg_mgr *mgr) {
  struct mg_connection *c;
  s_leaving = true;
  for (c = mgr->conns; c != NULL; c = c->next) {
    struct pair *p = (struct pair *) c->fn_data;
    if (c->is_listening) c->is_closing = 1;
    if (!c->is_accepted) continue;
    if (p == NULL || !p->busy || p->tunnel) {
      c->is_draining = 1;
    } else {
      p->last = true;
    }
  }
}

int main(int argc, char **argv) {
  const char *url = "http://0.0.0.0:8000";
  struct mg_mgr mgr;
  struct mg_connection *listener;
  uint64_t end;
  int opt;

  while ((opt = getopt(argc, argv, "hl:t:")) != -1) {
    switch (opt) {
      case 'l': url = optarg; break;
      case 't': s_silence = (uint64_t) atoi(optarg) * 1000; break;
      default: return example_usage(s_usage, opt);
    }
  }
  if (optind + 1 != argc || s_silence == 0) return example_usage(s_usage, '?');
  s_upstream = argv[optind];
  if (mg_url_is_ssl(s_upstream) || mg_url_port(s_upstream) == 0 || mg_url_host(s_upstream).len == 0) {
    fprintf(stderr, "%s: want a server such as http://127.0.0.1:9000, not %s\n", argv[0], s_upstream);
    return 2;
  }
  example_catch_signals();
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  mgx_mgr_limits(&mgr, mgx_limits_public());
  listener = mg_http_listen(&mgr, url, on_client, NULL);
  if (listener == NULL) return example_cannot_listen(&mgr, argv[0], url);
  s_http = listener->pfn;
  example_ready(listener, "http");
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  leave(&mgr);
  for (end = mg_millis() + 10000; mgr.conns != NULL && mg_millis() < end;) mg_mgr_poll(&mgr, 100);
  mg_mgr_free(&mgr);
  return 0;
}
