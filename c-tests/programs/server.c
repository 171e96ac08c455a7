// The server that c-tests/clients.rs lets real clients loose on.
//
// usage: server [default-sigpipe] [few-files] URL...
// Prints one line with the port for each URL. default-sigpipe: writing to a closed connection would kill the process,
// as if another part of the program had put the signal back. few-files: there may be 50 open files.
//
//   /hello           "hello\n"; HEAD: its head
//   /echo            the body of the request
//   /upload          takes the body as it comes; replies "COUNT A B\n" (see struct sums) and closes
//   /big?n=N         N bytes, queued at once
//   /download?n=N    N bytes, queued as fast as they leave
//   /chunked?n=N     N chunks "chunk I\n", each queued when the one before has left
//   /later?ms=N      "later\n" after N milliseconds
//   /drain           "drained\n", and the connection closes
//   /stats           {"accepted":..,"open":..,"requests":..,"errors":..}

#include <sys/resource.h>

#include "mongoose.h"

#define BLOCK 65536
#define QUEUE 262144

// Of all bytes received: their sum, and the sum of the sums after each. They depend on every byte and on its place.
struct sums {
  uint64_t a, b;
};

// In c->data.
struct state {
  char kind;
  uint64_t number;  // bytes or chunks left, or when a reply is due
  struct sums sums;
};

static char s_block[BLOCK];
static unsigned long s_accepted, s_open, s_requests, s_errors;
static volatile sig_atomic_t s_signal;

static void on_signal(int number) {
  s_signal = number;
}

static struct state *state(struct mg_connection *c) {
  return (struct state *) (void *) c->data;
}

static uint64_t parameter(const struct mg_http_message *hm, const char *name) {
  char text[30];
  return mg_http_get_var(&hm->query, name, text, sizeof(text)) > 0 ? strtoull(text, NULL, 10) : 0;
}

static void queue_bytes(struct mg_connection *c, uint64_t n) {
  while (n > 0) {
    size_t part = n < BLOCK ? (size_t) n : BLOCK;
    mg_send(c, s_block, part);
    n -= part;
  }
}

static void answer(struct mg_connection *c) {
  state(c)->kind = '\0';
  c->is_resp = 0;
}

// Downloads and chunks go on when something has left.
static void continue_response(struct mg_connection *c) {
  struct state *s = state(c);
  if (s->kind == 'D') {
    while (s->number > 0 && c->send.len < QUEUE) {
      uint64_t part = s->number < BLOCK ? s->number : BLOCK;
      queue_bytes(c, part);
      s->number -= part;
    }
    if (s->number == 0) answer(c);
  } else if (s->kind == 'C') {
    if (s->number > 0) {
      mg_http_printf_chunk(c, "chunk %llu\n", (unsigned long long) s->number);
      s->number--;
    } else {
      s->kind = '\0';
      mg_http_printf_chunk(c, "");
    }
  }
}

static void take_upload(struct mg_connection *c) {
  struct state *s = state(c);
  uint64_t a = s->sums.a, b = s->sums.b;
  size_t i, n = c->recv.len < s->number ? c->recv.len : (size_t) s->number;
  for (i = 0; i < n; i++) {
    a += c->recv.buf[i];
    b += a;
  }
  s->sums.a = a;
  s->sums.b = b;
  s->number -= n;
  c->recv.len = 0;
  if (s->number > 0) return;
  s->kind = '\0';
  mg_http_reply(c, 200, "", "%llu %llu\n", (unsigned long long) a, (unsigned long long) b);
  c->is_draining = 1;
}

static void send_due_answers(void *arg) {
  struct mg_mgr *mgr = (struct mg_mgr *) arg;
  uint64_t now = mg_millis();
  struct mg_connection *c;
  for (c = mgr->conns; c != NULL; c = c->next) {
    if (state(c)->kind != 'L' || state(c)->number > now) continue;
    state(c)->kind = '\0';
    mg_http_reply(c, 200, "", "later\n");
  }
}

