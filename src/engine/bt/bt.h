/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The binary translator's inside: one vCPU, one VM, and the contracts between
 * its files.
 *
 * A vCPU of bt is a struct interp with a code cache beside it: interp_execute
 * still delivers events and decides when to step; in between, run_code enters
 * translated code. Whatever the translator does not carry, and every access
 * that misses the software TLB, leaves the cache for one instruction of the
 * interpreter and comes back. So what an instruction means is said once.
 *
 * Registers in translated code (64-bit guest code):
 *	guest RAX RCX RDX RBX RBP RSI RDI R8 R9 R12..R15   the same register
 *	guest RSP                                          R11
 *	guest R10, R11                                     s.gpr[], in memory
 *	R10                                                scratch
 *	host RSP                                           the shadow stack
 *	GS base                                            struct bt_vcpu
 *	x87 to AVX                                         the guest's
 * The six status flags are in RFLAGS, or saved in bt_vcpu.flags (LAHF in bits
 * 15:8, SETO in bits 7:0), or dead; the translator knows which (enum flags_at).
 * All other bits of RFLAGS are in s.rflags only.
 *
 * The shadow stack holds host return addresses. A guest CALL pushes its return
 * address on the guest's stack and calls; RET loads the guest's return address,
 * leaves it below the host RSP and returns, predicted by the processor; the
 * return site compares what it finds there with its own address. So a guest
 * that returns elsewhere is found out before its first instruction.
 *
 * Threads: vCPUs run translated code at once. Code, tables of blocks and page
 * flags change under bt_vm.lock; whoever needs that no vCPU is in guest code
 * (dropping code, taking away the right to write a page) stops the world. A
 * vCPU is out of guest code while it waits for that lock.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "engine/bt/stress.h"
#include "engine/interp/interp.h"

struct vm;
struct code;

/*
 * What a block's code depends on besides its bytes and address: the view of
 * memory (enum mmu_view: CPL, AC, SMAP) and which units the guest may use.
 */
struct bt_flavour {
	uint8_t view;
	bool has_smap; /* CR4.SMAP: the supervisor view means AC is set */
	bool has_x87; /* no #NM, #UD or unmasked exception to be expected */
	bool has_sse;
	bool has_avx;
};

/* A translation: straight guest code within a page. */
struct bt_block {
	struct bt_block *next; /* in the hash chain */
	struct list page_link; /* in its page's list */
	uint64_t rip;
	gpa_t gpa; /* of its first byte */
	uint32_t flavour; /* packed */
	uint16_t size; /* guest bytes, within the page */
	uint8_t *entry; /* executable; flags in RFLAGS */
	uint8_t *entry_saved; /* flags saved, as after a look-up */
	uint32_t first_site, sites; /* return sites: bt_cache.site[] */
};

/*
 * Indirect branches look here first: per view, by RIP. What changes the meaning
 * of a linear address (CR3, INVLPG ...) happens in C, which then empties the
 * table and the shadow stack (bt_forget_jumps), so entries need no generation.
 */
#define BT_JUMPS 1024

struct bt_jump {
	uint64_t rip;
	uint8_t *code; /* entry_saved */
};

static inline unsigned bt_jump_index(uint64_t rip)
{
	return ((uint32_t)rip ^ (uint32_t)rip >> 7) % BT_JUMPS;
}

/* No canonical address: an empty entry. Who jumps there is sent to the
 * interpreter, which raises the #GP. */
#define BT_NO_RIP 0x5aa5000000000000ull

/*
 * The stack's page, for operands relative to RSP; with the right to write. Empty:
 * a page that no canonical address names, and memory that nobody looks at.
 */
struct bt_stack {
	uint64_t page;
	uint8_t *host;
};

#define BT_NO_PAGE 0x5aa6000000000000ull

/* Why translated code came back to C. */
enum bt_exit {
	BT_DISPATCH, /* s.rip is where to go on; exit_link may be patched */
	BT_INTERPRET, /* one instruction at s.rip, then go on at `resume` */
	BT_FILL_STACK, /* `address` misses struct bt_stack: fill it, go to `resume`;
		   * or interpret the instruction at s.rip */
	BT_ATTENTION, /* a poll saw it; s.rip is where to go on */
	/* As BT_INTERPRET, with `address`: a function of ours may do it. */
	BT_XSAVE,
	BT_XSAVEC,
	BT_XSAVEOPT,
	BT_XRSTOR,
	BT_EXIT_COUNT,
};

/* Engine events, after the interpreter's. */
enum bt_event {
	BT_BLOCKS = INTERP_EVENT_COUNT,
	BT_DISPATCHES,
	BT_INTERPRETED,
	BT_STACK_FILLS,
	BT_PAGES_DROPPED,
	BT_EVENT_COUNT,
};

/* The shadow stack is touched as it is used. Deeper than any stack of a guest's
 * that has a frame of 16 bytes a call. */
#define BT_SHADOW_SIZE	(64ull << 20)
#define BT_SHADOW_GUARD 65536

#define BT_XSAVE_SIZE	1024 /* x87, SSE, AVX in the standard format: 832 */

