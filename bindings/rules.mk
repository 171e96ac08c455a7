# The bindings: make deps-bindings installs the tools of their tests (as root), make test-bindings runs them. Languages that are not
# installed are skipped with a message.

B = target/bindings
BINDING_LIB = $(BUILD_DIR)/libmongoose.so
BINDING_TOOLS = g++:g++ python3:python3 node:nodejs npm:npm go:golang-go luajit:luajit mosquitto:mosquitto pkg-config:pkg-config
BINDING_ENV = PYTHONPATH=$(CURDIR)/$(PEERS)/python:$(CURDIR)/bindings/python LIBMONGOOSE=$(CURDIR)/$(B)/lib/libmongoose.so.7 \
              LD_LIBRARY_PATH=$(CURDIR)/$(B)/lib NODE_PATH=$(CURDIR)/$(PEERS)/node/node_modules \
              LUA_PATH="$(CURDIR)/bindings/lua/?.lua;;" CGO_CFLAGS=-I$(CURDIR)/include CGO_LDFLAGS=-L$(CURDIR)/$(B)/lib \
              GOCACHE=$(CURDIR)/$(B)/gocache PYTHONDONTWRITEBYTECODE=1
DRIVE = $(BINDING_ENV) python3 bindings/tests/drive.py
SKIP = has() { command -v $$1 >/dev/null || { echo "$$2: skipped, this machine lacks $$1 (make deps-bindings)"; false; }; }

TSC = $(PEERS)/node/node_modules/.bin/tsc --noEmit --target es2022 --module nodenext --typeRoots $(PEERS)/node/node_modules/@types --types node

deps-bindings:
	@missing=; for t in $(BINDING_TOOLS); do \
	  PATH=$$PATH:/usr/sbin command -v "$${t%%:*}" >/dev/null || missing="$$missing $${t#*:}"; \
	done; \
	[ -e /usr/include/uv.h ] || missing="$$missing libuv1-dev"; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update && apt-get install -y --no-install-recommends $$missing; \
	else \
	  echo "The bindings need these Debian packages: apt-get install$$missing"; exit 1; \
	fi
	@[ -d $(PEERS)/python/websockets ] || python3 -m pip install --quiet --target $(PEERS)/python websockets
	@[ -d $(PEERS)/node/node_modules/koffi ] && [ -d $(PEERS)/node/node_modules/typescript ] && [ -d $(PEERS)/node/node_modules/@types/node ] || \
	  npm install --silent --no-audit --no-fund --prefix $(PEERS)/node koffi@2 typescript@5 @types/node@20

# The library under its link and load names.
binding-lib:
	@[ -e $(BINDING_LIB) ] || $(MAKE) build
	@mkdir -p $(B)/lib
	@ln -sf $(abspath $(BINDING_LIB)) $(B)/lib/libmongoose.so.7
	@ln -sf libmongoose.so.7 $(B)/lib/libmongoose.so

test-bindings: test-python test-cpp test-libuv test-node test-go test-lua test-rust

test-python: binding-lib
	@$(SKIP); if has python3 python; then \
	  $(BINDING_ENV) python3 bindings/python/test_libmongoose.py && \
	  $(DRIVE) python python3 bindings/python/examples/server.py -- python3 bindings/python/examples/client.py; \
	fi

test-cpp: binding-lib
	@$(SKIP); if has g++ cpp; then \
	  for p in server client; do \
	    g++ -std=c++17 -Wall -Wextra -Werror -Iinclude -Ibindings/cpp bindings/cpp/examples/$$p.cpp -L$(B)/lib -lmongoose \
	      -o $(B)/cpp-$$p || exit 1; \
	  done; \
	  $(DRIVE) cpp $(B)/cpp-server -- $(B)/cpp-client; \
	fi

test-libuv: binding-lib
	@if [ ! -e /usr/include/uv.h ]; then echo 'libuv: skipped, this machine lacks libuv1-dev (make deps-bindings)'; else \
	  $(CC) -Wall -Wextra -Werror -Iinclude bindings/loops/libuv.c -L$(B)/lib -lmongoose -luv -o $(B)/libuv && \
	  $(DRIVE) libuv $(B)/libuv --; \
	fi

test-node: binding-lib
	@$(SKIP); if [ ! -d $(PEERS)/node/node_modules/koffi ]; then \
	  echo 'node: skipped, this machine lacks the package koffi (make deps-bindings)'; \
	elif has node node; then \
	  $(TSC) --strict bindings/node/test_types.ts && $(TSC) --allowJs --checkJs bindings/node/examples/*.js && \
	  $(BINDING_ENV) node bindings/node/test_types.js && \
	  $(DRIVE) node node bindings/node/examples/server.js -- node bindings/node/examples/client.js; \
	fi

test-go: binding-lib
	@$(SKIP); if has go go; then \
	  cd bindings/go && export $(BINDING_ENV) && \
	  { go test -count=1 -v . > ../../$(B)/go-test.log || { cat ../../$(B)/go-test.log; exit 1; }; } && \
	  echo "go package: $$(grep -c '^--- PASS' ../../$(B)/go-test.log) passed, 0 failed" && \
	  go build -o ../../$(B)/go-server ./examples/server && go build -o ../../$(B)/go-client ./examples/client && \
	  cd ../.. && $(DRIVE) go $(B)/go-server -- $(B)/go-client; \
	fi

test-lua: binding-lib
	@$(SKIP); if has luajit lua; then \
	  $(DRIVE) lua luajit bindings/lua/examples/server.lua -- luajit bindings/lua/examples/client.lua; \
	fi

# A separate build of the engine, which takes a while the first time.
test-rust:
	@export CARGO_TARGET_DIR=$(CURDIR)/$(B)/rust && cd bindings/rust && \
	$(CARGO) fmt --check && $(CARGO) clippy --quiet --all-targets -- -D warnings && \
	{ $(CARGO) test --quiet > ../../$(B)/rust-test.log 2>&1 || { cat ../../$(B)/rust-test.log; exit 1; }; } && \
	echo "rust crate: $$(sed -n 's/^test result: ok. \([0-9]*\) passed.*/\1/p' ../../$(B)/rust-test.log | awk '{n += $$1} END {print n}') passed, 0 failed" && \
	$(CARGO) build --quiet --examples && cd ../.. && $(DRIVE) rust $(B)/rust/debug/examples/server -- $(B)/rust/debug/examples/client

.PHONY: test-rust deps-bindings binding-lib test-bindings test-python test-cpp test-libuv test-node test-go test-lua
