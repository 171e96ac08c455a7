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
# Like cargo: its target directory, with a subdirectory for the target if CARGO_BUILD_TARGET is set.
TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)
BUILD_DIR ?= $(TARGET_DIR)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)release
OBJCOPY ?= objcopy
# Not empty if the library is for Windows: then it is a DLL with an import library.
WINDOWS = $(findstring windows,$(CARGO_BUILD_TARGET))$(findstring Windows_NT,$(OS))
# Without -lgcc_s: compilers link libgcc themselves, and it does not exist for -static.
STATIC_LIBS = $(if $(WINDOWS),-lws2_32 -lbcrypt -lntdll -luserenv -ldbghelp,-lutil -lrt -lpthread -lm -ldl)

# LIBNAME=mongoose-rs is for systems where another package, such as Debian's libsuitesparse-dev, owns libmongoose.so: see
# docs/installing.md.
LIBNAME ?= mongoose
FORCE ?= 0

# Keeps paths of the build machine out of the library.
CARGO_HOME_DIR = $(or $(CARGO_HOME),$(HOME)/.cargo)
REMAP = --remap-path-prefix=$(CURDIR)=/mongoose --remap-path-prefix=$(CARGO_HOME_DIR)=/cargo
MAPS = -ffile-prefix-map=$(CURDIR)=/mongoose -ffile-prefix-map=$(CARGO_HOME_DIR)=/cargo

# Commands used by the tests, and their Debian packages.
TOOLS = gcc:gcc g++:g++ clang:clang valgrind:valgrind nm:binutils make:make pkg-config:pkg-config cmake:cmake curl:curl \
        wrk:wrk python3:python3 pip3:python3-pip node:nodejs npm:npm chromium:chromium openssl:openssl \
        update-ca-certificates:ca-certificates \
        mosquitto:mosquitto mosquitto_pub:mosquitto-clients \
        dnsmasq:dnsmasq-base unshare:util-linux ip:iproute2 \
        chronyd:chrony nginx:nginx-light haproxy:haproxy
# Packages of other languages, installed into target/peers.
PYTHON_PACKAGES = websockets paho-mqtt zeroconf pymodbus pyjwt cryptography
NODE_PACKAGES = ws
PEERS = target/peers

L = $(DESTDIR)$(LIBDIR)
CMAKE_DIR = $(LIBDIR)/cmake/mongoose
SO = lib$(LIBNAME).so
HEADERS = $(INCLUDEDIR)$(if $(filter-out mongoose,$(LIBNAME)),/$(LIBNAME))
I = $(DESTDIR)$(HEADERS)
# Directory in which -lmongoose finds the library, whatever its name.
LINKDIR = $(LIBDIR)$(if $(filter-out mongoose,$(LIBNAME)),/$(LIBNAME))
FILL = sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' -e 's|@INCLUDEDIR@|$(HEADERS)|g' -e 's|@LIBNAME@|$(LIBNAME)|g' -e 's|@LINKDIR@|$(LINKDIR)|g' \
       -e 's|@VERSION@|$(VERSION)|g' -e 's|@SOVERSION@|$(SOVERSION)|g' -e 's|@STATIC_LIBS@|$(STATIC_LIBS)|g' \
       -e "s|@INCLUDEDIR_FROM_CMAKE@|$$(realpath -m --relative-to=$(CMAKE_DIR) $(HEADERS))|g"

