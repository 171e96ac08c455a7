# The small library, other machines and packages. Included by the Makefile.

# Features of the small library: the protocols of Cargo.toml, of which capi includes all; also tls and ecc.
FEATURES ?= capi
SMALL_DIR = $(TARGET_DIR)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)small
READELF ?= readelf

# libmongoose.a and libmongoose.so for small devices, in $(SMALL_DIR)/lib. `make install-files BUILD_DIR=...` installs them.
small:
	RUSTFLAGS="$(RUSTFLAGS) $(REMAP) --cfg mg_small" CFLAGS="$(CFLAGS) -Os $(MAPS)" \
	  $(CARGO) rustc --profile small --lib --crate-type staticlib --no-default-features --features "std reserve $(FEATURES)"
	mkdir -p $(SMALL_DIR)/lib
	OBJCOPY="$(OBJCOPY)" READELF="$(READELF)" packaging/small.sh $(SMALL_DIR)/libmongoose.a $(SMALL_DIR)/lib/libmongoose.a
	CC="$(CC)" STRIP_FLAG=-s packaging/link.sh $(SMALL_DIR)/lib/libmongoose.a $(SMALL_DIR)/lib/libmongoose.so libmongoose.so.$(SOVERSION)
	ln -sf libmongoose.so $(SMALL_DIR)/lib/libmongoose.so.$(SOVERSION)

# The table in the README.
sizes: build
	CC="$(CC)" packaging/sizes.sh $(BUILD_DIR) $(SMALL_DIR)/lib

# The library over aws-lc-rs in place of ring: its unit tests of TLS, and the C programs of TLS against it.
check-aws-lc:
	CARGO_TARGET_DIR=$(TARGET_DIR)/aws-lc $(CARGO) test --features aws-lc --lib tls
	CARGO_TARGET_DIR=$(TARGET_DIR)/aws-lc $(CARGO) test --features aws-lc --test c -- tls_

deps-aws-lc: deps
	@command -v cmake >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update && apt-get install -y --no-install-recommends cmake; } || \
	{ echo "make check-aws-lc needs this Debian package: apt-get install cmake"; exit 1; }

# macOS and FreeBSD: type-checked only, because nothing here can run the result.
SYSTEMS = x86_64-apple-darwin aarch64-apple-darwin x86_64-unknown-freebsd
check-systems:
	packaging/systems.sh $(SYSTEMS)

# Licences, sources and versions of all dependencies; their advisories too, if the database can be fetched.
deny:
	$(CARGO) deny --locked check licenses bans sources
	@if $(CARGO) deny fetch db >/dev/null 2>&1; then set -x; $(CARGO) deny --locked check advisories; \
	else echo 'advisories not checked: the database is unreachable'; fi

deps-deny:
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny

# mongoose.cdx.json, a bill of materials, and THIRD-PARTY-NOTICES.txt. FEATURES and TARGET restrict them.
sbom:
	FEATURES="$(if $(filter command environment,$(firstword $(origin FEATURES))),$(FEATURES))" TARGET="$(TARGET)" packaging/sbom.py $(TARGET_DIR)/sbom

debian: build
	packaging/debian.sh $(BUILD_DIR) $(TARGET_DIR)/debian

# Other machines, under qemu-user: TARGET selects some of CROSS; TESTS= skips the C programs.
CROSS = aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf s390x-unknown-linux-gnu i686-unknown-linux-gnu riscv64gc-unknown-linux-gnu \
        powerpc-unknown-linux-gnu x86_64-unknown-linux-musl aarch64-unknown-linux-musl
TARGET ?=
cross:
	packaging/cross.sh $(or $(TARGET),$(CROSS))

# Debian has no cross compilers for musl, but its GCC wrapper also accepts libraries and headers of other architectures.
CROSS_PACKAGES = gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf gcc-s390x-linux-gnu gcc-i686-linux-gnu gcc-riscv64-linux-gnu gcc-powerpc-linux-gnu \
                 libc6-dev-arm64-cross libc6-dev-armhf-cross libc6-dev-s390x-cross libc6-dev-i386-cross libc6-dev-riscv64-cross \
                 libc6-dev-powerpc-cross musl-tools musl-dev:arm64 qemu-user curl clang
deps-cross:
	@missing=; for p in $(CROSS_PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ]; then \
	  dpkg --add-architecture arm64 && apt-get update && apt-get install -y --no-install-recommends $$missing; \
	else echo "make cross needs these Debian packages: dpkg --add-architecture arm64; apt-get install$$missing"; exit 1; fi
	@for t in $(CROSS) $(SYSTEMS); do rustup -q target add $$t || echo "$$t: rustup has no std for it"; done

# Windows, with mingw-w64 and under wine; TESTS="a b" selects some of the C programs. check-windows only type-checks, also for MSVC.
windows-test:
	packaging/cross.sh x86_64-pc-windows-gnu

check-windows:
	packaging/systems.sh x86_64-pc-windows-gnu x86_64-pc-windows-msvc

deps-windows:
	@missing=; for p in gcc-mingw-w64-x86-64 wine64 curl; do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ]; then apt-get update && apt-get install -y --no-install-recommends $$missing; \
	else echo "make windows-test needs these Debian packages: apt-get install$$missing"; exit 1; fi
	rustup -q target add x86_64-pc-windows-gnu x86_64-pc-windows-msvc

.PHONY: small sizes check-aws-lc deps-aws-lc check-systems deny deps-deny sbom debian cross deps-cross windows-test check-windows deps-windows
