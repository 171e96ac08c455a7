// Unix sockets: the URL names the path, the called function determines the protocol. The file is removed with the listener that
// created it, a stale one is replaced, and nothing else is touched.
// not under: short: megabytes byte by byte take minutes

#include "mongoose.h"
#include "mongoose_ext.h"

#include <sys/un.h>
#include <sys/wait.h>

#include "peer.h"

#define PATH "unix_sockets.sock"
#define URL "unix:" PATH

static struct mg_mgr mgr;
static char absolute[512];
static struct mg_addr zero;

static bool is_nowhere(const struct mg_addr *a) {
  return memcmp(a, &zero, sizeof(zero)) == 0;
}

static int accepts, requests, ws_messages, mqtt_opens;

static void server_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) {
    accepts++;
    CHECK(is_nowhere(&c->rem) && is_nowhere(&c->loc) && !c->is_tls && !c->is_udp);
  }
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    requests++;
    if (mg_match(hm->uri, mg_str("/ws"), NULL) || mg_http_get_header(hm, "Upgrade") != NULL) {
      struct mg_str *host = mg_http_get_header(hm, "Host");
      CHECK(mg_match(hm->uri, mg_str("/"), NULL) && host != NULL && mg_match(*host, mg_str("localhost"), NULL));
      mg_ws_upgrade(c, hm, NULL);
    } else if (mg_match(hm->uri, mg_str("/big"), NULL)) {
      char *body = make_body(3000000);
      mg_http_reply(c, 200, "", "%.*s", 3000000, body);
      free(body);
      c->is_draining = 1;
    } else if (!mg_match(hm->uri, mg_str("/late"), NULL)) {
      mg_http_reply(c, 200, "", "hi");
    }
  }
  if (ev == MG_EV_WS_MSG) mg_ws_send(c, "back", 4, WEBSOCKET_OP_TEXT);
}

struct client {
  int opens, resolves, connects, errors, closes, messages, number;
  char text[64];
};

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct client *r = (struct client *) c->fn_data;
  if (ev == MG_EV_OPEN) r->opens++;
  if (ev == MG_EV_RESOLVE) r->resolves++;
  if (ev == MG_EV_CONNECT) {
    r->connects++;
    CHECK(is_nowhere(&c->rem) && is_nowhere(&c->loc));
  }
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    mg_snprintf(r->text, sizeof(r->text), "%.*s", (int) (hm->body.len < 60 ? hm->body.len : 60), hm->body.buf);
    r->messages++;
    c->is_draining = 1;
  }
  if (ev == MG_EV_WS_OPEN) mg_ws_send(c, "there", 5, WEBSOCKET_OP_TEXT);
  if (ev == MG_EV_WS_MSG) ws_messages++, c->is_closing = 1;
  if (ev == MG_EV_MQTT_OPEN) mqtt_opens++, c->is_closing = 1;
  if (ev == MG_EV_ERROR) r->errors++, r->number = mgx_close_errno(c), mg_snprintf(r->text, sizeof(r->text), "%s", (char *) ev_data);
  if (ev == MG_EV_CLOSE) r->closes++;
}

