# SPDX-License-Identifier: Apache-2.0
# pybraid. `make` builds, `make demo` shows, `make test` tests; `make help` lists the rest.
PREFIX  ?= /usr/local
DESTDIR ?=
LIBDIR  ?= lib
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
# --- optional: the unwinder of our own (`pybraid dump`): call frame information and DWARF by libdw
ifeq ($(shell pkg-config --exists libdw libelf && echo yes),yes)
CPPFLAGS += -DPYB_HAVE_LIBDW
LDLIBS   += -ldw -lelf
endif
# --- optional: C++ and Rust names; libiberty has no .pc file
ifneq ($(wildcard /usr/include/libiberty/demangle.h),)
CPPFLAGS += -DPYB_HAVE_DEMANGLE
LDLIBS   += -liberty
endif
# ---

# --- optional: the plug-in for LLDB, by the headers of LLDB 14 or of another
LLDB_INCLUDE ?= $(firstword $(patsubst %/lldb/API/LLDB.h,%,$(wildcard /usr/lib/llvm-14/include/lldb/API/LLDB.h \
    /usr/lib/llvm-*/include/lldb/API/LLDB.h /usr/include/lldb/API/LLDB.h)))
# ---

VERSION := $(shell sed -n 's/^\#define PYB_VERSION "\(.*\)"/\1/p' core/include/pybraid.h)

