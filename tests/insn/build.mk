# SPDX-License-Identifier: BSD-2-Clause
# tests/insn: programs that run instructions on the interpreter and the host.

insn_common := $(patsubst %,$(out)/tests/insn/%.o,guest)
insn_progs  := $(out)/tests/insn/compare
insn_libs   := $(call libs_for,engine/bt/x)

$(out)/tests/insn/%.o: all_cflags += -Itests/insn

$(out)/tests/insn/compare: $(insn_common) $(insn_libs) \
		$(patsubst %,$(out)/tests/insn/%.o,compare generate sandbox)
	$(CC) $(all_ldflags) -o $@ $(filter %.o,$^) -Wl,--start-group \
		$(filter %.a,$^) -Wl,--end-group $(src_libs)

unit-progs: $(insn_progs)

# A unit test of the translator that has the same guest.
$(out)/tests/unit/engine/bt/test_move.o: all_cflags += -Itests/insn
$(out)/tests/unit/engine/bt/test_move: $(out)/tests/insn/guest.o
