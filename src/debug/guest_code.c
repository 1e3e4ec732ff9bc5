/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads guest memory through a vCPU's own paging, and disassembles it. */

#include "debug/guest_code.h"

#include <stdio.h>

#include "base/bits.h"
#include "core/vm.h"
#include "x86/decode.h"

#define INSN_BYTES 15

const char *const gpr_names[GPR_COUNT] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15",
};

size_t guest_read(struct vcpu *vcpu, gva_t gva, void *to, size_t size)
{
	struct vm *vm = vcpu->vm;
	size_t done = 0;

	while (done < size) {
		gva_t at = gva + done;
		size_t part = MIN(size - done, PAGE_SIZE - (at & ~PAGE_MASK));
		gpa_t gpa;

		if (vm->engine_ops->translate(vcpu, at, &gpa) ||
		    memory_read(&vm->memory, gpa, (uint8_t *)to + done, part))
			break;
		done += part;
	}
	return done;
}

enum x86_mode guest_mode(const struct cpu_state *state)
{
	if (!(state->cr0 & CR0_PE) || (state->rflags & RFLAGS_VM))
		return X86_MODE_REAL;
	if (cpu_is_64bit(state))
		return X86_MODE_64;
	return state->segment[SEG_CS].attributes & SEGMENT_DB ? X86_MODE_32 :
								X86_MODE_16;
}

gva_t guest_rip(const struct cpu_state *state)
{
	if (cpu_is_64bit(state))
		return state->rip;
	return (uint32_t)(state->segment[SEG_CS].base + state->rip);
}

void guest_insn_text(struct vcpu *vcpu, const struct cpu_state *state,
		     char text[INSN_TEXT_SIZE])
{
	uint8_t bytes[INSN_BYTES];
	size_t size = guest_read(vcpu, guest_rip(state), bytes, sizeof(bytes));
	struct insn insn;
	int n = insn_decode(&insn, bytes, size, guest_mode(state));

	if (n > 0)
		insn_format(text, INSN_TEXT_SIZE, &insn, state->rip);
	else
		snprintf(text, INSN_TEXT_SIZE, "%s",
			 n == -INSN_SHORT ? "(not mapped)" :
					    "(no instruction)");
}
