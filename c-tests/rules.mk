# Bad conditions: see c-tests/run/torture.rs. A line for each program and kind, then `torture: N passed, N failed`. ONLY=name takes some.
torture:
	@MONGOOSE_TORTURE=1 $(CARGO) test --test c -- $(ONLY)

.PHONY: torture
