// Without random numbers: said once, and nothing breaks.
#include "scripted.h"

bool mg_random(void *buf, size_t len) {
  memset(buf, 0, len);
  return false;
}

static char s_text[20000];
static size_t s_text_len;

static void log_char(char c, void *arg) {
  if (s_text_len + 1 < sizeof(s_text)) s_text[s_text_len++] = c;
  (void) arg;
}

int main(void) {
  begin(IP(2), 0);
  mg_log_set_fn(log_char, NULL);
  mg_log_set(MG_LL_ERROR);
  mg_listen(&mgr, "tcp://0.0.0.0:80", NULL, NULL);
  uint32_t seen[20];
  pass(2000);
  for (unsigned i = 0; i < 20; i++) {
    struct peer p = shake((uint16_t) (5000 + i), 80);
    seen[i] = p.ack;
    for (unsigned j = 0; j < i; j++) CHECK(seen[i] != seen[j]);
  }
  end();
  // A MAC address that was to be random: that it is not is said as well.
  s_text_len = 0, memset(s_text, 0, sizeof(s_text));
  memset(&mif, 0, sizeof(mif));
  mif.driver = &s_driver;
  mg_mgr_init(&mgr);
  mg_tcpip_init(&mgr, &mif);
  CHECK(mgr.ifp == &mif && mif.mac[0] == 2 && strstr(s_text, "MAC address is not random") != NULL);
  mif.enable_dhcp_client = false;
  polls(1);
  mif.enable_dhcp_client = true;
  pass(3000);  // another number that was to be random
  int said = 0;
  for (const char *p = s_text; (p = strstr(p, "can be guessed")) != NULL; p++) said++;
  CHECK(said == 1);
  end();
  return s_failed > 0;
}
