// What the examples share: how they are called, what they say when they cannot listen, and how their pages look.
// Nothing here is part of the library.

#ifndef EXAMPLE_H
#define EXAMPLE_H

#include "mongoose.h"
#include "mongoose_ext.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

// ---- starting and ending

static volatile sig_atomic_t s_signal;

static inline void example_on_signal(int number) {
  s_signal = number;
}

// Ctrl-C and SIGTERM set s_signal.
static inline void example_catch_signals(void) {
  signal(SIGINT, example_on_signal);
  signal(SIGTERM, example_on_signal);
}

// What main returns for -h, which is no mistake, and for wrong arguments.
static inline int example_usage(const char *text, int opt) {
  fputs(text, opt == 'h' ? stdout : stderr);
  return opt == 'h' ? 0 : 2;
}

// The arguments of a server that has no other options: [-h] [-l URL], or the URL alone. -1: go on; otherwise what main returns.
static inline int example_args(int argc, char **argv, const char *usage, const char **url) {
  int opt;
  while ((opt = getopt(argc, argv, "hl:")) != -1) {
    if (opt != 'l') return example_usage(usage, opt);
    *url = optarg;
  }
  if (optind < argc) *url = argv[optind++];
  return optind < argc ? example_usage(usage, '?') : -1;
}

// To be called right after a listen function returned NULL: prints the cause and a remedy, and frees the manager. main returns the result.
static inline int example_cannot_listen(struct mg_mgr *mgr, const char *program, const char *url) {
  int error = errno;
  const char *advice = "an address looks like http://127.0.0.1:8000; port 0 is any free port";
  if (error == EADDRINUSE) advice = "another program has this port: stop it, or choose another port with -l; port 0 is any free one";
  if (error == EACCES) advice = "ports below 1024 need root: choose a higher one with -l";
  if (error == EADDRNOTAVAIL) advice = "this machine does not have this address: 0.0.0.0 means all its addresses, 127.0.0.1 only itself";
  fprintf(stderr, "%s: cannot listen on %s: %s\n", program, url, advice);
  mg_mgr_free(mgr);
  return 1;
}

// Prints the server's URL; tests and scripts wait for this line.
static inline void example_ready(const struct mg_connection *listener, const char *scheme) {
  printf("%s://localhost:%u\n", scheme, mg_ntohs(listener->loc.port));
  fflush(stdout);
}

// ---- pages

static const char *const EXAMPLE_CSS =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#57606a;--line:#d5dbe1;--card:#f5f7f9;--accent:#0b57d0;"
    "--on:#fff;--ok:#1a7f37;--warn:#8a5a00;--bad:#b42318}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#0f1317;--fg:#e8ebee;--soft:#a3adb7;--line:#303840;--card:#181d23;"
    "--accent:#8ab4f8;--on:#0f1317;--ok:#57c777;--warn:#e0b050;--bad:#ff8a80}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:62rem;padding:1.25rem 1rem 3rem;background:var(--bg);color:var(--fg);"
    "font:1rem/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.6rem;line-height:1.2;margin:0}h2{font-size:1.1rem;margin:1.75rem 0 .5rem}p{margin:.5rem 0}\n"
    ".soft{color:var(--soft)}a{color:var(--accent)}code,pre{font-family:ui-monospace,monospace;font-size:.9em}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem;margin:1rem 0}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.7rem .9rem}\n"
    ".card b{display:block;font-size:1.6rem;line-height:1.3;font-variant-numeric:tabular-nums}\n"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.4rem .6rem;border-bottom:1px solid var(--line)}\n"
    "th{font-weight:600;color:var(--soft)}.scroll{overflow-x:auto}\n"
    "button,input:not([type=checkbox],[type=range]){font:inherit;padding:.45rem .9rem;border-radius:.5rem;border:1px solid var(--line);"
    "background:var(--bg);color:inherit;max-width:100%}\n"
    "button{background:var(--accent);border-color:var(--accent);color:var(--on);cursor:pointer}\n"
    "button.danger{background:var(--bad);border-color:var(--bad)}button:disabled{opacity:.5;cursor:default}\n"
    "input[type=checkbox],input[type=range],progress{accent-color:var(--accent)}\n"
    ":focus-visible{outline:3px solid var(--accent);outline-offset:2px}\n"
    ".row{display:flex;flex-wrap:wrap;gap:.6rem;align-items:center}\n"
    ".state{display:inline-block;padding:.05rem .6rem;border-radius:1rem;border:1px solid currentColor;font-size:.9rem}\n"
    ".ok{color:var(--ok)}.warn{color:var(--warn)}.bad{color:var(--bad)}\n"
    ".bar{display:grid;grid-template-columns:7rem 1fr 3rem;gap:.6rem;align-items:center;margin:.3rem 0}\n"
    ".bar i{display:block;height:.8rem;border-radius:.4rem;background:var(--accent);transition:width .2s}\n"
    "@media(prefers-reduced-motion:reduce){.bar i{transition:none}}\n"
    "svg.chart{width:100%;height:5rem;display:block;border-bottom:1px solid var(--line)}svg.chart path{fill:none;"
    "stroke:var(--accent);stroke-width:2;vector-effect:non-scaling-stroke}"
    "svg.chart path:first-child{fill:var(--accent);stroke:none;opacity:.15}\n"
    "ul.log{list-style:none;margin:.75rem 0;padding:.6rem .9rem;background:var(--card);border:1px solid var(--line);border-radius:.6rem;"
    "max-height:20rem;overflow-y:auto;overflow-wrap:anywhere}\n";

