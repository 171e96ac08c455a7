# The library without an operating system: docs/firmware.md. Included by the Makefile.

FIRMWARE_TARGETS = thumbv7em-none-eabihf riscv32imc-unknown-none-elf
FIRMWARE_PACKAGES = gcc-arm-none-eabi libnewlib-arm-none-eabi gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-arm curl python3
FIRMWARE_IMAGES = $(TARGET_DIR)/firmware/images

# Debian's compiler for RISC-V finds the headers of its C library when it is told of them.
export CFLAGS_riscv32imc_unknown_none_elf ?= --specs=picolibc.specs

# Type-checked with all that works there, and with no protocol at all.
check-firmware:
	for target in $(FIRMWARE_TARGETS); do \
	  for features in tcpip "tcpip-ipv6 protocols ecc" "port protocols ecc"; do \
	    RUSTFLAGS="$(RUSTFLAGS) -Dwarnings" CARGO_TARGET_DIR=$(TARGET_DIR)/features \
	      $(CARGO) check --quiet --lib --no-default-features --features "$$features" --target $$target || exit 1; \
	  done; \
	done
	RUSTFLAGS="$(RUSTFLAGS) -Dwarnings" CARGO_TARGET_DIR=$(TARGET_DIR)/features \
	  $(CARGO) check --quiet --lib --no-default-features --features "tcpip protocols tls ecc" --target thumbv7em-none-eabihf

# The example on boards of qemu, with a large heap and with one that does not suffice.
firmware-test:
	CARGO="$(CARGO)" TARGET_DIR=$(TARGET_DIR) packaging/firmware.sh $(FIRMWARE_IMAGES)/full.elf "tcpip http ws mqtt" -DWITH_WS -DWITH_MQTT
	CARGO="$(CARGO)" TARGET_DIR=$(TARGET_DIR) packaging/firmware.sh $(FIRMWARE_IMAGES)/small.elf "tcpip http ws mqtt" -DWITH_WS -DWITH_MQTT \
	  -Wl,--defsym=HEAP_SIZE=32768
	packaging/firmware-tls.sh c-tests/certs/server-p256.pem c-tests/certs/server-p256.key > $(FIRMWARE_IMAGES)/tls.c
	CARGO="$(CARGO)" TARGET_DIR=$(TARGET_DIR) packaging/firmware.sh $(FIRMWARE_IMAGES)/tls.elf "tcpip http ws tls ecc" -DWITH_WS -DWITH_TLS \
	  $(FIRMWARE_IMAGES)/tls.c -Wl,--defsym=HEAP_SIZE=131072 -Wl,--defsym=STACK_SIZE=32768
	c-tests/firmware/run.py $(FIRMWARE_IMAGES)

# Flash and RAM of the least program with each protocol.
firmware-sizes:
	@CARGO="$(CARGO)" TARGET_DIR=$(TARGET_DIR) c-tests/firmware/sizes.py $(FIRMWARE_IMAGES)

deps-firmware:
	@missing=; for p in $(FIRMWARE_PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ]; then apt-get update && apt-get install -y --no-install-recommends $$missing; \
	else echo "firmware needs these Debian packages: apt-get install$$missing"; exit 1; fi
	rustup -q target add $(FIRMWARE_TARGETS)

.PHONY: check-firmware deps-firmware firmware-sizes firmware-test