static void request(struct mg_connection *c, struct mg_http_message *hm) {
  s_requests++;
  if (mg_match(hm->uri, mg_str("/hello"), NULL)) {
    if (mg_strcmp(hm->method, mg_str("HEAD")) == 0) {
      mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n");
      c->is_resp = 0;
    } else {
      mg_http_reply(c, 200, "Content-Type: text/plain\r\n", "hello\n");
    }
  } else if (mg_match(hm->uri, mg_str("/echo"), NULL)) {
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %lu\r\n\r\n", (unsigned long) hm->body.len);
    mg_send(c, hm->body.buf, hm->body.len);
    c->is_resp = 0;
  } else if (mg_match(hm->uri, mg_str("/big"), NULL)) {
    uint64_t n = parameter(hm, "n");
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n", (unsigned long long) n);
    queue_bytes(c, n);
    c->is_resp = 0;
  } else if (mg_match(hm->uri, mg_str("/download"), NULL)) {
    state(c)->kind = 'D';
    state(c)->number = parameter(hm, "n");
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n", (unsigned long long) state(c)->number);
    continue_response(c);
  } else if (mg_match(hm->uri, mg_str("/chunked"), NULL)) {
    state(c)->kind = 'C';
    state(c)->number = parameter(hm, "n");
    mg_printf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    continue_response(c);
  } else if (mg_match(hm->uri, mg_str("/later"), NULL)) {
    state(c)->kind = 'L';
    state(c)->number = mg_millis() + parameter(hm, "ms");
    mg_timer_add(c->mgr, parameter(hm, "ms"), MG_TIMER_ONCE, send_due_answers, c->mgr);
  } else if (mg_match(hm->uri, mg_str("/drain"), NULL)) {
    mg_http_reply(c, 200, "", "drained\n");
    c->is_draining = 1;
  } else if (mg_match(hm->uri, mg_str("/stats"), NULL)) {
    mg_http_reply(c, 200, "Content-Type: application/json\r\n", "{%m:%lu,%m:%lu,%m:%lu,%m:%lu}\n", MG_ESC("accepted"), s_accepted,
                  MG_ESC("open"), s_open, MG_ESC("requests"), s_requests, MG_ESC("errors"), s_errors);
  } else {
    mg_http_reply(c, 404, "", "not found\n");
  }
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) {
    s_accepted++;
    s_open++;
  } else if (ev == MG_EV_CLOSE && c->is_accepted) {
    s_open--;
  } else if (ev == MG_EV_ERROR) {
    s_errors++;
  } else if (ev == MG_EV_HTTP_HDRS) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_match(hm->uri, mg_str("/upload"), NULL)) {
      s_requests++;
      memset(c->data, 0, sizeof(c->data));
      state(c)->kind = 'U';
      state(c)->number = hm->body.len;
      mg_iobuf_del(&c->recv, 0, hm->head.len);
      c->pfn = NULL;
      take_upload(c);
    }
  } else if (ev == MG_EV_HTTP_MSG) {
    request(c, (struct mg_http_message *) ev_data);
  } else if (ev == MG_EV_READ && state(c)->kind == 'U') {
    take_upload(c);
  } else if (ev == MG_EV_WRITE) {
    continue_response(c);
  }
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  int i;

  for (size_t k = 0; k < sizeof(s_block); k++) s_block[k] = (char) ((k * 31 + (k >> 8) * 7) & 255);
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  for (i = 1; i < argc; i++) {
    if (strcmp(argv[i], "default-sigpipe") == 0) {
      signal(SIGPIPE, SIG_DFL);
      continue;
    } else if (strcmp(argv[i], "few-files") == 0) {
      struct rlimit limit = {50, 50};
      if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
      continue;
    }
    if ((c = mg_http_listen(&mgr, argv[i], handler, NULL)) == NULL) {
      fprintf(stderr, "%s: cannot listen on %s\n", argv[0], argv[i]);
      return 1;
    }
    printf("port: %u\n", mg_ntohs(c->loc.port));
  }
  fflush(stdout);
  // So long that a poll which sleeps although there is something to do is noticed.
  while (s_signal == 0) mg_mgr_poll(&mgr, 3000);
  mg_mgr_free(&mgr);
  return s_open == 0 ? 0 : 1;
}
