# Building, testing and installing libmongoose for C programs.

VERSION = 7.22.0
SOVERSION = 7
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DESTDIR ?=

CARGO ?= cargo
DURATION ?= 30
CC ?= cc
# As cargo does: its target directory, and in it one for the target when CARGO_BUILD_TARGET names one.
TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)
BUILD_DIR ?= $(TARGET_DIR)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)release
OBJCOPY ?= objcopy
# Not empty when the library is for Windows: a DLL then, with an import library.
WINDOWS = $(findstring windows,$(CARGO_BUILD_TARGET))$(findstring Windows_NT,$(OS))
# Not -lgcc_s: compilers add what they need of libgcc themselves, and there is none for -static.
STATIC_LIBS = $(if $(WINDOWS),-lws2_32 -lbcrypt -lntdll -luserenv -ldbghelp,-lutil -lrt -lpthread -lm -ldl)

# LIBNAME=mongoose-rs is for systems where another package owns libmongoose.so, such as Debian's libsuitesparse-dev: see
# docs/installing.md.
LIBNAME ?= mongoose
FORCE ?= 0

# No path of the machine that builds goes into the library.
CARGO_HOME_DIR = $(or $(CARGO_HOME),$(HOME)/.cargo)
REMAP = --remap-path-prefix=$(CURDIR)=/mongoose --remap-path-prefix=$(CARGO_HOME_DIR)=/cargo
MAPS = -ffile-prefix-map=$(CURDIR)=/mongoose -ffile-prefix-map=$(CARGO_HOME_DIR)=/cargo

# What the tests call, and the Debian packages it comes from.
TOOLS = gcc:gcc g++:g++ clang:clang valgrind:valgrind nm:binutils make:make pkg-config:pkg-config cmake:cmake curl:curl \
        wrk:wrk python3:python3 pip3:python3-pip node:nodejs npm:npm chromium:chromium openssl:openssl \
        update-ca-certificates:ca-certificates \
        mosquitto:mosquitto mosquitto_pub:mosquitto-clients \
        dnsmasq:dnsmasq-base unshare:util-linux ip:iproute2 \
        chronyd:chrony nginx:nginx-light haproxy:haproxy
# Packages of other languages, which are put into a directory of this project.
PYTHON_PACKAGES = websockets paho-mqtt zeroconf pymodbus pyjwt cryptography
NODE_PACKAGES = ws
PEERS = target/peers

L = $(DESTDIR)$(LIBDIR)
CMAKE_DIR = $(LIBDIR)/cmake/mongoose
SO = lib$(LIBNAME).so
HEADERS = $(INCLUDEDIR)$(if $(filter-out mongoose,$(LIBNAME)),/$(LIBNAME))
I = $(DESTDIR)$(HEADERS)
# Where -lmongoose finds the library, whatever its name.
LINKDIR = $(LIBDIR)$(if $(filter-out mongoose,$(LIBNAME)),/$(LIBNAME))
FILL = sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' -e 's|@INCLUDEDIR@|$(HEADERS)|g' -e 's|@LIBNAME@|$(LIBNAME)|g' -e 's|@LINKDIR@|$(LINKDIR)|g' \
       -e 's|@VERSION@|$(VERSION)|g' -e 's|@SOVERSION@|$(SOVERSION)|g' -e 's|@STATIC_LIBS@|$(STATIC_LIBS)|g' \
       -e "s|@INCLUDEDIR_FROM_CMAKE@|$$(realpath -m --relative-to=$(CMAKE_DIR) $(HEADERS))|g"

