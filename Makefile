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
BUILD_DIR ?= target/release
STATIC_LIBS = -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc

# Sizes in the binary layout: MG_DATA_SIZE and MG_MAX_HTTP_HEADERS, if given, reach build.rs through the environment.
DATA_SIZE = $(or $(MG_DATA_SIZE),32)
MAX_HTTP_HEADERS = $(or $(MG_MAX_HTTP_HEADERS),30)

# What the tests call, and the Debian packages it comes from.
TOOLS = gcc:gcc g++:g++ clang:clang valgrind:valgrind nm:binutils make:make pkg-config:pkg-config cmake:cmake curl:curl \
        wrk:wrk python3:python3 pip3:python3-pip node:nodejs npm:npm chromium:chromium openssl:openssl \
        update-ca-certificates:ca-certificates \
        mosquitto:mosquitto mosquitto_pub:mosquitto-clients \
        dnsmasq:dnsmasq-base unshare:util-linux ip:iproute2 \
        chronyd:chrony
# Packages of other languages, which are put into a directory of this project.
PYTHON_PACKAGES = websockets paho-mqtt zeroconf pymodbus pyjwt cryptography
NODE_PACKAGES = ws
PEERS = target/peers

L = $(DESTDIR)$(LIBDIR)
I = $(DESTDIR)$(INCLUDEDIR)
CMAKE_DIR = $(LIBDIR)/cmake/mongoose
FILL = sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|g' \
       -e 's|@VERSION@|$(VERSION)|g' -e 's|@SOVERSION@|$(SOVERSION)|g' -e 's|@STATIC_LIBS@|$(STATIC_LIBS)|g' \
       -e "s|@INCLUDEDIR_FROM_CMAKE@|$$(realpath -m --relative-to=$(CMAKE_DIR) $(INCLUDEDIR))|g"

help:
	@echo 'make serve      build, and run examples-c/http-server.c on http://localhost:8000'
	@echo 'make build      build the release library: $(BUILD_DIR)/libmongoose.so and libmongoose.a'
	@echo 'make install    PREFIX=$(PREFIX) DESTDIR= LIBDIR= INCLUDEDIR= MG_DATA_SIZE=$(DATA_SIZE) MG_MAX_HTTP_HEADERS=$(MAX_HTTP_HEADERS)'
	@echo 'make uninstall  with the same settings'
	@echo 'make deps       install what the tests need (as root), or say what is missing'
	@echo 'make test       all tests'
	@echo 'make test-bindings  those of the bindings for other languages; make deps-bindings installs what they need'
	@echo 'make big        10 GiB in both directions, with the memory that the server uses'
	@echo 'make drain-demo a server restarted under load for DURATION=$(DURATION) seconds, counting lost requests'
	@echo 'make lint       formatting and clippy'
	@echo 'make miri       the pure code under Miri (nightly)'
	@echo 'make tsan       look for data races with ThreadSanitizer; part of make test'
	@echo 'make header     write include/mongoose.h anew'
	@echo 'make bench      benchmarks'
	@echo 'make bench-tls  HTTPS, beside nginx'
	@echo 'make clean      remove what was built'

build:
	$(CARGO) build --release

serve: build
	$(CC) -O2 -Iinclude examples-c/http-server.c $(BUILD_DIR)/libmongoose.a $(STATIC_LIBS) -o $(BUILD_DIR)/http-server
	$(BUILD_DIR)/http-server

deps:
	@missing=; for t in $(TOOLS); do \
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

# First everything, then what optimised code could change: with overflow checks, and as it is shipped - the exports, the
# vectors, real clients and the C programs.
test: deps lint
	$(CARGO) test --no-fail-fast
	$(CARGO) test --profile checked --no-fail-fast --lib --test vectors
	$(CARGO) test --release --no-fail-fast --test header --test vectors --test clients
	$(CARGO) test --release --test c -- --skip header:: --skip switch:: --skip tools:: --skip ::valgrind --skip ::asan --skip ::cxx
	c-tests/tsan.sh

lint:
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy
	$(CARGO) fmt --check
	$(CARGO) clippy --quiet --all-targets -- -D warnings

# The pure rooms under Miri: needs a nightly toolchain with the components miri and rust-src.
miri:
	PROPTEST_CASES=4 MIRIFLAGS=-Zmiri-disable-isolation $(CARGO) +nightly miri test --lib -- proto:: hash:: fmt:: \
	  --skip any_bytes_are_scanned --skip is_no_work

big:
	UPLOAD_GIB=10 $(CARGO) test --release --test clients -- with_flat_memory --test-threads=1

drain-demo:
	DURATION=$(DURATION) $(CARGO) test --test clients -- restart::

tsan:
	c-tests/tsan.sh

header:
	MONGOOSE_WRITE_HEADER=1 $(CARGO) test --test header header_is_current

bench: build
	benches/run.sh

bench-tls: build
	benches/tls.sh

install: build install-files

# Installs what is in BUILD_DIR.
install-files:
	install -d $(L)/pkgconfig $(DESTDIR)$(CMAKE_DIR) $(I)
	install -m 755 $(BUILD_DIR)/libmongoose.so $(L)/libmongoose.so.$(VERSION)
	ln -sf libmongoose.so.$(VERSION) $(L)/libmongoose.so.$(SOVERSION)
	ln -sf libmongoose.so.$(SOVERSION) $(L)/libmongoose.so
	install -m 644 $(BUILD_DIR)/libmongoose.a $(L)/libmongoose.a
	sed -e 's/^\(#define MGX_BUILT_DATA_SIZE\) .*/\1 $(DATA_SIZE)/' \
	    -e 's/^\(#define MGX_BUILT_MAX_HTTP_HEADERS\) .*/\1 $(MAX_HTTP_HEADERS)/' include/mongoose.h > $(I)/mongoose.h
	install -m 644 include/mongoose_ext.h $(I)/mongoose_ext.h
	$(FILL) packaging/mongoose.pc > $(L)/pkgconfig/mongoose.pc
	$(FILL) packaging/mongoose-config.cmake > $(DESTDIR)$(CMAKE_DIR)/mongoose-config.cmake
	$(FILL) packaging/mongoose-config-version.cmake > $(DESTDIR)$(CMAKE_DIR)/mongoose-config-version.cmake
	chmod 644 $(I)/mongoose.h $(L)/pkgconfig/mongoose.pc $(DESTDIR)$(CMAKE_DIR)/*.cmake

uninstall:
	rm -f $(L)/libmongoose.so.$(VERSION) $(L)/libmongoose.so.$(SOVERSION) $(L)/libmongoose.so $(L)/libmongoose.a
	rm -f $(I)/mongoose.h $(I)/mongoose_ext.h $(L)/pkgconfig/mongoose.pc
	rm -rf $(DESTDIR)$(CMAKE_DIR)

clean:
	$(CARGO) clean

.PHONY: help build serve deps test lint miri big drain-demo tsan header bench bench-tls install install-files uninstall clean

include bindings/rules.mk
