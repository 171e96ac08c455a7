#!/bin/sh
# Tests of a library whose sockets come from functions in C (feature port), with port/bsd_sockets.c:
#
#   over Linux, with poll and with select   C programs of c-tests and the shared library, with the port in it
#   over Linux, with poll                   a program that brings the port, with the static library and with the shared one
#   over lwIP                               C programs of c-tests, whose own sockets are lwIP's, too
#   over lwIP, on a TAP device              server.c against curl, mosquitto and others: tap.sh, as root
#
#   run.sh          all of that
#   run.sh short    less of it, in a few minutes
set -eu
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin
here=$PWD
target=${CARGO_TARGET_DIR:-target}/port
case $target in /*) ;; *) target=$here/$target ;; esac
out=$target/tests
mkdir -p "$out"
cc="${CC:-cc} -std=gnu11 -g -O1"
libs="-lm -lpthread -ldl"
failed=0

result() { # NAME STATUS
  if [ "$2" = 0 ]; then echo "ok $1"; else echo "FAILED $1"; failed=$((failed + 1)); fi
}

# Programs for what this platform does not have: descriptors of others, Unix sockets, the poller's descriptor, calls from signal
# handlers, child processes, more than one descriptor of a manager's own; and for what sendfile puts into a socket in some polls.
not_here="ext_listeners sockets unwatched unix_sockets ext_guest ext_threads fork mgr_fails ext_drain_file"
# Those that a short run takes.
some="http_replies http_pipeline http_continue usage_http client_requests client_connections connect_addresses udp_datagrams \
ws_echo ws_close ws_drain mqtt_client mqtt_handlers dns_lookups sntp threads_api tls_echo drain_done drain_half_close drain_linger \
drain_deadlines drain_kinds drain_streams drain_triggers ext_mgr_drain accept_pause"

over_linux() { # NAME CFLAGS SKIPPED-PROGRAMS...
  name=$1 flags=$2 status=0
  shift 2
  # shellcheck disable=SC2046
  MONGOOSE_PORT=port/bsd_sockets.c CFLAGS=$flags ${CARGO:-cargo} test --quiet --features port --target-dir "$target" --test c -- ::shared \
    --skip install:: --skip example:: $(for p; do echo "--skip c::$p:: --skip c::$p["; done) > "$out/$name" 2>&1 || status=1
  [ $status = 0 ] || grep -v '\.\.\. ok$' "$out/$name" | tail -n 100
  result "C programs $name: $(sed -n 's/^test result: [a-zA-Z]*\. \([0-9]* passed; [0-9]* failed\).*/\1/p' "$out/$name")" $status
}