help:
	@echo 'make serve      build, and run examples-c/http-server.c on http://localhost:8000, or on LISTEN=http://127.0.0.1:8001'
	@echo 'make build      build the release library: $(BUILD_DIR)/libmongoose.so and libmongoose.a'
	@echo 'make install    PREFIX=$(PREFIX) DESTDIR= LIBDIR= INCLUDEDIR='
	@echo '                LIBNAME=mongoose-rs leaves libmongoose.so to another package; FORCE=1 overwrites a foreign library'
	@echo 'make reproducible  the same bytes from two directories'
	@echo 'make pack       mongoose-pack, which puts files into a program: $(BUILD_DIR)/mongoose-pack -h'
	@echo 'make dist       a tarball to unpack and use: $(DIST)/libmongoose-$(VERSION)-TARGET.tar.gz; CARGO_BUILD_TARGET=... for another one'
	@echo 'make packages   build and use each kind of package; make deps-packages installs what that needs'
	@echo 'make small      FEATURES="$(FEATURES)": the library for small devices; make sizes: a table of what it weighs'
	@echo 'make cross      TARGET=...: the library for other machines, tried under qemu; make check-systems: macOS and FreeBSD, type-checked;'
	@echo '                make deps-cross installs what they need'
	@echo 'make check-aws-lc  TLS over aws-lc in place of ring, tested; make deps-aws-lc installs CMake'
	@echo 'make windows-test  the library for Windows, tried under wine; make check-windows: type-checked, also for MSVC; make deps-windows'
	@echo 'make check-firmware  the library without an operating system, for Cortex-M and RISC-V; make deps-firmware installs compilers'
	@echo 'make debian     Debian packages; make sbom: bill of materials and third-party notices; make deny: licences and advisories of dependencies'
	@echo 'make msrv       the library with the oldest Rust that Cargo.toml allows; make features: without TLS, curves, protocols'
	@echo 'make uninstall  with the same settings'
	@echo 'make deps       install what the tests need (as root), or say what is missing'
	@echo 'make test       all tests'
	@echo 'make test-bindings  those of the bindings for other languages; make deps-bindings installs what they need'
	@echo 'make docs       the reference: target/docs/html/index.html, and man pages; make deps-docs installs what it needs'
	@echo 'make install-docs  both to PREFIX/share'
	@echo 'make check-docs tries its links, spelling, man pages, and the front page in a browser; make pictures takes those in docs/'
	@echo 'make torture    all C programs with transfers of 1 and 7 bytes, and system calls and allocations that fail; ONLY=name takes some'
	@echo 'make soak       mixed traffic, with flat memory and descriptors; MINUTES=n, SEED=n'
	@echo 'make conformance  suites of others against the examples; ONLY="http mosquitto" takes some, QUICK=1; make deps-conformance'
	@echo 'make big        10 GiB in both directions, with the memory that the server uses'
	@echo 'make drain-demo a server restarted under load for DURATION=$(DURATION) seconds, counting lost requests'
	@echo 'make fuzz       fuzz all targets, SECONDS=$(SECONDS) in all; make fuzz-smoke runs them on their seeds; make deps-fuzz'
	@echo 'make tcpip-test the TCP/IP stack of the feature tcpip, with TCPIP_SIZE=$(TCPIP_SIZE) bytes each way over a bad line; tcpip-test-short'
	@echo 'make simulate   SEEDS=$(SEEDS) simulated networks with clients and drains; SEED=n shows what one finds'
	@echo 'make simulate-real  SEEDS=1000 of them with real sockets: what the simulation has predicted must happen'
	@echo 'make lint       formatting and clippy'
	@echo 'make miri       the pure code under Miri (nightly)'
	@echo 'make tsan       look for data races with ThreadSanitizer; part of make test'
	@echo 'make mutants    IN=proto,net,handler SAMPLE=N: change the code in one place at a time, and see what no test notices'
	@echo 'make header     write include/mongoose.h anew'
	@echo 'make bench      benchmarks'
	@echo 'make bench-tls  HTTPS, beside nginx'
	@echo 'make bench-instructions  instructions for one request, by module (valgrind)'
	@echo 'make clean      remove what was built'

# Without cargo - under sudo it is often not on the path - what is built already will do.
build:
	@if $(CARGO) --version >/dev/null 2>&1; then \
	  set -x; RUSTFLAGS="$(RUSTFLAGS) $(REMAP)" CFLAGS="$(CFLAGS) $(MAPS)" $(CARGO) rustc --release --lib --crate-type staticlib; \
	elif [ -f $(BUILD_DIR)/libmongoose.a ]; then \
	  echo 'cargo is missing: taking what is in $(BUILD_DIR)'; \
	else \
	  packaging/no-cargo.sh; exit 1; \
	fi
