# SPDX-License-Identifier: Apache-2.0
# Unit tests: each tests/unit/test_*.c is one cmocka program, linked with the internals of the core.
#   make unit                                   all of them; the first failure does not hide the rest
#   make unit UNIT=memory                       those whose name contains it
#   make unit RUN='valgrind -q --error-exitcode=99 --leak-check=full --trace-children=no'   (make unit-valgrind)
#   make B=build-san CC=clang SAN='-fsanitize=address,undefined -fno-sanitize-recover=all' unit
UNIT_SRC := $(sort $(wildcard tests/unit/test_*$(UNIT)*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/unit/%)
UNIT_SECONDS ?= 300

.PHONY: unit unit-valgrind unit-build
unit-build: $(UNIT_BIN)

$(B)/unit/%: tests/unit/%.c $(LIB)/libpybraid-internal.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -Itests/unit -MMD -MP -MF $@.d $< $(LIB)/libpybraid-internal.a -o $@ \
	    $(LDFLAGS) -lcmocka $(LDLIBS)

# test_cli_*.c look into the parts of the shell's commands, too.
$(LIB)/libcli-internal.a: $(filter-out $(B)/obj/cli/pybraid.o,$(CLI_OBJ))
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/unit/test_cli_%: tests/unit/test_cli_%.c $(LIB)/libcli-internal.a $(LIB)/libpybraid-internal.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -Itests/unit -Icli -MMD -MP -MF $@.d $< $(LIB)/libcli-internal.a \
	    $(LIB)/libpybraid-internal.a -o $@ $(LDFLAGS) -lcmocka $(LDLIBS)

# test_perf_*.c look into the parts of pyannotate.
$(LIB)/libperf-internal.a: $(filter-out $(B)/obj/perf/pyannotate.o,$(PERF_OBJ))
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/unit/test_perf_%: tests/unit/test_perf_%.c $(LIB)/libperf-internal.a $(LIB)/libpybraid-internal.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -Itests/unit -Iperf -MMD -MP -MF $@.d $< $(LIB)/libperf-internal.a \
	    $(LIB)/libpybraid-internal.a -o $@ $(LDFLAGS) -lcmocka $(LDLIBS)

unit: $(UNIT_BIN)
	@test -n "$(UNIT_BIN)" || { echo "unit: no tests/unit/test_*$(UNIT)*.c"; exit 1; }
	@failed=; for t in $(UNIT_BIN); do \
	    echo "== $$t"; timeout $(UNIT_SECONDS) $(RUN) $$t || failed="$$failed $$t"; \
	done; \
	if [ -n "$$failed" ]; then echo "unit: failed:$$failed"; exit 1; fi; echo "unit: $(words $(UNIT_BIN)) programs passed"

unit-valgrind:
	@$(MAKE) --no-print-directory unit RUN='valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite'

-include $(UNIT_BIN:%=%.d)
