#!/bin/sh
# Tests of the library's own TCP/IP stack: programs with scripted frames and a clock of their own, and, as root, a TAP device in a
# network namespace against curl, ping, dnsmasq and a driver that loses frames.
#
#   run.sh [SIZE]    bytes that are sent each way with 5 % of the frames lost, repeated or swapped; 100000000 by default
set -eu
cd "$(dirname "$0")/../.."
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

if [ "$(id -u)" = 0 ] && [ -c /dev/net/tun ]; then
  status=0
  timeout 900 unshare --net --pid --fork --kill-child sh c-tests/tcpip/tap.sh "$out/tap-driver-tcpip" "$out/tap-driver-tcpip-ipv6" "$size" || status=1
  result "over a TAP device" $status
else
  echo "skipped: the tests over a TAP device, which need root and /dev/net/tun"
fi
[ $failed = 0 ] && echo "all passed"
exit $failed
