# SPDX-License-Identifier: Apache-2.0
# Fuzzers: each tests/fuzz/fuzz_NAME.c is one libFuzzer program (clang, ASan, UBSan) in build-fuzz/, its corpus tests/fuzz/corpus/NAME/.
#   make fuzz                            builds them
#   make fuzz-run FUZZ_SECONDS=10        runs each on a copy of its corpus
#   make fuzz-run FUZZ_RUNS=1000000 FUZZ=corefile
FUZZ_B       := build-fuzz
FUZZ_SECONDS ?= 10
FUZZ_CC      ?= clang
FUZZ_SAN     := address,undefined -fno-sanitize-recover=all
FUZZ_SRC     := $(sort $(wildcard tests/fuzz/fuzz_*$(FUZZ)*.c))
FUZZ_BIN     := $(FUZZ_SRC:tests/fuzz/%.c=$(FUZZ_B)/%)
FUZZ_LIMIT    = $(if $(FUZZ_RUNS),-runs=$(FUZZ_RUNS),-max_total_time=$(FUZZ_SECONDS))

.PHONY: fuzz fuzz-programs fuzz-run
fuzz:
	@$(MAKE) --no-print-directory B=$(FUZZ_B) CC=$(FUZZ_CC) OPT='-O1 -g' SAN='-fsanitize=fuzzer-no-link,$(FUZZ_SAN)' \
	    FUZZ='$(FUZZ)' fuzz-programs
fuzz-programs: $(FUZZ_BIN)

$(FUZZ_B)/fuzz_%: tests/fuzz/fuzz_%.c $(LIB)/libpybraid-internal.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fsanitize=fuzzer,$(FUZZ_SAN) -Itests/fuzz -MMD -MP -MF $@.d $< \
	    $(LIB)/libpybraid-internal.a -o $@ $(LDFLAGS) $(LDLIBS)

$(FUZZ_B)/fuzz_cli_%: tests/fuzz/fuzz_cli_%.c $(LIB)/libcli-internal.a $(LIB)/libpybraid-internal.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fsanitize=fuzzer,$(FUZZ_SAN) -Itests/fuzz -Icli -MMD -MP -MF $@.d $< \
	    $(LIB)/libcli-internal.a $(LIB)/libpybraid-internal.a -o $@ $(LDFLAGS) $(LDLIBS)

$(FUZZ_B)/fuzz_perf_%: tests/fuzz/fuzz_perf_%.c $(LIB)/libperf-internal.a $(LIB)/libpybraid-internal.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fsanitize=fuzzer,$(FUZZ_SAN) -Itests/fuzz -Iperf -MMD -MP -MF $@.d $< \
	    $(LIB)/libperf-internal.a $(LIB)/libpybraid-internal.a -o $@ $(LDFLAGS) $(LDLIBS)

# `slow`: seconds for one input, on a loaded machine too; a session reads a whole process, ten times slower under ASan.
# A copy: what a run finds interesting must not grow the tree. A finding stays in build-fuzz/ as crash-*, and fails.
fuzz-run: fuzz
	@test -n "$(FUZZ_BIN)" || { echo "fuzz: no tests/fuzz/fuzz_*$(FUZZ)*.c"; exit 1; }
	@failed=; for f in $(FUZZ_BIN); do \
	    name=$${f##*/fuzz_}; work=$(FUZZ_B)/corpus-$$name; rm -rf $$work; mkdir -p $$work; \
	    if [ -d tests/fuzz/corpus/$$name ]; then cp -r tests/fuzz/corpus/$$name/. $$work/; fi; \
	    case $$name in session) slow=60 ;; *) slow=10 ;; esac; \
	    echo "== $$f $(FUZZ_LIMIT)"; \
	    $$f -artifact_prefix=$(FUZZ_B)/ -rss_limit_mb=1500 -timeout=$$slow -print_final_stats=1 $(FUZZ_LIMIT) $$work \
	        > $$work.log 2>&1 || failed="$$failed $$name"; \
	    grep -E '^(Done|SUMMARY|==[0-9]+==ERROR)|number_of_executed_units|average_exec' $$work.log || tail -5 $$work.log; \
	done; \
	if [ -n "$$failed" ]; then echo "fuzz: findings in$$failed (see build-fuzz/corpus-NAME.log)"; exit 1; fi

-include $(FUZZ_BIN:%=%.d)
