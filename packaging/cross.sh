#!/bin/sh
# cross.sh TARGET...: builds the library for other machines and tests it under qemu-user or wine: a server that answers over HTTP and
# HTTPS, linked to the shared and to the static library, and on some machines the programs of c-tests. Called by `make cross` and
# `make windows-test`; `make deps-cross` and `make deps-windows` install the tools. TESTS= skips the programs; TESTS="a b" selects some.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)

# triple: the C compiler's name. qemu: its command. sysroot: where the machine's loader is. tests: whether the C programs run.
settings() {
  tests=no qemu_flags= sysroot= exe= shared=libmongoose.so libs='-lutil -lrt -lpthread -lm -ldl' test_flags=
  case $1 in
  x86_64-pc-windows-gnu)
    triple=x86_64-w64-mingw32 sysroot=/ tests=yes exe=.exe shared=libmongoose.dll libs='-lws2_32 -lbcrypt -lntdll -luserenv -ldbghelp'
    # winpthreads, and the printf of C99.
    test_flags="-include c-tests/windows/posix.h -Ic-tests/windows -D__USE_MINGW_ANSI_STDIO=1 -static"
    for qemu in wine64 /usr/lib/wine/wine64 wine missing; do if command -v $qemu >/dev/null; then break; fi; done
    [ $qemu != missing ] || { echo 'wine is missing: make deps-windows'; exit 1; }
    ;;
  aarch64-unknown-linux-gnu) triple=aarch64-linux-gnu qemu=qemu-aarch64 tests=yes ;;
  armv7-unknown-linux-gnueabihf) triple=arm-linux-gnueabihf qemu=qemu-arm tests=yes ;;
  s390x-unknown-linux-gnu) triple=s390x-linux-gnu qemu=qemu-s390x tests=yes ;;
  i686-unknown-linux-gnu) triple=i686-linux-gnu qemu=qemu-i386 ;;
  riscv64gc-unknown-linux-gnu) triple=riscv64-linux-gnu qemu=qemu-riscv64 ;;
  powerpc-unknown-linux-gnu) triple=powerpc-linux-gnu qemu=qemu-ppc ;;
  x86_64-unknown-linux-musl) triple=x86_64-linux-musl qemu=env sysroot=/ ;;
  aarch64-unknown-linux-musl) triple=aarch64-linux-musl qemu=qemu-aarch64 sysroot=/ ;;
  *) echo "$1: not one of the targets of packaging/cross.sh" >&2; exit 1 ;;
  esac
  work=$root/target/cross/$1
  rm -rf "$work"
  mkdir -p "$work"
  case $triple in *-mingw32) wine_prefix ;; esac
  prefix=$triple- cc=$triple-gcc
  case $triple in *-musl)
    # Debian has a wrapper for this machine's own kind only; this is the same for all. The unwinder of its GCC needs glibc: Rust
    # brings one that does not.
    prefix=${triple%-musl}-gnu- cc=$work/cc
    unwinder=$(rustc --print sysroot)/lib/rustlib/$1/lib/self-contained/libunwind.a
    sed -e "s/x86_64/${triple%%-*}/g" -e "s|%:if-exists(libgcc_eh.a%s)|$unwinder|" /usr/lib/x86_64-linux-musl/musl-gcc.specs >"$work/specs"
    printf '#!/bin/sh\nexec %sgcc "$@" -specs "%s"\n' "$prefix" "$work/specs" >"$cc"
    chmod +x "$cc"
    ;;
  esac
  [ -n "$sysroot" ] || sysroot=/usr/$triple
  case $qemu in qemu-*) qemu_flags="-L $sysroot" ;; esac
}

# A wine prefix of its own, without a display.
wine_prefix() {
  export WINEPREFIX="$root/target/cross/wine" WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml=' WINEPATH="Z:$(echo "$work" | tr / '\\')"
  unset DISPLAY
  $qemu cmd /c exit >"$work/wine.log" 2>&1 || { cat "$work/wine.log"; exit 1; }
  # Rust's std gets random numbers from this DLL of Windows 10, which wine 8 lacks.
  if [ ! -e "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" ]; then
    $triple-gcc -O2 -shared packaging/wine-prng.c -ladvapi32 -o "$work/bcryptprimitives.dll"
  fi
}