ifneq ($(WINDOWS),)
	CC="$(CC)" LIBS="$(STATIC_LIBS)" packaging/link-dll.sh $(BUILD_DIR)/libmongoose.a $(BUILD_DIR)/libmongoose.dll
else
	CC="$(CC)" packaging/link.sh $(BUILD_DIR)/libmongoose.a $(BUILD_DIR)/libmongoose.so libmongoose.so.$(SOVERSION)
	ln -sf libmongoose.so $(BUILD_DIR)/libmongoose.so.$(SOVERSION)
endif

serve: build
	$(CC) -O2 -Iinclude examples-c/http-server.c $(BUILD_DIR)/libmongoose.a $(STATIC_LIBS) -o $(BUILD_DIR)/http-server
	$(BUILD_DIR)/http-server $(if $(LISTEN),-l $(LISTEN))

pack:
	@mkdir -p $(BUILD_DIR)
	$(CC) -O2 examples-c/mongoose-pack.c -o $(BUILD_DIR)/mongoose-pack

DIST ?= target/dist
dist: build pack docs
	packaging/dist.sh $(BUILD_DIR) $(VERSION) $(DIST)

# As root on Debian it installs; otherwise it says what is missing, and stops.
deps:
	@$(CARGO) --version >/dev/null 2>&1 || packaging/no-cargo.sh
	@missing=; for t in $(TOOLS); do PATH=$$PATH:/usr/sbin; \
	  command -v "$${t%%:*}" >/dev/null || missing="$$missing $${t#*:}"; \
	done; \
	echo '#include <sqlite3.h>' | $(CC) -E - >/dev/null 2>&1 || missing="$$missing libsqlite3-dev"; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update && apt-get install -y --no-install-recommends $$missing; \
	else \
	  echo "The tests need these Debian packages: apt-get install$$missing"; exit 1; \
	fi
	@for p in $(PYTHON_PACKAGES); do \
	  ls -d $(PEERS)/python/$$(echo $$p | tr - _)-*.dist-info >/dev/null 2>&1 || python3 -m pip install --quiet --target $(PEERS)/python $$p || exit 1; \
	done
	@for p in $(NODE_PACKAGES); do \
	  [ -d $(PEERS)/node/node_modules/$$p ] || npm install --silent --no-audit --no-fund --prefix $(PEERS)/node $$p || exit 1; \
	done

# First everything, then what optimised code could change: with overflow checks, and as it is shipped - the exports, the vectors,
# real clients, and the C programs against the shared library.
test: deps lint features
	$(CARGO) test --no-fail-fast
	$(CARGO) test --profile checked --no-fail-fast --lib --test vectors
	$(CARGO) test --release --no-fail-fast --test header --test vectors --test clients
	$(CARGO) test --release --test c -- --skip header:: --skip switch:: --skip tools:: --skip ::valgrind --skip ::asan --skip ::cxx \
	  --skip ::static --skip install:: --skip example::
	c-tests/tsan.sh
	$(MAKE) tcpip-test-short

lint:
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy
	$(CARGO) fmt --check
	$(CARGO) clippy --quiet --all-targets -- -D warnings

# The oldest compiler that Cargo.toml allows, with the vectors. rustup must be there.
MSRV = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
msrv:
	rustup toolchain install $(MSRV) --profile minimal
	CARGO_TARGET_DIR=$(TARGET_DIR)/msrv $(CARGO) +$(MSRV) test --test vectors

