// libwebsockets beside hello.c and ws_echo.c.
// usage: websockets PORT DIRECTORY
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

struct session {
  unsigned char *buf;  // LWS_PRE bytes, then the message
  size_t len, size;
};

static int http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
  unsigned char buf[LWS_PRE + 512], *start = buf + LWS_PRE, *p = start, *end = buf + sizeof(buf) - 1;
  if (reason == LWS_CALLBACK_HTTP) {
    if (lws_add_http_common_headers(wsi, 200, "text/plain", 14, &p, end) || lws_finalize_write_http_header(wsi, start, &p, end)) return 1;
    lws_callback_on_writable(wsi);
    return 0;
  }
  if (reason == LWS_CALLBACK_HTTP_WRITEABLE) {
    memcpy(start, "Hello, World!\n", 14);
    if (lws_write(wsi, start, 14, LWS_WRITE_HTTP_FINAL) != 14) return 1;
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
  static const struct lws_protocols protocols[] = {{"http", http, 0, 0, 0, NULL, 0},
                                                   {"echo", echo, sizeof(struct session), 65536, 0, NULL, 0},
                                                   {NULL, NULL, 0, 0, 0, NULL, 0}};
  static struct lws_http_mount files = {.mountpoint = "/", .origin_protocol = LWSMPRO_FILE, .mountpoint_len = 1};
  static struct lws_http_mount hello = {
      .mount_next = &files, .mountpoint = "/hello", .origin_protocol = LWSMPRO_CALLBACK, .protocol = "http", .mountpoint_len = 6};
  static const struct lws_protocol_vhost_options plain = {NULL, NULL, "", "application/octet-stream"};
  struct lws_context_creation_info info;
  if (argc != 3) return 2;
  files.origin = argv[2];
  files.extra_mimetypes = &plain;
  memset(&info, 0, sizeof(info));
  info.port = atoi(argv[1]);
  info.iface = "127.0.0.1";
  info.protocols = protocols;
  info.mounts = &hello;
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