// Draws a chart of the last values in an <svg class=chart viewBox="0 0 100 40" preserveAspectRatio=none>.
static const char *const EXAMPLE_JS =
    "const at = id => document.getElementById(id);\n"
    "const here = path => location.origin.replace(/^http/, 'ws') + path;\n"
    "function chart(svg, values, most) {\n"
    "  const top = Math.max(most || 0, 1, ...values), step = 100 / 59, left = 100 - (values.length - 1) * step;\n"
    "  const points = values.map((v, i) => (left + i * step).toFixed(2) + ' ' + (39 - 38 * v / top).toFixed(2));\n"
    "  const line = 'M' + points.join('L');\n"
    "  svg.innerHTML = '<path d=\"' + line + 'V40H' + left + 'Z\"/><path d=\"' + line + '\"/>';\n"
    "}\n";

// The parts of a page, in this order: %s for its title, its stylesheet, its body, its script and the rest of its script.
#define EXAMPLE_PAGE                                                                                                      \
  "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>\n"                                  \
  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><link rel=\"icon\" href=\"data:,\">\n"         \
  "<style>%s</style></head><body><main>\n%s</main>\n<script>\n%s%s</script></body></html>\n"

static inline void example_page(struct mg_connection *c, const char *title, const char *body, const char *script) {
  mg_http_reply(c, 200, "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n", EXAMPLE_PAGE, title, EXAMPLE_CSS,
                body, EXAMPLE_JS, script);
}

// Browsers ask for HTML; curl does not.
static inline bool example_is_browser(struct mg_http_message *hm) {
  struct mg_str *accept = mg_http_get_header(hm, "Accept");
  return accept != NULL && mg_match(*accept, mg_str("#text/html#"), NULL);
}

// Like mg_ws_upgrade, but answers browsers that request a page with an explanation.
static inline void example_ws_upgrade(struct mg_connection *c, struct mg_http_message *hm) {
  if (mg_http_get_header(hm, "Sec-WebSocket-Key") == NULL && example_is_browser(hm)) {
    example_page(c, "WebSocket",
                 "<h1>A WebSocket endpoint</h1>\n<p>Programs connect to this address; a web page does with\n"
                 "<code>new WebSocket(location.href.replace(/^http/, 'ws'))</code>.</p>\n<p><a href=\"/\">The server's page</a></p>\n",
                 "");
  } else {
    mg_ws_upgrade(c, hm, NULL);
  }
}

#endif
