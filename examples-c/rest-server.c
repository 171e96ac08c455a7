// A collection of things that clients create, read, change and delete over HTTP, as JSON.
//
// usage: rest-server -h
//
//   curl localhost:8000/things -d '{"name":"lamp","price":12.5}'          creates one: 201, and its location
//   curl localhost:8000/things                                            all
//   curl localhost:8000/things/1                                          one
//   curl localhost:8000/things/1 -X PUT -d '{"name":"lamp","price":10}'   replaces it
//   curl localhost:8000/things/1 -X DELETE                                deletes it: 204
//   curl -u USER:PASSWORD ...                                             with -u
//
// What a request is refused with: 400 not such an object, 401 not allowed, 404 no such thing, 405 not this method, 413 body too
// long, 507 no room.

#include "example.h"

#define JSON "Content-Type: application/json\r\n"

static const char *const s_usage =
    "usage: rest-server [-l URL] [-u USER:PASSWORD] [-n MOST]     Ctrl-C ends it\n"
    "  -l URL   where to listen, default http://127.0.0.1:8000; port 0 is any free port\n"
    "  -u USER:PASSWORD   required for access; without it everybody may\n"
    "  -n MOST   maximum number of things, default 1000\n";

struct thing {
  unsigned long id;  // 0: free
  double price;
  char name[64];
};

static struct thing *s_things;
static size_t s_most = 1000;
static unsigned long s_last_id;
static const char *s_user;  // USER:PASSWORD
static bool is(struct mg_str s, const char *text) {
  return mg_strcmp(s, mg_str(text)) == 0;
}

static size_t print_thing(mg_pfn_t out, void *arg, va_list *ap) {
  const struct thing *t = va_arg(*ap, const struct thing *);
  return mg_xprintf(out, arg, "{%m:%lu,%m:%m,%m:%g}", MG_ESC("id"), t->id, MG_ESC("name"), MG_ESC(t->name), MG_ESC("price"),
                    t->price);
}

static size_t print_all(mg_pfn_t out, void *arg, va_list *ap) {
  size_t i, n = 0, printed = 0;
  for (i = 0; i < s_most; i++) {
    if (s_things[i].id != 0) n += mg_xprintf(out, arg, "%s%M", printed++ > 0 ? "," : "", print_thing, &s_things[i]);
  }
  (void) ap;
  return n;
}

// The answer to HEAD has the status only: a body would be taken for the next answer.
static void refuse(struct mg_connection *c, struct mg_http_message *hm, int status, const char *headers, const char *why) {
  if (is(hm->method, "HEAD")) {
    mg_http_reply(c, status, headers, "");
  } else {
    mg_http_reply(c, status, headers, "{%m:%m}\n", MG_ESC("error"), MG_ESC(why));
  }
}

static bool may(struct mg_http_message *hm) {
  char user[64], pass[64], both[sizeof(user) + sizeof(pass)];
  if (s_user == NULL) return true;
  mg_http_creds(hm, user, sizeof(user), pass, sizeof(pass));
  mg_snprintf(both, sizeof(both), "%s:%s", user, pass);
  return strcmp(both, s_user) == 0;  // a real application stores password hashes
}

// The body as a thing. What it is to be named and to cost must be there, of the right kind and of some sense.
static const char *parse(struct mg_str body, struct thing *t) {
  int len = 0, at = mg_json_get(body, "$", &len);
  char *name;
  if (at < 0 || len == 0 || body.buf[at] != '{') return "want a JSON object";
  if (!mg_json_get_num(body, "$.price", &t->price) || !(t->price >= 0 && t->price <= 1e9)) return "want a price, 0 to 1e9";
  if ((name = mg_json_get_str(body, "$.name")) == NULL) return "want a name";
  len = (int) strlen(name);
  mg_snprintf(t->name, sizeof(t->name), "%s", name);
  mg_free(name);
  return len == 0 || (size_t) len >= sizeof(t->name) ? "want a name of 1 to 63 bytes" : NULL;
}

static struct thing *find(unsigned long id) {
  size_t i;
  for (i = 0; i < s_most; i++) {
    if (s_things[i].id == id) return &s_things[i];
  }
  return NULL;
}

