// For the examples about draining: a page that shows the connections by state, also while they drain. It reads a stream of
// server-sent events, which is the last connection to go.

#ifndef MONITOR_H
#define MONITOR_H

#include "example.h"

// In the last byte of c->data, which the examples do not use otherwise: this connection is such a stream.
#define MONITOR_AT (MG_DATA_SIZE - 1)

static inline bool monitor_is(const struct mg_connection *c) {
  return c->data[MONITOR_AT] == 'M';
}

// Accepted connections that are no such streams.
static inline size_t monitor_others(struct mg_mgr *mgr) {
  size_t n = 0;
  struct mg_connection *c;
  for (c = mgr->conns; c != NULL; c = c->next) n += c->is_accepted && !monitor_is(c);
  return n;
}

static inline const char *monitor_state(const struct mg_connection *c) {
  switch (mgx_conn_phase(c)) {
    case MGX_DRAINING: return "draining";
    case MGX_FLUSHING: return "flushing";
    case MGX_CLOSED: return "closed";
    default: return c->is_websocket ? "websocket" : c->send.len > 0 ? "sending" : c->is_resp ? "answering" : "idle";
  }
}

static size_t monitor_print(void (*out)(char, void *), void *arg, va_list *ap) {
  static const char *phases[] = {"running", "lame duck", "idle grace", "finishing", "done"};
  struct mg_mgr *mgr = va_arg(*ap, struct mg_mgr *);
  struct mgx_stats stats;
  struct mg_connection *c;
  size_t n, shown = 0;
  mgx_mgr_stats(mgr, &stats);
  n = mg_xprintf(out, arg, "{\"phase\":\"%s\",\"requests\":%llu,\"pid\":%d,\"list\":[", phases[mgx_mgr_phase(mgr)],
                 (unsigned long long) stats.requests, (int) getpid());
  for (c = mgr->conns; c != NULL && shown < 200; c = c->next) {
    if (!c->is_accepted || monitor_is(c)) continue;
    n += mg_xprintf(out, arg, "%s{\"id\":%lu,\"peer\":\"%M\",\"state\":\"%s\",\"unsent\":%lu}", shown++ > 0 ? "," : "", c->id,
                    mg_print_ip_port, &c->rem, monitor_state(c), (unsigned long) c->send.len);
  }
  return n + mg_xprintf(out, arg, "]}");
}

// A timer's function, 5 times a second: tells all pages. When nobody else is left, they may go, too.
static inline void monitor_tick(void *arg) {
  struct mg_mgr *mgr = (struct mg_mgr *) arg;
  bool ends = (s_signal != 0 || mgx_mgr_phase(mgr) > MGX_MGR_LAME_DUCK) && monitor_others(mgr) == 0;
  struct mg_connection *c;
  for (c = mgr->conns; c != NULL; c = c->next) {
    if (!monitor_is(c)) continue;
    if (c->send.len < 64 * 1024) mg_http_printf_chunk(c, "data: %M\n\n", monitor_print, mgr);
    if (!ends) continue;
    mg_http_printf_chunk(c, "event: bye\ndata:\n\n");
    mg_http_printf_chunk(c, "");
    c->data[MONITOR_AT] = 0;
    c->is_draining = 1;
  }
}

static const char *const MONITOR_BODY =
    "<h1>%s</h1>\n<p class=\"soft\">%s</p>\n"
    "<p role=\"status\"><span id=\"phase\" class=\"state\">connecting</span> <span id=\"requests\">0</span> requests, process\n"
    "<code id=\"pid\"></code></p>\n"
    "<div class=\"row\"><button id=\"more\">Open ten connections</button> <button id=\"slow\">Send a slow request</button></div>\n"
    "<h2>Connections by state</h2><div id=\"bars\"></div>\n"
    "<h2>Connections</h2><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Id<th scope=\"col\">Peer<th scope=\"col\">State"
    "<th scope=\"col\">Unsent bytes<th></thead><tbody id=\"list\"></tbody></table></div>\n";

static const char *const MONITOR_JS =
    "const states = ['idle', 'answering', 'sending', 'websocket', 'draining', 'flushing'];\n"
    "const cell = (row, text) => { row.insertCell().textContent = text; };\n"
    "function show(s) {\n"
    "  at('phase').textContent = s.phase;\n"
    "  at('phase').className = 'state ' + (s.phase == 'running' ? 'ok' : 'warn');\n"
    "  at('requests').textContent = s.requests;\n"
    "  at('pid').textContent = s.pid;\n"
    "  const count = state => s.list.filter(c => c.state == state).length;\n"
    "  at('bars').replaceChildren(...states.map(state => {\n"
    "    const bar = document.createElement('div'), n = count(state);\n"
    "    bar.className = 'bar';\n"
    "    bar.innerHTML = '<span></span><div aria-hidden=true><i></i></div><span></span>';\n"
    "    bar.children[0].textContent = state;\n"
    "    bar.querySelector('i').style.width = 100 * n / Math.max(10, s.list.length) + '%';\n"
    "    bar.children[2].textContent = n;\n"
    "    bar.dataset.state = state;\n"
    "    return bar;\n"
    "  }));\n"
    "  if (at('list').matches(':hover, :focus-within')) return;  // keep a button in place under the pointer\n"
    "  at('list').replaceChildren(...s.list.map(c => {\n"
    "    const row = document.createElement('tr');\n"
    "    [c.id, c.peer, c.state, c.unsent].forEach(text => cell(row, text));\n"
    "    const last = row.insertCell();\n"
    "    if (window.drain) {\n"
    "      const b = document.createElement('button');\n"
    "      b.textContent = 'Drain'; b.setAttribute('aria-label', 'Drain connection ' + c.id);\n"
    "      b.onclick = () => drain(c.id);\n"
    "      last.append(b);\n"
    "    }\n"
    "    return row;\n"
    "  }));\n"
    "}\n"
    "const source = new EventSource('/monitor');\n"
    "source.onmessage = e => show(JSON.parse(e.data));\n"
    "const gone = () => { at('phase').textContent = 'gone'; at('phase').className = 'state bad'; };\n"
    "source.addEventListener('bye', () => { source.close(); gone(); });\n"
    "source.onerror = gone;\n"
    "at('slow').onclick = () => fetch('/later');\n";

// "Open ten connections": WebSockets if the server has an echo, otherwise requests.
#define MONITOR_SOCKETS "at('more').onclick = () => { for (let i = 0; i < 10; i++) new WebSocket(here('/ws')); };\n"
#define MONITOR_REQUESTS "at('more').onclick = () => { for (let i = 0; i < 10; i++) fetch('/later?' + i); };\n"

// For MG_EV_HTTP_MSG: serves browsers the page at / and its stream. False for other requests.
static inline bool monitor_http(struct mg_connection *c, struct mg_http_message *hm, const char *title, const char *text,
                                const char *script) {
  if (mg_match(hm->uri, mg_str("/monitor"), NULL)) {
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n");
    mg_http_printf_chunk(c, "retry: 60000\ndata: %M\n\n", monitor_print, c->mgr);
    c->data[MONITOR_AT] = 'M';
    return true;
  }
  if (mg_match(hm->uri, mg_str("/"), NULL) && example_is_browser(hm)) {
    char *body = mg_mprintf(MONITOR_BODY, title, text), *all = mg_mprintf("%s%s", MONITOR_JS, script);
    if (body != NULL && all != NULL) example_page(c, title, body, all);
    mg_free(body);
    mg_free(all);
    return true;
  }
  return false;
}

#endif
