// Firmware checks against a server in the same process: every message, images in parts, interrupted checks, and the
// application's own mg_ota_* and mg_ota_device_id, with and without the switches that announce them.
// flags:
// flags: -DMG_OTA=MG_OTA_CUSTOM -DMG_ENABLE_CUSTOM_DEVICE_ID=1
#include "mongoose.h"
#include "mongoose_ext.h"

#include "clock.h"
#include "peer.h"

static size_t s_begun, s_written, s_odd;
static int s_begins, s_ends;
static bool s_begin_ok = true, s_write_ok = true, s_end_ok = true;
static uint32_t s_crc;

bool mg_ota_begin(size_t size) {
  s_begins++, s_begun = size, s_written = s_odd = 0, s_crc = 0;
  return s_begin_ok;
}

bool mg_ota_write(const void *buf, size_t len) {
  if (s_written % 512 != 0) s_odd++;  // only the last piece may have another size
  s_written += len;
  s_crc = mg_crc32(s_crc, (const char *) buf, len);
  return s_write_ok;
}

bool mg_ota_end(void) {
  s_ends++;
  return s_end_ok;
}

static size_t s_id_size;
static bool s_long_id;

void mg_ota_device_id(char *buf, size_t len) {
  s_id_size = len;
  if (s_long_id) memset(buf, 'i', len);  // without an end
  else mg_snprintf(buf, len, "dev 1&x=\r\n");
}

static struct mg_mgr s_mgr;
static struct mg_connection *s_server;
static const char *s_metadata;       // what the server says of the newest image
static int s_status = 200, s_image_status = 200;
static bool s_zero, s_keep, s_silent, s_cut, s_half, s_cut_image;
static char *s_image;
static size_t s_image_size, s_announced;
static char s_request[400], s_image_request[400];

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    bool image = mg_match(hm->uri, mg_str("/image"), NULL);
    mg_snprintf(image ? s_image_request : s_request, sizeof(s_request), "%.*s", (int) hm->head.len, hm->head.buf);
    if (s_silent) return;
    if (s_cut && !image) {
      c->is_closing = s_metadata == NULL;
      mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n%s", s_metadata == NULL ? "" : s_metadata);
      c->is_draining = 1, c->is_resp = 0;
    } else if (image) {
      mg_printf(c, "HTTP/1.1 %d X\r\nContent-Length: %lu\r\n\r\n", s_image_status, (unsigned long) s_announced);
      mg_send(c, s_image, s_half ? s_image_size / 2 : s_image_size);
      c->is_resp = (s_half && !s_cut_image) || s_keep;
      if (s_cut_image) c->is_draining = 1;
    } else {
      mg_http_reply(c, s_status, "", "%s%.*s", s_metadata, s_zero ? 2 : 0, "\0b");
      if (s_keep) c->is_resp = 1;
    }
  }
}

// Answers, and takes no notice of the wish to close.
static void stubborn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    c->recv.len = 0;
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %lu\r\n\r\n%s", (unsigned long) strlen(s_metadata), s_metadata);
  }
  (void) ev_data;
}

static int s_calls;
static char s_message[200];
static bool s_again, s_free;

static void done(const char *message) {
  s_calls++;
  mg_snprintf(s_message, sizeof(s_message), "%s", message == NULL ? "NULL" : message);
  if (s_free) mg_mgr_free(&s_mgr);
  if (s_again) {
    s_again = false;
    mg_ota_url_check(&s_mgr, "https://127.0.0.1/", done);
  }
}

// Ends what the server has left unanswered.
static void close_accepted(void) {
  struct mg_connection *c;
  for (c = s_mgr.conns; c != NULL; c = c->next) {
    if (c->is_accepted) c->is_closing = 1;
  }
  POLL_UNTIL(&s_mgr, count_conns(&s_mgr) == 1);
}

static int s_errors;

static void nobody(struct mg_connection *c, int ev, void *ev_data) {
  s_errors += ev == MG_EV_ERROR;
  (void) c, (void) ev_data;
}

static struct mg_connection *client_of(struct mg_mgr *mgr) {
  struct mg_connection *c = mgr->conns;
  while (c != NULL && !c->is_client) c = c->next;
  return c;
}