others=$(for f in c-tests/*.c; do
  f=$(basename "$f" .c)
  case " $some " in *" $f "*) ;; *) echo "$f" ;; esac
done)
# shellcheck disable=SC2086
if [ "${1:-}" = short ]; then
  over_linux linux-poll "" $others
else
  over_linux linux-poll "" $not_here
  # Where select has an end: 1024 descriptors.
  over_linux linux-select "-DMGX_PORT_SELECT=1" $others drain_linger
fi

# The port in the program, as firmware has it.
${CARGO:-cargo} build --quiet --features port --target-dir "$target"
library=$target/debug
LDFLAGS=-Wl,-z,undefs packaging/link.sh "$library/libmongoose.a" "$out/libmongoose.so" libmongoose.so.7
ln -sf libmongoose.so "$out/libmongoose.so.7"
for kind in static shared; do
  status=0
  $cc -Wall -Wextra -Wpedantic -Wconversion -Werror -std=c99 -Iinclude -c port/bsd_sockets.c -o "$out/bsd_sockets.o" &&
    case $kind in
      static) $cc -Iinclude -Ic-tests c-tests/http_replies.c "$out/bsd_sockets.o" "$library/libmongoose.a" $libs -o "$out/http_replies-$kind" ;;
      shared) $cc -Iinclude -Ic-tests c-tests/http_replies.c "$out/bsd_sockets.o" -L"$out" -lmongoose $libs -Wl,-rpath,"$out" -o "$out/http_replies-$kind" ;;
    esac && timeout 60 "$out/http_replies-$kind" 2> "$out/log" || status=1
  [ $status = 0 ] || tail -n 20 "$out/log"
  result "the port in a program, $kind library" $status
done
# A program without them does not link, and learns what is missing.
status=0
$cc -Iinclude -Ic-tests c-tests/http_replies.c "$library/libmongoose.a" $libs -o "$out/nothing" 2> "$out/log" && status=1
grep -q mgx_port_wait "$out/log" || status=1
result "a program without a port" $status

# ---- lwIP

if ! printf '#include "lwip/sockets.h"\n' | $cc -I/usr/include/lwip -fsyntax-only -x c - 2> /dev/null; then
  echo "skipped: lwIP, Debian's liblwip-dev"
  exit $failed
fi
$cc -Wall -Wextra -Werror -I/usr/include/lwip -c c-tests/port/lwip.c -o "$out/lwip.o"
$cc -Wall -Wextra -Werror -DMGX_PORT_LWIP=1 -I/usr/include/lwip -Iinclude -c port/bsd_sockets.c -o "$out/bsd_sockets-lwip.o"
$cc -Wall -Wextra -Werror -DMGX_PORT_LWIP=1 -Dlwip_poll=lwip_tests_port_poll -I/usr/include/lwip -Iinclude -c port/bsd_sockets.c -o "$out/bsd_sockets-settled.o"
lwip="$out/lwip.o $library/libmongoose.a -llwip $libs"

over_lwip() { # NAME
  mkdir -p "$out/lwip/$1"
  # shellcheck disable=SC2086
  $cc -w -include c-tests/port/lwip.h -Iinclude -I"$here/c-tests" "$here/c-tests/$1.c" "$out/bsd_sockets-settled.o" $lwip -o "$out/lwip-$1" &&
    (cd "$out/lwip/$1" && LIBRARY_BUILD=debug timeout 120 "$out/lwip-$1" > log 2>&1)
}

# Left out are those that count on sockets of the system: socketpair and pipes for mg_wrapfd, limits of descriptors, child processes,
# IPv6, room for megabytes in a socket, what a peer has acknowledged, and resets although nothing is left to be sent, which lwIP does not
# make. tls_faults and tls_records are not run over lwIP 2.1.3: its heap gets corrupted there; the cause was not found.
programs="abandoned client_requests client_responses dash dns_lookups drain_announce drain_deadlines drain_done drain_half_close \
  drain_last_request drain_linger drain_listeners drain_mgr_free drain_pipelined drain_spread drain_streams drain_triggers \
  ext_conn_drain ext_drain_file ext_drain_upload ext_io_size ext_memory ext_mgr_drain ext_mgr_free ext_plain ext_poll_events \
  files_reentry \
  files_upload http_continue http_nested http_pipeline http_refusals http_replies http_takeover modbus mqtt_client mqtt_faults \
  mqtt_floods mqtt_handlers mqtt_nested_tls mqtt_reuse ota poll_many recv_wiped sntp tls_upgrade \
  usage_bindings usage_clients usage_http usage_receiving usage_sending usage_threads ws_broadcast ws_close ws_echo ws_handlers ws_masks ws_pings"
[ "${1:-}" != short ] || programs="drain_announce drain_deadlines drain_done drain_half_close drain_last_request drain_mgr_free \
  drain_pipelined drain_streams ext_mgr_drain client_requests dns_lookups http_pipeline http_replies mqtt_client mqtt_handlers ws_echo"
# Four at a time: they wait more than they work.
while read -r batch; do
  for name in $batch; do
    over_lwip "$name" &
    eval "job_$name=$!"
  done
  for name in $batch; do
    status=0
    eval "wait \$job_$name" || status=1
    [ $status = 0 ] || tail -n 20 "$out/lwip/$name/log"
    result "$name over lwIP" $status
  done
done << EOF
$(echo "$programs" | xargs -n 4)
EOF

if [ "$(id -u)" = 0 ] && [ -c /dev/net/tun ]; then
  status=0
  # shellcheck disable=SC2086
  $cc -Wall -Wextra -Werror -Iinclude c-tests/port/server.c "$out/bsd_sockets-lwip.o" $lwip -o "$out/server" &&
    timeout 600 unshare --net --pid --fork --kill-child sh c-tests/port/tap.sh "$out/server" "$([ "${1:-}" = short ] && echo 3000000 || echo 30000000)" || status=1
  result "lwIP on a TAP device" $status
else
  echo "skipped: lwIP on a TAP device, which needs root and /dev/net/tun"
fi
[ $failed = 0 ] && echo "all passed"
exit $failed
