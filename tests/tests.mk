# SPDX-License-Identifier: Apache-2.0
# What is needed, what is shown, what is tested. Options of a run: TEST_ARGS='-k braid --pythons=all'.
.PHONY: deps demo test tools pythons soak

tools: $(patsubst tests/tools/%.c,$(B)/tools/%,$(wildcard tests/tools/*.c))

deps:
	@tests/deps build test $(DEPS)

demo:
	@tests/deps build
	@$(MAKE) --no-print-directory all
	@examples/demo

# Fails without a single interpreter; PYBRAID_MIN_PYTHONS asks for more.
test:
	@tests/deps build test
	@$(MAKE) --no-print-directory all unit-build tools
	@tests/run $(TEST_ARGS)

# Interpreters that this machine lacks, into a cache; FREETHREADED=1 also builds one (minutes); I386=1: a 32-bit one.
pythons:
	@tests/pythons/fetch --only sid,pbs,packages$(if $(FREETHREADED),$(comma)ft)$(if $(I386),$(comma)i386)
comma := ,

# The long counts, by hand: every interpreter, 2000 random stops each, 100 000 random values each, 10 000 damaged recordings each,
# cores cut at 2000 points.
soak:
	@$(MAKE) --no-print-directory all unit-build tools
	@PYBRAID_REPRS=100000 PYBRAID_KILLS=1000 PYBRAID_FLIPS=10000 PYBRAID_CUTS=2000 LIVE_SECONDS=36000 tests/run --pythons=all --stops=2000 $(TEST_ARGS)
