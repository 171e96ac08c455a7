# Fuzzing. `make fuzz-smoke` runs every target over its seeds with the stable compiler; `make fuzz SECONDS=n` fuzzes all targets with
# libFuzzer, n seconds in all, or until there were EXECUTIONS=n of them, if there is a nightly compiler (make deps-fuzz); otherwise it
# runs the seeds. Part of the time a target runs with AddressSanitizer. TARGETS="json url" selects targets. New inputs are kept in
# target/fuzz/inputs, findings in target/fuzz/findings, the results so far in target/fuzz/table.txt.

FUZZ_DIR = $(CURDIR)/target/fuzz
FUZZ_TRIPLE = $(shell rustc -vV | sed -n 's/^host: //p')
FUZZ_FLAGS = --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
             -Cllvm-args=-sanitizer-coverage-trace-pc-guard
# With AddressSanitizer, and with comparisons, from whose operands libFuzzer learns.
FUZZ_ASAN = $(FUZZ_FLAGS) -Zsanitizer=address -Cllvm-args=-sanitizer-coverage-trace-compares
FUZZ_BUILD = CARGO_TARGET_DIR=$(FUZZ_DIR) $(CARGO) build --quiet --manifest-path fuzz/Cargo.toml
FUZZ_SEEDS = $(FUZZ_DIR)/debug/drive smoke $(FUZZ_DIR)/debug/targets
FUZZER_OF = $(FUZZ_DIR)/$(1)/$(FUZZ_TRIPLE)/release/targets
# A number of executions may take as long as it takes.
FUZZ_SECONDS = $(or $(SECONDS),$(if $(EXECUTIONS),1000000000,600))
FUZZER_BUILD = CARGO_TARGET_DIR=$(FUZZ_DIR)/$(1) $(CARGO) +nightly build --quiet --manifest-path fuzz/Cargo.toml --release \
               --target $(FUZZ_TRIPLE) --features libfuzzer --bin targets
HAS_NIGHTLY = $(CARGO) +nightly --version >/dev/null 2>&1

fuzz-smoke:
	$(FUZZ_BUILD)
	@TARGETS="$(TARGETS)" $(FUZZ_SEEDS)

fuzzers:
	CARGO_TARGET_DIR=$(FUZZ_DIR) $(CARGO) build --quiet --manifest-path fuzz/Cargo.toml --bin drive
	RUSTFLAGS="$(FUZZ_FLAGS)" $(call FUZZER_BUILD,fast)
	RUSTFLAGS="$(FUZZ_ASAN)" $(call FUZZER_BUILD,asan)

fuzz:
	@if $(HAS_NIGHTLY); then $(MAKE) --no-print-directory fuzzers && TARGETS="$(TARGETS)" \
	  $(FUZZ_DIR)/debug/drive fuzz $(call FUZZER_OF,fast) $(call FUZZER_OF,asan) $(FUZZ_SECONDS) $(or $(EXECUTIONS),0); \
	else echo 'no nightly compiler (make deps-fuzz): running the targets on their seeds only'; $(MAKE) --no-print-directory fuzz-smoke; fi

# After fuzzing: adds to fuzz/corpus the few inputs that cover code not reached by the seeds from the vectors.
fuzz-minimise: fuzzers
	@TARGETS="$(TARGETS)" $(FUZZ_DIR)/debug/drive minimise $(call FUZZER_OF,fast)

# The nightly compiler, and a C++ compiler for libFuzzer.
deps-fuzz:
	@$(CARGO) --version >/dev/null 2>&1 || { echo '$(NO_CARGO)' >&2; exit 1; }
	@$(HAS_NIGHTLY) || { command -v rustup >/dev/null && rustup toolchain install nightly --profile minimal; } || \
	  { echo 'make fuzz needs a nightly compiler, for example from rustup; make fuzz-smoke does not'; exit 1; }
	@command -v c++ >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update && apt-get install -y --no-install-recommends g++; } || \
	  { echo 'make fuzz needs a C++ compiler: apt-get install g++'; exit 1; }

.PHONY: fuzz fuzz-smoke fuzz-minimise fuzzers deps-fuzz
