#!/bin/sh
# small.sh ARCHIVE OUTPUT: makes the static library of the profile `small` smaller. Called by `make small`.
#
# - Std's functions that end the process print a backtrace, with a reader of debug information behind them: a third of a small program.
#   What calls them asks for them by name, so the linker takes another function when there is one of the same name that is not weak:
#   src/sys/panic.rs has them. Nothing refers to std's any more then, and --gc-sections leaves them out. When a compiler names
#   them otherwise, this says so and leaves them as they are: the library works all the same.
# - Nothing unwinds with panic = "abort": the tables for that go, and with them stack traces in debuggers.
set -eu
archive=$1 output=$2
objcopy=${OBJCOPY:-objcopy} readelf=${READELF:-readelf}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# Bitcode first: tools with a plugin for another LLVM stumble over it.
$objcopy --strip-debug -D -R .llvmbc -R .llvmcmd -R .eh_frame -R '.gcc_except_table*' "$archive" "$dir/bare.a"
$readelf -Ws "$dir/bare.a" 2>/dev/null | awk '$4 == "FUNC" && $7 != "UND" {print $8}' >"$dir/functions"

weak= names=
for pair in rust_begin_unwind:mgx_small_panic __rust_alloc_error_handler:mgx_small_no_memory; do
  std=$(grep "${pair%%:*}\$" "$dir/functions" | sort -u) || :
  if [ "$(printf '%s' "$std" | grep -c .)" = 1 ] && grep -qx "${pair#*:}" "$dir/functions"; then
    weak="$weak --weaken-symbol=$std" names="$names --redefine-sym ${pair#*:}=$std"
  else
    echo "small.sh: this compiler has no single function *${pair%%:*}: keeping the backtrace printer" >&2
    weak= names=
    break
  fi
done
# shellcheck disable=SC2086 # lists of options
{
  $objcopy -D $weak "$dir/bare.a" "$dir/weak.a"
  $objcopy -D $names "$dir/weak.a" "$dir/small.a"
}
mv -f "$dir/small.a" "$output"
