#!/bin/sh
# debian.sh BUILD_DIR OUTPUT_DIR: builds the Debian packages from what is built in BUILD_DIR, and has lintian look at them.
set -eu
cd "$(dirname "$0")/.."
build=$(cd "$1" && pwd)
rm -rf "$2"
mkdir -p "$2/libmongoose-rs-7.22.0"
out=$(cd "$2" && pwd)
git ls-files -co --exclude-standard | tar -cf - -T - | tar -xf - -C "$out/libmongoose-rs-7.22.0"
cd "$out/libmongoose-rs-7.22.0"
cp -r packaging/debian debian
# -d: cargo and rustc may come from elsewhere than Debian.
MONGOOSE_BUILD_DIR=$build dpkg-buildpackage -b -us -uc -d >"$out/log" 2>&1 || { tail -n 40 "$out/log"; exit 1; }
cd "$out"
lintian --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs ./*.changes