# Programs that cannot run here, and why.
reason() {
  case $triple:$1 in
  *:files_crash) echo 'it stops a child at each system call with ptrace, which qemu-user lacks' ;;
  *:switch_config | *:switch_listen) echo 'it reads TCP_INFO, which qemu-user and Windows lack' ;;
  *-mingw32:small_stack) echo 'it gives a thread its own stack with mmap' ;;
  *-mingw32:freed_at_once) echo 'its memory comes from mmap' ;;
  *:small_stack) echo 'its limit is for x86-64; aarch64 and s390x need 18 to 20 KB with the thread descriptor' ;;
  *-mingw32:fork | *-mingw32:drain_idle | *-mingw32:ext_idle | *-mingw32:half_requests) echo 'it forks' ;;
  *:tls_wiped) echo 'it reads its own memory from /proc' ;;
  *-mingw32:unix_sockets | *-mingw32:ext_listeners) echo 'it tests Unix sockets' ;;
  *-mingw32:accept_pause | *-mingw32:dns_many | *-mingw32:drain_descriptors | *-mingw32:mgr_fails) echo 'it lowers the limit of open files' ;;
  *-mingw32:ext_guest) echo 'the poller has no descriptor' ;;
  *-mingw32:includes) echo 'it tests the system headers of Unix' ;;
  arm-*:abi) echo 'its table is for 64-bit machines; src/abi/layout32.rs asserts the layout of this one' ;;
  esac
}

served() { # served PROGRAM
  # Not the ports of the program before.
  rm -f "$work/ports"
  LD_LIBRARY_PATH=$build $run "$1" c-tests/certs/server-p256.pem c-tests/certs/server-p256.key >"$work/ports" 2>"$work/hello.log" &
  server=$!
  for _ in $(seq 1200); do
    if [ -s "$work/ports" ] || ! kill -0 $server 2>/dev/null; then break; fi
    sleep 0.05
  done
  tr -d '\r' <"$work/ports" >"$work/numbers"
  read -r http https <"$work/numbers" || { cat "$work/hello.log"; exit 1; }
  curl -sS --max-time 60 "http://127.0.0.1:$http/" >"$work/answer"
  grep -q '^hello 1.500' "$work/answer"
  curl -sS --max-time 60 --cacert c-tests/certs/ca.pem --resolve "localhost:$https:127.0.0.1" "https://localhost:$https/end" >"$work/answer"
  grep -q '^hello 1.500' "$work/answer"
  wait $server
}

# A 32-bit system with 64-bit time: the library follows the compiler's flags, and the installed header refuses the other kind.
long_time() {
  flags='-D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64'
  CFLAGS=$flags TARGET_CC=$cc cargo rustc --quiet --lib --crate-type staticlib --no-default-features --features std,capi --target "$1" \
    --target-dir "$work/time64"
  # shellcheck disable=SC2086
  make -s install-files PREFIX="$work/stage" BUILD_DIR="$work/time64/$1/debug" CC="$cc" CFLAGS="$flags" OBJCOPY="${prefix}objcopy" >"$work/time.log" 2>&1
  touch -d @4102444800 "$work/2100"
  $cc $flags -I"$work/stage/include" packaging/cross-time.c "$work/stage/lib/libmongoose.a" $libs -o "$work/time"
  $run "$work/time" "$work/2100" 4102444800
  if $cc -I"$work/stage/include" -fsyntax-only packaging/cross-time.c 2>"$work/time.log"; then echo 'the other time_t is accepted'; exit 1; fi
  grep -q mgx_time_t_is_not_that_of_the_library "$work/time.log"
  rm -rf "$work/time64"
  echo "$1: 64-bit time works, and the header rejects programs without it"
}

# Applications cannot replace functions of a DLL.
replaceable='mg_calloc\|mg_free\|mg_log\|mg_log_prefix\|mg_millis\|mg_random\|mg_ota_begin\|mg_ota_write\|mg_ota_end\|mg_ota_device_id\|mg_unlist\|mg_unpack'

bad() { # bad WHAT: counts a failure, and prints the end of the log
  failed="$failed $name"
  echo "  $1"
  tail -n 15 "$dir/log" | sed 's/^/    /'
}

