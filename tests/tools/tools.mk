# SPDX-License-Identifier: Apache-2.0
# Programs for people who work on pybraid, linked with the internals of the core:
#   make build/tools/inspect && build/tools/inspect PID
$(B)/tools/%: tests/tools/%.c $(LIB)/libpybraid-internal.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -MMD -MP -MF $@.d $< $(LIB)/libpybraid-internal.a -o $@ $(LDFLAGS) $(LDLIBS)

# An unwinder of somebody else's, as the oracle.
$(B)/tools/braids: LDLIBS += -lunwind-ptrace -lunwind-generic -lunwind

-include $(wildcard $(B)/tools/*.d)
