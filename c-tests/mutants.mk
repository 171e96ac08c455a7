# Mutation testing: changes the code in one place at a time. IN=proto,net,handler selects modules, SAMPLE=N takes N mutants.
IN ?= proto,net,handler
SAMPLE ?= 0

mutants:
	c-tests/mutants.py --in $(IN) --sample $(SAMPLE)

.PHONY: mutants
