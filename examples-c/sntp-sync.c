// Queries a time server, sets the offset of mg_now() and prints the time.
//
// usage: sntp-sync -h

#include "example.h"

static const char *const s_usage =
    "usage: sntp-sync [-n COUNT] URL     such as udp://pool.ntp.org:123\n"
    "  -n COUNT   number of queries, one per second; default 1\n";

static bool s_done;
static int s_answers;

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_SNTP_TIME) {
    // mg_now() is correct from here on: the library has set mg_boot_timestamp_ms.
    uint64_t ms = *(uint64_t *) ev_data;
    time_t seconds = (time_t) (ms / 1000);
    char text[30];
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", gmtime(&seconds));
    printf("%s.%03d UTC, %lu s since 1970\n", text, (int) (ms % 1000), (unsigned long) (mg_now() / 1000));
    s_answers++;
  } else if (ev == MG_EV_ERROR) {
    fprintf(stderr, "%s\n", (char *) ev_data);
  } else if (ev == MG_EV_CLOSE) {
    s_done = true;  // after the response, or after three seconds without one
  }
  (void) c;
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  const char *url;
  int opt, i, count = 1;

  while ((opt = getopt(argc, argv, "hn:")) != -1) {
    switch (opt) {
      case 'n': count = atoi(optarg); break;
      default: return example_usage(s_usage, opt);
    }
  }
  if (optind + 2 == argc) count = atoi(argv[optind + 1]);
  if (optind == argc || optind + 2 < argc || count < 1) return example_usage(s_usage, '?');
  url = argv[optind];
  setvbuf(stdout, NULL, _IOLBF, 0);
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  for (i = 0; i < count; i++) {
    uint64_t next = mg_millis() + 1000;
    s_done = mg_sntp_connect(&mgr, url, handler, NULL) == NULL;
    while (!s_done) mg_mgr_poll(&mgr, 1000);
    while (i + 1 < count && mg_millis() < next) mg_mgr_poll(&mgr, (int) (next - mg_millis()));
  }
  mg_mgr_free(&mgr);
  if (s_answers < count) fprintf(stderr, "%s: %d of %d answers\n", url, s_answers, count);
  return s_answers == count ? 0 : 1;
}
