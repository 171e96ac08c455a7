# The documentation: make docs builds it, make check-docs also checks links, spelling and man pages, and the pages in a browser.
# make deps-docs installs the tools of both (as root), or lists what is missing.

DOCS = target/docs
DOCS_ENV = PYTHONPATH=$(CURDIR)/$(PEERS)/python PYTHONDONTWRITEBYTECODE=1
DOCS_TOOLS = python3:python3 pip3:python3-pip hunspell:hunspell mandoc:mandoc chromium:chromium

deps-docs:
	@missing=; for t in $(DOCS_TOOLS); do command -v "$${t%%:*}" >/dev/null || missing="$$missing $${t#*:}"; done; \
	hunspell -D 2>&1 </dev/null | grep -q en_GB || missing="$$missing hunspell-en-gb"; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update && apt-get install -y --no-install-recommends $$missing; \
	else \
	  echo "The documentation needs these Debian packages: apt-get install$$missing"; exit 1; \
	fi
	@for p in markdown websockets; do \
	  [ -d $(PEERS)/python/$$p ] || python3 -m pip install --quiet --target $(PEERS)/python $$p || exit 1; \
	done

docs:
	@$(DOCS_ENV) python3 -c 'import markdown' 2>/dev/null || $(MAKE) -s deps-docs
	@$(DOCS_ENV) python3 docs/reference/build.py $(DOCS)

check-docs: docs
	@$(DOCS_ENV) python3 docs/reference/check.py $(DOCS)
	@mkdir -p $(DOCS)/pictures
	@cd $(DOCS)/pictures && $(DOCS_ENV) python3 $(CURDIR)/c-tests/scripts/docs_browser.py ../html

# Retakes the screenshots in docs/.
pictures: docs build
	@mkdir -p $(DOCS)/pictures
	$(CC) -O2 -Iinclude examples-c/http-server.c $(BUILD_DIR)/libmongoose.a $(STATIC_LIBS) -o $(DOCS)/pictures/http-server
	cd $(DOCS)/pictures && $(DOCS_ENV) python3 $(CURDIR)/docs/reference/pictures.py ./http-server ../html

# Installs man pages and HTML under PREFIX/share.
install-docs: docs
	install -d $(DESTDIR)$(PREFIX)/share/man/man3 $(DESTDIR)$(PREFIX)/share/doc/libmongoose
	install -m 644 $(DOCS)/man/man3/*.3 $(DESTDIR)$(PREFIX)/share/man/man3
	cp -r $(DOCS)/html $(DESTDIR)$(PREFIX)/share/doc/libmongoose

.PHONY: deps-docs docs check-docs pictures install-docs
