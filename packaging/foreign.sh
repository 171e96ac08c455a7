#!/bin/sh
# foreign.sh FORCE FILE...: fails if one of the files is there and not from this project, unless FORCE is 1. Debian's
# libsuitesparse-dev, for one, has a libmongoose.so too.
set -eu
force=$1
shift
for file; do
  # Every file of ours has a name of the extension in it.
  if [ -e "$file" ] && ! grep -q 'mgx_\|MGX_' "$file" && [ "$force" != 1 ]; then
    echo "$file belongs to other software and would be lost." >&2
    echo "LIBNAME=mongoose-rs installs beside it, PREFIX and LIBDIR elsewhere; FORCE=1 goes ahead." >&2
    exit 1
  fi
done
