#!/bin/sh
# The same bytes from two directories and with two cargo homes. Called by `make reproducible`.
set -eu
cd "$(dirname "$0")/.."
work=$(pwd)/target/reproducible
home=${CARGO_HOME:-$HOME/.cargo}
rm -rf "$work"
mkdir -p "$work"
cargo fetch --locked
for name in a some/longer/place; do
  mkdir -p "$work/$name/home"
  git ls-files -co --exclude-standard | tar -cf - -T - | tar -xf - -C "$work/$name"
  cp -r "$home/registry" "$work/$name/home/"
  [ ! -f "$home/config.toml" ] || cp "$home/config.toml" "$work/$name/home/"
  (
    unset CARGO_TARGET_DIR
    CARGO_HOME=$work/$name/home CARGO_NET_OFFLINE=true make -s -C "$work/$name" build
    make -s -C "$work/$name" install-files PREFIX=/usr DESTDIR="$work/$name/stage" CARGO_HOME="$work/$name/home"
  )
done
for file in libmongoose.a libmongoose.so.7.22.0; do
  cmp "$work/a/stage/usr/lib/$file" "$work/some/longer/place/stage/usr/lib/$file"
  if grep -aq "$work\|$home" "$work/a/stage/usr/lib/$file"; then
    echo "$file contains a path of this machine"
    exit 1
  fi
done
echo 'both builds are identical'
