// mg_sntp_parse and mg_sntp_request compared with recorded results, at the recorded times.
#include "clock.h"
#include "peer.h"

static uint64_t number(struct mg_str json, const char *path) {
  int len = 0, ofs = mg_json_get(json, path, &len);
  return ofs < 0 ? 0 : strtoull(json.buf + ofs, NULL, 10);
}

static void parse(struct mg_str vector) {
  int len = 0;
  char *hex = mg_json_get_str(vector, "$.in");
  // A block of exactly its size, so that tools see when more is read.
  unsigned char *message = (unsigned char *) malloc(strlen(hex) / 2 + 1);
  size_t i, n = strlen(hex) / 2;
  message = (unsigned char *) realloc(message, n == 0 ? 1 : n);
  for (i = 0; i < n; i++) mg_str_to_num(mg_str_n(hex + 2 * i, 2), 16, &message[i], 1);
  mg_boot_timestamp_ms = 7;
  CHECK_EQ(mg_sntp_parse(message, n), strtoll(vector.buf + mg_json_get(vector, "$.ret", &len), NULL, 10));
  CHECK_EQ(mg_boot_timestamp_ms, number(vector, "$.boot_after"));
  free(message);
  mg_free(hex);
}

static char s_sent[200];

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    mg_snprintf(s_sent, sizeof(s_sent), "%M", mg_print_hex, (int) c->recv.len, c->recv.buf);
    c->recv.len = 0;
  }
  (void) ev_data;
}

static void request(struct mg_str vector, struct mg_mgr *mgr, const struct mg_connection *listener) {
  struct mg_connection *c = mg_connect(mgr, url_of(listener, "udp"), NULL, NULL);
  char *want = mg_json_get_str(vector, "$.out");
  s_sent[0] = '\0';
  mg_sntp_request(c);
  POLL_UNTIL(mgr, s_sent[0] != '\0');
  CHECK(strcmp(s_sent, want) == 0);
  c->is_closing = 1;
  mg_free(want);
}

int main(void) {
  static char line[65536];
  char path[1000];
  int parses = 0, requests = 0;
  struct mg_mgr mgr;
  struct mg_connection *listener;
  const char *slash = strrchr(__FILE__, '/');
  FILE *f;

  mg_snprintf(path, sizeof(path), "%.*s/vectors/sntp_parse.json", slash == NULL ? 1 : (int) (slash - __FILE__), slash == NULL ? "." : __FILE__);
  f = fopen(path, "r");
  CHECK(f != NULL);
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, "udp://127.0.0.1:0", server, NULL);
  while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
    struct mg_str vector = mg_str(line);  // one in each line
    while (vector.len > 0 && *vector.buf == ' ') vector.buf++, vector.len--;
    while (vector.len > 0 && vector.buf[vector.len - 1] != '}') vector.len--;
    if (vector.len < 10 || memcmp(vector.buf, "{\"api\"", 6) != 0) continue;
    clock_ms = number(vector, "$.now_ms");
    if (strstr(line, "mg_sntp_request") != NULL) {
      request(vector, &mgr, listener), requests++;
    } else {
      parse(vector), parses++;
    }
  }
  if (f != NULL) fclose(f);
  CHECK_EQ(parses, 359);
  CHECK_EQ(requests, 23);
  mg_mgr_free(&mgr);
  return DONE();
}
