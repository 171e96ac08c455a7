// Publishes a host name and a service on the local link (mDNS, DNS-SD), and prints the questions it receives.
//
// usage: mdns-server -h
// try:   avahi-browse -rt _http._tcp, or dns-client demo.local

#include "example.h"

static const char *const s_usage =
    "usage: mdns-server [-n NAME] [-s SERVICE] [-p PORT] [-t TEXT] [-a ADDRESS]     Ctrl-C ends it\n"
    "  -n NAME   without dots: the host is NAME.local and the service NAME.SERVICE.local, default demo\n"
    "  -s SERVICE   such as _ipp._tcp, default _http._tcp\n"
    "  -p PORT   of the service, default 8000\n"
    "  -t TEXT   the TXT record of the service, such as path=/index.html\n"
    "  -a ADDRESS   the IPv4 address of the host, default: that of this machine\n";

static struct mg_dnssd_record s_record;
static struct mg_addr s_own;
static bool s_has_addr;

static const char *type_name(int type) {
  return type == MG_DNS_RTYPE_A ? "A" : type == MG_DNS_RTYPE_PTR ? "PTR" : type == MG_DNS_RTYPE_SRV ? "SRV" : "TXT";
}

static bool is_service(struct mg_str name) {
  return mg_strcasecmp(name, s_record.srvcproto) == 0;
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MDNS_REQ) {
    struct mg_mdns_req *req = (struct mg_mdns_req *) ev_data;
    // An A question arrives only if it is for our name. The others may be for any service: check the name.
    if (req->rr->atype != MG_DNS_RTYPE_A) req->is_resp = !req->is_listing && is_service(req->reqname);
    if (req->is_resp) {
      req->r = &s_record;
      if (s_has_addr) req->addr = &s_own;
    }
    printf("%s %.*s%s\n", type_name(req->rr->atype), (int) req->reqname.len, req->reqname.buf, req->is_resp ? "" : ": not ours");
  }
  (void) c;
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  const char *name = "demo", *service = "_http._tcp", *text = "";
  char txt[256];
  int opt, port = 8000;
  size_t len;

  while ((opt = getopt(argc, argv, "hn:s:p:t:a:")) != -1) {
    switch (opt) {
      case 'n': name = optarg; break;
      case 's': service = optarg; break;
      case 'p': port = atoi(optarg); break;
      case 't': text = optarg; break;
      case 'a': s_has_addr = mg_aton(mg_str(optarg), &s_own) && !s_own.is_ip6; break;
      default: return example_usage(s_usage, opt);
    }
  }
  len = strlen(text);
  if (optind < argc || name[0] == '\0' || strlen(name) > 63 || strchr(name, '.') != NULL || port < 1 || port > 65535 || len > 200) {
    return example_usage(s_usage, '?');
  }
  // A TXT record is a list of length-prefixed strings.
  txt[0] = (char) len;
  memcpy(txt + 1, text, len);
  s_record.srvcproto = mg_str(service);
  s_record.txt = mg_str_n(txt, len + 1);
  s_record.port = (uint16_t) port;
  setvbuf(stdout, NULL, _IOLBF, 0);
  example_catch_signals();
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  if (mg_mdns_listen(&mgr, handler, (void *) name) == NULL) {
    fprintf(stderr, "%s: cannot listen on 224.0.0.251:5353: is there a network that allows multicast?\n", argv[0]);
    mg_mgr_free(&mgr);
    return 1;
  }
  printf("%s.local, %s.%s.local at port %d\n", name, name, service, port);
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
