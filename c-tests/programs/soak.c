// Mixed traffic for as long as is wanted: `soak SECONDS [SEED]`. A server in one thread, its clients in another: requests of all
// kinds, uploads, files, streams, WebSocket, MQTT, TLS, peers that leave or send garbage, connections that are drained, wakeups,
// lookups, managers that come and go. From time to time no client is let in until all is quiet: then there are as many
// descriptors as at the first such moment, and no more memory in use. A line every few seconds; Ctrl-C ends it early.
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "../tls.h"

enum { SESSIONS = 60, QUIET_EVERY_MS = 15000, PATIENCE_MS = 60000, WARM_UP = 4, SLACK = 3 << 20, FILE_SIZE = 300000 };

static volatile sig_atomic_t interrupted;
static volatile bool stop;
static struct mg_mgr server, clients;
static volatile unsigned long a_stream;  // a connection of the server's that waits for wakeups
static int http_port, https_port, mqtt_port, mqtts_port;
static uint64_t seed;
static unsigned long operations, findings, wakeups_sent, wakeups_seen;

static uint32_t below(uint32_t n) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return (uint32_t) (seed >> 33) % n;
}

static void finding(const char *what, const char *detail) {
  findings++;
  fprintf(stderr, "\nfinding: %s: %s\n", what, detail);
}

// The byte at a place of what is sent and received: whoever gets it can tell whether it is right.
static char byte_at(size_t i) {
  return (char) ('a' + (i * 7 + i / 251) % 26);
}

static bool is_pattern(struct mg_str s, size_t from) {
  size_t i;
  for (i = 0; i < s.len; i++) {
    if (s.buf[i] != byte_at(from + i)) return false;
  }
  return true;
}

// ---- the server

struct pusher {
  int left;
};

static void http_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  struct pusher *p = (struct pusher *) c->data;
  if (ev == MG_EV_ACCEPT && c->is_tls) {
    struct mg_tls_opts o = server_tls();
    mg_tls_init(c, &o);
  } else if (ev == MG_EV_HTTP_HDRS && mg_match(hm->uri, mg_str("/up"), NULL)) {
    mg_http_start_upload(c, hm, mg_str("uploaded"), mg_str("up"), &mg_fs_posix, NULL);
  } else if (ev == MG_EV_HTTP_MSG) {
    if (mg_match(hm->uri, mg_str("/ws"), NULL)) {
      mg_ws_upgrade(c, hm, NULL);
    } else if (mg_match(hm->uri, mg_str("/files/#"), NULL)) {
      struct mg_http_serve_opts o;
      memset(&o, 0, sizeof(o));
      o.root_dir = ".";
      mg_http_serve_dir(c, hm, &o);
    } else if (mg_match(hm->uri, mg_str("/push"), NULL)) {
      mg_printf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      p->left = 20;
      a_stream = c->id;
    } else if (mg_match(hm->uri, mg_str("/drain"), NULL)) {
      mg_http_reply(c, 200, "", "%.*s", (int) hm->body.len, hm->body.buf);
      mgx_conn_drain(c, NULL);
    } else if (mg_match(hm->uri, mg_str("/up"), NULL)) {
      // The upload has answered.
    } else {
      mg_http_reply(c, 200, "", "%.*s", (int) hm->body.len, hm->body.buf);
    }
  } else if (ev == MG_EV_WAKEUP) {
    __atomic_fetch_add(&wakeups_seen, 1, __ATOMIC_RELAXED);
  } else if (ev == MG_EV_POLL && p->left > 0) {
    mg_http_printf_chunk(c, "%d\n", p->left);
    if (--p->left == 0) mg_http_printf_chunk(c, "");
  } else if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    mg_ws_send(c, wm->data.buf, wm->data.len, wm->flags & 15);
  }
}

