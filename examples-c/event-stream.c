// Server-sent events: pushes messages over plain HTTP to every browser that has the page open.
//
// usage: event-stream -h
//
//   open http://localhost:8000 in a browser        shows the messages, and a field to send one
//   curl -N localhost:8000/events                  the stream itself
//   curl localhost:8000/say -d 'good morning'      a message to all
//
// Each message has a number. A browser that was away says which one it saw last and gets what it missed, as far as it is kept.
// When the program ends, the streams end in order, and browsers try again after a while.

#include "example.h"

#define KEPT 32                // messages kept for clients that reconnect
#define TEXT_MAX 500
#define QUEUE_MAX (64 * 1024)  // a client with more unsent bytes gets no ticks

static const char *const s_usage =
    "usage: event-stream [-l URL] [-p MS]     Ctrl-C or SIGTERM ends it\n"
    "  -l URL   where to listen, default http://0.0.0.0:8000; port 0 is any free port\n"
    "  -p MS   time between ticks, default 1000\n";

static const char *const s_body =
    "<h1>Event stream</h1>\n"
    "<p role=\"status\"><span id=\"state\" class=\"state\">connecting</span> Ticks: <b id=\"ticks\">0</b>, listeners: <b id=\"listeners\">0</b></p>\n"
    "<form id=\"form\" class=\"row\"><label for=\"text\">Message</label> <input id=\"text\" maxlength=\"100\" autocomplete=\"off\" autofocus> <button>Say</button></form>\n"
    "<ul id=\"messages\" class=\"log\" role=\"log\" aria-label=\"Messages\"></ul>\n";

static const char *const s_script =
    "const source = new EventSource('/events');\n"
    "const state = (text, kind) => { at('state').textContent = text; at('state').className = 'state ' + kind; };\n"
    "source.onopen = () => state('connected', 'ok');\n"
    "source.onerror = () => state('disconnected', 'bad');\n"
    "source.addEventListener('tick', e => {\n"
    "  const tick = JSON.parse(e.data);\n"
    "  at('ticks').textContent = tick.n;\n"
    "  at('listeners').textContent = tick.listeners;\n"
    "});\n"
    "source.onmessage = e => {\n"
    "  const item = document.createElement('li');\n"
    "  item.textContent = e.data;\n"
    "  at('messages').append(item);\n"
    "};\n"
    "at('form').onsubmit = e => {\n"
    "  e.preventDefault();\n"
    "  if (at('text').value) fetch('/say', {method: 'POST', body: at('text').value});\n"
    "  at('text').value = '';\n"
    "};\n";

static struct mg_mgr s_mgr;
static char s_kept[KEPT][TEXT_MAX + 1];
static unsigned long s_said;  // number of the last message
static unsigned long s_ticks;

// In c->data[0] of connections that are streams; 0 otherwise.
enum { CHUNKED = 1, PLAIN };

// What belongs together goes out as one chunk, to HTTP/1.0 clients as it is.
static void push(struct mg_connection *c, const struct mg_iobuf *event) {
  if (c->data[0] == CHUNKED) {
    mg_http_write_chunk(c, (char *) event->buf, event->len);
  } else {
    mg_send(c, event->buf, event->len);
  }
}

// Every line of a text needs its own "data:".
static void push_message(struct mg_connection *c, unsigned long number) {
  const char *line = s_kept[number % KEPT];
  struct mg_iobuf event = {NULL, 0, 0, 512};
  mg_xprintf(mg_pfn_iobuf, &event, "id: %lu\n", number);
  for (;;) {
    size_t len = strcspn(line, "\r\n");
    mg_xprintf(mg_pfn_iobuf, &event, "data: %.*s\n", (int) len, line);
    if (line[len] == '\0') break;
    line += len + (line[len] == '\r' && line[len + 1] == '\n' ? 2 : 1);
  }
  mg_xprintf(mg_pfn_iobuf, &event, "\n");
  push(c, &event);
  mg_iobuf_free(&event);
}

static void tick(void *arg) {
  struct mg_connection *c;
  struct mg_iobuf event = {NULL, 0, 0, 512};
  unsigned long listeners = 0;
  s_ticks++;
  for (c = s_mgr.conns; c != NULL; c = c->next) listeners += c->data[0] != 0;
  mg_xprintf(mg_pfn_iobuf, &event, "event: tick\ndata: {\"n\":%lu,\"listeners\":%lu}\n\n", s_ticks, listeners);
  for (c = s_mgr.conns; c != NULL; c = c->next) {
    // A lost tick does no harm. A lost message would: a client that cannot take it reconnects and resumes where it was.
    if (c->data[0] != 0 && c->send.len < QUEUE_MAX) push(c, &event);
  }
  mg_iobuf_free(&event);
  (void) arg;
}