static struct client get(const char *url) {
  struct client r;
  struct mg_connection *c;
  memset(&r, 0, sizeof(r));
  c = mg_http_connect(&mgr, url, client_fn, &r);
  CHECK(c != NULL && r.connects == 0);
  mg_printf(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  POLL_UNTIL(&mgr, r.closes == 1);
  CHECK(r.opens == 1);
  return r;
}

static bool answers(const char *url) {
  struct client r = get(url);
  return r.resolves == 1 && r.connects == 1 && r.messages == 1 && r.errors == 0 && strcmp(r.text, "hi") == 0;
}

static mode_t mode_of(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0 ? st.st_mode : 0;
}

static void closes(struct mg_connection *l) {
  l->is_closing = 1;
  poll_often(&mgr);
}

static void urls(void) {
  static const char *const forms[] = {"unix:%s", "UNIX:%s", "unix://%s"};
  char url[600];
  struct mg_connection *l = mg_http_listen(&mgr, URL, server_fn, NULL);
  size_t i;
  CHECK(l != NULL && l->is_listening && is_nowhere(&l->loc) && S_ISSOCK(mode_of(PATH)));
  CHECK(answers(URL));
  for (i = 0; i < 3; i++) {
    mg_snprintf(url, sizeof(url), forms[i], absolute);
    CHECK(answers(url));
  }
  closes(l);
  CHECK_EQ(mode_of(PATH), 0);
  CHECK(answers(URL) == false);
  for (i = 0; i < 3; i++) {
    mg_snprintf(url, sizeof(url), forms[i], absolute);
    l = mg_http_listen(&mgr, url, server_fn, NULL);
    CHECK(l != NULL && answers(URL));
    closes(l);
    CHECK_EQ(mode_of(PATH), 0);
  }
}

static void modes(void) {
  mode_t old = umask(0117);
  struct mg_connection *l = mg_listen(&mgr, URL, server_fn, NULL);
  CHECK_EQ(mode_of(PATH) & 0777, 0660);
  closes(l);
  umask(0);
  l = mg_listen(&mgr, URL, server_fn, NULL);
  CHECK_EQ(mode_of(PATH) & 0777, 0777);
  closes(l);
  umask(old);
}

static int bound(bool listening) {
  struct sockaddr_un a;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  memset(&a, 0, sizeof(a));
  a.sun_family = AF_UNIX;
  strcpy(a.sun_path, PATH);
  CHECK(bind(fd, (struct sockaddr *) &a, sizeof(a)) == 0);
  if (listening) CHECK(listen(fd, 5) == 0);
  return fd;
}

static bool in_use(void) {
  errno = 0;
  return mg_http_listen(&mgr, URL, server_fn, NULL) == NULL && errno == EADDRINUSE;
}

static void what_is_there(void) {
  struct mg_connection *l;
  int fd = bound(true);
  FILE *f;
  // Somebody listens.
  CHECK(in_use() && S_ISSOCK(mode_of(PATH)));
  close(fd);
  // Nobody any more.
  l = mg_http_listen(&mgr, URL, server_fn, NULL);
  CHECK(l != NULL && answers(URL));
  // We do.
  CHECK(in_use() && answers(URL));
  // The file has become another's.
  CHECK(unlink(PATH) == 0);
  fd = bound(true);
  closes(l);
  CHECK(S_ISSOCK(mode_of(PATH)));
  close(fd);
  CHECK(unlink(PATH) == 0);
  // Something else is there, or in front of it.
  f = fopen(PATH, "w");
  fputs("precious", f);
  fclose(f);
  CHECK(in_use());
  CHECK(S_ISREG(mode_of(PATH)));
  CHECK(unlink(PATH) == 0 && symlink("nowhere", PATH) == 0);
  CHECK(in_use() && S_ISLNK(mode_of(PATH)));
  CHECK(unlink(PATH) == 0);
  errno = 0;
  CHECK(mg_listen(&mgr, "unix:no/such/directory", server_fn, NULL) == NULL);
  CHECK_EQ(errno, ENOENT);
}

static void long_paths(void) {
  char url[300];
  struct client r;
  struct mg_connection *l;
  memset(url, 'x', sizeof(url));
  memcpy(url, "unix:", 5);
  url[5 + 108] = '\0';
  errno = 0;
  CHECK(mg_listen(&mgr, url, server_fn, NULL) == NULL);
  CHECK_EQ(errno, ENAMETOOLONG);
  r = get(url);
  CHECK(r.errors == 1 && r.number == ENAMETOOLONG);
  CHECK_EQ(mode_of(url + 5), 0);
  url[5 + 107] = '\0';
  l = mg_http_listen(&mgr, url, server_fn, NULL);
  CHECK(l != NULL && answers(url));
  closes(l);
  CHECK_EQ(mode_of(url + 5), 0);
}

static void failures(void) {
  char want[30];
  struct client r = get(URL);
  int fd = bound(false);
  mg_snprintf(want, sizeof(want), "connect: %d", ENOENT);
  CHECK(r.errors == 1 && r.resolves == 1 && r.connects == 0 && r.number == ENOENT && strcmp(r.text, want) == 0);
  r = get(URL);
  mg_snprintf(want, sizeof(want), "connect: %d", ECONNREFUSED);
  CHECK(r.errors == 1 && r.connects == 0 && r.number == ECONNREFUSED && strcmp(r.text, want) == 0);
  close(fd);
  unlink(PATH);
  r = get("unix://run/app.sock");
  CHECK(r.errors == 1 && r.number == EINVAL && r.resolves == 0);
  r = get("unix:");
  CHECK(r.errors == 1 && r.number == EINVAL);
}

static void broker_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MQTT_CMD && ((struct mg_mqtt_message *) ev_data)->cmd == MQTT_CMD_CONNECT) {
    uint8_t ack[] = {0, 0};
    mg_mqtt_send_header(c, MQTT_CMD_CONNACK, 0, sizeof(ack));
    mg_send(c, ack, sizeof(ack));
  }
}

static void protocols(void) {
  struct client r;
  struct mg_connection *l = mg_http_listen(&mgr, URL, server_fn, NULL);
  char url[600];
  memset(&r, 0, sizeof(r));
  mg_snprintf(url, sizeof(url), "unix://%s", absolute);
  CHECK(mg_ws_connect(&mgr, url, client_fn, &r, NULL) != NULL);
  POLL_UNTIL(&mgr, r.closes == 1);
  CHECK(ws_messages == 1 && r.errors == 0);
  closes(l);
  memset(&r, 0, sizeof(r));
  l = mg_mqtt_listen(&mgr, URL, broker_fn, NULL);
  CHECK(mg_mqtt_connect(&mgr, URL, NULL, client_fn, &r) != NULL);
  POLL_UNTIL(&mgr, r.closes == 1);
  CHECK(mqtt_opens == 1 && r.errors == 0);
  closes(l);
}

