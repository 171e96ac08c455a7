// A dashboard: a page in the program, variables that it shows and changes, and a counter that moves by itself.
//
// usage: dashboard [-l URL] [-p PASSWORD]     Ctrl-C ends it
//   -l   where to listen, default http://127.0.0.1:8000
//   -p   without it everybody may change everything
//
//   curl localhost:8000/api/get                                     all variables
//   curl localhost:8000/api/set -d '{"led":{"on":true}}'            changes one
//   curl -u any:PASSWORD localhost:8000/api/get                     with a password

#include "mongoose.h"

static const char s_page[] =
    "<!DOCTYPE html><html><head><meta charset=utf-8><title>Dashboard</title></head><body>\n"
    "<h1>Dashboard</h1>\n"
    "<form id=login hidden>Password: <input id=pass type=password> <button>Log in</button></form>\n"
    "<div id=main hidden><p><label><input type=checkbox id=on> LED</label>\n"
    "<p><input type=range id=level min=0 max=100> <span id=percent></span> %\n"
    "<p>Ticks: <span id=ticks></span></div>\n"
    "<script>\n"
    "const at = id => document.getElementById(id);\n"
    "function show(all) {\n"
    "  if (all.led) {\n"
    "    at('on').checked = all.led.on;\n"
    "    at('percent').textContent = all.led.level;\n"
    "    if (!at('level').matches(':active')) at('level').value = all.led.level;\n"  // not while it is being moved
    "  }\n"
    "  if (all.status) at('ticks').textContent = all.status.ticks;\n"
    "}\n"
    "const set = led => fetch('/api/set', {method: 'POST', body: JSON.stringify({led})});\n"
    "at('on').onchange = () => set({on: at('on').checked});\n"
    "at('level').onchange = () => set({level: +at('level').value});\n"
    "function watch() {\n"
    "  const ws = new WebSocket(location.href.replace(/^http/, 'ws').replace(/\\/[^/]*$/, '/api/websocket'));\n"
    "  ws.onmessage = m => { const msg = JSON.parse(m.data); if (msg.method == 'change') show(msg.params); };\n"
    "  ws.onclose = () => setTimeout(start, 1000);\n"
    "}\n"
    "async function start() {\n"
    "  const r = await fetch('/api/get');\n"
    "  at('login').hidden = r.ok; at('main').hidden = !r.ok;\n"
    "  if (r.ok) { show(await r.json()); watch(); }\n"
    "}\n"
    "at('login').onsubmit = async e => {\n"
    "  e.preventDefault();\n"
    "  await fetch('/api/login', {headers: {Authorization: 'Basic ' + btoa('user:' + at('pass').value)}});\n"
    "  start();\n"
    "};\n"
    "start();\n"
    "</script></body></html>\n";

static const struct mg_mem_file s_files[] = {
    {"/dashboard.html", (const unsigned char *) s_page, sizeof(s_page) - 1, 0},
    {NULL, NULL, 0, 0},
};

static bool s_on;
static int s_level = 50, s_ticks;
static const char *s_password;
static volatile sig_atomic_t s_signal;

static struct mg_field s_led_fields[] = {
    {"on", MG_VAL_BOOL, &s_on, sizeof(s_on)},
    {"level", MG_VAL_INT, &s_level, sizeof(s_level)},
    {NULL, MG_VAL_INT, NULL, 0},
};
static struct mg_field s_status_fields[] = {{"ticks", MG_VAL_INT, &s_ticks, 0}, {NULL, MG_VAL_INT, NULL, 0}};

static bool on_led(enum mg_dash_op op, struct mg_dash_user *user) {
  if (op == MG_DASH_WRITE) {
    // Called before the variables change and after: here the lamp would be switched.
    if (user->level < 7) return false;
    if (s_level < 0) s_level = 0;
    if (s_level > 100) s_level = 100;
  }
  return true;
}

static struct mg_field_set s_led = {"led", s_led_fields, on_led, NULL, NULL, NULL};
static struct mg_field_set s_status = {"status", s_status_fields, NULL, NULL, NULL, NULL};

// The level of a user, 0 for nobody. A real program keeps hashes of passwords.
static int authenticate(char *user, size_t size, const char *pass) {
  (void) user, (void) size;
  return strcmp(pass, s_password) == 0 ? 7 : 0;
}

static void tick(void *arg) {
  s_ticks++;
  mg_dash_send_change((struct mg_mgr *) arg, &s_status);
}

static void on_signal(int number) {
  s_signal = number;
}

static int usage(const char *name) {
  fprintf(stderr, "usage: %s [-l URL] [-p PASSWORD]\n", name);
  return 2;
}

int main(int argc, char **argv) {
  const char *url = "http://127.0.0.1:8000";
  static struct mg_dash dash;
  struct mg_mgr mgr;
  struct mg_connection *listener;
  int i;

  for (i = 1; i < argc; i += 2) {
    if (argv[i][0] != '-' || i + 1 == argc) return usage(argv[0]);
    switch (argv[i][1]) {
      case 'l': url = argv[i + 1]; break;
      case 'p': s_password = argv[i + 1]; break;
      default: return usage(argv[0]);
    }
  }
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  mg_log_set(MG_LL_ERROR);
  mg_mem_files = s_files;
  MG_DASH_ADD_FIELD_SET(&dash, &s_status);
  MG_DASH_ADD_FIELD_SET(&dash, &s_led);
  if (s_password != NULL) dash.authenticate = authenticate;
  mg_mgr_init(&mgr);
  if ((listener = mg_http_listen(&mgr, url, mg_dash_ev_handler, &dash)) == NULL) {
    fprintf(stderr, "%s: cannot listen on %s\n", argv[0], url);
    mg_mgr_free(&mgr);
    return 1;
  }
  mg_timer_add(&mgr, 1000, MG_TIMER_REPEAT | MG_TIMER_AUTODELETE, tick, &mgr);
  printf("http://localhost:%u\n", mg_ntohs(listener->loc.port));
  fflush(stdout);
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
