// A small REST server with a status page: JSON in, JSON out. `make serve` runs it.
//
// usage: http-server -h
//
//   open http://localhost:8000 in a browser                  live counters, and a button that drains the server
//   curl localhost:8000/                                     the list of pages
//   curl localhost:8000/api/hello?name=Ann                   a greeting
//   curl localhost:8000/api/counter                          a number
//   curl localhost:8000/api/counter -d '{"add": 5}'          the number, changed
//   curl localhost:8000/api/echo -d 'any text'               the request, as parsed
//   curl localhost:8000/api/stats                            connections and requests so far
//   curl localhost:8000/api/drain -H 'Content-Type: application/json' -d '{}'     drains the server; from this machine only

#include "example.h"

#define JSON_HEADERS "Content-Type: application/json\r\n"
// A string of a message as an argument of %m. Length 0 would mean "up to the NUL", and messages have none.
#define QUOTED(s) mg_print_esc, (int) (s).len, (s).len > 0 ? (s).buf : ""

static const char *const s_usage =
    "usage: http-server [-l URL]     Ctrl-C ends it\n"
    "  -l URL   where to listen, default http://0.0.0.0:8000; port 0 is any free port\n";

static const char *s_help =
    "GET  /api/hello?name=Ann   a greeting\n"
    "GET  /api/counter          a number\n"
    "POST /api/counter          {\"add\": 5} changes it\n"
    "ANY  /api/echo             the request, as it was understood\n"
    "GET  /api/stats            connections and requests so far\n"
    "GET  /live                 a WebSocket with the counters of the page, twice a second\n"
    "POST /api/drain            {} of type application/json drains the server\n";

static const char *s_body =
    "<h1>libmongoose-rs is running</h1>\n"
    "<p class=\"soft\">This page comes from <code>examples-c/http-server.c</code>. Its numbers arrive over a WebSocket.</p>\n"
    "<p role=\"status\"><span id=\"phase\" class=\"state\">connecting</span> up <span id=\"up\">0</span> s, API version\n"
    "<span id=\"version\"></span></p>\n"
    "<div class=\"cards\"><div class=\"card\"><b id=\"requests\">0</b>requests</div><div class=\"card\"><b id=\"rate\">0</b>per second</div>\n"
    "<div class=\"card\"><b id=\"open\">0</b>connections</div><div class=\"card\"><b id=\"pages\">0</b>pages like this</div>\n"
    "<div class=\"card\"><b id=\"out\">0</b>KiB sent</div></div>\n"
    "<div class=\"card\"><svg class=\"chart\" id=\"chart\" viewBox=\"0 0 100 40\" preserveAspectRatio=\"none\" role=\"img\"\n"
    "aria-label=\"Requests per second in the last minute\"></svg><span class=\"soft\">requests per second in the last minute, at most <b id=\"most\" style=\"display:inline;font-size:1em\">0</b></span></div>\n"
    "<h2>What it serves</h2><div class=\"scroll\"><table><tbody>\n"
    "<tr><td><a href=\"/api/hello?name=Ann\">/api/hello?name=Ann</a><td>a greeting\n"
    "<tr><td><a href=\"/api/counter\">/api/counter</a><td>a number: <b id=\"counter\">0</b> <button id=\"add\">Add 5</button>\n"
    "<tr><td><a href=\"/api/echo?a=b\">/api/echo?a=b</a><td>the request, as it was understood\n"
    "<tr><td><a href=\"/api/stats\">/api/stats</a><td>connections and requests so far\n"
    "</tbody></table></div>\n"
    "<h2>Graceful shutdown</h2>\n"
    "<p>The server accepts connections for three more seconds, completes pending responses, closes WebSockets, and exits.</p>\n"
    "<div class=\"row\"><button id=\"drain\" class=\"danger\">Drain the server</button> <span id=\"said\" role=\"alert\"></span></div>\n"
    "<div id=\"states\"></div>\n";

static const char *s_script =
    "const rates = Array(59).fill(0);\n"
    "let last = 0, lastAt = 0;\n"
    "function show(s) {\n"
    "  for (const id of ['up', 'version', 'requests', 'open', 'pages', 'counter', 'phase']) at(id).textContent = s[id];\n"
    "  at('out').textContent = Math.round(s.out / 1024);\n"
    "  at('phase').className = 'state ' + (s.phase == 'running' ? 'ok' : 'warn');\n"
    "  if (s.ms - lastAt >= 1000) {\n"
    "    const rate = lastAt ? Math.round((s.requests - last) * 1000 / (s.ms - lastAt)) : 0;\n"
    "    last = s.requests; lastAt = s.ms;\n"
    "    at('rate').textContent = rate;\n"
    "    rates.push(rate);\n"
    "    if (rates.length > 60) rates.shift();\n"
    "    at('most').textContent = Math.max(...rates);\n"
    "    chart(at('chart'), rates, 5);\n"
    "  }\n"
    "  at('states').replaceChildren(...Object.entries(s.states).map(([name, n]) => {\n"
    "    const bar = document.createElement('div');\n"
    "    bar.className = 'bar';\n"
    "    bar.innerHTML = `<span>${name}</span><div aria-hidden=true><i style=\"width:${Math.min(100, n * 4)}%\"></i></div><span>${n}</span>`;\n"
    "    return bar;\n"
    "  }));\n"
    "}\n"
    "function watch() {\n"
    "  const ws = new WebSocket(here('/live'));\n"
    "  ws.onmessage = e => show(JSON.parse(e.data));\n"
    "  ws.onclose = e => {\n"
    "    at('phase').className = 'state bad';\n"
    "    at('phase').textContent = e.code == 1001 ? 'left in order' : 'gone';\n"
    "    setTimeout(watch, 2000);\n"
    "  };\n"
    "}\n"
    "watch();\n"
    "const post = (path, value) => fetch(path, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(value)});\n"
    "at('add').onclick = async () => at('counter').textContent = (await (await post('/api/counter', {add: 5})).json()).counter;\n"
    "at('drain').onclick = async () => {\n"
    "  if (!confirm('End the server?')) return;\n"
    "  const answer = await post('/api/drain', {});\n"
    "  at('said').textContent = answer.ok ? 'It is leaving.' : (await answer.json()).error;\n"
    "};\n";

