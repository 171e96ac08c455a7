#!/bin/sh
# loader.sh LIBDIR LINKDIR INCLUDEDIR SONAME: after an unstaged installation, registers the library with the system's loader, or
# prints how to build programs that find it.
set -eu
libdir=$1 linkdir=$2 include=$3 soname=$4
PATH=$PATH:/sbin:/usr/sbin
if [ "$(id -u)" = 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi
cc=${CC:-cc}
known=no
if command -v ldconfig >/dev/null && ldconfig -p 2>/dev/null | grep -qF "=> $libdir/$soname"; then known=yes; fi
found=$(readlink -f "$($cc -print-file-name=libmongoose.so)" 2>/dev/null || true)
flags="-I$include -L$linkdir -lmongoose"
if [ "$known" = no ]; then
  echo "The loader does not search $libdir. Build programs with:"
  echo "  cc app.c $flags -Wl,-rpath,$libdir -o app"
elif [ -f "$found" ] && ! grep -q mgx_ "$found"; then
  echo "$found is another library that -lmongoose alone would find. Build programs with:"
  echo "  cc app.c $flags -o app"
fi
