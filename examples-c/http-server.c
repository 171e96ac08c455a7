// A small REST server: JSON in, JSON out.
//
// usage: http-server [URL]     default http://0.0.0.0:8000; Ctrl-C ends it
//
//   curl localhost:8000/                                     what there is
//   curl localhost:8000/api/hello?name=Ann                   a greeting
//   curl localhost:8000/api/counter                          a number
//   curl localhost:8000/api/counter -d '{"add": 5}'          the number, changed
//   curl localhost:8000/api/echo -d 'any text'               the request, as it was understood
//   curl localhost:8000/api/stats                            connections and requests so far

#include "mongoose.h"
#include "mongoose_ext.h"

#define JSON_HEADERS "Content-Type: application/json\r\n"
// A string of a message as the argument of %m. Length 0 would mean "up to the terminator", which messages do not have.
#define QUOTED(s) mg_print_esc, (int) (s).len, (s).len > 0 ? (s).buf : ""

static const char *s_help =
    "GET  /api/hello?name=Ann   a greeting\n"
    "GET  /api/counter          a number\n"
    "POST /api/counter          {\"add\": 5} changes it\n"
    "ANY  /api/echo             the request, as it was understood\n"
    "GET  /api/stats            connections and requests so far\n";

static struct {
  unsigned long accepted, open, requests;
  long counter;
} s_state;

static volatile sig_atomic_t s_signal;

static void on_signal(int number) {
  s_signal = number;
}

static bool is(struct mg_str s, const char *text) {
  return mg_strcmp(s, mg_str(text)) == 0;
}

static void hello(struct mg_connection *c, struct mg_http_message *hm) {
  char name[50];
  if (mg_http_get_var(&hm->query, "name", name, sizeof(name)) <= 0) mg_snprintf(name, sizeof(name), "World");
  mg_http_reply(c, 200, JSON_HEADERS, "{%m:%m}\n", MG_ESC("hello"), MG_ESC(name));
}

static void counter(struct mg_connection *c, struct mg_http_message *hm) {
  if (is(hm->method, "POST")) {
    double add;
    if (!mg_json_get_num(hm->body, "$.add", &add) || add < -1e6 || add > 1e6) {
      mg_http_reply(c, 400, JSON_HEADERS, "{%m:%m}\n", MG_ESC("error"), MG_ESC("want {\"add\": NUMBER}, at most a million"));
      return;
    }
    s_state.counter += (long) add;
  } else if (!is(hm->method, "GET")) {
    mg_http_reply(c, 405, JSON_HEADERS "Allow: GET, POST\r\n", "{%m:%m}\n", MG_ESC("error"), MG_ESC("GET or POST"));
    return;
  }
  mg_http_reply(c, 200, JSON_HEADERS, "{%m:%ld}\n", MG_ESC("counter"), s_state.counter);
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) {
    s_state.accepted++;
    s_state.open++;
  } else if (ev == MG_EV_CLOSE && c->is_accepted) {
    s_state.open--;
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    s_state.requests++;
    if (is(hm->uri, "/")) {
      mg_http_reply(c, 200, "Content-Type: text/plain\r\n", "%s", s_help);
    } else if (is(hm->uri, "/api/hello")) {
      hello(c, hm);
    } else if (is(hm->uri, "/api/counter")) {
      counter(c, hm);
    } else if (mg_match(hm->uri, mg_str("/api/echo#"), NULL)) {
      mg_http_reply(c, 200, JSON_HEADERS, "{%m:%m,%m:%m,%m:%m,%m:%m}\n", MG_ESC("method"), QUOTED(hm->method), MG_ESC("uri"),
                    QUOTED(hm->uri), MG_ESC("query"), QUOTED(hm->query), MG_ESC("body"), QUOTED(hm->body));
    } else if (is(hm->uri, "/api/stats")) {
      mg_http_reply(c, 200, JSON_HEADERS, "{%m:%lu,%m:%lu,%m:%lu}\n", MG_ESC("accepted"), s_state.accepted, MG_ESC("open"),
                    s_state.open, MG_ESC("requests"), s_state.requests);
    } else {
      mg_http_reply(c, 404, JSON_HEADERS, "{%m:%m}\n", MG_ESC("error"), MG_ESC("not found"));
    }
  }
}

int main(int argc, char **argv) {
  const char *url = argc > 1 ? argv[1] : "http://0.0.0.0:8000";
  struct mg_mgr mgr;
  struct mg_connection *listener;

  if (argc > 2 || url[0] == '-') {
    fprintf(stderr, "usage: %s [URL]     default http://0.0.0.0:8000\n", argv[0]);
    return 2;
  }
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  mgx_mgr_limits(&mgr, mgx_limits_public());
  if ((listener = mg_http_listen(&mgr, url, handler, NULL)) == NULL) {
    fprintf(stderr, "%s: cannot listen on %s\n", argv[0], url);
    mg_mgr_free(&mgr);
    return 1;
  }
  printf("http://localhost:%u\n", mg_ntohs(listener->loc.port));
  fflush(stdout);
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  printf("%lu requests on %lu connections\n", s_state.requests, s_state.accepted);
  return 0;
}
