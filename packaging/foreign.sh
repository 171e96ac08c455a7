#!/bin/sh
# foreign.sh FORCE FILE...: fails if one of the files exists and is not from this project, unless FORCE is 1. Debian's
# libsuitesparse-dev, for example, also has a libmongoose.so.
set -eu
force=$1
shift
for file; do
  # Every file of this project contains a name of the extension.
  if [ -e "$file" ] && ! grep -q 'mgx_\|MGX_' "$file" && [ "$force" != 1 ]; then
    echo "$file belongs to other software and would be overwritten." >&2
    echo "Use LIBNAME=mongoose-rs to install under another name, PREFIX or LIBDIR to install elsewhere, FORCE=1 to overwrite it." >&2
    exit 1
  fi
done