static struct {
  unsigned long accepted, open, requests;
  long counter;
  uint64_t start;
} s_state;

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

// True for clients on this machine. Behind a proxy it is true for everybody: such a server should not have this page.
static bool is_local(const struct mg_connection *c) {
  return memcmp(c->rem.addr.ip, c->loc.addr.ip, c->rem.is_ip6 ? 16 : 4) == 0;
}

// Other sites can make a browser post a form, but not JSON.
static void drain(struct mg_connection *c, struct mg_http_message *hm) {
  static const struct mgx_mgr_drain_opts opts = {3000, 1000, 10000, 0, {0, 0, 0, 0, 0, 0, 0, NULL, 0}};
  struct mg_str *type = mg_http_get_header(hm, "Content-Type");
  if (!is(hm->method, "POST") || type == NULL || !mg_match(*type, mg_str("application/json#"), NULL)) {
    mg_http_reply(c, 400, JSON_HEADERS, "{%m:%m}\n", MG_ESC("error"), MG_ESC("want a POST of type application/json"));
  } else if (!is_local(c)) {
    mg_http_reply(c, 403, JSON_HEADERS, "{%m:%m}\n", MG_ESC("error"), MG_ESC("only from the server's own machine"));
  } else {
    mgx_mgr_drain(c->mgr, &opts);
    mg_http_reply(c, 200, JSON_HEADERS, "{%m:true}\n", MG_ESC("draining"));
  }
}

// Timer callback: sends the counters to all pages.
static void tell_pages(void *arg) {
  static const char *phases[] = {"running", "lame duck", "idle grace", "finishing", "done"};
  struct mg_mgr *mgr = (struct mg_mgr *) arg;
  struct mgx_drain_status s;
  struct mgx_stats stats;
  struct mg_connection *c;
  mgx_mgr_drain_status(mgr, &s);
  mgx_mgr_stats(mgr, &stats);
  for (c = mgr->conns; c != NULL; c = c->next) {
    if (!c->is_websocket || c->is_draining || c->send.len > 64 * 1024) continue;
    mg_ws_printf(c, WEBSOCKET_OP_TEXT,
                 "{\"phase\":\"%s\",\"ms\":%llu,\"up\":%llu,\"version\":\"%s\",\"requests\":%lu,\"open\":%lu,\"pages\":%lu,"
                 "\"counter\":%ld,\"out\":%llu,\"states\":{\"idle\":%lu,\"active\":%lu,\"pending\":%lu,\"flushing\":%lu,"
                 "\"websockets\":%lu,\"lingering\":%lu}}",
                 phases[s.phase], (unsigned long long) mg_millis(), (unsigned long long) (mg_millis() - s_state.start) / 1000,
                 mgx_api_version(), s_state.requests, s_state.open, (unsigned long) s.websockets, s_state.counter,
                 (unsigned long long) stats.bytes_out, (unsigned long) s.idle, (unsigned long) s.active, (unsigned long) s.pending,
                 (unsigned long) s.flushing, (unsigned long) s.websockets, (unsigned long) s.lingering);
  }
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
    if (is(hm->uri, "/") && example_is_browser(hm)) {
      example_page(c, "libmongoose-rs", s_body, s_script);
    } else if (is(hm->uri, "/live")) {
      example_ws_upgrade(c, hm);
    } else if (is(hm->uri, "/api/drain")) {
      drain(c, hm);
    } else if (is(hm->uri, "/")) {
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
  const char *url = "http://0.0.0.0:8000";
  struct mg_mgr mgr;
  struct mgx_limits limits;
  struct mg_connection *listener;
  bool leaving = false;
  int code = example_args(argc, argv, s_usage, &url);

  if (code >= 0) return code;
  example_catch_signals();
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  limits = *mgx_limits_public();
  limits.max_ws_message = 1024;
  mgx_mgr_limits(&mgr, &limits);
  mg_timer_add(&mgr, 500, MG_TIMER_REPEAT | MG_TIMER_AUTODELETE, tell_pages, &mgr);
  s_state.start = mg_millis();
  listener = mg_http_listen(&mgr, url, handler, NULL);
  if (listener == NULL) return example_cannot_listen(&mgr, argv[0], url);
  example_ready(listener, "http");
  // The first signal drains the server, the second one ends it at once.
  while (mgx_mgr_phase(&mgr) != MGX_MGR_DONE && (s_signal == 0 || !leaving)) {
    if (s_signal != 0) {
      s_signal = 0;
      leaving = mgx_mgr_drain(&mgr, NULL);
    }
    mg_mgr_poll(&mgr, 1000);
  }
  mg_mgr_free(&mgr);
  printf("%lu requests on %lu connections\n", s_state.requests, s_state.accepted);
  return 0;
}
