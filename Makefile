# SPDX-License-Identifier: BSD-2-Clause
# Ringfence: GNU make.  "make help" lists the targets.
#
# Sources are found, not listed.  A source or a test that needs a library says
# so itself, in a comment of its own line that begins with "link:", for example
#	/* link: -lzstd */
# Each src/helper/<name>.c is a program of its own, ringfence-<name>.
# Rules for one kind of test stand in tests/<kind>/build.mk.

VARIANT ?= release
CC      ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG   ?= clang
AR      ?= ar

out := build/$(VARIANT)

# Warnings are errors with the compiler that check runs with, so that a newer
# one does not break anybody's build.
WERROR ?= $(if $(filter 12,$(shell $(CC) -dumpversion)),1,0)

warnings := -Wall -Wextra -Wshadow -Wundef -Wvla -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wimplicit-fallthrough \
	-Wpointer-arith -Wwrite-strings -Wformat=2 -Wno-format-truncation \
	-Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers \
	$(if $(filter 1,$(WERROR)),-Werror)

base_flags := -std=gnu11 -g -D_GNU_SOURCE -Isrc -pthread -fno-strict-aliasing \
	-fno-common $(warnings)

flags_release := -O2 -fstack-protector-strong
flags_debug   := -Og -fno-omit-frame-pointer
flags_asan    := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
# What a fence orders TSan does not see; what goes by one is the guest's memory.
flags_tsan    := -O1 -fno-omit-frame-pointer -fsanitize=thread -Wno-tsan
link_release  := -Wl,-z,relro,-z,now -Wl,--as-needed
link_debug    := -Wl,--as-needed
link_asan     := -fsanitize=address,undefined
link_tsan     := -fsanitize=thread
ifeq ($(flags_$(VARIANT)),)
$(error VARIANT=$(VARIANT): there are release, debug, asan and tsan)
endif

general_flags := -mgeneral-regs-only

all_cflags  := $(base_flags) $(flags_$(VARIANT)) $(CFLAGS)
all_ldflags := -pthread $(link_$(VARIANT)) $(LDFLAGS)

# --- what there is -----------------------------------------------------------

sources    := $(sort $(shell find src -name '*.[cS]'))
headers    := $(sort $(shell find src -name '*.h'))
# What may run while a guest's vector registers are in the processor, and all
# that is near it, does without: src/engine/bt/vectors.c.
vector_src := $(addprefix src/engine/interp/, \
	block.c fpu.c host_stub.c host_unit.c)
general    := $(filter-out $(vector_src), \
	$(filter $(foreach f,base x86 core chip engine/interp engine/bt, \
	src/$(f)/%.c),$(sources)))
objects    := $(patsubst %,$(out)/%.o,$(basename \
	$(filter-out src/helper/%,$(sources))))
helper_src := $(filter src/helper/%.c,$(sources))
helpers    := $(patsubst src/helper/%.c,ringfence-%,$(helper_src))
layers     := $(shell sed -n 's/^\([a-z][^:]*\):.*/\1/p' src/layers.txt)
src_libs   := $(sort $(shell sed -n 's,^/\* link: \(.*\) \*/$$,\1,p' \
	/dev/null $(filter-out src/helper/%,$(sources))))
unit_src   := $(sort $(shell find tests/unit -name 'test_*.c'))
unit_progs := $(patsubst %.c,$(out)/%,$(unit_src))
fuzz_src   := $(sort $(wildcard tests/fuzz/fuzz_*.c))
main       := $(wildcard src/main.c)

# What a layer may use, and what that uses in turn.
$(foreach l,$(layers),$(eval uses_$(l) := $(shell \
	sed -n 's,^$(l):,,p' src/layers.txt)))
step     = $(sort $(1) $(foreach l,$(1),$(uses_$(l))))
closure  = $(call step,$(call step,$(call step,$(call step,$(1)))))
# $(1): the layer that a path below src/ or tests/unit/ lies in.
layer_of = $(strip $(foreach l,$(layers),$(if $(filter $(l)/%,$(1)),$(l))))
archive  = $(patsubst %,$(out)/lib/%.a,$(subst /,-,$(1)))
libs_for = $(call archive,$(call closure,$(call layer_of,$(1))))

programs := $(if $(main),ringfence) $(helpers)
built    := $(addprefix $(out)/,$(programs))
ifeq ($(VARIANT),release)
built    += $(addprefix build/,$(programs))
endif

.PHONY: all objects test quick unit-progs fuzz fuzz-random lint format \
	clean distclean install help
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

all: $(built) objects
objects: $(objects)

# --- the program -------------------------------------------------------------

# Rebuilds everything when the compiler or its flags change.
flags_now := $(CC) $(all_cflags) / $(all_ldflags) / $(general_flags) \
	$(vector_src)
ifneq ($(MAKECMDGOALS),clean)
$(shell mkdir -p $(out); printf '%s\n' '$(flags_now)' | \
	cmp -s - $(out)/flags || printf '%s\n' '$(flags_now)' >$(out)/flags)
endif

$(out)/%.o: %.c $(out)/flags
	@mkdir -p $(@D)
	$(CC) $(all_cflags) -MMD -MP -c -o $@ $<

$(out)/%.o: %.S $(out)/flags
	@mkdir -p $(@D)
	$(CC) $(all_cflags) -MMD -MP -c -o $@ $<

$(out)/ringfence: $(objects)
	$(CC) $(all_ldflags) -o $@ $^ $(src_libs)

build/ringfence: build/release/ringfence
$(addprefix build/,$(helpers)): build/ringfence-%: build/release/ringfence-%
build/ringfence $(addprefix build/,$(helpers)):
	@cp -f $< $@.tmp && mv -f $@.tmp $@

$(general:%.c=$(out)/%.o): all_cflags += $(general_flags)