static void dial_unix(struct peer *p) {
  struct sockaddr_un a;
  memset(p, 0, sizeof(*p));
  memset(&a, 0, sizeof(a));
  a.sun_family = AF_UNIX;
  strcpy(a.sun_path, PATH);
  p->fd = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(connect(p->fd, (struct sockaddr *) &a, sizeof(a)) == 0);
}

static void ends(void) {
  struct peer p;
  struct mgx_limits limits;
  struct mg_connection *l = mg_http_listen(&mgr, URL, server_fn, NULL);
  char *body = make_body(3000000);
  struct mg_str want = make_reply("200 OK", "", body, 3000000);
  static char more[200000];
  size_t files = open_files();
  // All of a large answer arrives although the client goes on sending, or has half-closed.
  dial_unix(&p);
  peer_send_text(&p, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
  send(p.fd, more, sizeof(more), MSG_DONTWAIT | MSG_NOSIGNAL);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  peer_drop_close(&p, 0);
  CHECK(peer_got_str(&p, want));
  peer_free(&p);
  dial_unix(&p);
  peer_send_text(&p, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
  peer_shut(&p);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  peer_drop_close(&p, 0);
  CHECK(peer_got_str(&p, want));
  peer_free(&p);
  // Peers without an address do not share the limit of one.
  memset(&limits, 0, sizeof(limits));
  limits.max_conns_per_ip = 1;
  mgx_mgr_limits(&mgr, &limits);
  dial_unix(&p);
  accepts = 0;
  POLL_UNTIL(&mgr, accepts == 1);
  CHECK(answers(URL));
  peer_free(&p);
  memset(&limits, 0, sizeof(limits));
  mgx_mgr_limits(&mgr, &limits);
  POLL_UNTIL(&mgr, open_files() <= files);
  closes(l);
  free(body);
  free(want.buf);
}

static void adopted(void) {
  int fd = bound(true), pair[2];
  struct mg_connection *l = mgx_listen_fd(&mgr, fd, "HTTP:", server_fn, NULL);
  CHECK(l != NULL && is_nowhere(&l->loc) && answers(URL));
  // What others have made stays.
  closes(l);
  CHECK(S_ISSOCK(mode_of(PATH)));
  unlink(PATH);
  fd = bound(false);
  errno = 0;
  CHECK(mgx_listen_fd(&mgr, fd, "http:", server_fn, NULL) == NULL);
  CHECK_EQ(errno, EINVAL);
  close(fd);
  unlink(PATH);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  CHECK(mgx_listen_fd(&mgr, pair[0], "http:", server_fn, NULL) == NULL);
  close(pair[0]);
  close(pair[1]);
}

static void other_processes(void) {
  struct mg_connection *l = mg_http_listen(&mgr, URL, server_fn, NULL);
  int status = 0, copy;
  pid_t pid = fork();
  if (pid == 0) {
    // A child that closes its copy.
    mg_close_conn(l);
    _exit(S_ISSOCK(mode_of(PATH)) ? 0 : 1);
  }
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  CHECK(S_ISSOCK(mode_of(PATH)));
  closes(l);
  CHECK_EQ(mode_of(PATH), 0);
  // A successor that has got the socket goes on listening.
  l = mg_http_listen(&mgr, URL, server_fn, NULL);
  copy = dup(mgx_listener_fd(l));
  closes(l);
  CHECK(S_ISSOCK(mode_of(PATH)));
  l = mgx_listen_fd(&mgr, copy, "http:", server_fn, NULL);
  CHECK(l != NULL && answers(URL));
  closes(l);
  unlink(PATH);
  // The end of the manager is that of its listeners, wherever the process is by then.
  CHECK(mg_http_listen(&mgr, URL, server_fn, NULL) != NULL);
  CHECK(chdir("/") == 0);
  mg_mgr_free(&mgr);
  CHECK_EQ(mode_of(absolute), 0);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  unlink(PATH);
  CHECK(getcwd(absolute, sizeof(absolute) - sizeof(PATH) - 1) != NULL);
  strcat(strcat(absolute, "/"), PATH);
  if (strlen(absolute) > 107) return fprintf(stderr, "%s: too long for a socket\n", absolute), 1;
  mg_mgr_init(&mgr);
  urls();
  modes();
  what_is_there();
  long_paths();
  failures();
  protocols();
  ends();
  adopted();
  other_processes();
  return DONE();
}