features:
	CARGO_TARGET_DIR=$(TARGET_DIR)/features $(CARGO) check --lib --no-default-features --features std,capi
	CARGO_TARGET_DIR=$(TARGET_DIR)/features $(CARGO) check --lib --no-default-features --features std,capi,ecc
	CARGO_TARGET_DIR=$(TARGET_DIR)/features $(CARGO) check --lib --no-default-features --features std,capi,tls
	for protocol in '' http files ws mqtt dns mdns sntp modbus dash json rpc ota jwt; do \
	  RUSTFLAGS="$(RUSTFLAGS) -Dwarnings" CARGO_TARGET_DIR=$(TARGET_DIR)/features \
	    $(CARGO) check --quiet --lib --no-default-features --features "std $$protocol" || exit 1; \
	done
	CARGO_TARGET_DIR=$(TARGET_DIR)/features $(CARGO) check --lib --no-default-features --features std,capi,tcpip
	CARGO_TARGET_DIR=$(TARGET_DIR)/features $(CARGO) check --lib --features tcpip-ipv6

# The pure modules under Miri: needs a nightly toolchain with the components miri and rust-src.
miri:
	PROPTEST_CASES=4 MIRIFLAGS=-Zmiri-disable-isolation $(CARGO) +nightly miri test --lib -- proto:: hash:: fmt:: \
	  --skip any_bytes_are_scanned --skip is_no_work

big:
	UPLOAD_GIB=10 $(CARGO) test --release --test clients -- with_flat_memory --test-threads=1

drain-demo:
	DURATION=$(DURATION) $(CARGO) test --test clients -- restart::

tsan:
	c-tests/tsan.sh

layouts:
	python3 c-tests/abi/layouts.py

header:
	MONGOOSE_WRITE_HEADER=1 $(CARGO) test --test header header_is_current

bench: build
	benches/run.sh

bench-tls: build
	benches/tls.sh

bench-instructions: build
	benches/instructions.sh $(BUILD_DIR) include

install: build install-files

# Installs what is in BUILD_DIR.
install-files:
	@packaging/foreign.sh $(FORCE) $(L)/$(SO) $(L)/$(SO).$(SOVERSION) $(L)/lib$(LIBNAME).a $(I)/mongoose.h
	install -d $(L)/pkgconfig $(DESTDIR)$(CMAKE_DIR) $(L)/cmake/unofficial-mongoose $(I) $(DESTDIR)$(LINKDIR)
ifneq ($(WINDOWS),)
	install -d $(DESTDIR)$(PREFIX)/bin
	CC="$(CC)" LIBS="$(STATIC_LIBS)" packaging/link-dll.sh $(BUILD_DIR)/libmongoose.a $(DESTDIR)$(PREFIX)/bin/libmongoose.dll
	chmod 755 $(DESTDIR)$(PREFIX)/bin/libmongoose.dll
	mv -f $(DESTDIR)$(PREFIX)/bin/libmongoose.dll.a $(L)/libmongoose.dll.a
	@# Rust's std has empty members there, which objcopy refuses.
	cp $(BUILD_DIR)/libmongoose.a $(L)/lib$(LIBNAME).a
	ar=$$($(CC) -print-prog-name=ar); $$ar d $(L)/lib$(LIBNAME).a $$($$ar t $(L)/lib$(LIBNAME).a 2>/dev/null | grep '\.dwo$$' | sort -u) 2>/dev/null
	$(OBJCOPY) --strip-debug -D -R .llvmbc -R .llvmcmd $(L)/lib$(LIBNAME).a
else
	CC="$(CC)" packaging/link.sh $(BUILD_DIR)/libmongoose.a $(L)/$(SO).$(VERSION) $(SO).$(SOVERSION)
	chmod 755 $(L)/$(SO).$(VERSION)
	ln -sf $(SO).$(VERSION) $(L)/$(SO).$(SOVERSION)
	ln -sf $(SO).$(SOVERSION) $(L)/$(SO)
	$(OBJCOPY) --strip-debug -D -R .llvmbc -R .llvmcmd $(BUILD_DIR)/libmongoose.a $(L)/lib$(LIBNAME).a