# They confine themselves to a few system calls, which sanitizers would break.
$(out)/src/helper/%.o: all_cflags := $(base_flags) $(flags_release)
$(addprefix $(out)/,$(helpers)): all_ldflags := -pthread $(link_release)
$(addprefix $(out)/,$(helpers)): $(out)/ringfence-%: $(out)/src/helper/%.o \
		$(out)/lib/base.a
	$(CC) $(all_ldflags) -o $@ $^ \
		$(shell sed -n 's,^/\* link: \(.*\) \*/$$,\1,p' $(helper_src))

# One archive a layer.  It depends on the list of its members too, so that a
# file that went away leaves the archive.
define layer_rules
members_$(1) := $(filter $(out)/src/$(1)/%,$(objects))
$(shell mkdir -p $(out)/lib; \
	echo '$(filter $(out)/src/$(1)/%,$(objects))' | \
	cmp -s - $(call archive,$(1)).list || \
	echo '$(filter $(out)/src/$(1)/%,$(objects))' >$(call archive,$(1)).list)
$(call archive,$(1)): $$(members_$(1)) $(call archive,$(1)).list
	@rm -f $$@
	@$$(AR) rcsT $$@ $$(members_$(1))
endef
$(foreach l,$(layers),$(eval $(call layer_rules,$(l))))

# --- unit tests --------------------------------------------------------------

# A test program: its own file, the other files of its folder (helpers), and
# the layers it may use.
define unit_rules
$(out)/$(basename $(1)): $(patsubst %.c,$(out)/%.o,$(1) \
	$(filter-out $(dir $(1))test_%,$(wildcard $(dir $(1))*.c))) \
	$(call libs_for,$(patsubst tests/unit/%,%,$(1)))
	$$(CC) $$(all_ldflags) -o $$@ $$(filter %.o,$$^) -Wl,--start-group \
		$$(filter %.a,$$^) -Wl,--end-group \
		$$(shell sed -n 's,^/\* link: \(.*\) \*/$$$$,\1,p' $(1)) \
		$$(src_libs) -lcmocka
endef
$(foreach t,$(unit_src),$(eval $(call unit_rules,$(t))))

unit-progs: $(unit_progs) $(if $(helpers),$(addprefix $(out)/,$(helpers)))

test: unit-progs
	tests/run-unit check $(unit_progs)

quick: unit-progs
	tests/run-unit quick $(unit_progs)

# --- fuzzing -----------------------------------------------------------------

# tests/fuzz/fuzz_*.c define LLVMFuzzerTestOneInput.  "fuzz" builds them with
# libFuzzer; "fuzz-random" with this compiler and tests/fuzz/random.c, which
# feeds them seeded random bytes.  Both link with every layer but cli.
fuzz_layers := $(call archive,$(filter-out cli main helper,$(layers)))
fuzz_flags  := -O1 -fno-omit-frame-pointer \
	-fsanitize=fuzzer-no-link,address,undefined
fuzz_objs   := $(patsubst %,build/fuzz/%.o,$(basename \
	$(filter-out src/main.c src/cli/% src/helper/%,$(sources))))

fuzz: $(patsubst %.c,build/fuzz/%,$(fuzz_src))
fuzz-random: $(patsubst %.c,$(out)/%,$(fuzz_src))

build/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(CLANG) $(filter-out -Werror -Wno-format-truncation,$(base_flags)) $(fuzz_flags) -MMD -MP \
		-c -o $@ $<

build/fuzz/%.o: %.S
	@mkdir -p $(@D)
	$(CLANG) $(filter-out -Werror -Wno-format-truncation,$(base_flags)) -c -o $@ $<

build/fuzz/tests/fuzz/fuzz_%: build/fuzz/tests/fuzz/fuzz_%.o $(fuzz_objs)
	$(CLANG) -pthread -fsanitize=fuzzer,address,undefined -o $@ $^ \
		$(src_libs)

$(out)/tests/fuzz/fuzz_%: $(out)/tests/fuzz/fuzz_%.o \
		$(out)/tests/fuzz/random.o $(fuzz_layers)
	$(CC) $(all_ldflags) -o $@ $(filter %.o,$^) -Wl,--start-group \
		$(filter %.a,$^) -Wl,--end-group $(src_libs)

# --- the rest ----------------------------------------------------------------

lint:
	tools/lint

format:
	clang-format -i $(sources:%.S=) $(headers) \
		$(shell find tests -name '*.[ch]')

PREFIX ?= /usr/local
install: all
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(out)/ringfence
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/libexec/ringfence \
		$(addprefix $(out)/,$(helpers))
	install -D -m 644 man/ringfence.1 \
		$(DESTDIR)$(PREFIX)/share/man/man1/ringfence.1

clean:
	rm -rf build/release build/debug build/asan build/tsan build/fuzz \
		build/ringfence build/ringfence-* build/test-logs

distclean:
	rm -rf build

help:
	@echo 'make [VARIANT=release|debug|asan|tsan] [WERROR=0|1] [CC=..]'
	@echo '  all          the program: build/VARIANT/ringfence; release also'
	@echo '               at build/ringfence'
	@echo '  test, quick  build and run the unit tests; quick: few cases'
	@echo '  fuzz         the fuzzers, with libFuzzer, in build/fuzz/tests'
	@echo '  lint         formatting, shellcheck, headers, static checks'
	@echo '  format       clang-format everything in place'
	@echo '  install      into PREFIX ($(PREFIX))'
	@echo '  clean        what was compiled; distclean: all of build/'
	@echo 'Everything, with set-up: ./check'

include $(wildcard tests/*/build.mk)

-include $(objects:.o=.d) $(shell find $(out)/tests build/fuzz -name '*.d' \
	2>/dev/null)
