#!/bin/sh
# Data races: the library, Rust's standard library and C programs, all built with ThreadSanitizer, do what threads and signal
# handlers may do. Needs a nightly toolchain with rust-src, and clang. Called by `make tsan`.
set -eu
cd "$(dirname "$0")/.."
target=$(rustc +nightly -vV | sed -n 's/^host: //p')
out=target/tsan
lib=$out/$target/debug/libmongoose.a
runtime=$(rustc +nightly --print target-libdir)/librustc-nightly_rt.tsan.a

CC=clang CFLAGS=-fsanitize=thread RUSTFLAGS=-Zsanitizer=thread CARGO_TARGET_DIR=$out \
  cargo +nightly build --lib -Zbuild-std=std,panic_abort --target "$target"

build() {
  clang -fsanitize=thread -g -O1 -Iinclude -Ic-tests -c "$1" -o "$2.o"
  clang -rdynamic "$2.o" "$lib" -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive -lgcc_s -lutil -lrt -lpthread -lm -ldl -o "$2"
}

# Some kernels place programs where the sanitizer wants its own memory.
run() {
  setarch -R "$@"
}

# The tool must see a race inside the library: here one thread looks at the output of a connection while another adds to it.
cat > $out/planted.c <<'END'
#include "mongoose_ext.h"
#include <pthread.h>
static struct mg_connection c;
static int turns;
static void *writer(void *arg) {
  while (__atomic_load_n(&turns, __ATOMIC_RELAXED) < 1000) mgx_write(&c, "x"), c.send.len = 0;
  return arg;
}
int main(void) {
  pthread_t thread;
  size_t n = 0;
  pthread_create(&thread, NULL, writer, NULL);
  while (__atomic_fetch_add(&turns, 1, __ATOMIC_RELAXED) < 1000) n += mgx_conn_send_queue(&c), usleep(10);
  pthread_join(thread, NULL);
  return n == 1;
}
END
build $out/planted.c $out/planted
if run $out/planted 2> $out/planted.log || ! grep -q 'mongoose::' $out/planted.log; then
  echo 'the planted race was not found'
  exit 1
fi

for program in ext_threads ext_mgr_drain_signal usage_threads; do
  build c-tests/$program.c $out/$program
  echo "$program"
  run $out/$program
done
echo 'no data races'
