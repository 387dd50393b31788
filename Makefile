# SPDX-License-Identifier: Apache-2.0
# pybraid. `make` builds, `make demo` shows, `make test` tests; `make help` lists the rest.
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
B       ?= build
OPT     ?= -O2 -g
WARN    = -Wall -Wextra -Wshadow -Wconversion -Werror
CPPFLAGS += -D_GNU_SOURCE -Icore -Icore/include
CFLAGS  += -std=gnu11 $(OPT) $(WARN) -fPIC -fvisibility=hidden
LDLIBS  = -lz
# .gnu_debugdata is xz; without liblzma its symbols are missing.
ifeq ($(shell pkg-config --exists liblzma && echo yes),yes)
CPPFLAGS += -DPYB_HAVE_LZMA
LDLIBS  += -llzma
endif
# --- optional: .zst cores
ifeq ($(shell pkg-config --exists libzstd 2>/dev/null && echo yes),yes)
CPPFLAGS += -DPYB_HAVE_ZSTD $(shell pkg-config --cflags libzstd)
LDLIBS   += $(shell pkg-config --libs libzstd)
endif
# --- optional: the unwinder of our own (`pybraid dump`): call frame information by libdw, its expressions by libunwind
ifeq ($(shell pkg-config --exists libdw libelf && echo yes),yes)
CPPFLAGS += -DPYB_HAVE_LIBDW
LDLIBS   += -ldw -lelf
endif
ifeq ($(shell pkg-config --exists libunwind && echo yes),yes)
CPPFLAGS += -DPYB_HAVE_LIBUNWIND
LDLIBS   += -lunwind-$(shell uname -m) -lunwind
endif
# --- optional: C++ and Rust names; libiberty has no .pc file
ifneq ($(wildcard /usr/include/libiberty/demangle.h),)
CPPFLAGS += -DPYB_HAVE_DEMANGLE
LDLIBS   += -liberty
endif
# ---

VERSION := $(shell sed -n 's/^\#define PYB_VERSION "\(.*\)"/\1/p' core/include/pybraid.h)

