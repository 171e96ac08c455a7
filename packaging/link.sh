#!/bin/sh
# link.sh ARCHIVE OUTPUT SONAME: makes the shared library from the static one, with the C compiler. So the functions written in C
# are exported with every version of rustc, symbols have a version, and nothing but the API is visible.
set -eu
archive=$1 output=$2 soname=$3
here=$(dirname "$0")
cc=${CC:-cc}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

echo 'int mgx_flag_test; ' > "$dir/flag.c"
flags=
# The loader must know packed relocations: the linker makes sure of that with glibc; musl knows them from 1.2.4 on, and crashes before.
known=
if printf '#include <limits.h>\n#ifndef __GLIBC__\n#error\n#endif\n' | $cc -E -xc - >/dev/null 2>&1; then
  known=-Wl,-z,pack-relative-relocs
fi
for flag in $known; do
  # A linker that does not know a -z keyword only warns.
  if $cc -shared -fPIC "$flag" -Wl,--fatal-warnings "$dir/flag.c" -o "$dir/flag.so" 2>/dev/null; then flags="$flags $flag"; fi
done

# shellcheck disable=SC2086 # $cc and flags are lists of words.
$cc -shared -o "$dir/library.so" -Wl,-soname,"$soname" -Wl,--version-script="$here/mongoose.map" \
  -Wl,--whole-archive "$archive" -Wl,--no-whole-archive \
  -Wl,-z,relro -Wl,-z,now -Wl,-z,defs -Wl,--gc-sections -Wl,--as-needed -Wl,--build-id=sha1 $flags ${LDFLAGS:-} \
  ${STRIP_FLAG--Wl,--strip-debug} -lutil -lrt -lpthread -lm -ldl -lc
# Never into the old file, which may be a hard link of cargo's or mapped by a running program.
mv -f "$dir/library.so" "$output"
