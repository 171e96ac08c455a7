// Functions meant for devices: the library's default results on a hosted system.
#include "mongoose.h"

#include "check.h"

static int s_checks;

static void done(const char *message) {
  CHECK(message != NULL && strcmp(message, "MG_OTA_TLS_CA is not configured") == 0);
  s_checks++;
}

int main(void) {
  struct mg_wifi_data wifi;
  struct mg_mgr mgr;
  char id[8] = "xxxxxxx";

  CHECK(mg_ota_begin(5) && mg_ota_write("abcde", 5) && mg_ota_end());
  mg_ota_device_id(id, sizeof(id));
  CHECK(strcmp(id, "0") == 0);
  mg_ota_device_id(id, 1);
  CHECK_EQ(id[0], 0);
  id[0] = 'x';
  mg_ota_device_id(id, 0);
  CHECK_EQ(id[0], 'x');

  memset(&wifi, 0, sizeof(wifi));
  CHECK(!mg_wifi_scan() && !mg_wifi_connect(&wifi) && !mg_wifi_disconnect());
  CHECK(!mg_wifi_ap_start(&wifi) && !mg_wifi_ap_stop());

  mg_mgr_init(&mgr);
  mg_log_set(MG_LL_NONE);
  mgr.dns4.url = "udp://127.0.0.1:9";  // nobody is asked
  mg_sntp_connect(&mgr, NULL, NULL, NULL);
  mg_ota_url_check(&mgr, "https://127.0.0.1/", done);
  mg_ota_url_check(&mgr, "https://127.0.0.1/", NULL);
  CHECK_EQ(s_checks, 1);
  mg_ota_poll(&mgr);
  mg_mgr_poll(&mgr, 0);
  mg_mgr_free(&mgr);
  mg_ota_poll(&mgr);
  return DONE();
}