help:
	@echo 'make serve      build and run examples-c/http-server.c on http://localhost:8000, or on LISTEN=http://127.0.0.1:8001'
	@echo 'make build      build the release library: $(BUILD_DIR)/libmongoose.so and libmongoose.a'
	@echo 'make install    PREFIX=$(PREFIX) DESTDIR= LIBDIR= INCLUDEDIR='
	@echo '                LIBNAME=mongoose-rs coexists with another libmongoose.so; FORCE=1 overwrites it'
	@echo 'make reproducible  compare builds from two directories'
	@echo 'make pack       build mongoose-pack, which embeds files into a program: $(BUILD_DIR)/mongoose-pack -h'
	@echo 'make dist       build a relocatable tarball: $(DIST)/libmongoose-$(VERSION)-TARGET.tar.gz; CARGO_BUILD_TARGET=... for another target'
	@echo 'make packages   build and use each kind of package; make deps-packages installs its tools'
	@echo 'make small      FEATURES="$(FEATURES)": build the library for small devices; make sizes prints a table of sizes'
	@echo 'make cross      TARGET=...: build for other machines and test under qemu; make check-systems: type-check for macOS and FreeBSD;'
	@echo '                make deps-cross installs their tools'
	@echo 'make check-aws-lc  test TLS over aws-lc in place of ring; make deps-aws-lc installs CMake'
	@echo 'make windows-test  build the library for Windows and test it under wine; make check-windows: type-check it, also for MSVC; make deps-windows'
	@echo 'make check-firmware  check the library without an operating system, for Cortex-M and RISC-V; make deps-firmware installs compilers'
	@echo 'make firmware-test  test a web server on Cortex-M boards in qemu; make firmware-sizes prints flash and RAM by protocol'
	@echo 'make debian     build Debian packages; make sbom: bill of materials and third-party notices; make deny: check licences and advisories of dependencies'
	@echo 'make msrv       build with the oldest Rust that Cargo.toml allows; make features: build without TLS, curves, protocols'
	@echo 'make uninstall  remove an installation; use the same settings as for make install'
	@echo 'make deps       install the tools of the tests (as root on Debian), or list what is missing'
	@echo 'make test       run all tests'
	@echo 'make test-bindings  test the bindings for other languages; make deps-bindings installs their tools'
	@echo 'make docs       build the reference: target/docs/html/index.html, and man pages; make deps-docs installs its tools'
	@echo 'make install-docs  install both under PREFIX/share'
	@echo 'make check-docs check links, spelling and man pages, and the pages in a browser; make pictures retakes the screenshots in docs/'
	@echo 'make torture    run all C programs with short transfers, failing system calls and failing allocations; ONLY=name selects some'
	@echo 'make soak       run mixed traffic and check that memory and descriptors stay flat; MINUTES=n, SEED=n'
	@echo 'make conformance  run third-party suites against the examples; ONLY="http mosquitto" selects some, QUICK=1; make deps-conformance'
	@echo 'make big        send 10 GiB in both directions and print the memory use of the server'
	@echo 'make drain-demo restart a server under load for DURATION=$(DURATION) seconds, counting lost requests; draws docs/performance/drain.svg'
	@echo 'make fuzz       fuzz all targets, for SECONDS=600 in all or EXECUTIONS=n; make fuzz-smoke runs them on their seeds; make deps-fuzz'
	@echo 'make tcpip-test test the feature tcpip, with TCPIP_SIZE=$(TCPIP_SIZE) bytes each way over a lossy line; make tcpip-test-short'
	@echo 'make port-test  test the feature port, whose sockets the application supplies, over Linux and over lwIP; port-test-short; deps-port installs lwIP'
	@echo 'make simulate   SEEDS=$(SEEDS) simulated networks with clients and drains; SEED=n details the findings of one'
	@echo 'make simulate-real  run SEEDS=1000 of them on real sockets, where everything must happen as the simulation predicted'
	@echo 'make lint       check formatting and run clippy'
	@echo 'make miri       run the pure code under Miri (nightly)'
	@echo 'make tsan       find data races with ThreadSanitizer'
	@echo 'make mutants    IN=proto,net,handler SAMPLE=N: change the code in one place at a time, and list changes that no test notices'
	@echo 'make header     regenerate include/mongoose.h and include/mongoose_ext.h'
	@echo 'make bench      run the benchmarks'
	@echo 'make bench-tls  compare HTTPS with nginx'
	@echo 'make bench-peers  compare with other servers and brokers; make deps-bench-peers installs them'
	@echo 'make bench-scale  measure many idle connections: memory, polls, drain, an active connection beside them'
	@echo 'make bench-latency  measure p50, p99 and p99.9 at 70 % load, beside nginx'
	@echo 'make bench-threads  measure one thread, two threads and two processes: what they cost each other'
	@echo 'make bench-docs  run all benchmarks and regenerate the tables and charts in docs/performance.md; needs an idle machine'
	@echo 'make bench-instructions  count the instructions of one request, by module (valgrind)'
	@echo 'make clean      remove build results'

# Without cargo, which is often not on the path under sudo, uses the existing build.
build:
	@if $(CARGO) --version >/dev/null 2>&1; then \
	  set -x; RUSTFLAGS="$(RUSTFLAGS) $(REMAP)" CFLAGS="$(CFLAGS) $(MAPS)" $(CARGO) rustc --release --lib --crate-type staticlib; \
	elif [ -f $(BUILD_DIR)/libmongoose.a ]; then \
	  echo 'cargo is missing: using the existing build in $(BUILD_DIR)'; \
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

# Installs missing tools as root on Debian; otherwise lists them and fails.
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

# Runs everything, then with the release profile the tests that optimisation could affect: the exports, the vectors, and the C programs
# against the shared library. Other builds (features, tsan, tcpip-test) are targets of their own.
test: deps lint
	$(CARGO) test --no-fail-fast
	$(CARGO) test --release --no-fail-fast --test header --test vectors
	$(CARGO) test --release --test c -- --skip header:: --skip switch:: --skip tools:: --skip ::valgrind --skip ::asan --skip ::cxx \
	  --skip ::static --skip install:: --skip example::

lint:
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy
	$(CARGO) fmt --check
	$(CARGO) clippy --quiet --all-targets -- -D warnings

# Builds with the oldest compiler that Cargo.toml allows and runs the vectors. Requires rustup.
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
	CARGO_TARGET_DIR=$(TARGET_DIR)/features $(CARGO) check --lib --no-default-features --features std,capi,port