linked_and_run() { # linked_and_run KIND LIBRARY...: the object of programs()
  kind=$1 dir=$work/$name-$1
  shift
  mkdir -p "$dir"
  if $cc "$work/$name.o" "$@" ${test_flags:+-static -lpthread} -o "$dir/program$exe" >"$dir/log" 2>&1 &&
    (cd "$dir" && LIBRARY_BUILD=release timeout $((3 * ${limit:-60})) $run "./program$exe" $args >"$dir/log" 2>&1); then
    passed=$((passed + 1))
  else
    bad "$name ($kind): failed"
  fi
}

programs() {
  passed=0 failed=
  [ -f target/tmp/c-generated/abi_layout.h ] || cargo test -q --test c -- none >/dev/null 2>&1 || :
  # By absolute names: programs find their files by __FILE__.
  for source in "$root"/c-tests/*.c; do
    name=$(basename "$source" .c)
    case " ${TESTS-all} " in *" all "* | *" $name "*) ;; *) continue ;; esac
    why=$(reason "$name")
    if [ -n "$why" ]; then
      echo "  $name: skipped: $why"
      continue
    fi
    # The first of its variants.
    flags=$(sed -n 's|^// flags: *||p' "$source" | head -n 1)
    args=$(sed -n 's|^// args: *||p' "$source" | head -n 1)
    case $triple:$name in *-mingw32:chaos) args='1 2 40' ;; esac  # wine takes its time
    limit=$(sed -n 's|^// timeout: *||p' "$source" | head -n 1)
    dir=$work
    if $cc -std=gnu11 -g -O1 -Iinclude -Ic-tests -Itarget/tmp/c-generated $test_flags $flags -c "$source" -o "$work/$name.o" >"$work/log" 2>&1; then
      linked_and_run static "$build/libmongoose.a" $libs
      case $triple in *-mingw32)
        replaced=$(${prefix}nm --defined-only "$work/$name.o" | sed -n "s/.* T \\($replaceable\\)\$/\\1/p" | tr '\n' ' ')
        if [ -z "$replaced" ]; then linked_and_run DLL "$build/libmongoose.dll.a" $libs; else echo "  $name: not with the DLL: it replaces $replaced"; fi
        ;;
      esac
    else
      bad "$name: does not compile"
    fi
  done
  echo "  C programs: $passed passed, $(echo $failed | wc -w) failed"
  [ -z "$failed" ]
}

ok=yes
for target in "$@"; do
  settings "$target"
  command -v "${prefix}gcc" >/dev/null || { echo "${prefix}gcc is missing: make deps-cross"; exit 1; }
  rustup -q target add "$target" 2>"$work/rustup.log" || { cat "$work/rustup.log"; echo "$target: rustup has no std for this target"; exit 1; }
  build=${CARGO_TARGET_DIR:-target}/$target/release
  CARGO_BUILD_TARGET=$target make -s build CC="$cc" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
  build=$(cd "$build" && pwd)
  [ -z "$exe" ] || cp "$build/$shared" "$work"
  run="$qemu $qemu_flags"
  # shellcheck disable=SC2086 # lists of words
  {
    $cc -O2 -Iinclude packaging/cross-hello.c -L"$build" -lmongoose -o "$work/shared$exe"
    $cc -O2 -Iinclude packaging/cross-hello.c "$build/libmongoose.a" $libs -o "$work/archive$exe"
    served "$work/shared$exe"
    served "$work/archive$exe"
  }
  case $triple in *-musl)
    $cc -static -O2 -Iinclude packaging/cross-hello.c "$build/libmongoose.a" -o "$work/static"
    served "$work/static"
    ;;
  esac
  "${prefix}strip" -o "$work/stripped" "$build/$shared"
  echo "$target: a server answers over HTTP and HTTPS; $shared $(($(wc -c <"$work/stripped") / 1000)) kB"
  case $triple in
  arm-*) long_time "$target" ;;
  *-mingw32)
    for source in examples-c/*.c; do
      case $source in */rolling-restart.c | */tap-driver.c) continue ;; esac  # Unix sockets, and Linux's network
      $cc -Wall -Wextra -Werror -O1 -Iinclude -c "$source" -o "$work/example.o"
    done
    echo "$target: the examples compile"
    ;;
  esac
  if [ $tests = yes ] && [ "${TESTS-all}" != '' ]; then programs || ok=no; fi
done
[ $ok = yes ]