CORE_SRC := $(sort $(wildcard core/*/*.c))
CORE_OBJ := $(CORE_SRC:%.c=$(B)/obj/%.o)
LIB      := $(B)/lib

CLI_SRC := $(sort $(wildcard cli/*.c))
CLI_OBJ := $(CLI_SRC:%.c=$(B)/obj/%.o)

PERF_SRC := $(sort $(wildcard perf/*.c))
PERF_OBJ := $(PERF_SRC:%.c=$(B)/obj/%.o)
LLDB_SRC := $(sort $(wildcard lldb/*.cpp))
LLDB_OBJ := $(LLDB_SRC:%.cpp=$(B)/obj/%.o)
CXX      ?= c++
# As LLDB is built: no exceptions cross it, no type information is asked of it.
CXXFLAGS += -std=c++14 $(OPT) $(WARN) -fPIC -fvisibility=hidden -fno-exceptions -fno-rtti
LLDB_LIB := $(if $(LLDB_INCLUDE),$(LIB)/liblldb-pybraid.so)

# `make V=1` shows the commands.
ifeq ($(V),)
Q = @
say = @printf '  %-5s %s\n' $(1) $(2)
endif

.PHONY: all clean help install uninstall deb lint lldb
all: $(LIB)/libpybraid.so $(LIB)/libpybraid.a $(LIB)/libpybraid-gdb.so $(if $(CLI_SRC),$(B)/bin/pybraid) \
    $(if $(PERF_SRC),$(B)/bin/pyannotate) $(B)/pybraid.pc lldb

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

# The core's rule for names is no part of the public interface: linked with the internals.
$(B)/bin/pyannotate: $(PERF_OBJ) $(LIB)/libpybraid-internal.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(PERF_OBJ) $(LIB)/libpybraid-internal.a -o $@ $(LDFLAGS)

lldb: $(LLDB_LIB)
ifeq ($(LLDB_INCLUDE),)
	@echo "make: no LLDB headers, liblldb-pybraid.so is left out (Debian: liblldb-14-dev)"
endif

$(B)/obj/lldb/%.o: lldb/%.cpp
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(CXX) $(CPPFLAGS) -isystem core/include -isystem $(LLDB_INCLUDE) $(CXXFLAGS) $(SAN) -MMD -MP -c $< -o $@

# LLDB's own symbols are found in the LLDB that loads it, when they are first called: it works in others than it was built for.
$(LIB)/liblldb-pybraid.so: $(LLDB_OBJ) $(LIB)/libpybraid.a lldb/plugin.map
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CXX) $(SAN) -shared -Wl,--version-script=lldb/plugin.map -Wl,-Bsymbolic -Wl,-z,lazy -Wl,-z,relro $(LLDB_OBJ) $(LIB)/libpybraid.a \
	    -o $@ $(LDFLAGS) $(LDLIBS)

# Describes what was installed: PREFIX is asked again by `make install`.
$(B)/pybraid.pc: Makefile core/include/pybraid.h
	@mkdir -p $(@D)
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'includedir=$${prefix}/include' 'libdir=$${prefix}/$(LIBDIR)' '' 'Name: pybraid' \
	    'Description: Python and native frames of a CPython process in one stack' \
	    'Version: $(VERSION)' 'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -lpybraid' 'Libs.private: $(LDLIBS)' > $@

GDB_PY := $(filter-out gdb/pybraid.py,$(wildcard gdb/*.py))
MAN    := $(sort $(wildcard docs/man/*.1))
to      = $(DESTDIR)$(PREFIX)/$(1)
install: all
	@rm -f $(B)/pybraid.pc && $(MAKE) --no-print-directory $(B)/pybraid.pc
	install -d $(call to,bin) $(call to,$(LIBDIR)/pkgconfig) $(call to,include) $(call to,share/pybraid/gdb/pybraid_gdb) $(call to,share/man/man1) \
	    $(call to,share/bash-completion/completions) $(call to,share/zsh/site-functions) $(call to,share/fish/vendor_completions.d)
	install -m 755 $(B)/bin/* $(call to,bin)
	install -m 644 $(LIB)/libpybraid.so.0 $(LIB)/libpybraid.a $(call to,$(LIBDIR))
	ln -sf libpybraid.so.0 $(call to,$(LIBDIR)/libpybraid.so)
	install -m 644 $(B)/pybraid.pc $(call to,$(LIBDIR)/pkgconfig)
	install -m 644 core/include/pybraid.h $(call to,include)
	install -m 644 gdb/pybraid.py $(call to,share/pybraid/gdb)
	install -m 644 $(GDB_PY) $(call to,share/pybraid/gdb/pybraid_gdb)
	install -m 644 $(LIB)/libpybraid.so.0 $(call to,share/pybraid/gdb/libpybraid-gdb.so)
	install -m 644 $(MAN) $(call to,share/man/man1)
	install -m 644 cli/completions/pybraid.bash $(call to,share/bash-completion/completions/pybraid)
	install -m 644 cli/completions/pybraid.zsh $(call to,share/zsh/site-functions/_pybraid)
	install -m 644 cli/completions/pybraid.fish $(call to,share/fish/vendor_completions.d/pybraid.fish)
	install -m 644 cli/completions/pyannotate.bash $(call to,share/bash-completion/completions/pyannotate)
	install -m 644 cli/completions/pyannotate.zsh $(call to,share/zsh/site-functions/_pyannotate)
	install -m 644 cli/completions/pyannotate.fish $(call to,share/fish/vendor_completions.d/pyannotate.fish)
	@echo "GDB loads it by itself with: ln -s $(PREFIX)/share/pybraid/gdb/pybraid.py /etc/gdb/gdbinit.d/pybraid.py"
uninstall:
	rm -f $(call to,bin/pybraid) $(call to,bin/pyannotate) $(call to,$(LIBDIR)/libpybraid.*) $(call to,$(LIBDIR)/pkgconfig/pybraid.pc) \
	    $(call to,include/pybraid.h) $(patsubst docs/man/%,$(call to,share/man/man1)/%,$(MAN)) \
	    $(call to,share/bash-completion/completions/pybraid) $(call to,share/zsh/site-functions/_pybraid) \
	    $(call to,share/fish/vendor_completions.d/pybraid.fish) $(call to,share/bash-completion/completions/pyannotate) \
	    $(call to,share/zsh/site-functions/_pyannotate) $(call to,share/fish/vendor_completions.d/pyannotate.fish)
	rm -rf $(call to,share/pybraid)

deb: all
	.ci/deb $(B)

# The other compiler with the same warnings, then static checks.
lint:
	$(MAKE) --no-print-directory B=build-lint CC=$(if $(findstring clang,$(CC)),gcc,clang) all
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,portability --suppress=missingIncludeSystem \
	    -Icore -Icore/include -D__linux__ $(CORE_SRC) $(CLI_SRC) $(PERF_SRC)
	/usr/bin/python3 -m pyflakes gdb/*.py tests/live/*.py tests/live/support/*.py tests/layout/*.py
	@if command -v mandoc > /dev/null; then mandoc -Tlint -W warning $(MAN); else echo "lint: no mandoc, man pages not checked"; fi
	shellcheck .ci/run .ci/deb cli/completions/pybraid.bash cli/completions/pyannotate.bash $$(grep -lE '^#!.*sh' tests/run tests/pythons/* 2>/dev/null)
	@echo "lint: nothing found"

help:
	@echo "make            build into build/          make deps     install what Debian packages"
	@echo "make demo       a real gdb, a stuck process make test     unit and live tests"
	@echo "make install    PREFIX= DESTDIR=            make lint     the other compiler, static checks"
	@echo "make uninstall  the same                    make deb      a Debian package in build/"
	@echo "make pythons    more interpreters, cached   make soak     the long counts, by hand"
	@echo "make unit       unit tests only             make fuzz-run FUZZ_SECONDS=10"
	@echo "make bench      ratios against peers        make layouts  regenerate the layout tables"

-include $(CORE_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(PERF_OBJ:.o=.d) $(LLDB_OBJ:.o=.d)
-include tests/tests.mk bench/bench.mk
include tests/unit/unit.mk tests/fuzz/fuzz.mk tests/tools/tools.mk tests/layout/layout.mk

clean:
	rm -rf $(B)
