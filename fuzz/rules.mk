# Fuzzing. `make fuzz-smoke` runs every target over its seeds with the stable compiler; `make fuzz SECONDS=n` fuzzes all targets, n
# seconds in all, with libFuzzer and AddressSanitizer if there is a nightly compiler (make deps-fuzz); otherwise it runs the seeds.
# TARGETS="json url" selects targets. New inputs are kept in target/fuzz/inputs, findings in target/fuzz/findings.

SECONDS ?= 600
FUZZ_DIR = $(CURDIR)/target/fuzz
FUZZ_TRIPLE = $(shell rustc -vV | sed -n 's/^host: //p')
FUZZ_FLAGS = --cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
             -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
             -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=4
FUZZ_BUILD = CARGO_TARGET_DIR=$(FUZZ_DIR) $(CARGO) build --quiet --manifest-path fuzz/Cargo.toml
FUZZ_SEEDS = $(FUZZ_DIR)/debug/drive smoke $(FUZZ_DIR)/debug/targets
FUZZER = $(FUZZ_DIR)/$(FUZZ_TRIPLE)/release/targets
HAS_NIGHTLY = $(CARGO) +nightly --version >/dev/null 2>&1

fuzz-smoke:
	$(FUZZ_BUILD)
	@TARGETS="$(TARGETS)" $(FUZZ_SEEDS)

fuzzers:
	CARGO_TARGET_DIR=$(FUZZ_DIR) $(CARGO) build --quiet --manifest-path fuzz/Cargo.toml --bin drive
	RUSTFLAGS="$(FUZZ_FLAGS)" CARGO_TARGET_DIR=$(FUZZ_DIR) $(CARGO) +nightly build --quiet --manifest-path fuzz/Cargo.toml --release \
	  --target $(FUZZ_TRIPLE) --features libfuzzer --bin targets

fuzz:
	@if $(HAS_NIGHTLY); then $(MAKE) --no-print-directory fuzzers && TARGETS="$(TARGETS)" $(FUZZ_DIR)/debug/drive fuzz $(FUZZER) $(SECONDS); \
	else echo 'no nightly compiler (make deps-fuzz): running the targets on their seeds only'; $(MAKE) --no-print-directory fuzz-smoke; fi

# After fuzzing: adds to fuzz/corpus the few inputs that cover code not reached by the seeds from the vectors.
fuzz-minimise: fuzzers
	@TARGETS="$(TARGETS)" $(FUZZ_DIR)/debug/drive minimise $(FUZZER)

# The nightly compiler, and a C++ compiler for libFuzzer.
deps-fuzz:
	@$(CARGO) --version >/dev/null 2>&1 || { echo '$(NO_CARGO)' >&2; exit 1; }
	@$(HAS_NIGHTLY) || { command -v rustup >/dev/null && rustup toolchain install nightly --profile minimal; } || \
	  { echo 'make fuzz needs a nightly compiler, for example from rustup; make fuzz-smoke does not'; exit 1; }
	@command -v c++ >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update && apt-get install -y --no-install-recommends g++; } || \
	  { echo 'make fuzz needs a C++ compiler: apt-get install g++'; exit 1; }

.PHONY: fuzz fuzz-smoke fuzz-minimise fuzzers deps-fuzz
