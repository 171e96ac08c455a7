# The small library, other machines and packages. Included by the Makefile.

# Protocols of the small library: those of Cargo.toml; capi is all of them. Also tls and ecc.
FEATURES ?= capi
SMALL_DIR = $(TARGET_DIR)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)small
READELF ?= readelf

# libmongoose.a and libmongoose.so for small devices, in $(SMALL_DIR)/lib. `make install-files BUILD_DIR=...` installs them.
small:
	RUSTFLAGS="$(RUSTFLAGS) $(REMAP) --cfg mg_small" CFLAGS="$(CFLAGS) -Os $(MAPS)" \
	  $(CARGO) rustc --profile small --lib --crate-type staticlib --no-default-features --features "$(FEATURES)"
	mkdir -p $(SMALL_DIR)/lib
	OBJCOPY="$(OBJCOPY)" READELF="$(READELF)" packaging/small.sh $(SMALL_DIR)/libmongoose.a $(SMALL_DIR)/lib/libmongoose.a
	CC="$(CC)" STRIP_FLAG=-s packaging/link.sh $(SMALL_DIR)/lib/libmongoose.a $(SMALL_DIR)/lib/libmongoose.so libmongoose.so.$(SOVERSION)
	ln -sf libmongoose.so $(SMALL_DIR)/lib/libmongoose.so.$(SOVERSION)

# The table in the README.
sizes: build
	CC="$(CC)" packaging/sizes.sh $(BUILD_DIR) $(SMALL_DIR)/lib

# macOS and FreeBSD: what nothing here can run is at least type-checked.
SYSTEMS = x86_64-apple-darwin aarch64-apple-darwin x86_64-unknown-freebsd
check-systems:
	packaging/systems.sh $(SYSTEMS)

.PHONY: small sizes check-systems
