# Mutation testing: changes the code in one place at a time. IN=proto,net,handler selects modules, SAMPLE=N takes N mutants.
# BUDGET=SECONDS ends the tests of a mutant after that long, for a first look; MUTANTS=OPTIONS are passed on.
IN ?= proto,net,handler
SAMPLE ?= 0

mutants:
	c-tests/mutants.py --in $(IN) --sample $(SAMPLE) $(if $(BUDGET),--budget $(BUDGET)) $(MUTANTS)

.PHONY: mutants
