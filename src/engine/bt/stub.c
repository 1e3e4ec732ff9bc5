/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The few pieces of code that everything else jumps to: into translated code,
 * out of it, and from a guest address to its translation.
 */
#include "engine/bt/translate.h"

/* What the System V ABI has the callee keep. */
static const uint8_t kept[] = { RBX, RBP, R12, R13, R14, R15 };

/* Guest registers that live in host registers of their own. */
static const uint8_t resident[] = { RAX, RCX, RDX, RBX, RBP, RSI,
				    RDI, R8,  R12, R13, R14, R15 };

static void push(struct code *c, unsigned reg)
{
	if (reg >> 3)
		code_u8(c, 0x41);
	code_u8(c, 0x50 | (reg & 7));
}

static void pop(struct code *c, unsigned reg)
{
	if (reg >> 3)
		code_u8(c, 0x41);
	code_u8(c, 0x58 | (reg & 7));
}

/* jmp gs:[field] */
static void jump_field(struct code *c, uint32_t field)
{
	code_u8(c, 0x65);
	code_u8(c, 0xff);
	code_u8(c, 4 << 3 | 4);
	code_u8(c, 0x25);
	code_u32(c, field);
}

static void make_enter(struct code *c)
{
	for (unsigned i = 0; i < sizeof(kept); i++)
		push(c, kept[i]);
	code_store(c, FIELD(host_rsp), RSP);
	for (unsigned i = 0; i < sizeof(resident); i++)
		code_load(c, resident[i], FIELD_GPR(resident[i]));
	code_load(c, GUEST_RSP, FIELD_GPR(RSP));
	code_load(c, RSP, FIELD(shadow_rsp));
	jump_field(c, FIELD(target));
}

static void make_leave(struct code *c, enum bt_exit reason)
{
	for (unsigned i = 0; i < sizeof(resident); i++)
		code_store(c, FIELD_GPR(resident[i]), resident[i]);
	code_store(c, FIELD_GPR(RSP), GUEST_RSP);
	code_store(c, FIELD(shadow_rsp), RSP);
	code_constant(c, RAX, reason);
	code_store(c, FIELD(exit_reason), RAX);
	code_load(c, RSP, FIELD(host_rsp));
	code_u8(c, 0xfc); /* cld */
	for (unsigned i = sizeof(kept); i-- > 0;)
		pop(c, kept[i]);
	code_u8(c, 0xc3);
}

/*
 * bt_jump_index, scaled, says where the address would be. A poll stands here, as
 * every cycle of indirect branches comes through.
 */
void emit_lookup(struct code *c, unsigned codes, unsigned target,
		 uint8_t *missed[2])
{
	uint32_t rip = FIELD(jump[0][0].rip) +
		       codes * BT_JUMPS * (uint32_t)sizeof(struct bt_jump);

	code_imul32(c, SPARE, target, BT_JUMP_FACTOR);
	code_group1(c, OP_SIZE_32, 4, SPARE,
		    (BT_JUMPS - 1) * (uint32_t)sizeof(struct bt_jump));
	code_poll(c);
	missed[0] = code_jcc_forward(c, COND_B);
	code_gs_indexed(c, 0x3b, target, SPARE, rip);
	missed[1] = code_jcc_forward(c, COND_NE);
	CODE(c, 0x65, 0x41, 0xff, 0xa1); /* jmp gs:[r9 + ..] */
	code_u32(c, rip + (uint32_t)offsetof(struct bt_jump, code));
}

/* What is not found goes to `missed`. */
static uint8_t *make_lookup(struct code *c, unsigned codes,
			    const uint8_t *missed)
{
	uint8_t *here = code_here(c), *branch[2];

	emit_lookup(c, codes, SCRATCH, branch);
	code_land(c, branch[0]);
	code_land(c, branch[1]);
	code_jump(c, missed);
	return here;
}

/*
 * Where a branch left from that was not found, should its address be none, a
 * CALL has on the shadow stack; of a RET only what is in R10 on its way tells
 * (make_return).
 */
static void make_lookups(struct code *c, struct bt_vm *bt)
{
	const uint8_t *missed_call = code_here(c);

	CODE(c, 0x65, 0x8f, 0x04, 0x25); /* pop gs:[branched], and leave it */
	code_u32(c, FIELD(branched));
	code_lea(c, RSP, RSP, -8);
	code_jump(c, bt->stubs.missed);
	for (unsigned codes = 0; codes < BT_CODES; codes++) {
		bt->stubs.lookup[codes] = make_lookup(c, codes, missed_call);
		bt->stubs.lookup_return[codes] =
			make_lookup(c, codes, bt->stubs.missed);
	}
}

/* mov r10, [rsp + place]: the guest's return address, which RET left there. */
static void load_returned(struct code *c, int place)
{
	CODE(c, 0x4c, 0x8b, 0x54, 0x24, (uint8_t)place);
}

/*
 * `address` is the one that missed struct bt_stack: a kernel uses two stacks on
 * its way in and out. Where the TLB has its page that is taken.
 */