endif
	chmod 644 $(L)/lib$(LIBNAME).a
	@if [ $(LIBNAME) != mongoose ]; then \
	  set -x; ln -sf ../$(SO).$(SOVERSION) $(DESTDIR)$(LINKDIR)/libmongoose.so; ln -sf ../lib$(LIBNAME).a $(DESTDIR)$(LINKDIR)/libmongoose.a; \
	  sed -e 's|-lmongoose|-l$(LIBNAME)|' -e 's|^Name: .*|Name: $(LIBNAME)|' -e 's|@LINKDIR@|$(LIBDIR)|' packaging/mongoose.pc | $(FILL) > $(L)/pkgconfig/$(LIBNAME).pc; \
	fi
	sed -e "s/^\(#define MGX_BUILT_TIME_SIZE\) .*/\1 $$(CC='$(CC)' CFLAGS='$(CFLAGS)' packaging/time-size.sh)/" include/mongoose.h > $(I)/mongoose.h
	install -m 644 include/mongoose_ext.h $(I)/mongoose_ext.h
	$(FILL) packaging/mongoose.pc > $(L)/pkgconfig/mongoose.pc
	$(FILL) packaging/mongoose-static.pc > $(L)/pkgconfig/mongoose-static.pc
	$(FILL) packaging/mongoose-config.cmake > $(DESTDIR)$(CMAKE_DIR)/mongoose-config.cmake
	$(FILL) packaging/mongoose-config-version.cmake > $(DESTDIR)$(CMAKE_DIR)/mongoose-config-version.cmake
	cp packaging/unofficial-mongoose-config.cmake $(L)/cmake/unofficial-mongoose/
	chmod 644 $(I)/mongoose.h $(L)/pkgconfig/*mongoose*.pc $(DESTDIR)$(CMAKE_DIR)/*.cmake $(L)/cmake/unofficial-mongoose/*.cmake
	@[ -n "$(DESTDIR)$(WINDOWS)" ] || CC="$(CC)" packaging/loader.sh "$(LIBDIR)" "$(LINKDIR)" "$(HEADERS)" $(SO).$(SOVERSION)

uninstall:
	@packaging/foreign.sh $(FORCE) $(L)/$(SO) $(L)/$(SO).$(SOVERSION) $(L)/lib$(LIBNAME).a $(I)/mongoose.h
	rm -f $(L)/$(SO).$(VERSION) $(L)/$(SO).$(SOVERSION) $(L)/$(SO) $(L)/lib$(LIBNAME).a
	rm -f $(if $(WINDOWS),$(DESTDIR)$(PREFIX)/bin/libmongoose.dll $(L)/libmongoose.dll.a)
	rm -f $(I)/mongoose.h $(I)/mongoose_ext.h
	rm -f $(L)/pkgconfig/mongoose.pc $(L)/pkgconfig/mongoose-static.pc $(L)/pkgconfig/$(LIBNAME).pc
	rm -rf $(DESTDIR)$(CMAKE_DIR) $(L)/cmake/unofficial-mongoose
	@[ $(LIBNAME) = mongoose ] || rm -rf $(DESTDIR)$(LINKDIR) $(I)

# Builds and uses each kind of package from an empty directory.
packages: build pack docs
	packaging/check.sh $(BUILD_DIR)
	packaging/dist.sh $(BUILD_DIR) $(VERSION) target/packages/dist

# Two release builds in other directories, with other cargo homes, must give the same bytes.
reproducible:
	packaging/reproducible.sh

deps-packages: deps
	@missing=; for t in meson:meson ninja:ninja-build dpkg-buildpackage:dpkg-dev dh:debhelper lintian:lintian ruby:ruby nix-instantiate:nix-bin; do command -v "$${t%%:*}" >/dev/null || missing="$$missing $${t#*:}"; done; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update && apt-get install -y --no-install-recommends $$missing; \
	else echo "make packages needs these Debian packages: apt-get install$$missing"; exit 1; fi

clean:
	$(CARGO) clean

.PHONY: help layouts pack dist reproducible packages deps-packages msrv features build serve deps test lint miri big drain-demo tsan header bench bench-tls bench-instructions install install-files uninstall clean

include bindings/rules.mk
include c-tests/mutants.mk
include c-tests/rules.mk
include docs/rules.mk
include fuzz/rules.mk
include packaging/firmware.mk
include packaging/rules.mk