/* Where the guest's x87, SSE and AVX state is. */
enum bt_vectors {
	VECTORS_IN_STATE, /* s.fpu */
	VECTORS_IN_AREA, /* bt_vcpu.xsave */
	VECTORS_IN_CPU, /* the processor's own registers */
};

/*
 * Where an IRET went, CPL 0 or 3, in 64-bit code: the next one with the same
 * selectors loads the same segments, if the descriptors are still the same.
 */
struct bt_return {
	uint64_t selectors; /* CS, and SS << 16; ~0: none */
	uint64_t gdt_base, gdt_limit;
	gva_t address[2]; /* of the descriptors; the same where SS is null */
	uint64_t descriptor[2];
	struct cpu_segment code, stack;
};

struct bt_vcpu {
	struct interp cpu; /* first: GS:0 is cpu.s */

	uint64_t flags; /* AX after LAHF, SETO AL */
	uint64_t spill[8];
	uint64_t host_rsp;
	uint64_t shadow_rsp;
	uint64_t target; /* of the enter stub */
	uint64_t resume;
	uint64_t address;
	uint64_t exit_link;
	uint64_t exit_reason;
	uint64_t tsc_offset; /* guest TSC less host TSC, TSC_ADJUST aside */
	struct bt_return iret[2]; /* to CPL 0, to CPL 3 */
	bool has_waiting; /* an interrupt or NMI that is held off */
	struct bt_stack stack[MMU_VIEWS];
	struct bt_jump jump[MMU_VIEWS][BT_JUMPS];
	_Alignas(64) uint8_t xsave[BT_XSAVE_SIZE];
	_Alignas(64) uint8_t restored[BT_XSAVE_SIZE]; /* by XRSTOR */

	enum bt_vectors vectors;
	struct bt_flavour flavour; /* of the code that runs */
	/* cpu.tlb's, when jumps and stack were last right */
	uint64_t generation[2];
	uint32_t page_flushes;
	uint64_t jump_pages[8]; /* filter: pages that jumps lead to */
	uint8_t *shadow; /* mapping of the shadow stack */
	struct bt_vm *bt;
	struct vcpu *vcpu;

	_Atomic bool in_guest;
	/* Pages whose code this vCPU wrote to, not yet dropped. */
	gpa_t written[8];
	unsigned written_count;
	bool written_all; /* and more: drop everything */
	uint32_t link_drops; /* bt_vm.drops when exit_link was taken */
};

struct bt_page {
	struct list blocks;
};

/* Where a RET comes back to, so that it can be cut off. */
struct bt_site {
	uint8_t *code; /* executable */
};

#define BT_BUCKETS    65536
#define BT_CACHE_SIZE (64ull << 20)
/* A block's code is shorter than this, cold parts included. */
#define BT_BLOCK_ROOM 65536
#define BT_SITES_MAX  (1u << 20)

/* What jumps out of blocks and between vCPU and C: made once. */
struct bt_stubs {
	void (*enter)(struct bt_vcpu *vcpu);
	uint8_t *dispatch; /* flags saved; s.rip and exit_link are set */
	uint8_t *interpret; /* flags saved; s.rip and resume are set */
	uint8_t *interpret_flags; /* the same, flags in RFLAGS */
	uint8_t *stack; /* flags saved; s.rip, resume, address are set */
	uint8_t *attention; /* flags saved; s.rip is set */
	uint8_t *call[BT_EXIT_COUNT]; /* from BT_XSAVE; as interpret */
	uint8_t *lookup[MMU_VIEWS]; /* flags saved; R10: where to go */
	uint8_t *return_miss[MMU_VIEWS]; /* from a return site */
	uint8_t *return_bottom[MMU_VIEWS];
	uint8_t *lookup_now; /* as lookup, by the view of now */
	uint8_t *stack_refill[MMU_VIEWS]; /* as stack, which it may go to */
	/* REP STOS, REP MOVS by log2 of the element's size; as interpret */
	uint8_t *repeat[MMU_VIEWS][2][4];
	uint8_t *syscall; /* flags saved; R10: the next instruction's address */
	uint8_t *sysret; /* flags saved; s.rip is set */
	uint8_t *iret[MMU_VIEWS]; /* the same; from that view */
	uint8_t *no_rip; /* of empty jumps */
};

struct bt_vm {
	pthread_mutex_t lock; /* over everything below */
	struct vm *vm;
	int fd;
	uint8_t *writable, *executable; /* two mappings of one memfd */
	uint8_t *nowhere; /* a page for empty struct bt_stack */
	bool has_xsaveopt, has_xsavec; /* the host */
	bool has_tsc; /* the guest's is the host's and an offset */
	size_t used, stubs_end;
	struct bt_stubs stubs;
	struct bt_block *bucket[BT_BUCKETS];
	struct bt_site *site;
	uint32_t sites;
	/* By page of the memfd of guest memory: NULL, or who has code there.
	 * has_code is read without the lock. */
	struct bt_page **page;
	_Atomic bool *has_code;
	_Atomic bool is_stopped; /* the world */
	_Atomic bool is_remapped; /* a slot moved: drop everything */
	_Atomic uint32_t drops; /* how often code was dropped */
	struct bt_stress stress; /* set before there are vCPUs */
};