static void make_stack_refill(struct code *c, struct bt_vm *bt, unsigned view)
{
	uint32_t stack =
		FIELD(stack[0]) + view * (uint32_t)sizeof(struct bt_stack);
	uint32_t page = stack + offsetof(struct bt_stack, page);
	uint8_t *miss;

	bt->stubs.stack_refill[view] = code_here(c);
	code_store(c, FIELD(stop), SCRATCH);
	code_store(c, FIELD(spill[3]), RAX);
	code_store(c, FIELD(spill[4]), RCX);
	code_load(c, SCRATCH, FIELD(address));
	miss = bt_stub_translate(c, view, MMU_WRITE, SCRATCH, RAX, RCX);
	code_rr(c, OP_SIZE_64, 0x29, RAX, SCRATCH); /* sub */
	code_group1(c, OP_SIZE_64, 4, SCRATCH, (uint32_t)PAGE_MASK);
	code_store(c, page, SCRATCH);
	code_store(c, stack + offsetof(struct bt_stack, delta), RAX);
	code_load(c, RCX, FIELD(stop));
	CODE(c, 0x48, 0x63, 0x41, offsetof(struct bt_stop, retry)); /* movsxd */
	code_rr(c, OP_SIZE_64, 0x01, RAX, RCX);
	code_store(c, FIELD(resume), RAX);
	code_load(c, RAX, FIELD(spill[3]));
	code_load(c, RCX, FIELD(spill[4]));
	jump_field(c, FIELD(resume));
	code_land(c, miss);
	code_load(c, RAX, FIELD(spill[3]));
	code_load(c, RCX, FIELD(spill[4]));
	code_jump(c, bt->stubs.stack);
}

/*
 * From where a RET landed to where the guest's goes, with the RET's own
 * look-up: R10 is what emit_ret put there. At the bottom of the shadow
 * stack its frame, which has been taken, is put back for the next.
 */
static uint8_t *make_return(struct code *c, const struct bt_vm *bt,
			    bool is_bottom)
{
	uint8_t *here = code_here(c);

	if (is_bottom)
		code_lea(c, RSP, RSP, -8);
	code_store(c, FIELD(returned), SCRATCH);
	code_gs_imm(c, OP_SIZE_64, 0xc7, 0, FIELD(branched), 0);
	for (unsigned codes = 0; codes < BT_CODES; codes++) {
		uint8_t *other;

		code_group1(c, OP_SIZE_32, 7, SCRATCH, BT_RETURN_IDS(codes));
		other = code_jcc_forward(c, COND_NE);
		load_returned(c, is_bottom ? -8 : -16);
		code_jump(c, bt->stubs.lookup_return[codes]);
		code_land(c, other);
	}
	CODE(c, 0x0f, 0x0b); /* ud2: there are no others */
	return here;
}

void bt_stubs_make(struct bt_vm *bt)
{
	struct code c = {
		.at = bt->writable,
		.end = bt->writable + BT_STUBS_ROOM,
		.delta = bt->executable - bt->writable,
	};

	bt->stubs.enter = (void (*)(struct bt_vcpu *))code_here(&c);
	make_enter(&c);
	bt->stubs.dispatch = code_here(&c);
	make_leave(&c, BT_DISPATCH);
	bt->stubs.ask[true] = code_here(&c);
	code_store(&c, FIELD(exit_link), SCRATCH);
	code_save_flags(&c);
	code_jump(&c, bt->stubs.dispatch);
	bt->stubs.ask[false] = code_here(&c);
	code_store(&c, FIELD(exit_link), SCRATCH);
	code_jump(&c, bt->stubs.dispatch);
	bt->stubs.interpret = code_here(&c);
	code_store(&c, FIELD(stop), SCRATCH);
	make_leave(&c, BT_INTERPRET);
	bt->stubs.interpret_at = code_here(&c);
	code_store(&c, FIELD_RIP, SCRATCH);
	bt->stubs.interpret_here = code_here(&c);
	make_leave(&c, BT_INTERPRET_HERE);
	bt->stubs.missed_page = code_here(&c);
	make_leave(&c, BT_MISS);
	bt->stubs.go_on = code_here(&c);
	code_restore_flags(&c);
	jump_field(&c, FIELD(resume));
	bt->stubs.repeat_miss = code_here(&c);
	make_leave(&c, BT_REPEAT);
	bt->stubs.stack = code_here(&c);
	make_leave(&c, BT_FILL_STACK);
	bt->stubs.attention_at = code_here(&c);
	code_store(&c, FIELD_RIP, SCRATCH);
	bt->stubs.attention = code_here(&c);
	make_leave(&c, BT_ATTENTION);
	for (unsigned reason = BT_FILL_PERCPU; reason < BT_EXIT_COUNT;
	     reason++) {
		bt->stubs.call[reason] = code_here(&c);
		code_store(&c, FIELD(stop), SCRATCH);
		make_leave(&c, (enum bt_exit)reason);
	}
	bt->stubs.missed = code_here(&c);
	code_store(&c, FIELD_RIP, SCRATCH);
	code_jump(&c, bt->stubs.dispatch);
	make_lookups(&c, bt);
	for (unsigned view = 0; view < MMU_VIEWS; view++)
		make_stack_refill(&c, bt, view);
	bt_miss_stubs_make(&c, bt);
	bt->stubs.return_miss = make_return(&c, bt, false);
	bt->stubs.return_bottom = make_return(&c, bt, true);
	bt_transfer_stubs_make(&c, bt);
	bt_string_stubs_make(&c, bt);
}