// The connection of a check whose server is silent.
static struct mg_connection *begin_check(const char *url) {
  struct mg_connection *c;
  s_silent = true, s_calls = 0, s_request[0] = '\0';
  mg_ota_url_check(&s_mgr, url, done);
  POLL_UNTIL(&s_mgr, s_request[0] != '\0');
  c = client_of(&s_mgr);
  CHECK(c != NULL && s_calls == 0);
  // A loop that sleeps until something is due wakes up in time to end the check.
  CHECK(mgx_mgr_timeout_ms(&s_mgr) >= 0 && mgx_mgr_timeout_ms(&s_mgr) <= 5000);
  s_silent = false;
  return c;
}

// One check, until its function is called. The server's manager may be another one.
static void run_check_of(struct mg_mgr *mgr, const char *url, const char *want) {
  s_calls = 0;
  s_message[0] = '\0';
  mg_ota_url_check(mgr, url, done);
  POLL_UNTIL(&s_mgr, (mg_mgr_poll(mgr, 0), s_calls > 0));
  poll_often(&s_mgr);
  poll_often(mgr);
  CHECK_EQ(s_calls, 1);
  if (strcmp(s_message, want) != 0) fprintf(stderr, "got %s, not %s\n", s_message, want);
  CHECK(strcmp(s_message, want) == 0);
  POLL_UNTIL(&s_mgr, count_conns(&s_mgr) == 1);
}

static void run_check(const char *url, const char *want) {
  run_check_of(&s_mgr, url, want);
}

static void metadata(char *buf, size_t len, const char *version, const char *url, unsigned long size) {
  mg_snprintf(buf, len, "{%m:%m,%m:%m,%m:%lu}", MG_ESC("version"), MG_ESC(version), MG_ESC("url"), MG_ESC(url), MG_ESC("size"), size);
  s_metadata = buf;
}

