#!/bin/sh
# Measures the release library against the practical floor (floor.c, ws_floor.c, file_floor.c), side by side, and prints a table.
#
# usage: benches/run.sh [--readme] [CASE...]     CASE: keep16 keep64 keep256 pipe16 pipe200 big8 big16m stream16m idle9000 ws16 ws64k
#                                                  file4k file4k-cached file100m new64; default: all
#   --readme   the table as Markdown, for README.md
# environment: ROUNDS=3     interleaved runs of each program, of which the median counts
#              SECONDS=3    length of a run
#              BESIDE=DIR   also measures the library in DIR, an earlier state for instance, in the same run
# A quick look: ROUNDS=1 SECONDS=1 benches/run.sh keep64
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
# Many short connections come last: they leave the kernel with many ports that are not free for a minute.
cases=${*:-keep16 keep64 keep256 pipe16 pipe200 big8 big16m stream16m idle9000 ws16 ws64k file4k file4k-cached file100m new64}

missing=
for tool in gcc:gcc wrk:wrk python3:python3 taskset:util-linux; do
  command -v "${tool%%:*}" > /dev/null || missing="$missing ${tool#*:}"
done
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
out=target/bench
mkdir -p $out
cargo build --release --quiet
ln -sf ../release/libmongoose.so $out/libmongoose.so.7
for program in hello ws_echo; do
  gcc -O2 -Iinclude benches/$program.c -Ltarget/release -lmongoose -Wl,-rpath,"$PWD/$out" -o $out/$program
done
for program in floor ws_floor file_floor ws_load; do gcc -O2 benches/$program.c -o $out/$program; done
mkdir -p $out/www
head -c 4096 /dev/urandom > $out/www/4k
head -c 104857600 /dev/urandom > $out/www/100m
if [ -n "${BESIDE:-}" ]; then
  mkdir -p $out/beside
  for name in libmongoose.so libmongoose.so.7; do ln -sf "$(cd "$BESIDE" && pwd)/libmongoose.so" $out/beside/$name; done
  for program in hello ws_echo; do
    gcc -O2 -Iinclude benches/$program.c -L$out/beside -lmongoose -Wl,-rpath,"$PWD/$out/beside" -o $out/beside/$program
  done
fi
# Nothing else may name another library.
unset LD_LIBRARY_PATH

if [ -n "$readme" ]; then
  echo '| case | CPU per request / floor | requests per second / floor | other |'
  echo '|---|---|---|---|'
else
  printf '%-34s %10s %10s %10s %12s %s %s\n' case 'ours us' 'floor us' 'CPU ratio' 'req/s ratio' "${BESIDE:+  beside}" other
fi

# The lines of load.py: one for each program, then the ratios.
row() {
  title=$1
  mode=$2
  shift 2
  measure "$@" "$out/hello {port} $mode" "$out/floor {port} $mode" ${BESIDE:+"$out/beside/hello {port} $mode"}
}

# The same with so many requests in flight on each connection.
pipe_row() {
  row "$1" keep -n "$rounds" -c 64 --load "wrk -t1 -c{conns} -d{seconds} -s benches/pipeline.lua http://127.0.0.1:{port}{path} -- $2"
}

# The same for messages of so many bytes that are sent back.
ws_row() {
  title=$1
  measure -n "$rounds" -c 64 --load "$out/ws_load {port} {conns} {seconds} $2" "$out/ws_echo {port}" "$out/ws_floor {port}" \
    ${BESIDE:+"$out/beside/ws_echo {port}"}
}

# The same for a file; $4: how many files the cache keeps.
file_row() {
  title=$1
  measure -n "$rounds" -c "$2" -p "/$3" "$out/hello {port} file $out/www${4:+ $4}" "$out/file_floor {port} $out/www" \
    ${BESIDE:+"$out/beside/hello {port} file $out/www${4:+ $4}"}
}

measure() {
  python3 benches/load.py -d "$seconds" "$@" > $out/last
  awk -v title="$title" -v readme="$readme" '
    match($0, /[0-9.]+ us CPU\/req/) { us[++n] = substr($0, RSTART, RLENGTH) + 0 }
    n == 1 && match($0, /[0-9.]+ KB\/idle/) { other = other substr($0, RSTART, RLENGTH) " connection" }
    n == 1 && match($0, /[0-9.]+ MB of memory/) { other = other substr($0, RSTART, RLENGTH) }
    n == 1 && match($0, /(Socket errors|Non-2xx).*/) { other = other (other == "" ? "" : "; ") substr($0, RSTART) }
    match($0, /CPU per request [0-9.]+/) { cpu = substr($0, RSTART + 16, RLENGTH - 16) }
    match($0, /req\/s [0-9.]+$/) && /CPU per request/ { rps = substr($0, RSTART + 6) }
    END {
      if (readme) printf "| %s | %s | %s | %s |\n", title, cpu, rps, other
      else printf "%-34s %10.2f %10.2f %10s %12s %s %s\n", title, us[1], us[2], cpu, rps, (n > 2 ? sprintf("%8.2f", us[3] / us[2]) : ""), other
    }' $out/last
}

for name in $cases; do
  case $name in
    keep16) row 'keep-alive, 16 connections' keep -n "$rounds" -c 16 ;;
    keep64) row 'keep-alive, 64' keep -n "$rounds" -c 64 ;;
    keep256) row 'keep-alive, 256' keep -n "$rounds" -c 256 ;;
    pipe16) pipe_row '16 pipelined requests, 64' 16 ;;
    pipe200) pipe_row '200 pipelined requests, 64' 200 ;;
    new64) row 'new connection each time, 64' drain -n "$rounds" -c 64 ;;
    big8) row '1 MiB replies, 8' big -n "$rounds" -c 8 ;;
    big16m) row '16 MiB replies, 8' 'big 16' -m -n "$rounds" -c 8 ;;
    stream16m) row '16 MiB in chunks of 64 KiB, 8' 'stream 16' -m -n "$rounds" -c 8 ;;
    idle9000)
      if [ "$(ulimit -n)" -lt 9200 ]; then
        echo "$0: 9000 idle connections need a limit of 9200 open files; it is $(ulimit -n)" >&2
        exit 1
      fi
      row 'keep-alive, 64, with 9000 idle' keep -n "$rounds" -c 64 -i 9000 ;;
    ws16) ws_row 'WebSocket echo of 16 bytes, 64' 16 ;;
    ws64k) ws_row 'WebSocket echo of 64 KiB, 64' 65536 ;;
    file4k) file_row 'file of 4 KiB, 64' 64 4k ;;
    file4k-cached) file_row 'file of 4 KiB, 64, cached' 64 4k 16 ;;
    file100m) file_row 'file of 100 MiB, 8' 8 100m ;;
    *) echo "$0: no case named $name" >&2; exit 2 ;;
  esac
done
