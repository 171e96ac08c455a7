// Looks up the addresses of host names, all at once, and prints them in the order given.
//
// usage: dns-client -h
//        a NAME in .local is resolved on the local link (mDNS)
// try:   dns-client localhost example.org
// exit:  0 when every name has an address

#include "example.h"

static const char *const s_usage =
    "usage: dns-client [-s SERVER] [-t MS] [-6] NAME...\n"
    "  -s SERVER   ask this server, such as udp://9.9.9.9:53 or tcp://[::1]:5300; default: what the system is configured to ask\n"
    "  -t MS   timeout in milliseconds, default 3000\n"
    "  -6   look for IPv6 addresses only\n";

struct lookup {
  const char *name;
  char text[80];
  bool found, done;
};

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct lookup *l = (struct lookup *) c->fn_data;
  if (ev == MG_EV_RESOLVE) {
    mg_snprintf(l->text, sizeof(l->text), "%M", mg_print_ip, &c->rem);
    l->found = true;
    c->is_closing = 1;  // only the address is needed
  } else if (ev == MG_EV_ERROR && !l->found) {
    mg_snprintf(l->text, sizeof(l->text), "%s", (char *) ev_data);
  } else if (ev == MG_EV_CLOSE) {
    l->done = true;
  }
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  struct lookup *lookups;
  const char *server = NULL;
  int opt, i, n, first, timeout = 3000, pending, failed = 0;
  bool six = false;

  while ((opt = getopt(argc, argv, "hs:t:6")) != -1) {
    switch (opt) {
      case 's': server = optarg; break;
      case 't': timeout = atoi(optarg); break;
      case '6': six = true; break;
      default: return example_usage(s_usage, opt);
    }
  }
  first = optind;
  n = argc - first;
  if (n < 1 || timeout <= 0) return example_usage(s_usage, '?');
  if ((lookups = (struct lookup *) calloc((size_t) n, sizeof(*lookups))) == NULL) return 1;
  example_catch_signals();
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  if (server != NULL) mgr.dns4.url = mgr.dns6.url = server;
  mgr.dnstimeout = timeout;
  mgr.use_dns6 = six;
  mg_mdns_listen(&mgr, NULL, NULL);
  for (i = 0; i < n; i++) {
    char url[300];
    lookups[i].name = argv[first + i];
    mg_snprintf(url, sizeof(url), strchr(lookups[i].name, ':') == NULL ? "udp://%s:9" : "udp://[%s]:9", lookups[i].name);
    if (mg_connect(&mgr, url, handler, &lookups[i]) == NULL) lookups[i].done = true;
  }
  do {
    mg_mgr_poll(&mgr, 1000);
    for (i = pending = 0; i < n; i++) pending += !lookups[i].done;
  } while (pending > 0 && s_signal == 0);
  for (i = 0; i < n; i++) {
    printf("%s %s\n", lookups[i].name, lookups[i].text);
    failed += !lookups[i].found;
  }
  mg_mgr_free(&mgr);
  free(lookups);
  return failed > 0;
}
