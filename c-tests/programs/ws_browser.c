// A page that tests WebSocket in a browser. The page is complete, so that the browser's load event comes, when its script has
// said over a WebSocket how it went: until then the request for /wait is not answered.
//
// usage: ws_browser URL

#include "mongoose.h"

static const char *s_page =
    "<!DOCTYPE html><title>WebSocket</title><pre id=result>nothing</pre><img src=/wait>\n"
    "<script>\n"
    "const url = location.href.replace(/^http/, 'ws') + 'websocket';\n"
    "function open(protocols) {\n"
    "  return new Promise((resolve, reject) => {\n"
    "    const ws = new WebSocket(url, protocols), messages = [], waiting = [];\n"
    "    ws.binaryType = 'arraybuffer';\n"
    "    ws.onmessage = (e) => waiting.length ? waiting.shift()(e.data) : messages.push(e.data);\n"
    "    ws.next = () => messages.length ? Promise.resolve(messages.shift()) : new Promise((r) => waiting.push(r));\n"
    "    ws.closed = new Promise((r) => { ws.onclose = r; });\n"
    "    ws.onopen = () => resolve(ws);\n"
    "    ws.onerror = () => reject('refused');\n"
    "  });\n"
    "}\n"
    "function check(what, good) { if (!good) throw what; }\n"
    "async function test() {\n"
    "  const ws = await open(['one', 'two']);\n"
    "  check('protocol', ws.protocol === 'one' && ws.extensions === '');\n"
    "  for (const n of [0, 1, 125, 126, 65535, 65536, 1 << 20]) {\n"
    "    const text = '\\u20ac'.repeat(n / 3) + 'x'.repeat(n % 3), bytes = new Uint8Array(n).map((_, i) => i * 7);\n"
    "    ws.send(text);\n"
    "    check('text of ' + n, await ws.next() === text);\n"
    "    ws.send(n % 2 ? bytes : new Blob([bytes]));\n"
    "    const got = new Uint8Array(await ws.next());\n"
    "    check('bytes of ' + n, got.length === n && got.every((b, i) => b === bytes[i]));\n"
    "  }\n"
    "  for (let i = 0; i < 500; i++) ws.send('message ' + i);\n"
    "  for (let i = 0; i < 500; i++) check('order', await ws.next() === 'message ' + i);\n"
    "  ws.close(4001, 'enough');\n"
    "  const end = await ws.closed;\n"
    "  check('end', end.wasClean && end.code === 4001 && end.reason === 'enough');\n"
    "  const all = await Promise.all(Array.from({ length: 50 }, () => open()));\n"
    "  all.forEach((s, i) => s.send('socket ' + i));\n"
    "  for (let i = 0; i < 50; i++) check('socket', await all[i].next() === 'socket ' + i);\n"
    "  all[0].send('close 4002');\n"
    "  const other = await all[0].closed;\n"
    "  check('their end', other.wasClean && other.code === 4002 && other.reason === 'as you wish');\n"
    "  return 'all is well';\n"
    "}\n"
    "test().catch((e) => 'failed: ' + e).then(async (result) => {\n"
    "  document.getElementById('result').textContent = result;\n"
    "  (await open()).send('done');\n"
    "});\n"
    "</script>\n";

static unsigned long s_waiting;

static volatile sig_atomic_t s_signal;

static void on_signal(int number) {
  s_signal = number;
}

static void done(struct mg_mgr *mgr) {
  struct mg_connection *c;
  for (c = mgr->conns; c != NULL; c = c->next) {
    if (c->id == s_waiting) mg_http_reply(c, 200, "Content-Type: image/svg+xml\r\n", "<svg xmlns='http://www.w3.org/2000/svg'/>");
  }
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_match(hm->uri, mg_str("/websocket"), NULL)) {
      mg_ws_upgrade(c, hm, NULL);
    } else if (mg_match(hm->uri, mg_str("/wait"), NULL)) {
      s_waiting = c->id;
    } else if (mg_match(hm->uri, mg_str("/"), NULL)) {
      mg_http_reply(c, 200, "Content-Type: text/html; charset=utf-8\r\n", "%s", s_page);
    } else {
      mg_http_reply(c, 404, "", "");
    }
  } else if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    if (mg_strcmp(wm->data, mg_str("done")) == 0) {
      done(c->mgr);
    } else if (mg_strcmp(wm->data, mg_str("close 4002")) == 0) {
      mg_ws_send(c, "\x0f\xa2" "as you wish", 13, WEBSOCKET_OP_CLOSE);
    } else {
      mg_ws_send(c, wm->data.buf, wm->data.len, wm->flags & 15);
    }
  }
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  struct mg_connection *listener;
  if (argc != 2) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGTERM, on_signal);
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  if ((listener = mg_http_listen(&mgr, argv[1], handler, NULL)) == NULL) return 1;
  printf("http://localhost:%u\n", mg_ntohs(listener->loc.port));
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
