#!/bin/sh
# Tests of the library's own TCP/IP stack: programs with scripted frames and a clock of their own, and, as root, a TAP device in a
# network namespace against curl, ping, dnsmasq and a driver that loses frames.
#
#   run.sh [SIZE]    bytes that are sent each way with 5 % of the frames lost, repeated or swapped; 100000000 by default
set -eu
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin
size=${1:-100000000}
target=${CARGO_TARGET_DIR:-target}/tcpip
out=$target/tests
failed=0
mkdir -p "$out"

case $target in /*) build_dir() { echo "$1"; } ;; *) build_dir() { echo "$PWD/$1"; } ;; esac

compile() { # SOURCE OUTPUT LIBRARY FLAGS...
  source=$1 output=$2 library=$3
  shift 3
  ${CC:-cc} -std=gnu99 -g -Wall -Wextra -Wno-unused-function -Wno-unused-variable "$@" -Iinclude "$source" \
    -L"$library" -Wl,-rpath,"$library" -lmongoose -o "$output"
}

result() { # NAME STATUS
  if [ "$2" = 0 ]; then echo "ok $1"; else echo "FAILED $1"; failed=$((failed + 1)); fi
}

for feature in tcpip tcpip-ipv6; do
  ${CARGO:-cargo} build --quiet --features $feature --target-dir "$target/$feature"
  library=$(build_dir "$target/$feature")/debug
  flags=
  [ $feature = tcpip ] || flags=-DMG_ENABLE_IPV6=1
  for source in c-tests/tcpip/*.c; do
    name=$(basename "$source" .c)
    case $feature:$name in tcpip:ip6) continue ;; esac
    status=0
    compile "$source" "$out/$name-$feature" "$library" -fsanitize=address,undefined $flags || status=1
    [ $status = 1 ] || "$out/$name-$feature" || status=1
    result "$name ($feature)" $status
  done
  status=0
  compile examples-c/tap-driver.c "$out/tap-driver-$feature" "$library" -O1 $flags || status=1
  result "tap-driver ($feature) compiles" $status
done

status=0
${CARGO:-cargo} test --quiet --lib --features tcpip-ipv6 --target-dir "$target/tcpip-ipv6" platform:: > "$out/unit" 2>&1 || status=1
[ $status = 0 ] || cat "$out/unit"
result "unit tests" $status

# Layouts on 32-bit ARM, where there is a compiler: with its own enums, and with the short ones of microcontrollers.
for cc in arm-linux-gnueabihf-gcc "arm-linux-gnueabihf-gcc -fshort-enums -U__linux__"; do
  command -v arm-linux-gnueabihf-gcc >/dev/null || continue
  for flags in "" -DMG_ENABLE_IPV6=1; do
    status=0
    $cc -std=gnu99 $flags -Iinclude -fsyntax-only c-tests/tcpip/layout.c || status=1
    result "layout ($cc $flags)" $status
  done
done

# What the header refuses.
refused() { # FLAGS WORDS
  status=0
  echo '#include "mongoose.h"' | ${CC:-cc} $1 -Iinclude -fsyntax-only -x c - 2> "$out/refused" && status=1
  grep -q "$2" "$out/refused" || status=1
  result "refused: $1" $status
}
refused "-DMG_ENABLE_TCPIP=1 -DMG_ENABLE_SOCKET=1" "0 with MG_ENABLE_TCPIP=1"
refused "-DMG_ENABLE_TCPIP=1 -DMG_ENABLE_DRIVER_STM32H=1" "no drivers for network chips"
refused "-DMG_ENABLE_TCPIP=1 -DMG_TCPIP_DHCPNAME_SIZE=32" "18 in the library"

if [ "$(id -u)" = 0 ] && [ -c /dev/net/tun ]; then
  status=0
  timeout 1800 unshare --net --pid --fork --kill-child sh c-tests/tcpip/tap.sh "$out/tap-driver-tcpip" "$out/tap-driver-tcpip-ipv6" "$size" || status=1
  result "over a TAP device" $status
else
  echo "skipped: the tests over a TAP device, which need root and /dev/net/tun"
fi
[ $failed = 0 ] && echo "all passed"
exit $failed