static void broker_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
  if (ev == MG_EV_ACCEPT && c->is_tls) {
    struct mg_tls_opts o = server_tls();
    mg_tls_init(c, &o);
  } else if (ev == MG_EV_MQTT_CMD && mm->cmd == MQTT_CMD_CONNECT) {
    static const uint8_t accepted[] = {0, 0};
    mg_mqtt_send_header(c, MQTT_CMD_CONNACK, 0, sizeof(accepted));
    mg_send(c, accepted, sizeof(accepted));
  } else if (ev == MG_EV_MQTT_MSG) {
    struct mg_mqtt_opts o;
    memset(&o, 0, sizeof(o));
    o.topic = mm->topic;
    o.message = mm->data;
    mg_mqtt_pub(c, &o);
  }
}

static void listen_on(const char *url, mg_event_handler_t fn, bool mqtt, bool tls, int *port) {
  struct mg_connection *l = (mqtt ? mg_mqtt_listen : mg_http_listen)(&server, url, fn, NULL);
  if (l == NULL) fprintf(stderr, "cannot listen on %s\n", url), exit(1);
  l->is_tls = tls;
  *port = mg_ntohs(l->loc.port);
}

static void *serve_all(void *arg) {
  while (!stop) mg_mgr_poll(&server, 20);
  return arg;
}

// ---- the clients

enum kind { ASK, PIPELINE, UPLOAD, FETCH, STREAM, DRAIN, CHAT, PUBLISH, CUT, GARBAGE, LEAVE, NAME, KINDS };
static const char *const names[KINDS] = {
    "requests",     "pipelines",    "uploads", "files",      "streams", "drains", "chats",
    "publications", "cut requests", "garbage", "departures", "lookups",
};
static unsigned long done[KINDS];

struct session {
  enum kind kind;
  bool tls, finished, may_fail;
  int left;
  size_t len;
  uint64_t began;
};

static int running;

static void send_pattern(struct mg_connection *c, size_t len) {
  char part[1024];
  size_t i, n, at;
  for (at = 0; at < len; at += n) {
    n = len - at < sizeof(part) ? len - at : sizeof(part);
    for (i = 0; i < n; i++) part[i] = byte_at(at + i);
    mg_send(c, part, n);
  }
}

