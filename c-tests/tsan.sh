#!/bin/sh
# Data races: the library and C programs, all built with ThreadSanitizer, do what threads and signal handlers may do. Called by
# `make tsan`, which CI runs.
#
# No nightly toolchain is needed: RUSTC_BOOTSTRAP lets the stable compiler use its sanitizer, whose runtime comes with it. The
# standard library is not instrumented. That hides nothing here, because all that threads share is atomics of `core`, which are
# compiled into the library, and memory of the library's own.
set -eu
cd "$(dirname "$0")/.."
target=$(rustc -vV | sed -n 's/^host: //p')
out=target/tsan
lib=$out/$target/debug/libmongoose.a
runtime=$(echo "$(rustc --print target-libdir)"/librustc-*_rt.tsan.a)

CC=clang CFLAGS=-fsanitize=thread CARGO_TARGET_DIR=$out RUSTC_BOOTSTRAP=1 \
  RUSTFLAGS='-Zsanitizer=thread -Zunstable-options -Cunsafe-allow-abi-mismatch=sanitizer' \
  cargo build --quiet --lib --target "$target"

build() {
  clang -fsanitize=thread -g -O1 -Iinclude -Ic-tests -c "$1" -o "$2.o"
  clang -rdynamic "$2.o" "$lib" -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive -lgcc_s -lutil -lrt -lpthread -lm -ldl -o "$2"
}

# Some kernels place programs where the sanitizer wants its own memory.
run() {
  timeout 300 setarch -R "$@"
}

# The tool must see a race inside the library: here one thread looks at the output of a connection while another adds to it.
cat > $out/planted.c <<'END'
#include "mongoose_ext.h"
#include <pthread.h>
static struct mg_connection c;
static int done;
static void *writer(void *arg) {
  mgx_write(&c, "x");
  __atomic_store_n(&done, 1, __ATOMIC_RELAXED);
  return arg;
}
int main(void) {
  pthread_t thread;
  size_t n = 0;
  pthread_create(&thread, NULL, writer, NULL);
  while (!__atomic_load_n(&done, __ATOMIC_RELAXED)) usleep(1000);
  n = mgx_conn_send_queue(&c);
  pthread_join(thread, NULL);
  return n == 0;
}
END
build $out/planted.c $out/planted
if run $out/planted 2> $out/planted.log || ! grep -q 'mongoose::' $out/planted.log; then
  echo 'the deliberate race was not detected'
  exit 1
fi

for program in ext_threads ext_group ext_mgr_drain_signal usage_threads threads_api; do
  build c-tests/$program.c $out/$program
  echo "$program"
  run $out/$program
done
echo 'no data races'
