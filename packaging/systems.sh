#!/bin/sh
# systems.sh TARGET...: type-checks the library for systems that nothing here can link or run for, their conditional code included. The C
# shim is compiled when clang and a C library's headers are there (musl-dev, mingw-w64). Called by `make check-systems`.
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
  case $word in
  -out:*) : >"${word#-out:}" ;;  # an archive of MSVC
  -o?*) : >"${word#-o}" ;;
  esac
  last=$word
done
END
chmod +x "$dir/cc"

for target in "$@"; do
  rustup -q target add "$target" 2>"$dir/log" || { cat "$dir/log"; echo "$target: rustup has no std for it"; exit 1; }
  name=$(echo "$target" | tr - _)
  ar=ar
  case $target in *-msvc) ar=$dir/cc ;; esac
  env "CC_$name=$dir/cc" "AR_$name=$ar" RUSTFLAGS=-Dwarnings cargo check --quiet --lib --target "$target" --target-dir "$dir/target"
  shim=', the C shim compiles'
  case $target in
  *-windows-gnu) compiler=x86_64-w64-mingw32-gcc flags= ;;
  *-windows-msvc) compiler=no ;;  # and no headers
  *) compiler=clang flags="--target=$target -nostdlibinc -isystem /usr/include/x86_64-linux-musl -Wno-nullability-completeness -fvisibility=hidden"
     [ -d /usr/include/x86_64-linux-musl ] || compiler=no ;;
  esac
  command -v $compiler >/dev/null || shim=
  for file in ${shim:+variadic replaceable}; do
    # shellcheck disable=SC2086 # a list of words
    $compiler $flags -std=c99 -Wall -Wextra -Werror -c src/fmt/$file.c -o "$dir/shim.o"
  done
  echo "$target: the library type-checks$shim"
done