static void collection(struct mg_connection *c, struct mg_http_message *hm) {
  if (is(hm->method, "GET")) {
    mg_http_reply(c, 200, JSON, "[%M]\n", print_all);
  } else if (is(hm->method, "POST")) {
    struct thing t, *to = find(0);
    const char *wrong = parse(hm->body, &t);
    char headers[100];
    if (wrong != NULL) {
      refuse(c, hm, 400, JSON, wrong);
    } else if (to == NULL) {
      refuse(c, hm, 507, JSON, "no room");
    } else {
      t.id = ++s_last_id;
      *to = t;
      mg_snprintf(headers, sizeof(headers), JSON "Location: /things/%lu\r\n", t.id);
      mg_http_reply(c, 201, headers, "%M\n", print_thing, to);
    }
  } else {
    refuse(c, hm, 405, JSON "Allow: GET, POST\r\n", "GET or POST");
  }
}

static void one(struct mg_connection *c, struct mg_http_message *hm, struct mg_str name) {
  uint64_t id;
  struct thing *t = mg_str_to_num(name, 10, &id, sizeof(id)) && id > 0 ? find((unsigned long) id) : NULL;
  if (!is(hm->method, "GET") && !is(hm->method, "PUT") && !is(hm->method, "DELETE")) {
    refuse(c, hm, 405, JSON "Allow: GET, PUT, DELETE\r\n", "GET, PUT or DELETE");
  } else if (t == NULL) {
    refuse(c, hm, 404, JSON, "no such thing");
  } else if (is(hm->method, "DELETE")) {
    t->id = 0;
    // mg_http_reply would add a Content-Length, which a 204 response must not have.
    mg_printf(c, "HTTP/1.1 204 No Content\r\n\r\n");
    c->is_resp = 0;
  } else if (is(hm->method, "PUT")) {
    struct thing changed;
    const char *wrong = parse(hm->body, &changed);
    if (wrong != NULL) {
      refuse(c, hm, 400, JSON, wrong);
      return;
    }
    changed.id = t->id;
    *t = changed;
    mg_http_reply(c, 200, JSON, "%M\n", print_thing, t);
  } else {
    mg_http_reply(c, 200, JSON, "%M\n", print_thing, t);
  }
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  struct mg_str name[2];  // one more than the number of wildcards
  if (ev != MG_EV_HTTP_MSG) return;
  if (!may(hm)) {
    refuse(c, hm, 401, JSON "WWW-Authenticate: Basic realm=\"things\"\r\n", "who are you?");
  } else if (mg_match(hm->uri, mg_str("/things"), NULL)) {
    collection(c, hm);
  } else if (mg_match(hm->uri, mg_str("/things/*"), name)) {
    one(c, hm, name[0]);
  } else {
    refuse(c, hm, 404, JSON, "try /things");
  }
}

int main(int argc, char **argv) {
  const char *url = "http://127.0.0.1:8000";
  struct mg_mgr mgr;
  struct mg_connection *listener;
  struct mgx_limits limits;
  int opt;

  while ((opt = getopt(argc, argv, "hl:u:n:")) != -1) {
    switch (opt) {
      case 'l': url = optarg; break;
      case 'u': s_user = optarg; break;
      case 'n': s_most = (size_t) strtoul(optarg, NULL, 10); break;
      default: return example_usage(s_usage, opt);
    }
  }
  if (optind < argc) url = argv[optind++];
  if (optind < argc) return example_usage(s_usage, '?');
  if (s_most == 0 || s_most > 1000000 || (s_user != NULL && strchr(s_user, ':') == NULL)) return example_usage(s_usage, '?');
  if ((s_things = (struct thing *) calloc(s_most, sizeof(*s_things))) == NULL) {
    fprintf(stderr, "%s: not enough memory for %lu things\n", argv[0], (unsigned long) s_most);
    return 1;
  }
  example_catch_signals();
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  // Bounds the memory that many clients, slow clients and long bodies can take.
  limits = *mgx_limits_public();
  limits.max_conns = 1000;
  limits.max_body_bytes = 16 * 1024;
  mgx_mgr_limits(&mgr, &limits);
  listener = mg_http_listen(&mgr, url, handler, NULL);
  if (listener == NULL) return example_cannot_listen(&mgr, argv[0], url);
  example_ready(listener, "http");
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  free(s_things);
  return 0;
}
