#!/bin/sh
# link-dll.sh ARCHIVE DLL: links the DLL and its import library, DLL.a, from the static library with the C compiler. Exports only the
# API. The counterpart of link.sh for Windows.
set -eu
archive=$1 output=$2
cc=${CC:-x86_64-w64-mingw32-gcc}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# The linker takes only requested symbols from an archive, and exports only those in the list.
"$($cc -print-prog-name=nm)" -g --defined-only "$archive" 2>/dev/null | awk '$3 ~ /^mgx?_[a-z]/ && !seen[$3]++ {print $3, $2}' >"$dir/symbols"
[ -s "$dir/symbols" ] || { echo "$archive: no functions of the API" >&2; exit 1; }
sed -e 's/^/-Wl,-u,/' -e 's/ .*//' "$dir/symbols" >"$dir/wanted"
{
  echo "LIBRARY $(basename "$output")"
  echo EXPORTS
  sed -e 's/ [Tt]$//' -e 's/ [A-Z]$/ DATA/' "$dir/symbols"
} >"$dir/library.def"

# shellcheck disable=SC2086 # $cc and flags are lists of words.
$cc -shared -static-libgcc -o "$dir/library.dll" "$dir/library.def" "@$dir/wanted" "$archive" -Wl,--out-implib,"$dir/import.a" \
  -Wl,--gc-sections -Wl,--dynamicbase -Wl,--nxcompat -Wl,--no-insert-timestamp ${STRIP_FLAG--Wl,--strip-debug} ${LDFLAGS:-} \
  ${LIBS:--lws2_32 -lbcrypt -lntdll -luserenv -ldbghelp}
mv -f "$dir/library.dll" "$output"
mv -f "$dir/import.a" "$output.a"
