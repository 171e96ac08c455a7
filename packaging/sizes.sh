#!/bin/sh
# sizes.sh BUILD_DIR SMALL_DIR: prints, as a table, what programs and libraries weigh when they are stripped. Builds the small library
# with several sets of features. Called by `make sizes`.
set -eu
cd "$(dirname "$0")/.."
build=$1 small=$2
cc=${CC:-cc}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
libs='-lutil -lrt -lpthread -lm -ldl'

cat >"$dir/server.c" <<'END'
#include "mongoose.h"
static void handler(struct mg_connection *c, int ev, void *ev_data) {
  (void) ev_data;
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "hello\n");
}
int main(void) {
  struct mg_mgr mgr;
  mg_mgr_init(&mgr);
  mg_http_listen(&mgr, "http://0.0.0.0:8000", handler, NULL);
  for (;;) mg_mgr_poll(&mgr, 1000);
}
END

weight() { echo "$(($(wc -c <"$1") / 1000)) kB"; }

# row TEXT LIBRARY_DIR FEATURES: a minimal server with the static library in it, and the shared library.
row() {
  server=-
  case " $3 " in
  *' capi '* | *' http '*)
    # shellcheck disable=SC2086 # a list of words
    $cc -Os -Iinclude "$dir/server.c" "$2/libmongoose.a" $libs -Wl,--gc-sections -s -o "$dir/server"
    server=$(weight "$dir/server")
    ;;
  esac
  strip -o "$dir/library.so" "$2/libmongoose.so"
  echo "| $1 | $server | $(weight "$dir/library.so") |"
}

echo "| stripped, $(uname -m) | minimal HTTP server, library included | libmongoose.so |"
echo '|---|---|---|'
row '`make build`' "$build" capi
while IFS='|' read -r features text; do
  make -s small FEATURES="$features" >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
  row "$text" "$small" "$features"
done <<'END'
capi tls ecc|`make small FEATURES="capi tls ecc"`
capi|`make small`: all protocols, no TLS
http files ws json|`make small FEATURES="http files ws json"`
http|`make small FEATURES=http`
mqtt dns json|`make small FEATURES="mqtt dns json"`
END