CORE_SRC := $(sort $(wildcard core/*/*.c))
CORE_OBJ := $(CORE_SRC:%.c=$(B)/obj/%.o)
LIB      := $(B)/lib

CLI_SRC := $(sort $(wildcard cli/*.c))
CLI_OBJ := $(CLI_SRC:%.c=$(B)/obj/%.o)

# `make V=1` shows the commands.
ifeq ($(V),)
Q = @
say = @printf '  %-5s %s\n' $(1) $(2)
endif

.PHONY: all clean help install uninstall lint
all: $(LIB)/libpybraid.so $(LIB)/libpybraid.a $(LIB)/libpybraid-gdb.so $(if $(CLI_SRC),$(B)/bin/pybraid) $(B)/pybraid.pc

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -MMD -MP -c $< -o $@

# Internals visible: for the unit tests, the fuzzers and our own programs.
$(LIB)/libpybraid-internal.a: $(CORE_OBJ)
	@mkdir -p $(@D)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

SOFLAGS = -shared -Wl,--version-script=core/pybraid.map -Wl,-Bsymbolic -Wl,--no-undefined -Wl,-z,relro
$(LIB)/libpybraid.so.0: $(CORE_OBJ) core/pybraid.map
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(SOFLAGS) -Wl,-soname,libpybraid.so.0 $(CORE_OBJ) -o $@ $(LDFLAGS) $(LDLIBS)
$(LIB)/libpybraid.so: $(LIB)/libpybraid.so.0
	$(Q)ln -sf libpybraid.so.0 $@
$(LIB)/libpybraid-gdb.so: $(LIB)/libpybraid.so.0
	$(Q)ln -sf libpybraid.so.0 $@

# One relocatable object whose hidden symbols are made local: the static library exports pyb_* of the public header only.
$(LIB)/libpybraid.a: $(CORE_OBJ)
	@mkdir -p $(@D) $(B)/obj
	$(call say,AR,$@)
	$(Q)ld -r $(CORE_OBJ) -o $(B)/obj/pybraid.o
	$(Q)objcopy --localize-hidden $(B)/obj/pybraid.o
	$(Q)rm -f $@ && ar rcs $@ $(B)/obj/pybraid.o

$(B)/bin/pybraid: $(CLI_OBJ) $(LIB)/libpybraid.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(CLI_OBJ) $(LIB)/libpybraid.a -o $@ $(LDFLAGS) $(LDLIBS)

# Describes what was installed: PREFIX is asked again by `make install`.
$(B)/pybraid.pc: Makefile core/include/pybraid.h
	@mkdir -p $(@D)
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'includedir=$${prefix}/include' 'libdir=$${prefix}/lib' '' 'Name: pybraid' \
	    'Description: Python and native frames of a CPython process in one stack' \
	    'Version: $(VERSION)' 'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -lpybraid' 'Libs.private: $(LDLIBS)' > $@

GDB_PY := $(filter-out gdb/pybraid.py,$(wildcard gdb/*.py))
install: all
	@rm -f $(B)/pybraid.pc && $(MAKE) --no-print-directory $(B)/pybraid.pc
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include \
	    $(DESTDIR)$(PREFIX)/share/pybraid/gdb/pybraid_gdb
	install -m 755 $(B)/bin/* $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(LIB)/libpybraid.so.0 $(LIB)/libpybraid.a $(DESTDIR)$(PREFIX)/lib
	ln -sf libpybraid.so.0 $(DESTDIR)$(PREFIX)/lib/libpybraid.so
	install -m 644 $(B)/pybraid.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 644 core/include/pybraid.h $(DESTDIR)$(PREFIX)/include
	install -m 644 gdb/pybraid.py $(DESTDIR)$(PREFIX)/share/pybraid/gdb
	install -m 644 $(GDB_PY) $(DESTDIR)$(PREFIX)/share/pybraid/gdb/pybraid_gdb
	install -m 644 $(LIB)/libpybraid.so.0 $(DESTDIR)$(PREFIX)/share/pybraid/gdb/libpybraid-gdb.so
	@echo "GDB loads it by itself with: ln -s $(PREFIX)/share/pybraid/gdb/pybraid.py /etc/gdb/gdbinit.d/pybraid.py"
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/pybraid $(DESTDIR)$(PREFIX)/bin/pyannotate $(DESTDIR)$(PREFIX)/lib/libpybraid.* \
	    $(DESTDIR)$(PREFIX)/lib/pkgconfig/pybraid.pc $(DESTDIR)$(PREFIX)/include/pybraid.h
	rm -rf $(DESTDIR)$(PREFIX)/share/pybraid

# The other compiler with the same warnings, then static checks.
lint:
	$(MAKE) --no-print-directory B=build-lint CC=$(if $(findstring clang,$(CC)),gcc,clang) all
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,portability --suppress=missingIncludeSystem \
	    -Icore -Icore/include -D__linux__ $(CORE_SRC) $(CLI_SRC)
	/usr/bin/python3 -m pyflakes gdb/*.py tests/live/*.py tests/live/support/*.py tests/layout/*.py
	shellcheck .ci/run $$(grep -lE '^#!.*sh' tests/run tests/pythons/* 2>/dev/null)
	@echo "lint: nothing found"

help:
	@echo "make            build into build/          make deps     install what Debian packages"
	@echo "make demo       a real gdb, a stuck process make test     unit and live tests"
	@echo "make install    PREFIX= DESTDIR=            make lint     the other compiler, static checks"
	@echo "make pythons    more interpreters, cached   make soak     the long counts, by hand"
	@echo "make unit       unit tests only             make fuzz-run FUZZ_SECONDS=10"
	@echo "make bench      ratios against peers        make layouts  regenerate the layout tables"

-include $(CORE_OBJ:.o=.d) $(CLI_OBJ:.o=.d)
-include tests/tests.mk bench/bench.mk
include tests/unit/unit.mk tests/fuzz/fuzz.mk tests/tools/tools.mk tests/layout/layout.mk

clean:
	rm -rf $(B)
