// An application of version 7.7: numeric addresses, JSON as pointer and length, MQTT without options, TLS options with file
// names.
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
#define MGX_COMPAT_7 707
#include "peer.h"

static char cert_file[1000], key_file[1000], ca_file[1000], got[100];
static int answered, errors;

static void find(char *to, const char *name) {
  mg_snprintf(to, 1000, "%.*scerts/%s", (int) (strlen(__FILE__) - strlen("compat_707.c")), __FILE__, name);
}

static void server(struct mg_connection *c, int ev, void *ev_data, void *fn_data) {
  if (ev == MG_EV_ACCEPT) {
    struct mg_tls_opts opts;
    memset(&opts, 0, sizeof(opts));
    opts.cert = cert_file;
    opts.certkey = key_file;
    mg_tls_init(c, &opts);
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    char text[40];
    double d = 0;
    int n, ofs = mg_json_get(hm->body.ptr, (int) hm->body.len, "$.b", &n);
    bool flag = false;
    char *s = mg_json_get_str(hm->body.ptr, (int) hm->body.len, "$.s");
    CHECK(ofs > 0 && n == 4);
    CHECK(mg_json_get_num(hm->body.ptr, (int) hm->body.len, "$.n", &d) && d == 1.5);
    CHECK(mg_json_get_bool(hm->body.ptr, (int) hm->body.len, "$.b", &flag) && flag);
    CHECK_EQ(mg_json_get_long(hm->body, "$.n", 0), 1);
    CHECK(s != NULL && strcmp(s, "t") == 0);
    mg_free(s);
    CHECK_EQ(c->rem.ip, htonl(INADDR_LOOPBACK));
    CHECK(strcmp(mg_ntoa(&c->rem, text, sizeof(text)), "127.0.0.1") == 0);
    CHECK(strncmp(mg_straddr(&c->rem, text, sizeof(text)), "127.0.0.1:", 10) == 0);
    c->label[0] = 'L';
    CHECK_EQ(c->data[0], 'L');
    mg_http_reply(c, 200, "", "ok");
  }
  (void) fn_data;
}

static void client(struct mg_connection *c, int ev, void *ev_data, void *fn_data) {
  if (ev == MG_EV_CONNECT) {
    const char *body = "{\"n\":1.5,\"b\":true,\"s\":\"t\"}";
    struct mg_tls_opts opts;
    memset(&opts, 0, sizeof(opts));
    opts.ca = ca_file;
    opts.srvname = mg_str("localhost");
    mg_tls_init(c, &opts);
    mg_printf(c, "POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", (int) strlen(body), body);
  } else if (ev == MG_EV_HTTP_MSG) {
    answered++;
    c->is_closing = 1;
  } else if (ev == MG_EV_ERROR) {
    errors++;
  }
  (void) ev_data, (void) fn_data;
}

static void broker(struct mg_connection *c, int ev, void *ev_data, void *fn_data) {
  if (ev == MG_EV_MQTT_CMD) {
    struct mg_mqtt_message *m = (struct mg_mqtt_message *) ev_data;
    if (m->cmd == MQTT_CMD_CONNECT) {
      uint8_t ack[] = {0, 0};
      mg_mqtt_send_header(c, MQTT_CMD_CONNACK, 0, 2);
      mg_send(c, ack, 2);
    } else if (m->cmd == MQTT_CMD_SUBSCRIBE) {
      struct mg_str topic;
      uint8_t qos;
      size_t pos = 4;
      while ((pos = mg_mqtt_next_sub(m, &topic, &qos, pos)) > 0) mg_mqtt_pub(c, topic, mg_str("welcome"), 0, false);
    }
  }
  (void) fn_data;
}

static void subscriber(struct mg_connection *c, int ev, void *ev_data, void *fn_data) {
  if (ev == MG_EV_MQTT_OPEN) {
    CHECK_EQ(*(int *) ev_data, 0);
    mg_mqtt_sub(c, mg_str("some/topic"), 1);
  } else if (ev == MG_EV_MQTT_MSG) {
    struct mg_mqtt_message *m = (struct mg_mqtt_message *) ev_data;
    mg_snprintf(got, sizeof(got), "%.*s %.*s", (int) m->topic.len, m->topic.ptr, (int) m->data.len, m->data.ptr);
    mg_mqtt_disconnect(c);
  }
  (void) fn_data;
}

int main(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct mg_mqtt_opts opts;
  size_t size;
  char *text, url[64];
  struct mg_str list = mg_str("a=1,b=2"), k, v;
  mg_log_set("0");
  find(cert_file, "server-p256.pem");
  find(key_file, "server-p256.key");
  find(ca_file, "ca.pem");
  text = mg_file_read(&mg_fs_posix, ca_file, &size);
  CHECK(text != NULL && size == strlen(text));
  free(text);
  CHECK(mg_commalist(&list, &k, &v) && mg_vcmp(&k, "a") == 0 && mg_vcmp(&v, "1") == 0);
  CHECK(mg_commalist(&list, &k, &v) && mg_vcmp(&k, "b") == 0 && mg_vcmp(&v, "2") == 0 && !mg_commalist(&list, &k, &v));

  mg_mgr_init(&mgr);
  l = mg_http_listen(&mgr, "https://127.0.0.1:0", server, NULL);
  mg_snprintf(url, sizeof(url), "https://127.0.0.1:%d", port_of(l));
  mg_http_connect(&mgr, url, client, NULL);
  POLL_UNTIL(&mgr, answered + errors > 0);
  CHECK(answered == 1 && errors == 0);

  memset(&opts, 0, sizeof(opts));
  opts.will_topic = mg_str("gone");
  opts.will_qos = 1;
  opts.clean = true;
  CHECK(opts.topic.len == 4 && opts.qos == 1);
  l = mg_mqtt_listen(&mgr, "mqtt://127.0.0.1:0", broker, NULL);
  mg_snprintf(url, sizeof(url), "mqtt://127.0.0.1:%d", port_of(l));
  mg_mqtt_connect(&mgr, url, &opts, subscriber, NULL);
  POLL_UNTIL(&mgr, got[0] != '\0');
  CHECK(strcmp(got, "some/topic welcome") == 0);
  mg_mgr_free(&mgr);
  return DONE();
}
