#!/bin/sh
# Measures the release library's HTTPS server against nginx (one process), side by side, and prints a table.
#
# usage: benches/tls.sh [--readme] [CASE...]    CASE: full full12 rsa resumed resumed12 keep64 big8; default: all
#   --readme   the table as Markdown, for README.md
# environment: ROUNDS=3     interleaved runs of each program, of which the median counts
#              SECONDS=3    length of a run
#              FEATURES=aws-lc   cargo features of the library, beside the default ones
# A quick look: ROUNDS=1 SECONDS=1 benches/tls.sh full
# The server has one CPU and the load another. The handshakes come from tls_load.c, requests on open connections from wrk.
set -eu

# Some shells count time in a variable of this name.
seconds=$(tr '\0' '\n' < /proc/$$/environ | sed -n 's/^SECONDS=//p')
seconds=${seconds:-3}
rounds=${ROUNDS:-3}

readme=
if [ "${1:-}" = --readme ]; then
  readme=yes
  shift
fi
cases=${*:-full full12 rsa resumed resumed12 keep64 big8}

missing=
for tool in gcc:gcc wrk:wrk python3:python3 taskset:util-linux nginx:nginx; do
  command -v "${tool%%:*}" > /dev/null || missing="$missing ${tool#*:}"
done
echo '#include <openssl/ssl.h>' | gcc -E - > /dev/null 2>&1 || missing="$missing libssl-dev"
if [ -n "$missing" ]; then
  echo "$0 needs these Debian packages:$missing" >&2
  exit 1
fi
if [ "$(nproc)" -lt 2 ]; then
  echo "$0 needs two CPUs: one for the server, one for the load" >&2
  exit 1
fi

cd "$(dirname "$0")/.."
ulimit -n "$(ulimit -H -n)"
out=$PWD/target/bench
certs=$PWD/c-tests/certs
mkdir -p "$out/www"
cargo build --release --quiet ${FEATURES:+--features "$FEATURES"}
ln -sf ../release/libmongoose.so "$out/libmongoose.so.7"
gcc -O2 -Iinclude benches/https.c -Ltarget/release -lmongoose -Wl,-rpath,"$out" -o "$out/https"
gcc -O2 benches/tls_load.c -lssl -lcrypto -lpthread -o "$out/tls_load"
echo 'the end' > "$out/www/small"
head -c 10485760 /dev/urandom > "$out/www/10m"
# Nothing else may name another library.
unset LD_LIBRARY_PATH

if [ -n "$readme" ]; then
  echo '| case | CPU per request / nginx | requests per second / nginx | other |'
  echo '|---|---|---|---|'
else
  printf '%-44s %10s %10s %10s %12s  %s\n' case 'ours us' 'nginx us' 'CPU ratio' 'req/s ratio' other
fi

# measure TITLE CONNECTIONS CERTIFICATE LOAD PATH: the lines of load.py, one for each program, then the ratios.
measure() {
  files="$certs/$3.pem $certs/$3.key $out/www"
  python3 benches/load.py -d "$seconds" -n "$rounds" -c "$2" --load "$4" -p "$5" \
    "$out/https {port} $files" "benches/nginx.sh {port} $files" > "$out/last"
  awk -v title="$1" -v readme="$readme" '
    match($0, /[0-9.]+ us CPU\/req/) { us[++n] = substr($0, RSTART, RLENGTH) + 0 }
    match($0, /(Socket errors|Non-2xx).*/) { other = other (other == "" ? "" : "; ") (n == 1 ? "" : "nginx: ") substr($0, RSTART) }
    match($0, /CPU per request [0-9.]+/) { cpu = substr($0, RSTART + 16, RLENGTH - 16) }
    match($0, /req\/s [0-9.]+$/) && /CPU per request/ { rps = substr($0, RSTART + 6) }
    END {
      if (readme) printf "| %s | %s | %s | %s |\n", title, cpu, rps, other
      else printf "%-44s %10.2f %10.2f %10s %12s  %s\n", title, us[1], us[2], cpu, rps, other
    }' "$out/last"
}

handshakes() {
  measure "$1" 8 "$2" "$out/tls_load {port} {conns} {seconds} $3 $4" /small
}

requests() {
  measure "$1" "$2" server-p256 'wrk -t1 -c{conns} -d{seconds} https://127.0.0.1:{port}{path}' "$3"
}

for name in $cases; do
  case $name in
    full) handshakes 'handshake and request, TLS 1.3, P-256' server-p256 full 1.3 ;;
    full12) handshakes 'the same, TLS 1.2' server-p256 full 1.2 ;;
    rsa) handshakes 'the same, TLS 1.3, RSA 2048' server-rsa2048 full 1.3 ;;
    resumed) handshakes 'resumed, TLS 1.3' server-p256 resumed 1.3 ;;
    resumed12) handshakes 'resumed, TLS 1.2' server-p256 resumed 1.2 ;;
    keep64) requests 'small file, keep-alive, 64 connections' 64 /small ;;
    big8) requests 'file of 10 MiB, 8 connections' 8 /10m ;;
    *) echo "$0: no case named $name" >&2; exit 2 ;;
  esac
done