static void start_stream(struct mg_connection *c, struct mg_http_message *hm) {
  struct mg_str *last = mg_http_get_header(hm, "Last-Event-ID");
  uint64_t seen = s_said;  // a new client has missed nothing
  c->data[0] = mg_match(hm->proto, mg_str("HTTP/1.0"), NULL) ? PLAIN : CHUNKED;
  mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n%s\r\n",
            c->data[0] == CHUNKED ? "Transfer-Encoding: chunked\r\n" : "Connection: close\r\n");
  if (last != NULL && mg_str_to_num(*last, 10, &seen, sizeof(seen)) && seen < s_said) {
    if (s_said - seen > KEPT) seen = s_said - KEPT;
    while (seen < s_said) push_message(c, (unsigned long) ++seen);
  }
}

static void say(struct mg_connection *c, struct mg_http_message *hm) {
  struct mg_connection *to;
  if (hm->body.len == 0 || hm->body.len > TEXT_MAX || memchr(hm->body.buf, '\0', hm->body.len) != NULL) {
    mg_http_reply(c, 400, "", "1 to %d bytes of text\n", TEXT_MAX);
    return;
  }
  s_said++;
  mg_snprintf(s_kept[s_said % KEPT], sizeof(s_kept[0]), "%.*s", (int) hm->body.len, hm->body.buf);
  for (to = s_mgr.conns; to != NULL; to = to->next) {
    if (to->data[0] == 0) continue;
    if (to->send.len < QUEUE_MAX) {
      push_message(to, s_said);
    } else {
      to->is_closing = 1;
    }
  }
  mg_http_reply(c, 200, "", "%lu\n", s_said);
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    bool get = mg_strcmp(hm->method, mg_str("GET")) == 0, post = mg_strcmp(hm->method, mg_str("POST")) == 0;
    if (mg_match(hm->uri, mg_str("/events"), NULL) && get) {
      start_stream(c, hm);
    } else if (mg_match(hm->uri, mg_str("/say"), NULL) && post) {
      say(c, hm);
    } else if (mg_match(hm->uri, mg_str("/"), NULL) && get) {
      example_page(c, "Event stream", s_body, s_script);
    } else {
      mg_http_reply(c, 404, "", "%s", mg_strcmp(hm->method, mg_str("HEAD")) == 0 ? "" : "GET /, GET /events, POST /say\n");
    }
  } else if (ev == (int) MGX_EV_DRAIN && c->data[0] != 0) {
    // A stream does not end by itself: end it here, including one that begins during the shutdown. The browser
    // reconnects after five seconds, possibly to another server.
    struct mg_iobuf event = {NULL, 0, 0, 512};
    mg_xprintf(mg_pfn_iobuf, &event, "retry: 5000\nevent: bye\ndata:\n\n");
    push(c, &event);
    if (c->data[0] == CHUNKED) mg_http_write_chunk(c, "", 0);
    mg_iobuf_free(&event);
    c->data[0] = 0;
    c->is_resp = 0;
    c->is_draining = 1;
  } else if (ev == (int) MGX_EV_EOF && c->data[0] != 0) {
    c->is_draining = 1;  // browsers do not half-close: this client is gone
  }
}

static void on_signal(int number) {
  mgx_mgr_drain(&s_mgr, NULL);
  (void) number;
}

int main(int argc, char **argv) {
  const char *url = "http://0.0.0.0:8000";
  int opt, period = 1000;
  struct mg_connection *listener;

  while ((opt = getopt(argc, argv, "hl:p:")) != -1) {
    switch (opt) {
      case 'l': url = optarg; break;
      case 'p': period = atoi(optarg); break;
      default: return example_usage(s_usage, opt);
    }
  }
  if (optind < argc) url = argv[optind++];
  if (optind < argc) period = atoi(argv[optind++]);
  if (optind < argc || period <= 0) return example_usage(s_usage, '?');
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&s_mgr);
  mgx_mgr_limits(&s_mgr, mgx_limits_public());
  mgx_mgr_drain_init(&s_mgr);
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  listener = mg_http_listen(&s_mgr, url, handler, NULL);
  if (listener == NULL) return example_cannot_listen(&s_mgr, argv[0], url);
  mg_timer_add(&s_mgr, (uint64_t) period, MG_TIMER_REPEAT | MG_TIMER_AUTODELETE, tick, NULL);
  example_ready(listener, "http");
  while (mgx_mgr_phase(&s_mgr) != MGX_MGR_DONE) mg_mgr_poll(&s_mgr, 1000);
  printf("%lu messages, %lu ticks\n", s_said, s_ticks);
  mg_mgr_free(&s_mgr);
  return 0;
}
