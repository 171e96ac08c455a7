#!/bin/sh
# meson.sh CARGO SOURCE OUTPUT DIRECTORY: what meson.build runs.
set -eu
cargo=$1 source=$2 output=$(realpath -m "$3") dir=$(realpath -m "$4")
cd "$source"
"$cargo" rustc --release --lib --crate-type staticlib --target-dir "$dir/cargo"
# Left alone when nothing has changed, so that nothing is linked again.
cmp -s "$dir/cargo/release/libmongoose.a" "$output" || cp "$dir/cargo/release/libmongoose.a" "$output"
