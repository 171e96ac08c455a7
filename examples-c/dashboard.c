// A dashboard: an embedded page that shows and changes variables, and a counter that changes by itself.
//
// usage: dashboard -h
//
//   curl localhost:8000/api/get                                     all variables
//   curl localhost:8000/api/set -d '{"led":{"on":true}}'            changes one
//   curl -u any:PASSWORD localhost:8000/api/get                     with a password

#include "example.h"

static const char *const s_usage =
    "usage: dashboard [-l URL] [-p PASSWORD]     Ctrl-C ends it\n"
    "  -l URL   where to listen, default http://127.0.0.1:8000; port 0 is any free port\n"
    "  -p PASSWORD   required to log in; without it everybody may change everything\n";

static const char *const s_body =
    "<h1>Dashboard</h1>\n"
    "<form id=\"login\" class=\"row\" hidden><label for=\"pass\">Password</label> <input id=\"pass\" type=\"password\"> <button>Log in</button></form>\n"
    "<div id=\"main\" hidden>\n"
    "<p class=\"row\"><label><input type=\"checkbox\" id=\"on\"> LED</label>\n"
    "<label for=\"level\">Level</label> <input type=\"range\" id=\"level\" min=\"0\" max=\"100\"> <span><span id=\"percent\"></span> %</span></p>\n"
    "<div class=\"cards\"><div class=\"card\">Ticks<b id=\"ticks\">0</b><svg class=\"chart\" id=\"tick_chart\" viewBox=\"0 0 100 40\" preserveAspectRatio=\"none\"\n"
    "role=\"img\" aria-label=\"Ticks\"></svg></div>\n"
    "<div class=\"card\">Load<b id=\"load\">0</b><svg class=\"chart\" id=\"load_chart\" viewBox=\"0 0 100 40\" preserveAspectRatio=\"none\"\n"
    "role=\"img\" aria-label=\"Load in the last minute\"></svg></div>\n"
    "<div class=\"card\">Level<b id=\"now\">0</b><svg class=\"chart\" id=\"level_chart\" viewBox=\"0 0 100 40\" preserveAspectRatio=\"none\"\n"
    "role=\"img\" aria-label=\"Level in the last minute\"></svg></div></div></div>\n";

static const char *const s_script =
    "const past = {tick_chart: [], load_chart: [], level_chart: []};\n"
    "function add(id, value, most) {\n"
    "  past[id].push(value);\n"
    "  if (past[id].length > 60) past[id].shift();\n"
    "  chart(at(id), past[id], most);\n"
    "}\n"
    "function show(all) {\n"
    "  if (all.led) {\n"
    "    at('on').checked = all.led.on;\n"
    "    at('percent').textContent = at('now').textContent = all.led.level;\n"
    "    if (!at('level').matches(':active')) at('level').value = all.led.level;\n"
    "  }\n"
    "  if (all.status) {\n"
    "    at('ticks').textContent = all.status.ticks;\n"
    "    at('load').textContent = all.status.load;\n"
    "    add('tick_chart', all.status.ticks);\n"
    "    add('load_chart', all.status.load, 100);\n"
    "    add('level_chart', +at('now').textContent, 100);\n"
    "  }\n"
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
    "start();\n";

// The in-memory page that mg_dash serves at /; filled in by main.
static struct mg_mem_file s_files[] = {
    {"/dashboard.html", NULL, 0, 0},
    {NULL, NULL, 0, 0},
};

static bool s_on;
static int s_level = 50, s_ticks, s_load;
static const char *s_password;

static struct mg_field s_led_fields[] = {
    {"on", MG_VAL_BOOL, &s_on, sizeof(s_on)},
    {"level", MG_VAL_INT, &s_level, sizeof(s_level)},
    {NULL, MG_VAL_INT, NULL, 0},
};
static struct mg_field s_status_fields[] = {
    {"ticks", MG_VAL_INT, &s_ticks, 0},
    {"load", MG_VAL_INT, &s_load, 0},
    {NULL, MG_VAL_INT, NULL, 0},
};

static bool on_led(enum mg_dash_op op, struct mg_dash_user *user) {
  if (op == MG_DASH_WRITE) {
    // Called before and after the variables change: here the lamp would be switched.
    if (user->level < 7) return false;
    if (s_level < 0) s_level = 0;
    if (s_level > 100) s_level = 100;
  }
  return true;
}

static struct mg_field_set s_led = {"led", s_led_fields, on_led, NULL, NULL, NULL};
static struct mg_field_set s_status = {"status", s_status_fields, NULL, NULL, NULL, NULL};

// The access level of a user, 0 for none. A real application stores password hashes.
static int authenticate(char *user, size_t size, const char *pass) {
  (void) user, (void) size;
  return strcmp(pass, s_password) == 0 ? 7 : 0;
}

// A device would measure something. This is the system's load in percent of one core; on Windows, the memory in use.
static void tick(void *arg) {
#ifdef _WIN32
  MEMORYSTATUSEX memory = {sizeof(memory), 0, 0, 0, 0, 0, 0, 0, 0};
  if (GlobalMemoryStatusEx(&memory)) s_load = (int) memory.dwMemoryLoad;
#else
  double load = 0;
  if (getloadavg(&load, 1) == 1) s_load = (int) (load * 100);
#endif
  s_ticks++;
  mg_dash_send_change((struct mg_mgr *) arg, &s_status);
}

int main(int argc, char **argv) {
  const char *url = "http://127.0.0.1:8000";
  static struct mg_dash dash;
  char *page;
  struct mg_mgr mgr;
  struct mg_connection *listener;
  int opt;

  while ((opt = getopt(argc, argv, "hl:p:")) != -1) {
    switch (opt) {
      case 'l': url = optarg; break;
      case 'p': s_password = optarg; break;
      default: return example_usage(s_usage, opt);
    }
  }
  if (optind < argc) url = argv[optind++];
  if (optind < argc) return example_usage(s_usage, '?');
  example_catch_signals();
  mg_log_set(MG_LL_ERROR);
  page = mg_mprintf(EXAMPLE_PAGE, "Dashboard", EXAMPLE_CSS, s_body, EXAMPLE_JS, s_script);
  if (page == NULL) return 1;
  s_files[0].data = (const unsigned char *) page;
  s_files[0].size = strlen(page);
  mg_mem_files = s_files;
  MG_DASH_ADD_FIELD_SET(&dash, &s_status);
  MG_DASH_ADD_FIELD_SET(&dash, &s_led);
  if (s_password != NULL) dash.authenticate = authenticate;
  mg_mgr_init(&mgr);
  listener = mg_http_listen(&mgr, url, mg_dash_ev_handler, &dash);
  if (listener == NULL) return example_cannot_listen(&mgr, argv[0], url);
  mg_timer_add(&mgr, 1000, MG_TIMER_REPEAT | MG_TIMER_AUTODELETE, tick, &mgr);
  example_ready(listener, "http");
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  mg_free(page);
  return 0;
}
