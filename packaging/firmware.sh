#!/bin/sh
# firmware.sh OUTPUT FEATURES [OPTIONS...]: builds the library for Cortex-M with these features, and the program of
# examples-c/firmware-qemu with it; OPTIONS are for the C compiler. OUTPUT is the ELF file. Called by `make firmware-test` and others.
set -eu
output=$1 features=$2
shift 2
target=thumbv7em-none-eabihf
dir=${TARGET_DIR:-target}/firmware
cpu='-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16'
# No path of the machine that builds, and short ones: they stand in the messages of panics.
remap="--remap-path-prefix=$PWD/="
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do
  remap="$remap --remap-path-prefix=$registry="
done
RUSTFLAGS="${RUSTFLAGS:-} $remap" CFLAGS_thumbv7em_none_eabihf="-Os -ffile-prefix-map=$PWD/=" CARGO_TARGET_DIR=$dir \
  ${CARGO:-cargo} rustc --quiet --profile firmware --lib --crate-type staticlib --target $target --no-default-features --features "$features"
mkdir -p "$(dirname "$output")"
# shellcheck disable=SC2086 # lists of options
arm-none-eabi-gcc $cpu -Os -g -std=c99 -Wall -Wextra -Werror -ffunction-sections -fdata-sections "$@" -Iinclude -Iexamples-c/firmware-qemu examples-c/firmware-qemu/start.c \
  examples-c/firmware-qemu/lan9118.c "${MAIN:-examples-c/firmware-qemu/main.c}" \
  "$dir/$target/firmware/libmongoose.a" -Texamples-c/firmware-qemu/link.ld -nostartfiles --specs=nano.specs \
  -Wl,--gc-sections -Wl,--no-warn-execstack -Wl,-Map="$output.map" -o "$output"
