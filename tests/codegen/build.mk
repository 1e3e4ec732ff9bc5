# SPDX-License-Identifier: BSD-2-Clause
# tests/codegen: what the translator makes of snippets; with tests/insn's guest.

codegen := $(out)/tests/codegen/codegen

$(codegen).o: all_cflags += -Itests/insn

$(codegen): $(codegen).o $(out)/tests/insn/guest.o $(call libs_for,engine/bt/x)
	$(CC) $(all_ldflags) -o $@ $(filter %.o,$^) -Wl,--start-group \
		$(filter %.a,$^) -Wl,--end-group $(src_libs)

unit-progs: $(codegen)
