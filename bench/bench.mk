# SPDX-License-Identifier: Apache-2.0
# Speed as ratios against what else there is, in one run on one machine. A peer that cannot be had is named,
# with the reason.
#   make bench                                everything (some minutes)
#   make bench BENCH='live find'              some parts: live, gdb, server, deep, find, start, dump, core
.PHONY: bench
$(B)/bench/live: bench/live.c $(LIB)/libpybraid.a core/include/pybraid.h
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) $< $(LIB)/libpybraid.a -o $@ $(LDFLAGS) $(LDLIBS)

$(B)/bench/peak: bench/peak.c
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) $< -o $@ $(LDFLAGS)

bench: all $(B)/bench/live $(B)/bench/peak
	@PYBRAID_BUILD=$(B) /usr/bin/python3 bench/run.py $(BENCH)
