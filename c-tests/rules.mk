# Adverse conditions: see c-tests/run/torture.rs. Prints a line per program and kind, then `torture: N passed, N failed`; then for
# the tests with other clients and servers, while the library transfers one byte at a time, and seven. ONLY=name selects some.
torture:
	@MONGOOSE_TORTURE=1 $(CARGO) test --test c -- $(ONLY)
	@for n in 1 7; do SHORT_IO=$$n $(CARGO) test --test clients -- $(ONLY) || exit 1; done

# Mixed traffic for MINUTES (0.5 is allowed), with flat memory and descriptors: see c-tests/programs/soak.c. SEED varies the traffic.
MINUTES = 1
soak: build
	@mkdir -p $(TARGET_DIR)/soak
	$(CC) -O1 -g -Iinclude -Ic-tests $(abspath c-tests/programs/soak.c) -o $(TARGET_DIR)/soak/soak -L$(BUILD_DIR) -lmongoose -Wl,-rpath,$(abspath $(BUILD_DIR)) -lpthread
	@cd $(TARGET_DIR)/soak && exec ./soak $(shell awk 'BEGIN { print int($(MINUTES) * 60) }') $(or $(SEED),1)

.PHONY: torture soak

# The library in simulated networks, one per seed, on all cores: docs/reliability.md. SEED=n runs one seed and details its findings,
# FIRST=n begins there. SANITIZE=address builds with AddressSanitizer, which the stable compiler has, as for `make tsan`.
SEEDS ?= 2000
SIM_FEATURES = sim protocols tls ecc
SIM_TEST = $(CARGO) test --quiet --profile simulate --no-default-features --test simulate
simulate:
	@SEEDS=$(SEEDS) SEED=$(SEED) FIRST=$(FIRST) $(SIM_SANITIZED) $(SIM_TEST) --features "$(SIM_FEATURES)" $(SIM_TARGET)
ifneq ($(SANITIZE),)
SIM_TARGET = --target $(shell rustc -vV | sed -n 's/^host: //p')
SIM_SANITIZED = ASAN_OPTIONS=abort_on_error=1:detect_leaks=0 CARGO_TARGET_DIR=$(TARGET_DIR)/sanitized RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=$(SANITIZE)
endif

# Compares its predictions with the system's sockets, under a clock that waits for them.
PREDICTIONS = $(abspath $(TARGET_DIR))/predictions
simulate-real:
	@SEEDS=$(if $(filter file,$(origin SEEDS)),1000,$(SEEDS)) FIRST=$(FIRST) SEED=$(SEED) PREDICT=$(PREDICTIONS) $(SIM_TEST) --features "$(SIM_FEATURES)"
	@SEED=$(SEED) COMPARE=$(PREDICTIONS) $(SIM_TEST) --features "std protocols tls ecc"

.PHONY: simulate simulate-real
# The library's own TCP/IP stack (feature tcpip): c-tests/tcpip/run.sh. TCPIP_SIZE bytes go each way with 5 % of the frames lost.
TCPIP_SIZE ?= 100000000
tcpip-test:
	@PATH=$$PATH:/usr/sbin; [ "$$(id -u)" != 0 ] || [ ! -c /dev/net/tun ] || \
	  (for t in ping dnsmasq unshare ip curl openssl python3; do command -v $$t >/dev/null || exit 1; done) || \
	  { p="iputils-ping dnsmasq-base util-linux iproute2 curl openssl python3"; \
	    if command -v apt-get >/dev/null; then apt-get update && apt-get install -y --no-install-recommends $$p; \
	    else echo "make tcpip-test needs what Debian has as $$p"; exit 1; fi; }
	c-tests/tcpip/run.sh $(TCPIP_SIZE)

# A version for CI that takes a minute or two.
tcpip-test-short:
	@$(MAKE) --no-print-directory tcpip-test TCPIP_SIZE=3000000

.PHONY: torture tcpip-test tcpip-test-short

# Third-party conformance suites against the examples: c-tests/conformance/run.py, docs/reliability.md. ONLY="http mosquitto" selects
# some, QUICK=1 those that finish within two minutes.
CONFORMANCE = $(TARGET_DIR)/conformance
CONFORMANCE_SERVERS = http-server https-server static-server rest-server websocket-echo mqtt-server
deps-conformance:
	@CC="$(CC)" c-tests/conformance/deps.sh $(CONFORMANCE)

conformance: build
	@mkdir -p $(CONFORMANCE)/bin
	@for e in $(CONFORMANCE_SERVERS); do \
	  $(CC) -O2 -DWITH_SQLITE -Iinclude examples-c/$$e.c $(BUILD_DIR)/libmongoose.a $(STATIC_LIBS) $$([ $$e != mqtt-server ] || echo -lsqlite3) \
	    -o $(CONFORMANCE)/bin/$$e || exit 1; \
	done
	@exec python3 c-tests/conformance/run.py $(CONFORMANCE)/bin $(CONFORMANCE) $(if $(QUICK),--quick) $(ONLY)

.PHONY: conformance deps-conformance

# A library whose sockets come from functions in C (feature port): c-tests/port/run.sh.
PORT_TOOLS = curl:curl openssl:openssl python3:python3 mosquitto:mosquitto unshare:util-linux ip:iproute2 pgrep:procps
deps-port:
	@PATH=$$PATH:/usr/sbin; missing=; \
	for t in $(PORT_TOOLS); do command -v "$${t%%:*}" >/dev/null || missing="$$missing $${t#*:}"; done; \
	[ -f /usr/include/lwip/lwip/sockets.h ] || missing="$$missing liblwip-dev"; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update && apt-get install -y --no-install-recommends $$missing; \
	else echo "make port-test needs these Debian packages: apt-get install$$missing"; exit 1; fi

port-test:
	@CC="$(CC)" CARGO="$(CARGO)" c-tests/port/run.sh

# The same in some minutes: for CI.
port-test-short:
	@CC="$(CC)" CARGO="$(CARGO)" c-tests/port/run.sh short

.PHONY: deps-port port-test port-test-short
