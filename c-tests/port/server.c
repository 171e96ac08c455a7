// What tap.sh tests from outside: a server and clients on whatever sockets the library has.
//
//   server [dir=D] [cert=F key=F] [get=URL] [mqtt=URL] [time=URL]

#include <pthread.h>

#include "mongoose_ext.h"

static void say(const char *what, struct mg_str text) {
  printf("%s: %.*s\n", what, (int) text.len, text.buf);
  fflush(stdout);
}

// ---- The server

static struct mg_tls_opts s_tls;

// Of an upload, in c->data.
struct sink {
  uint64_t left;
  uint32_t crc;
};

static void sink(struct mg_connection *c) {
  struct sink *s = (struct sink *) (void *) c->data;
  s->crc = mg_crc32(s->crc, (const char *) c->recv.buf, c->recv.len);
  s->left -= c->recv.len < s->left ? c->recv.len : s->left;
  c->recv.len = 0;
  if (s->left == 0) {
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n%08x\n", s->crc);
    c->is_draining = 1;
  }
}

struct waker {
  struct mg_mgr *mgr;
  unsigned long id;
};

static void *wake(void *arg) {
  struct waker *w = (struct waker *) arg;
  mg_wakeup(w->mgr, w->id, "from a thread", 13);
  free(w);
  return NULL;
}

static void wake_later(struct mg_connection *c) {
  struct waker *w = (struct waker *) malloc(sizeof(*w));
  pthread_t thread;
  w->mgr = c->mgr;
  w->id = c->id;
  if (pthread_create(&thread, NULL, wake, w) == 0) pthread_detach(thread);
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MG_EV_ACCEPT && c->is_tls) {
    mg_tls_init(c, &s_tls);
  } else if (ev == MG_EV_HTTP_HDRS && mg_match(hm->uri, mg_str("/sink"), NULL)) {
    struct sink *s = (struct sink *) (void *) c->data;
    s->left = (uint64_t) hm->body.len, s->crc = 0;
    (void) mg_iobuf_del(&c->recv, 0, hm->head.len);
    c->pfn = NULL;
    sink(c);
  } else if (ev == MG_EV_READ && c->pfn == NULL) {
    sink(c);
  } else if (ev == MG_EV_HTTP_MSG && mg_match(hm->uri, mg_str("/files/#"), NULL)) {
    struct mg_http_serve_opts opts;
    memset(&opts, 0, sizeof(opts));
    opts.root_dir = (const char *) c->fn_data;
    hm->uri.buf += 6, hm->uri.len -= 6;
    mg_http_serve_dir(c, hm, &opts);
  } else if (ev == MG_EV_HTTP_MSG && mg_match(hm->uri, mg_str("/ws"), NULL)) {
    mg_ws_upgrade(c, hm, NULL);
  } else if (ev == MG_EV_HTTP_MSG && mg_match(hm->uri, mg_str("/wake"), NULL)) {
    wake_later(c);
  } else if (ev == MG_EV_HTTP_MSG && mg_match(hm->uri, mg_str("/drain"), NULL)) {
    mgx_mgr_drain(c->mgr, NULL);
    mg_http_reply(c, 200, "", "draining\n");
  } else if (ev == MG_EV_HTTP_MSG) {
    mg_http_reply(c, 200, "", "%.*s %M\n", (int) hm->uri.len, hm->uri.buf, mg_print_ip, &c->rem);
  } else if (ev == MG_EV_WAKEUP) {
    mg_http_reply(c, 200, "", "woken %.*s\n", (int) ((struct mg_str *) ev_data)->len, ((struct mg_str *) ev_data)->buf);
  } else if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    mg_ws_send(c, wm->data.buf, wm->data.len, WEBSOCKET_OP_TEXT);
  }
}

static void echo(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    mg_send(c, c->recv.buf, c->recv.len);
    c->recv.len = 0;
  }
  (void) ev_data;
}

// ---- Clients

static const char *s_url;

static void on_page(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) {
    struct mg_str host = mg_url_host(s_url);
    mg_printf(c, "GET %s HTTP/1.0\r\nHost: %.*s\r\n\r\n", mg_url_uri(s_url), (int) host.len, host.buf);
  } else if (ev == MG_EV_HTTP_MSG) {
    say("fetched", ((struct mg_http_message *) ev_data)->body);
  } else if (ev == MG_EV_ERROR) {
    say("error", mg_str((char *) ev_data));
  }
}

static void on_mqtt(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_mqtt_opts opts;
  memset(&opts, 0, sizeof(opts));
  opts.topic = mg_str("port");
  opts.qos = 1;
  if (ev == MG_EV_MQTT_OPEN) {
    mg_mqtt_sub(c, &opts);
    opts.message = mg_str("there and back");
    mg_mqtt_pub(c, &opts);
  } else if (ev == MG_EV_MQTT_MSG) {
    say("message", ((struct mg_mqtt_message *) ev_data)->data);
  }
}

static void on_time(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_SNTP_TIME) {
    printf("time: %llu\n", (unsigned long long) (*(uint64_t *) ev_data / 1000));
    fflush(stdout);
  }
  (void) c;
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  struct mg_mqtt_opts session;
  struct mgx_drain_status status;
  const char *dir = ".", *mqtt = NULL, *server = NULL;
  for (int i = 1; i < argc; i++) {
    const char *value = strchr(argv[i], '=');
    if (value++ == NULL) return 2;
    if (strncmp(argv[i], "dir=", 4) == 0) dir = value;
    if (strncmp(argv[i], "get=", 4) == 0) s_url = value;
    if (strncmp(argv[i], "mqtt=", 5) == 0) mqtt = value;
    if (strncmp(argv[i], "time=", 5) == 0) server = value;
    if (strncmp(argv[i], "cert=", 5) == 0) s_tls.cert = mg_file_read(&mg_fs_posix, value);
    if (strncmp(argv[i], "key=", 4) == 0) s_tls.key = mg_file_read(&mg_fs_posix, value);
  }
  mg_mgr_init(&mgr);
  mg_wakeup_init(&mgr);
  if (mg_http_listen(&mgr, "http://0.0.0.0:80", handler, (void *) dir) == NULL) return 1;
  if (s_tls.cert.len > 0 && mg_http_listen(&mgr, "https://0.0.0.0:443", handler, (void *) dir) == NULL) return 1;
  if (mg_listen(&mgr, "udp://0.0.0.0:7", echo, NULL) == NULL) return 1;
  memset(&session, 0, sizeof(session));
  session.clean = true;
  if (s_url != NULL) mg_http_connect(&mgr, s_url, on_page, NULL);
  if (mqtt != NULL) mg_mqtt_connect(&mgr, mqtt, &session, on_mqtt, NULL);
  if (server != NULL) mg_sntp_connect(&mgr, server, on_time, NULL);
  memset(&status, 0, sizeof(status));
  while (status.phase != MGX_MGR_DONE) {
    mg_mgr_poll(&mgr, 1000);
    mgx_mgr_drain_status(&mgr, &status);
  }
  mg_mgr_free(&mgr);
  printf("drained\n");
  return 0;
}
