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
LDLIBS  = -lelf -ldw -lz

CORE_SRC := $(sort $(wildcard core/*/*.c))
CORE_OBJ := $(CORE_SRC:%.c=$(B)/obj/%.o)
LIB      := $(B)/lib

.PHONY: all clean help install uninstall lint bench fuzz
all: $(LIB)/libpybraid.so $(LIB)/libpybraid.a $(LIB)/libpybraid-gdb.so

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -MMD -MP -c $< -o $@

# Internals visible: for the unit tests, the fuzzers and our own programs.
$(LIB)/libpybraid-internal.a: $(CORE_OBJ)
	@mkdir -p $(@D)
	rm -f $@ && ar rcs $@ $^

SOFLAGS = -shared -Wl,--version-script=core/pybraid.map -Wl,-Bsymbolic -Wl,--no-undefined -Wl,-z,relro
$(LIB)/libpybraid.so.0: $(CORE_OBJ) core/pybraid.map
	@mkdir -p $(@D)
	$(CC) $(SAN) $(SOFLAGS) -Wl,-soname,libpybraid.so.0 $(CORE_OBJ) -o $@ $(LDFLAGS) $(LDLIBS)
$(LIB)/libpybraid.so: $(LIB)/libpybraid.so.0
	ln -sf libpybraid.so.0 $@
$(LIB)/libpybraid-gdb.so: $(LIB)/libpybraid.so.0
	ln -sf libpybraid.so.0 $@

# One relocatable object whose hidden symbols are made local: the static library exports pyb_* of the public header only.
$(LIB)/libpybraid.a: $(CORE_OBJ)
	@mkdir -p $(@D) $(B)/obj
	ld -r $(CORE_OBJ) -o $(B)/obj/pybraid.o
	objcopy --localize-hidden $(B)/obj/pybraid.o
	rm -f $@ && ar rcs $@ $(B)/obj/pybraid.o

-include $(CORE_OBJ:.o=.d)
-include tests/tests.mk

clean:
	rm -rf $(B)
