#!/bin/sh
# systems.sh TARGET...: type-checks the library for systems that nothing here can link or run for, their conditional code included. The C
# shim is compiled when clang and a C library's headers are there (musl-dev). Called by `make check-systems`.
set -eu
cd "$(dirname "$0")/.."
dir=$(pwd)/target/systems
mkdir -p "$dir"

# `cargo check` links nothing: what stands for the compiler makes empty files.
cat >"$dir/cc" <<'END'
#!/bin/sh
# Asked what it is.
if [ "$1" = -E ]; then echo clang; exit; fi
if [ $# = 1 ]; then exit 1; fi
last=
for word in "$@"; do
  if [ "$last" = -o ]; then : >"$word"; fi
  case $word in -o?*) : >"${word#-o}" ;; esac
  last=$word
done
END
chmod +x "$dir/cc"

for target in "$@"; do
  rustup -q target add "$target" 2>"$dir/log" || { cat "$dir/log"; echo "$target: rustup has no std for it"; exit 1; }
  name=$(echo "$target" | tr - _)
  env "CC_$name=$dir/cc" "AR_$name=ar" RUSTFLAGS=-Dwarnings cargo check --quiet --lib --target "$target" --target-dir "$dir/target"
  shim=
  if command -v clang >/dev/null && [ -d /usr/include/x86_64-linux-musl ]; then
    clang --target="$target" -nostdlibinc -isystem /usr/include/x86_64-linux-musl -std=c99 -Wall -Wextra -Wno-nullability-completeness \
      -Werror -fvisibility=hidden -c src/fmt/variadic.c -o "$dir/shim.o"
    shim=', the C shim compiles'
  fi
  echo "$target: the library type-checks$shim"
done
