# Faults made by hand, one at a time: does a test notice? IN=proto,net,handler chooses modules, SAMPLE=N takes N of the mutants.
IN ?= proto,net,handler
SAMPLE ?= 0

mutants:
	c-tests/mutants.py --in $(IN) --sample $(SAMPLE)

.PHONY: mutants