int main(void) {
  static const char *const bad[] = {"", "{}", "[1]", "no JSON", "{\"version\":\"2\",\"url\":\"http://x/\"}",
      "{\"version\":\"2\",\"url\":\"http://x/\",\"size\":0}", "{\"version\":\"2\",\"url\":\"http://x/\",\"size\":-5}",
      "{\"version\":\"2\",\"size\":5}", "{\"url\":\"http://x/\",\"size\":5}", "{\"version\":2,\"url\":\"http://x/\",\"size\":5}",
      "{\"version\":\"2\",\"url\":\"http://x/ y\",\"size\":5}", "{\"version\":\"2\",\"url\":\"http://x/\\r\\nA:b\",\"size\":5}",
      "{\"version\":\"\",\"url\":\"http://x/\",\"size\":5}"};
  char url[100], image_url[100], json[600], want[200], text[500];
  struct mg_mgr other;
  struct mg_connection *c;
  uint32_t crc;
  size_t i, files = open_files();

  mg_mgr_init(&s_mgr);
  s_server = mg_http_listen(&s_mgr, "http://127.0.0.1:0", server, NULL);
  mg_snprintf(url, sizeof(url), "%s/meta", url_of(s_server, "http"));
  mg_snprintf(image_url, sizeof(image_url), "%s/image", url_of(s_server, "http"));
  s_image_size = s_announced = 100001;
  s_image = make_body(s_image_size);
  crc = mg_crc32(0, s_image, s_image_size);

  // A new image.
  metadata(json, sizeof(json), "1.0.1", image_url, (unsigned long) s_image_size);
  run_check(url, "NULL");
  mg_snprintf(want, sizeof(want),
              "GET /meta?arch=1&version=1.0.0&id=dev%%201%%26x%%3d%%0d%%0a&interval=60&boot=0 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
              "Connection: close\r\n\r\n", port_of(s_server));
  CHECK(strcmp(s_request, want) == 0);
  mg_snprintf(want, sizeof(want), "GET /image HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n", port_of(s_server));
  CHECK(strcmp(s_image_request, want) == 0);
  CHECK_EQ(s_begins, 1);
  CHECK_EQ(s_begun, s_image_size);
  CHECK_EQ(s_written, s_image_size);
  CHECK_EQ(s_odd, 0);
  CHECK_EQ(s_ends, 1);
  CHECK_EQ(s_crc, crc);

  // The three functions refuse.
  s_begin_ok = false;
  run_check(url, "ota begin failed");
  s_begin_ok = true, s_write_ok = false;
  run_check(url, "write error");
  s_write_ok = true, s_end_ok = false, s_ends = 0;
  run_check(url, "OTA finalize failed");
  CHECK_EQ(s_ends, 1);
  s_end_ok = true;

  // Not the image that was promised; none at all; part of one.
  s_begins = 0;
  s_announced--;
  run_check(url, "Bad HTTP response: status 200, size 100000 vs 100001");
  s_image_status = 404;
  run_check(url, "Bad HTTP response: status 404, size 100000 vs 100001");
  CHECK_EQ(s_begins, 0);
  s_announced++, s_image_status = 200, s_silent = true;
  s_calls = 0;
  mg_ota_url_check(&s_mgr, url, done);
  poll_often(&s_mgr);
  CHECK_EQ(s_calls, 0);
  clock_ms += 5000;  // the server says nothing
  poll_often(&s_mgr);
  CHECK_EQ(s_calls, 1);
  CHECK(strcmp(s_message, "Metadata timeout") == 0);

  // Meanwhile no other check may begin; afterwards one may, even from the function itself.
  s_calls = 0;
  mg_ota_url_check(&s_mgr, url, done);
  mg_ota_url_check(&s_mgr, url, done);
  CHECK_EQ(s_calls, 1);
  CHECK(strcmp(s_message, "OTA already in progress") == 0);
  s_again = true;
  clock_ms += 5000;
  POLL_UNTIL(&s_mgr, s_calls == 3);
  CHECK(strcmp(s_message, "MG_OTA_TLS_CA is not configured") == 0);
  // The function that is told so may try again.
  s_calls = 0;
  begin_check(url);
  s_again = true;
  mg_ota_url_check(&s_mgr, url, done);
  CHECK_EQ(s_calls, 2);
  CHECK(strcmp(s_message, "OTA already in progress") == 0);
  // The application takes the connection over, and forgets it or closes it.
  clock_ms += 5000;
  POLL_UNTIL(&s_mgr, s_calls == 3);
  close_accepted();
  begin_check(url)->fn = nobody;
  clock_ms += 5000;
  POLL_UNTIL(&s_mgr, s_calls == 1);
  CHECK_EQ(s_errors, 1);
  CHECK(strcmp(s_message, "Metadata timeout") == 0);
  close_accepted();
  c = begin_check(url);
  c->fn = nobody, c->is_closing = 1;
  POLL_UNTIL(&s_mgr, s_calls == 1);
  CHECK(strcmp(s_message, "connection closed") == 0);
  close_accepted();
  // Another manager has nothing to do with it.
  mg_mgr_init(&other);
  run_check_of(&other, "", "Failed to connect");
  s_silent = true, s_calls = 0, s_request[0] = '\0';
  mg_ota_url_check(&other, url, done);
  POLL_UNTIL(&s_mgr, (mg_mgr_poll(&other, 0), s_request[0] != '\0'));
  clock_ms += 5000;
  poll_often(&other);
  CHECK(s_calls == 1 && strcmp(s_message, "Metadata timeout") == 0);
  close_accepted();
  begin_check(url);
  poll_often(&other);
  CHECK_EQ(s_calls, 0);
  clock_ms += 5000;
  POLL_UNTIL(&s_mgr, s_calls == 1);
  close_accepted();
  run_check_of(&other, url, "NULL");
  mg_mgr_free(&other);
  s_silent = false;
  run_check(url, "NULL");
  // The image's server sends half of it, and then nothing, or closes.
  s_half = true, s_calls = s_begins = s_ends = 0;
  mg_ota_url_check(&s_mgr, url, done);
  POLL_UNTIL(&s_mgr, s_begins == 1 && s_written > 40000);
  clock_ms += 299999;
  poll_often(&s_mgr);
  CHECK_EQ(s_calls, 0);
  CHECK_EQ(s_ends, 0);
  clock_ms += 1;
  poll_often(&s_mgr);
  CHECK_EQ(s_calls, 1);
  CHECK_EQ(s_ends, 1);
  CHECK(strcmp(s_message, "OTA timeout") == 0);
  close_accepted();
  s_cut_image = true, s_ends = 0;
  run_check(url, "connection closed");
  CHECK_EQ(s_ends, 1);
  s_half = s_cut_image = false;

  // Metadata.
  for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    s_metadata = bad[i];
    mg_snprintf(want, 100, "Bad metadata: %s", bad[i]);
    run_check(url, want);
  }
  s_metadata = "a\x01", s_zero = true;
  run_check(url, "Bad metadata: a\x01");
  s_zero = false;
  metadata(json, sizeof(json), "1.0.0", "http://127.0.0.1:1/", 5);
  run_check(url, "Same version");
  s_status = 500;
  mg_snprintf(want, 100, "Bad metadata: %s", json);
  run_check(url, want);
  s_status = 200;
  memset(text, 'x', sizeof(text));
  text[64] = '\0';
  metadata(json, sizeof(json), text, image_url, 5);
  mg_snprintf(want, 100, "Bad metadata: %s", json);
  run_check(url, want);
  CHECK_EQ(strlen(s_message), 99);
  metadata(json, sizeof(json), "2", "https://127.0.0.1:1/", 5);
  run_check(url, "MG_OTA_TLS_CA is not configured");

  // The server ends the connection without an answer, or in the middle of one. The next check works.
  s_cut = true, s_metadata = NULL;
  run_check(url, "connection closed");
  metadata(json, sizeof(json), "2", image_url, (unsigned long) s_image_size);
  run_check(url, "Truncated response");
  s_cut = false;
  metadata(json, sizeof(json), "1.0.1", image_url, (unsigned long) s_image_size);
  run_check(url, "NULL");
  CHECK_EQ(s_crc, crc);

  // Other URLs.
  mg_snprintf(text, sizeof(text), "%s?a=b", url);
  run_check(text, "NULL");
  CHECK(strstr(s_request, "GET /meta?a=b&arch=1&") == s_request);
  run_check("", "Failed to connect");
  run_check("https://127.0.0.1/", "MG_OTA_TLS_CA is not configured");
  memset(text, 'x', 300);
  memcpy(text, url, strlen(url));
  text[256] = '\0';
  run_check(text, "Failed to connect");
  text[255] = '\0';
  run_check(text, "NULL");

  // An id that fills its buffer.
  CHECK_EQ(s_id_size, 127);
  s_long_id = true;
  run_check(url, "NULL");
  memset(text, 'i', 127);
  strcpy(text + 127, "&interval=60");
  CHECK(strstr(s_request, "&id=i") != NULL && strncmp(strstr(s_request, "&id=i") + 4, text, strlen(text)) == 0);
  s_long_id = false;

  // An image of one byte.
  s_image_size = s_announced = 1;
  metadata(json, sizeof(json), "1.0.1", image_url, 1);
  run_check(url, "NULL");
  CHECK(s_begun == 1 && s_written == 1);
  s_image_size = s_announced = 100001;
  metadata(json, sizeof(json), "1.0.1", image_url, (unsigned long) s_image_size);
  // The server does not close: the device does.
  s_keep = true, s_calls = 0;
  mg_ota_url_check(&s_mgr, url, done);
  POLL_UNTIL(&s_mgr, s_calls == 1 && client_of(&s_mgr) == NULL);
  CHECK(strcmp(s_message, "NULL") == 0);
  s_keep = false;
  close_accepted();
  c = mg_listen(&s_mgr, "tcp://127.0.0.1:0", stubborn, NULL);
  s_calls = 0;
  mg_snprintf(text, sizeof(text), "%s/meta", url_of(c, "http"));
  mg_ota_url_check(&s_mgr, text, done);
  POLL_UNTIL(&s_mgr, s_calls == 1 && client_of(&s_mgr) == NULL);
  CHECK(strcmp(s_message, "NULL") == 0);
  c->is_closing = 1;
  close_accepted();

  // Without a function; and with a manager that is freed before the answer.
  mg_ota_url_check(&s_mgr, url, NULL);
  s_written = 0;
  POLL_UNTIL(&s_mgr, s_written == s_image_size);
  s_calls = 0;
  mg_ota_url_check(&s_mgr, url, done);
  mg_mgr_free(&s_mgr);
  CHECK_EQ(s_calls, 1);
  CHECK(strcmp(s_message, "connection closed") == 0);
  // The manager is freed in the function, before mg_ota_url_check has returned.
  s_free = true;
  for (i = 0; i < 3; i++) {
    static const char *const failing[] = {"", "http://127.0.0.1:1/", "https://127.0.0.1/"};
    mg_mgr_init(&s_mgr);
    s_calls = 0;
    mg_ota_url_check(&s_mgr, failing[i], done);
    POLL_UNTIL(&s_mgr, s_calls == 1);
    CHECK(s_mgr.conns == NULL);
  }
  CHECK_EQ(open_files(), files);
  free(s_image);
  return DONE();
}
