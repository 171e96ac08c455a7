// libwebsockets beside hello.c and ws_echo.c.
// usage: websockets PORT DIRECTORY
#include <fcntl.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_BODY 16384

static const char *s_dir;

struct answer {
  int fd;
  size_t len;
  unsigned char buf[LWS_PRE + MAX_BODY];
};

struct session {
  unsigned char *buf;  // LWS_PRE bytes, then the message
  size_t len, size;
};

// What answers /hello and files. lws_serve_http_file of 4.1.6 does not answer a second request on a connection, so files are read here.
static int http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
  struct answer *a = (struct answer *) user;
  unsigned char *start = a == NULL ? NULL : a->buf + LWS_PRE, *p = start;
  if (reason == LWS_CALLBACK_HTTP) {
    char uri[256];
    if (lws_hdr_copy(wsi, uri, sizeof(uri), WSI_TOKEN_GET_URI) <= 0) return -1;
    const char *type = "text/plain";
    if (strcmp(uri, "/hello") == 0) {
      a->len = 14;
    } else {
      char path[512];
      struct stat st;
      snprintf(path, sizeof(path), "%s%s", s_dir, uri);
      a->fd = strstr(uri, "..") != NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
      if (a->fd < 0 || fstat(a->fd, &st) != 0 || st.st_size > MAX_BODY) return -1;
      a->len = (size_t) st.st_size;
      type = "application/octet-stream";
    }
    if (lws_add_http_common_headers(wsi, 200, type, a->len, &p, start + 512) || lws_finalize_write_http_header(wsi, start, &p, start + 512)) {
      return 1;
    }
    lws_callback_on_writable(wsi);
    return 0;
  }
  if (reason == LWS_CALLBACK_HTTP_WRITEABLE) {
    if (a->fd > 0) {
      ssize_t n = read(a->fd, start, a->len);
      close(a->fd);
      a->fd = 0;
      if (n != (ssize_t) a->len) return -1;
    } else {
      memcpy(start, "Hello, World!\n", 14);
    }
    if (lws_write(wsi, start, a->len, LWS_WRITE_HTTP_FINAL) != (int) a->len) return 1;
    return lws_http_transaction_completed(wsi) ? -1 : 0;
  }
  return lws_callback_http_dummy(wsi, reason, user, in, len);
}

static int echo(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
  struct session *s = (struct session *) user;
  if (reason == LWS_CALLBACK_RECEIVE) {
    if (s->len + len > s->size) {
      s->size = (s->len + len) * 2;
      s->buf = (unsigned char *) realloc(s->buf, LWS_PRE + s->size);
    }
    memcpy(s->buf + LWS_PRE + s->len, in, len);
    s->len += len;
    if (lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0) lws_callback_on_writable(wsi);
  } else if (reason == LWS_CALLBACK_SERVER_WRITEABLE && s->len > 0) {
    if (lws_write(wsi, s->buf + LWS_PRE, s->len, LWS_WRITE_BINARY) < 0) return -1;
    s->len = 0;
  } else if (reason == LWS_CALLBACK_CLOSED) {
    free(s->buf);
  }
  return 0;
}

int main(int argc, char **argv) {
  static const struct lws_protocols protocols[] = {{"http", http, sizeof(struct answer), 0, 0, NULL, 0},
                                                   {"echo", echo, sizeof(struct session), 65536, 0, NULL, 0},
                                                   {NULL, NULL, 0, 0, 0, NULL, 0}};
  static const struct lws_http_mount all = {.mountpoint = "/", .origin_protocol = LWSMPRO_CALLBACK, .protocol = "http", .mountpoint_len = 1};
  struct lws_context_creation_info info;
  if (argc != 3) return 2;
  s_dir = argv[2];
  memset(&info, 0, sizeof(info));
  info.port = atoi(argv[1]);
  info.iface = "127.0.0.1";
  info.protocols = protocols;
  info.mounts = &all;
  info.keepalive_timeout = 60;
  // A client that names no protocol speaks this one.
  static const struct lws_protocol_vhost_options use = {NULL, NULL, "default", "1"}, pvo = {NULL, &use, "echo", ""};
  info.pvo = &pvo;
  lws_set_log_level(LLL_ERR, NULL);
  struct lws_context *context = lws_create_context(&info);
  if (context == NULL) return 1;
  while (lws_service(context, 0) >= 0) continue;
  return 0;
}