/* The page of the memfd that holds gpa, or ~0. */
uint64_t bt_page_index(struct bt_vm *bt, gpa_t gpa);

/* --- cache.c --------------------------------------------------------------- */

int bt_vm_init(struct bt_vm *bt, struct vm *vm);
void bt_vm_fini(struct bt_vm *bt);

/* Lock held. */
struct bt_block *bt_block_find(struct bt_vm *bt, gpa_t gpa, uint64_t rip,
			       uint32_t flavour);
void bt_block_add(struct bt_vm *bt, struct bt_block *block);
bool bt_cache_is_full(struct bt_vm *bt);
void bt_cache_drop_all(struct bt_vcpu *vcpu);

/* Makes sure that nobody writes the page unseen. Lock held; stops the world
 * when the page had no code before. */
int bt_watch_page(struct bt_vcpu *vcpu, gpa_t gpa);
/* Drops the code of a page. vcpu NULL: not a vCPU's thread. No lock held. */
void bt_drop_page(struct bt_vm *bt, struct bt_vcpu *vcpu, gpa_t gpa);

/* Stops all other vCPUs outside guest code, and lets them go. Lock held. */
void bt_stop_world(struct bt_vm *bt, struct bt_vcpu *self);
void bt_start_world(struct bt_vm *bt);
/* Around guest code. enter waits while the world is stopped. */
void bt_enter_guest(struct bt_vcpu *vcpu);
void bt_leave_guest(struct bt_vcpu *vcpu);

/* From the writable mapping to the executable one. */
static inline uint8_t *bt_executable(const struct bt_vm *bt,
				     const uint8_t *writable)
{
	return bt->executable + (writable - bt->writable);
}

static inline uint8_t *bt_writable(const struct bt_vm *bt,
				   const uint8_t *executable)
{
	return bt->writable + (executable - bt->executable);
}

void bt_forget_jumps(struct bt_vcpu *vcpu);
/* Empties the shadow stack, down to its bottom frame. */
void bt_shadow_reset(struct bt_vcpu *vcpu);
void bt_forget_stack(struct bt_vcpu *vcpu, unsigned view);

/* --- translate.c ----------------------------------------------------------- */

/*
 * Translates the code at s.rip, which `host` (to the end of its page) and gpa
 * name. Lock held, code cache not full. NULL: nothing here that the translator
 * carries, or out of memory.
 */
struct bt_block *bt_translate(struct bt_vcpu *vcpu, const uint8_t *host,
			      gpa_t gpa);

/* --- stub.c ---------------------------------------------------------------- */

void bt_stubs_make(struct bt_vm *bt);

/* --- string.c --------------------------------------------------------------- */

void bt_string_stubs_make(struct code *c, struct bt_vm *bt);

/*
 * In a stub: `index` = the host page of the register `address`, `offset` = its
 * offset therein. Clobbers RFLAGS. Returns the branch for what the TLB does not
 * hold, to be landed.
 */
uint8_t *bt_stub_translate(struct code *c, unsigned view,
			   enum mmu_access access, unsigned address,
			   unsigned index, unsigned offset);

/* --- syscall.c ------------------------------------------------------------- */

/* The stubs of what changes the privilege level. */
void bt_transfer_stubs_make(struct code *c, struct bt_vm *bt);

/* --- xstate.c -------------------------------------------------------------- */

/* XSAVE by the reason, and XRSTOR, of what is at `address`. False: the
 * interpreter's. */
bool bt_xsave(struct bt_vcpu *vcpu, enum bt_exit reason);
bool bt_xrstor(struct bt_vcpu *vcpu);

/* --- return.c -------------------------------------------------------------- */

/* The interpreter has done an IRET: remembers it in bt_vcpu.iret. */
void bt_note_return(struct bt_vcpu *vcpu);
void bt_forget_returns(struct bt_vcpu *vcpu);

/* --- vectors.c ------------------------------------------------------------- */

/* Own thread, all of them. Right before translated code, and right behind. */
void bt_vectors_to_cpu(struct bt_vcpu *vcpu);
void bt_vectors_left(struct bt_vcpu *vcpu);
/* Before code that may use vector registers. */
void bt_vectors_leave(struct bt_vcpu *vcpu);
/* Before s.fpu is looked at or changed. */
void bt_vectors_to_state(struct bt_vcpu *vcpu);

/* --- world.c --------------------------------------------------------------- */

/* The interpreter's world, with the vectors out of the way. */
extern const struct interp_ops bt_world_ops;

/* --- run.c ----------------------------------------------------------------- */

/* struct interp's run_code, run_aborted, sync and leave. */
void bt_run_code(struct interp *cpu);
void bt_run_aborted(struct interp *cpu);
void bt_sync(struct interp *cpu);
void bt_leave(struct interp *cpu);
uint32_t bt_flavour_pack(const struct bt_flavour *flavour);