static void ask(struct mg_connection *c, struct session *s, const char *uri, size_t len) {
  s->len = len;
  mg_printf(c, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %lu\r\n\r\n", uri, (unsigned long) len);
  send_pattern(c, len);
}

static void continue_session(struct mg_connection *c, struct session *s) {
  size_t i;
  if (s->left-- <= 0) {
    s->finished = true;
    c->is_draining = 1;
    return;
  }
  switch (s->kind) {
    case ASK: ask(c, s, "/echo", below(30000)); break;
    case UPLOAD: ask(c, s, "/up", 1 + below(200000)); break;
    case DRAIN: s->may_fail = true, ask(c, s, "/drain", below(3000)); break;
    case PIPELINE:
      s->len = 100;
      for (i = 0; i < 20; i++) ask(c, s, "/echo", 100);
      s->left = 19;
      break;
    case FETCH:
      s->len = below(FILE_SIZE);
      mg_printf(c, "GET /files/file HTTP/1.1\r\nHost: a\r\nRange: bytes=%lu-\r\n\r\n", (unsigned long) s->len);
      break;
    case STREAM: mg_printf(c, "GET /push HTTP/1.1\r\nHost: a\r\n\r\n"); break;
    case CUT:
      mg_printf(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
      send_pattern(c, 500);
      s->finished = true;
      c->is_draining = 1;
      break;
    case LEAVE:
      mg_printf(c, "GET /files/file HTTP/1.1\r\nHost: a\r\n\r\nGET /push HTTP/1.1\r\n\r\n");
      break;
    case GARBAGE:
      for (i = 0; i < 300; i++) {
        char byte = (char) below(256);
        mg_send(c, &byte, 1);
      }
      s->finished = true;
      c->is_draining = 1;
      break;
    default: break;
  }
}

static void check_answer(struct mg_connection *c, struct session *s, struct mg_http_message *hm) {
  int status = mg_http_status(hm);
  char text[60];
  bool good = true;
  switch (s->kind) {
    case ASK:
    case PIPELINE:
    case DRAIN: good = status == 200 && hm->body.len == s->len && is_pattern(hm->body, 0); break;
    case UPLOAD: good = status == 200; break;
    case FETCH:
      good = (status == 206 || status == 200) && hm->body.len == FILE_SIZE - s->len && is_pattern(hm->body, s->len);
      break;
    case STREAM: good = status == 200 && hm->body.len == 51; break;
    default: break;
  }
  mg_snprintf(text, sizeof(text), "status %d, %lu bytes", status, (unsigned long) hm->body.len);
  if (!good) finding(names[s->kind], text);
  operations++;
  if (s->kind == PIPELINE && s->left > 0) {
    s->left--;
  } else {
    continue_session(c, s);
  }
}

static void session_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct session *s = (struct session *) c->fn_data;
  char topic[30];
  struct mg_mqtt_opts o;
  memset(&o, 0, sizeof(o));
  if (ev == MG_EV_CONNECT && s->tls) {
    struct mg_tls_opts tls = client_tls();
    mg_tls_init(c, &tls);
  }
  if ((ev == MG_EV_CONNECT && !s->tls) || ev == MG_EV_TLS_HS) {
    if (s->kind != CHAT && s->kind != PUBLISH) continue_session(c, s);
  } else if (ev == MG_EV_HTTP_MSG) {
    check_answer(c, s, (struct mg_http_message *) ev_data);
  } else if (ev == MG_EV_READ && s->kind == LEAVE) {
    s->finished = true;
    c->is_closing = 1;
  } else if (ev == MG_EV_WS_OPEN || ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    if (ev == MG_EV_WS_MSG && (wm->data.len != s->len || !is_pattern(wm->data, 0))) finding(names[s->kind], "another message");
    operations++;
    if (s->left-- > 0) {
      char text[20000];
      size_t i;
      s->len = below(sizeof(text));
      for (i = 0; i < s->len; i++) text[i] = byte_at(i);
      mg_ws_send(c, text, s->len, below(2) == 0 ? WEBSOCKET_OP_TEXT : WEBSOCKET_OP_BINARY);
    } else {
      s->finished = true;
      mgx_conn_drain(c, NULL);
    }
  } else if (ev == MG_EV_MQTT_OPEN || ev == MG_EV_MQTT_MSG) {
    struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
    if (ev == MG_EV_MQTT_MSG && (mm->data.len != s->len || !is_pattern(mm->data, 0))) finding(names[s->kind], "another message");
    operations++;
    if (s->left-- > 0) {
      char text[5000];
      size_t i;
      s->len = below(sizeof(text));
      for (i = 0; i < s->len; i++) text[i] = byte_at(i);
      mg_snprintf(topic, sizeof(topic), "a/%d", s->left);
      o.topic = mg_str(topic);
      o.message = mg_str_n(text, s->len);
      o.qos = (uint8_t) below(2);
      mg_mqtt_pub(c, &o);
    } else {
      s->finished = true;
      mg_mqtt_disconnect(c, NULL);
      c->is_draining = 1;
    }
  } else if (ev == MG_EV_ERROR && !s->may_fail && !s->finished && s->kind != NAME && s->kind != GARBAGE) {
    finding(names[s->kind], (char *) ev_data);
    s->finished = true;
  } else if (ev == MG_EV_POLL && mg_millis() - s->began > PATIENCE_MS && !s->finished) {
    finding(names[s->kind], "no end");
    s->finished = true;
    c->is_closing = 1;
  } else if (ev == MG_EV_CLOSE) {
    if (!s->finished && !s->may_fail && s->kind != NAME) finding(names[s->kind], "closed too early");
    done[s->kind]++;
    running--;
    free(s);
  }
}

static void begin(void) {
  struct session *s = (struct session *) calloc(1, sizeof(*s));
  struct mg_connection *c;
  struct mg_mqtt_opts o;
  char url[60];
  memset(&o, 0, sizeof(o));
  s->kind = (enum kind) below(KINDS);
  s->tls = s->kind != NAME && s->kind != GARBAGE && below(4) == 0;
  s->left = s->kind == STREAM || s->kind == PIPELINE || s->kind == LEAVE ? 1 : 1 + (int) below(8);
  s->began = mg_millis();
  // What the peer has cut off on purpose, or a drain may have ended between two requests.
  s->may_fail = s->kind == CUT || s->kind == LEAVE || s->kind == DRAIN;
  mg_snprintf(url, sizeof(url), "%s://127.0.0.1:%d", s->kind == PUBLISH ? (s->tls ? "mqtts" : "mqtt") : s->tls ? "https" : "http",
              s->kind == PUBLISH ? (s->tls ? mqtts_port : mqtt_port) : s->tls ? https_port : http_port);
  if (s->kind == CHAT) {
    mg_snprintf(url, sizeof(url), "%s://127.0.0.1:%d/ws", s->tls ? "wss" : "ws", s->tls ? https_port : http_port);
    c = mg_ws_connect(&clients, url, session_fn, s, NULL);
  } else if (s->kind == PUBLISH) {
    o.keepalive = 60;
    c = mg_mqtt_connect(&clients, url, &o, session_fn, s);
  } else if (s->kind == NAME) {
    c = mg_http_connect(&clients, "http://nobody.invalid/", session_fn, s);
  } else {
    c = mg_http_connect(&clients, url, session_fn, s);
  }
  if (c == NULL) {
    finding(names[s->kind], "cannot connect");
    free(s);
    return;
  }
  running++;
}

// A manager of its own that serves one request and is drained.
static void short_lived_manager(void) {
  struct mg_mgr mgr;
  struct peer p;
  struct mg_connection *l;
  mg_mgr_init(&mgr);
  l = mg_http_listen(&mgr, "http://127.0.0.1:0", http_fn, NULL);
  if (l == NULL) {
    finding("managers", "cannot listen");
    mg_mgr_free(&mgr);
    return;
  }
  peer_open(&p, l);
  peer_send_text(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  POLL_UNTIL(&mgr, peer_has(&p, 30));
  mgx_mgr_drain(&mgr, NULL);
  if (!mgx_mgr_drain_wait(&mgr)) finding("managers", "a connection was closed by force");
  mg_mgr_free(&mgr);
  peer_free(&p);
  operations++;
}

// ---- what is measured

static int descriptors(void) {
  DIR *dir = opendir("/proc/self/fd");
  int n = 0;
  while (dir != NULL && readdir(dir) != NULL) n++;
  if (dir != NULL) closedir(dir);
  return n;
}

static size_t resident(void) {
  unsigned long pages = 0, ignored = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f == NULL || fscanf(f, "%lu %lu", &ignored, &pages) != 2) finding("memory", "cannot be measured");
  if (f != NULL) fclose(f);
  return pages * (size_t) sysconf(_SC_PAGESIZE);
}

static unsigned long kilobytes(size_t n) {
  return (unsigned long) (n / 1024);
}

static void interrupt(int signo) {
  interrupted = signo;
}

int main(int argc, char **argv) {
  uint64_t seconds = argc > 1 ? (uint64_t) atol(argv[1]) : 60, start, now, next_line, next_quiet;
  struct mg_connection *l;
  size_t memory = 0, most = 0;
  int fds = 0, quiet = 0, i;
  pthread_t thread;
  char *file = (char *) malloc(FILE_SIZE);
  seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  seed = seed * 0x9e3779b97f4a7c15ULL + 1;
  mg_log_set(MG_LL_NONE);
  signal(SIGINT, interrupt);
  signal(SIGTERM, interrupt);
  mkdir("up", 0755);
  for (i = 0; i < FILE_SIZE; i++) file[i] = byte_at((size_t) i);
  mkdir("files", 0755);
  CHECK(mg_file_write(&mg_fs_posix, "files/file", file, FILE_SIZE));
  free(file);
  pem("ca.pem"), pem("server-p256.pem"), pem("server-p256.key");
  if (checks_failed > 0) return 1;
  mg_mgr_init(&server);
  mg_mgr_init(&clients);
  clients.dns4.url = "udp://127.0.0.1:9";
  clients.dnstimeout = 50;
  mg_wakeup_init(&server);
  listen_on("http://127.0.0.1:0", http_fn, false, false, &http_port);
  listen_on("https://127.0.0.1:0", http_fn, false, true, &https_port);
  listen_on("mqtt://127.0.0.1:0", broker_fn, true, false, &mqtt_port);
  listen_on("mqtts://127.0.0.1:0", broker_fn, true, true, &mqtts_port);
  pthread_create(&thread, NULL, serve_all, NULL);
  start = next_line = mg_millis();
  next_quiet = start + QUIET_EVERY_MS / 4;
  for (;;) {
    bool ends;
    now = mg_millis();
    ends = interrupted || now >= start + seconds * 1000;
    while (!ends && now < next_quiet && running < SESSIONS) begin();
    if (!ends && below(50) == 0 && a_stream != 0) {
      wakeups_sent += mg_wakeup(&server, a_stream, "tick", 4);
    }
    if (!ends && below(5000) == 0) short_lived_manager();
    mg_mgr_poll(&clients, 10);
    if ((ends || now >= next_quiet) && running == 0) {
      // The server has closed its side of everything, and nothing lingers.
      uint64_t until = mg_millis() + PATIENCE_MS;
      int open = 0;
      do {
        mg_mgr_poll(&clients, 10);
        open = descriptors();
      } while (quiet >= WARM_UP && open > fds && mg_millis() < until);
      if (quiet < WARM_UP) {
        // The allocator and the spare buffers have what they will need.
        for (i = 0; i < 100; i++) mg_mgr_poll(&clients, 10);
        fds = descriptors();
        memory = resident();
      } else {
        char text[100];
        mg_snprintf(text, sizeof(text), "%d, %d after warm-up", open, fds);
        if (open > fds) finding("descriptors", text);
        most = resident() > most ? resident() : most;
        mg_snprintf(text, sizeof(text), "%lu KB, %lu after warm-up", kilobytes(resident()), kilobytes(memory));
        if (resident() > memory + memory / 10 + SLACK) finding("memory", text);
      }
      quiet++;
      if (ends) break;
      next_quiet = mg_millis() + (quiet < WARM_UP ? QUIET_EVERY_MS / 4 : QUIET_EVERY_MS);
    }
    if (now >= next_line) {
      uint64_t spent = (now - start) / 1000;
      fprintf(stderr, "soak: %lu of %lu s, %lu operations, %lu a second, %lu KB, %d descriptors, %lu findings\n",
              (unsigned long) spent, (unsigned long) seconds, operations, operations / (unsigned long) (spent + 1),
              kilobytes(resident()), descriptors(), findings);
      next_line = now + 5000;
    }
  }
  stop = true;
  pthread_join(thread, NULL);
  for (l = server.conns, i = 0; l != NULL; l = l->next) i++;
  if (i > 5) finding("connections", "some are left");  // four listeners, and the one for wakeups
  mg_mgr_free(&clients);
  mg_mgr_free(&server);
  pem_free();
  for (i = 0; i < KINDS; i++) printf("%8lu %s\n", done[i], names[i]);
  printf("soak: %lu operations in %lu s, %d quiet moments; wakeups %lu sent, %lu seen; memory %lu KB after warm-up, %lu KB at most; "
         "%d descriptors; %lu findings\n",
         operations, (unsigned long) ((mg_millis() - start) / 1000), quiet, wakeups_sent, wakeups_seen, kilobytes(memory),
         kilobytes(most), fds, findings);
  return findings > 0 || checks_failed > 0;
}