# Runs the pure modules under Miri. Requires a nightly toolchain with the components miri and rust-src.
miri:
	PROPTEST_CASES=4 MIRIFLAGS=-Zmiri-disable-isolation $(CARGO) +nightly miri test --lib -- proto:: hash:: fmt:: \
	  --skip any_bytes_are_scanned --skip is_no_work

big:
	UPLOAD_GIB=10 $(CARGO) test --release --test clients -- with_flat_memory --test-threads=1

# The picture of it is docs/performance/drain.svg.
drain-demo: build
	DURATION=$(DURATION) $(CARGO) test --test clients -- restart::
	benches/drain_states.py

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

# Peers are programs and libraries of others, with their headers.
BENCH_PEERS = /usr/sbin/nginx:nginx-light /usr/sbin/lighttpd:lighttpd /usr/sbin/mosquitto:mosquitto /usr/include/h2o.h:libh2o-evloop-dev \
              /usr/include/microhttpd.h:libmicrohttpd-dev /usr/include/libwebsockets.h:libwebsockets-dev \
              /usr/include/civetweb.h:libcivetweb-dev /usr/include/event2/http.h:libevent-dev \
              /usr/bin/wrk:wrk /usr/bin/gcc:gcc /usr/include/openssl/ssl.h:libssl-dev /usr/bin/rsvg-convert:librsvg2-bin
deps-bench-peers:
	@missing=; for t in $(BENCH_PEERS); do [ -e "$${t%%:*}" ] || missing="$$missing $${t#*:}"; done; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update && apt-get install -y --no-install-recommends $$missing; \
	else echo "make bench-peers compares with what is there of these Debian packages: apt-get install$$missing"; exit 1; fi

bench-peers: build
	benches/peers.py

bench-scale: build
	benches/scale.py

bench-latency: build
	benches/latency.py

bench-threads: build
	benches/threads.py

# All of these but bench-instructions, into docs/performance.md and README.md, with the charts.
bench-docs: build
	benches/publish.py all

bench-instructions: build
	benches/instructions.sh $(BUILD_DIR) include

install: build install-files

# Installs the build in BUILD_DIR.
install-files:
	@packaging/foreign.sh $(FORCE) $(L)/$(SO) $(L)/$(SO).$(SOVERSION) $(L)/lib$(LIBNAME).a $(I)/mongoose.h
	install -d $(L)/pkgconfig $(DESTDIR)$(CMAKE_DIR) $(L)/cmake/unofficial-mongoose $(I) $(DESTDIR)$(LINKDIR)
ifneq ($(WINDOWS),)
	install -d $(DESTDIR)$(PREFIX)/bin
	CC="$(CC)" LIBS="$(STATIC_LIBS)" packaging/link-dll.sh $(BUILD_DIR)/libmongoose.a $(DESTDIR)$(PREFIX)/bin/libmongoose.dll
	chmod 755 $(DESTDIR)$(PREFIX)/bin/libmongoose.dll
	mv -f $(DESTDIR)$(PREFIX)/bin/libmongoose.dll.a $(L)/libmongoose.dll.a
	@# Rust's std has empty members in the archive, which objcopy rejects.
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
	@! grep -q mgx_port_wait $(BUILD_DIR)/libmongoose.a || { set -x; install -m 644 include/mongoose_port.h $(I)/mongoose_port.h; }
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
	rm -f $(I)/mongoose.h $(I)/mongoose_ext.h $(I)/mongoose_port.h
	rm -f $(L)/pkgconfig/mongoose.pc $(L)/pkgconfig/mongoose-static.pc $(L)/pkgconfig/$(LIBNAME).pc
	rm -rf $(DESTDIR)$(CMAKE_DIR) $(L)/cmake/unofficial-mongoose
	@[ $(LIBNAME) = mongoose ] || rm -rf $(DESTDIR)$(LINKDIR) $(I)

# Builds and uses each kind of package from an empty directory.
packages: build pack docs
	packaging/check.sh $(BUILD_DIR)
	packaging/dist.sh $(BUILD_DIR) $(VERSION) target/packages/dist

# Two release builds in different directories, with different cargo homes, must be identical.
reproducible:
	packaging/reproducible.sh

deps-packages: deps
	@missing=; for t in meson:meson ninja:ninja-build dpkg-buildpackage:dpkg-dev dh:debhelper lintian:lintian ruby:ruby nix-instantiate:nix-bin; do command -v "$${t%%:*}" >/dev/null || missing="$$missing $${t#*:}"; done; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update && apt-get install -y --no-install-recommends $$missing; \
	else echo "make packages needs these Debian packages: apt-get install$$missing"; exit 1; fi

clean:
	$(CARGO) clean

.PHONY: help layouts pack dist reproducible packages deps-packages msrv features build serve deps test lint miri big drain-demo tsan header bench bench-tls bench-peers deps-bench-peers bench-scale bench-latency bench-threads bench-docs bench-instructions install install-files uninstall clean

include bindings/rules.mk
include c-tests/mutants.mk
include c-tests/rules.mk
include docs/rules.mk
include fuzz/rules.mk
include packaging/firmware.mk
include packaging/rules.mk
