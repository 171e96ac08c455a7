#!/bin/sh
# loader.sh LIBDIR LINKDIR INCLUDEDIR SONAME: after an unstaged installation, registers the library with the system's loader, or
# prints how to build programs that find it. The loader's cache is left alone when LIBDIR is none of its directories, and an
# installation whose ldconfig fails, as two at the same time may, is complete all the same.
set -eu
libdir=$1 linkdir=$2 include=$3 soname=$4
PATH=$PATH:/sbin:/usr/sbin
# Directories are compared without their links, as /lib and /usr/lib are often the same.
resolve() { while read -r path; do readlink -f "$path" || true; done; }
searched() { ldconfig -N -X -v 2>/dev/null | sed -n 's|^\(/[^:]*\):.*|\1|p' | resolve | grep -qxF "$(readlink -f "$libdir")"; }
cached() { ldconfig -p 2>/dev/null | sed -n "s|.*$soname (.*=> ||p" | resolve | grep -qxF "$(readlink -f "$libdir/$soname")"; }
cc=${CC:-cc}
found=$(readlink -f "$($cc -print-file-name=libmongoose.so)" 2>/dev/null || true)
flags="-I$include -L$linkdir -lmongoose"
if ! command -v ldconfig >/dev/null || ! searched; then
  echo "The loader does not search $libdir. Build programs with:"
  echo "  cc app.c $flags -Wl,-rpath,$libdir -o app"
  exit
fi
if [ "$(id -u)" = 0 ]; then ldconfig || true; fi
if ! cached; then echo "Run ldconfig as root, so that programs find $libdir/$soname."; fi
if [ -f "$found" ] && ! grep -q mgx_ "$found"; then
  echo "$found is another library that -lmongoose alone would find. Build programs with:"
  echo "  cc app.c $flags -o app"
fi
