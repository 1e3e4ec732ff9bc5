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
 * Registers in translated code (32-bit guest code has only the first eight,
 * whose upper halves mean nothing):
 *	guest RAX RCX RDX RBX RBP RSI RDI R8 R12..R15      the same register
 *	guest RSP                                          R11
 *	guest R9, R10, R11                                 s.gpr[], in memory
 *	R9, R10                                            scratch
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
 * flags change under bt_vm.lock. Whoever needs that no vCPU is in guest code
 * (using the memory of dropped code again, taking away the right to write a
 * page) stops the world. A vCPU is out of guest code while it waits for that
 * lock.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/list.h"
#include "engine/bt/lockstep.h"
#include "engine/bt/stress.h"
#include "engine/interp/interp.h"

struct vm;
struct code;
struct decode_cache;

/*
 * What a block's code depends on besides its bytes and address: the view of
 * memory (enum mmu_view: CPL, AC, SMAP) and which units the guest may use.
 */
struct bt_flavour {
	uint8_t view;
	bool is_32; /* not 64-bit code: addresses have 32 bits */
	bool is_16; /* of these, code with CS.D clear */
	/* is_32: not the basic flat model (segments_are_flat) */
	bool is_segmented;
	bool has_fs, has_gs; /* is_32, flat: 4 GiB that may be read, written */
	/* is_segmented, segment.c: */
	bool is_protected; /* neither real-address nor virtual-8086 mode */
	bool has_big_stack; /* SS.B */
	uint8_t code_limit; /* of CS: number in bt_vm.code_limit */
	uint8_t limit[SEG_COUNT]; /* enum bt_limit */
	bool has_smap; /* CR4.SMAP: the supervisor view means AC is set */
	bool has_x87; /* no #NM, #UD or unmasked exception to be expected */
	bool has_sse;
	bool has_avx;
	bool is_checked; /* by lockstep: never chained */
	/* Accesses to the stack as to any memory: stack.c. Only by LINK_BY_TLB
	 * and the dispatcher; not in jump tables. */
	bool by_tlb;
};

/* Of a packed flavour: what ids are for, whether by_tlb or not. */
#define BT_FLAVOUR_BY_TLB BIT(10)

static inline uint32_t bt_id_flavour(uint32_t packed)
{
	return packed & ~(uint32_t)BT_FLAVOUR_BY_TLB;
}

/* What accesses to a segment have to be checked for. */
enum bt_limit {
	BT_LIMIT_ODD, /* by the interpreter: its type, or not usable */
	BT_LIMIT_64K,
	BT_LIMIT_4G,
	BT_LIMIT_ANY, /* what the segment register says */
};

#define BT_CODE_LIMITS 16

/*
 * Where code is, in blocks, their links and the tables of indirect branches, and
 * in s.rip while translated code runs. In 64-bit code that is RIP. Else it is
 * the linear address, and with it half the base of CS, which is even: so one
 * number says what is executed and what EIP is meanwhile.
 */
static inline uint64_t bt_rip_make(uint64_t base, uint64_t ip)
{
	return (uint64_t)((uint32_t)base >> 1) << 32 | (uint32_t)(base + ip);
}

static inline uint32_t bt_rip_base(uint64_t rip)
{
	return (uint32_t)(rip >> 32) << 1;
}

static inline uint32_t bt_rip_ip(uint64_t rip)
{
	return (uint32_t)rip - bt_rip_base(rip);
}

/*
 * A direct branch at the end of a block: a displacement that leads to `ask`,
 * code that has the dispatcher find the target, until it is chained.
 */
enum bt_link_kind {
	LINK_RFLAGS, /* within the page, flags in RFLAGS */
	LINK_SAVED, /* within the page, flags saved or dead */
	LINK_FAR, /* to another page: to the checked entry */
	LINK_BY_TLB, /* as LINK_SAVED, to a block that is by_tlb */
};

struct bt_link {
	uint32_t at; /* of the displacement, in the cache; 0: no such branch */
	uint32_t ask;
	uint32_t to; /* number of a block, or 0 */
	uint32_t next, prev; /* numbers of links that lead to the same block */
	uint64_t rip; /* the target's */
};

/* Two that a branch has, and one for each run of the stack's. */
#define BT_LINKS 4

/* Guest bytes that a block's code depends on, within its page. */
struct bt_span {
	uint16_t offset, size;
};

/* Its own, and where flags were looked for behind either branch. */
#define BT_SPANS 3

/*
 * A translation: straight guest code within a page. Blocks, places in the cache
 * and links are numbers; 0 is none. Link n of block b has number
 * b * BT_LINKS + n.
 */
struct bt_block {
	uint64_t rip;
	uint32_t page; /* of guest memory's memfd */
	uint32_t next; /* in the hash chain */
	uint32_t page_next, page_prev;
	uint32_t incoming; /* links that lead here */
	uint32_t code; /* its checked entry; 0: dropped */
	uint32_t site; /* the id that its return site checks */
	uint32_t end; /* of its code, cold parts aside; in the cache */
	uint32_t bytes; /* copies of the spans, one after the other */
	/* Of the indirect branch at its end, if there is one: where it is, from
	 * rip, and what it adds to RSP before it is gone. */
	uint32_t branch;
	int32_t moved;
	struct bt_span span[BT_SPANS];
	uint32_t flavour; /* packed */
	int8_t entry; /* from `code`: flags in RFLAGS */
	uint8_t kind[BT_LINKS]; /* enum bt_link_kind */
	struct bt_link link[BT_LINKS];
};

/* cmp dword gs:[exec ...], id; jne: what stands at the checked entry. */
#define BT_CHECK_ID   8
#define BT_CHECK_SIZE 18

/*
 * Exec ids. Each page of guest memory that has code, at a linear address and in
 * a flavour, has a number that no other ever has. A vCPU holds, per view and
 * size of code (bt_codes), the ids that its address space makes valid now, by linear page. Who comes to a
 * block from another page enters where the block compares its id with the
 * vCPU's, and goes to the dispatcher when they differ. So branches between
 * pages, the look-up's entries and return addresses stay as they are when CR3
 * changes; what a flush takes away are ids.
 *
 * A dropped block has BT_NO_ID in its code. A slot of no id holds 0.
 */
#define BT_EXEC_LOWER 4096
#define BT_EXEC_UPPER 4096
#define BT_EXEC	      (BT_EXEC_LOWER + BT_EXEC_UPPER)
#define BT_NO_ID      0xffffffffu
#define BT_IDS_MAX    (BT_NO_ID - 1) /* then all code goes */
#define BT_EXEC_BANKS 8

static inline unsigned bt_exec_slot(uint64_t rip)
{
	return rip >> 63 ? BT_EXEC_LOWER + (rip >> PAGE_SHIFT) % BT_EXEC_UPPER :
			   (rip >> PAGE_SHIFT) % BT_EXEC_LOWER;
}

/* The user view's lower half in an address space that was switched away from
 * and may be switched back to (interp/tlb.c's banks). */
struct bt_exec_bank {
	uint64_t generation; /* 0: none */
	uint64_t used; /* as bt_vcpu.has_ids */
	uint32_t id[BT_EXEC_LOWER];
};

/* Views with 64-bit code, then views with 32-bit code, then with 16-bit code. */
#define BT_CODES (3 * MMU_VIEWS)

static inline unsigned bt_codes(const struct bt_flavour *flavour)
{
	return flavour->view + (flavour->is_32 ? MMU_VIEWS : 0u) +
	       (flavour->is_16 ? MMU_VIEWS : 0u);
}

/* Indirect branches look here first: as for ids, by RIP. */
#define BT_JUMPS       4096
#define BT_JUMP_FACTOR 0x9e3779b1u /* of a hash: 2^32 by the golden ratio */

struct bt_jump {
	uint64_t rip;
	uint8_t *code; /* the checked entry */
};

static inline unsigned bt_jump_index(uint64_t rip)
{
	return (uint32_t)rip * BT_JUMP_FACTOR / sizeof(struct bt_jump) %
	       BT_JUMPS;
}

/* In an empty entry: what belongs in another, so that nothing is found. */
static inline uint64_t bt_no_rip(unsigned index)
{
	return index ? 0 : 1;
}

/*
 * The stack's page, with the right to write, for the runs of accesses relative
 * to RSP that stack.c checks at once. Empty: a page that no canonical address
 * names, and a distance to nowhere.
 *
 * What a block has checked holds as long as nobody changes this meanwhile.
 * Others do when the world is stopped, while this vCPU is in C; itself it does
 * in C, and in the stub that a check goes to. So who comes back from C into the
 * middle of a block must find what was there; else the dispatcher goes on at
 * s.rip: run_translated.
 */
struct bt_stack {
	uint64_t page;
	uint64_t delta; /* host address less guest address */
};

#define BT_NO_PAGE 0x5aa6000000000000ull

static inline const uint8_t *bt_stack_host(const struct bt_stack *stack)
{
	return (const uint8_t *)(stack->page + stack->delta);
}

/*
 * The pages at one base of GS, in the upper half; for reading, then for writing:
 * NULL, or the page. percpu.c tells.
 */
#define BT_PERCPU_PAGES	  64
#define BT_PERCPU_NO_BASE 1 /* not that of a page */

struct bt_percpu {
	uint64_t base;
	uint8_t **active; /* `page`; with another base in GS, `none` */
	uint8_t *page[2 * BT_PERCPU_PAGES], *none[2 * BT_PERCPU_PAGES];
	uint8_t **choice[2]; /* `none` and `page` */
};

/* Such a base may be known. */
static inline bool bt_percpu_is_base(uint64_t base)
{
	return base >> 63 && !(base & ~PAGE_MASK) &&
	       base < -(BT_PERCPU_PAGES * PAGE_SIZE);
}

/* Why translated code came back to C. */
enum bt_exit {
	BT_DISPATCH, /* to where exit_link goes, which may be patched; 0: s.rip */
	BT_INTERPRET_HERE, /* the instruction at s.rip */
	BT_ATTENTION, /* a poll saw it; s.rip is where to go on */
	BT_BRANCH_FAULT, /* s.rip is a near branch to no canonical address */
	/* From here on `stop` is set. */
	BT_INTERPRET, /* one instruction, then on behind it */
	BT_MISS, /* `address` misses the TLB: fill it, or as BT_INTERPRET */
	BT_REPEAT, /* the same for RSI and RDI of a REP MOVS or STOS */
	BT_FILL_STACK, /* struct bt_stack for `address`, or go on by the TLB */
	BT_FILL_PERCPU, /* the same for `address` from GS's base */
	/* As BT_INTERPRET, with `address`: a function of ours may do it. */
	BT_XSAVE,
	BT_XSAVEC,
	BT_XSAVEOPT,
	BT_XRSTOR,
	BT_EXIT_COUNT,
};

/*
 * Translated code stops for one instruction that C must have a hand in. In the
 * code cache, so a copy is taken before anything can drop it. Places are relative
 * to the record's own in the executable mapping; 0: there is none.
 */
struct bt_stop {
	uint64_t rip;
	int32_t resume; /* behind the instruction; 0: by the dispatcher */
	int32_t retry; /* the access again */
	uint32_t bytes; /* of the instruction, in the cache */
	uint8_t length;
	uint8_t access, size; /* what missed the TLB */
	uint8_t touches_vectors : 1;
	uint8_t restores_flags : 1; /* to go on at `resume` */
	uint8_t has_insn : 1; /* struct bt_stop_insn follows */
	uint8_t faults_first : 1; /* a #PF of what missed is all that happens */
} __attribute__((packed));

struct bt_stop_insn {
	interp_fn *fn;
	struct insn insn;
};

/* Engine events, after the interpreter's. */
enum bt_event {
	BT_BLOCKS = INTERP_EVENT_COUNT,
	BT_DISPATCHES,
	BT_INTERPRETED,
	BT_STACK_FILLS,
	BT_PAGES_WRITTEN,
	BT_BLOCKS_DROPPED,
	BT_EVICTIONS,
	BT_PAGES_MOVED,
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

/* The slot of guest memory where a page was looked for last. */
struct bt_window {
	uint32_t sequence; /* memory.sequence then */
	bool is_writable, is_logged;
	gpa_t base;
	uint64_t size; /* 0: none yet */
	uint64_t offset; /* in the memfd */
	uint8_t *host;
};

struct bt_vcpu {
	struct interp cpu; /* first: GS:0 is cpu.s */

	uint64_t flags; /* AX after LAHF, SETO AL */
	uint64_t spill[8];
	uint64_t host_rsp;
	uint64_t shadow_rsp;
	uint64_t target; /* of the enter stub */
	uint64_t resume;
	const struct bt_stop *stop;
	uint64_t address;
	uint64_t exit_link;
	uint64_t exit_reason;
	/* Of the last indirect branch that was not found in the tables: where
	 * it left from, in the executable mapping; or 0, and R10 of emit_ret. */
	uint64_t branched;
	uint64_t returned;
	uint64_t tsc_offset; /* guest TSC less host TSC, TSC_ADJUST aside */
	struct bt_return iret[2]; /* to CPL 0, to CPL 3 */
	bool has_waiting; /* an interrupt or NMI that is held off */
	struct bt_stack stack[MMU_VIEWS];
	struct bt_percpu percpu;
	uint32_t exec[BT_CODES][BT_EXEC]; /* ids, by bt_exec_slot */
	struct bt_jump jump[BT_CODES][BT_JUMPS];
	_Alignas(64) uint8_t xsave[BT_XSAVE_SIZE];
	_Alignas(64) uint8_t restored[BT_XSAVE_SIZE]; /* by XRSTOR */

	struct bt_window window;
	enum bt_vectors vectors;
	struct bt_flavour flavour; /* of the code that runs */
	bool is_checked; /* of the code that is about to */
	/* Whose code is to be by_tlb, if it is the next; or BT_NO_PAGE. */
	uint64_t by_tlb_rip;
	uint32_t flavour_32[2]; /* packed: what ids are for, by is_16 */
	/* cpu.tlb's, when `exec` and `stack` were last right */
	uint64_t generation[2];
	uint32_t page_flushes;
	uint16_t last_generation;
	/* Which runs of 64 slots of either half of `exec` may hold ids. */
	uint64_t has_ids[BT_CODES][2];
	struct bt_exec_bank bank[BT_EXEC_BANKS];
	unsigned next_bank;
	uint8_t *shadow; /* mapping of the shadow stack */
	struct bt_vm *bt;
	struct vcpu *vcpu;

	_Atomic bool in_guest;
	/* Pages with code that this vCPU wrote to, not looked at yet. */
	uint32_t written[8];
	unsigned written_count;
	bool written_all; /* and more: drop everything */
	uint32_t link_drops; /* bt_vm.drops when exit_link was taken */
};

/* Who has an id: struct bt_block's page, at a linear address, in a flavour. */
struct bt_mapping {
	struct bt_mapping *next; /* in the hash chain */
	uint64_t rip; /* of the page */
	uint32_t page;
	uint32_t flavour;
	uint32_t id;
	uint32_t blocks; /* how many; with the last it goes */
	uint64_t root; /* the paging structures it was made in, or moved to */
};

/* When paging structures were last in use, by bt_vm.space_clock. */
#define BT_SPACES 16

struct bt_space {
	uint64_t root;
	uint64_t used;
};

/* A page of guest memory that has, or had, code. */
struct bt_page {
	uint32_t blocks; /* the first's number */
	uint16_t writes; /* since the last block was made */
	uint16_t patience; /* so many, then all blocks are dropped */
};

/*
 * The cache is filled region by region. When the next is needed, what is in it
 * goes: the oldest eighth of all code.
 */
#define BT_REGIONS    8
#define BT_CACHE_SIZE (64u << 20)
#define BT_STUBS_ROOM 65536
/* A block's code is shorter than this, cold parts included. */
#define BT_BLOCK_ROOM 65536
/* Blocks in a region; their code is longer than 64 bytes. */
#define BT_BLOCKS_MAX (BT_CACHE_SIZE / BT_REGIONS / 64)
#define BT_BUCKETS    262144
#define BT_MAPPINGS   32768 /* buckets of struct bt_mapping */

/*
 * What seldom runs stands apart, in the second half of the region:
 * so what runs is dense in the processor's caches.
 */
struct bt_region {
	uint32_t start, used; /* in the cache */
	uint32_t cold; /* where the next cold part goes */
	uint32_t blocks; /* how many, dropped ones included */
};

/* What jumps out of blocks and between vCPU and C: made once. */
struct bt_stubs {
	void (*enter)(struct bt_vcpu *vcpu);
	uint8_t *dispatch; /* flags saved; s.rip is set */
	uint8_t *ask[2]; /* by whether flags are in RFLAGS; R10: exit_link */
	uint8_t *interpret; /* flags saved; R10: struct bt_stop */
	uint8_t *interpret_here; /* flags saved; s.rip is set */
	uint8_t *interpret_at; /* flags saved; R10: s.rip */
	/* By view, write. Flags saved; R9: the entry's place, R10: what the comparison
	 * left; struct bt_stop's place in the cache is pushed. */
	uint8_t *miss[MMU_VIEWS][2];
	uint8_t *miss_at; /* the same; R10: the address */
	uint8_t *missed_page; /* its end: BT_MISS */
	uint8_t *go_on; /* to `resume`, with flags in RFLAGS */
	uint8_t *repeat_miss; /* flags saved; stop is set */
	uint8_t *stack; /* flags saved; stop and address are set */
	uint8_t *attention; /* flags saved; s.rip is set */
	uint8_t *attention_at; /* flags saved; R10: s.rip */
	uint8_t *call[BT_EXIT_COUNT]; /* from BT_FILL_PERCPU; as interpret */
	/* Flags saved; R10: where to go. By a CALL; and by a RET. */
	uint8_t *lookup[BT_CODES];
	uint8_t *lookup_return[BT_CODES];
	uint8_t *stack_refill[MMU_VIEWS]; /* as stack, which it may go to */
	/* REP STOS, REP MOVS by log2 of the element's size; as interpret */
	uint8_t *repeat[MMU_VIEWS][2][4];
	uint8_t *syscall; /* flags saved; R10: the next instruction's address */
	uint8_t *sysret; /* flags saved; s.rip is set */
	uint8_t *iret[MMU_VIEWS]; /* the same; from that view */
	uint8_t *missed; /* flags saved; R10: where to go; an id differed */
	uint8_t *return_miss; /* from a return site; R10: see emit_ret */
	uint8_t *return_bottom;
};

struct bt_vm {
	pthread_mutex_t lock; /* over everything below */
	struct vm *vm;
	int fd;
	uint8_t *writable, *executable; /* two mappings of one memfd */
	const uint8_t *memory; /* the guest's, as it is mapped for it */
	bool has_xsaveopt, has_xsavec, has_bmi2; /* the host */
	bool has_tsc; /* the guest's is the host's and an offset */
	struct bt_stubs stubs;
	struct bt_region region[BT_REGIONS];
	unsigned current; /* region */
	struct bt_block *block; /* by number */
	uint64_t *bucket; /* block.c, struct slot */
	struct bt_mapping **mapping; /* buckets */
	struct decode_cache *decoded; /* what translations decoded */
	uint32_t last_id;
	struct bt_space space[BT_SPACES];
	uint64_t space_clock;
	/* By page of the memfd of guest memory: NULL, or who has code there.
	 * has_code is read without the lock. */
	struct bt_page **page;
	_Atomic bool *has_code;
	/* Which vCPUs, by bit, may hold the right to write it: world.c, dirty. */
	_Atomic uint32_t *writers;
	_Atomic bool is_stopped; /* the world */
	_Atomic uint32_t drops; /* how often code was dropped */
	/* Limits of CS in flavours: the first two, then others as they come, to
	 * the first 0. Never taken back. */
	_Atomic uint32_t code_limit[BT_CODE_LIMITS];
	struct bt_stress stress; /* set before there are vCPUs */
	struct bt_check *check; /* lockstep; NULL: off */
	bool has_exact_flags; /* also where nobody reads them; likewise */
	FILE *perf_map; /* NULL: none */
};

/* --- cache.c: the memory of code --- */

int bt_vm_init(struct bt_vm *bt, struct vm *vm);
void bt_vm_fini(struct bt_vm *bt);

/* Makes sure of BT_BLOCK_ROOM in the current region. Lock held; may stop the
 * world. */
void bt_cache_make_room(struct bt_vcpu *vcpu);
void bt_cache_drop_all(struct bt_vcpu *vcpu);

static inline struct bt_region *bt_region(struct bt_vm *bt)
{
	return &bt->region[bt->current];
}

/* --- block.c: tables of blocks, and what leads from one to another. Lock held -- */

/* In guest code, it needs no lock: it may then find what is being dropped. */
struct bt_block *bt_block_find(struct bt_vm *bt, uint32_t page, uint64_t rip,
			       uint32_t flavour);
/* The block in the making, after the region's last. */
struct bt_block *bt_block_new(struct bt_vm *bt);
/* Its page is watched, `code` set: known from here on. */
void bt_block_add(struct bt_vm *bt, struct bt_block *block);
/* Nothing leads there any more but the addresses on shadow stacks and in jump
 * tables, which find BT_NO_ID. Its memory stays until the region goes. */
void bt_block_drop(struct bt_vm *bt, struct bt_block *block);
/* The id of a block that is about to be made; 0: out of memory. */
uint32_t bt_block_id(struct bt_vcpu *vcpu, uint32_t page, uint64_t rip,
		     uint32_t flavour);
/* The block whose code this place is in, or right behind, cold parts aside. This
 * vCPU is in it, and it may have been dropped since. NULL: there is none. */
const struct bt_block *bt_block_at(const struct bt_vm *bt, uint32_t place);
/* NULL: the page has no block there. */
struct bt_mapping *bt_mapping_find(struct bt_vm *bt, uint32_t page,
				   uint64_t rip, uint32_t flavour);
/* The mapping and its blocks are found at another address. The first returns
 * the new id, the second is for each block. World stopped. */
uint32_t bt_mapping_move(struct bt_vm *bt, struct bt_mapping *mapping,
			 uint64_t rip);
void bt_block_rename(struct bt_vm *bt, struct bt_block *block, uint64_t rip);
void bt_link_unchain(struct bt_vm *bt, struct bt_link *link);
void bt_link_chain(struct bt_vm *bt, uint32_t link,
		   const struct bt_block *block);

static inline struct bt_link *bt_link(struct bt_vm *bt, uint32_t number)
{
	return &bt->block[number / BT_LINKS].link[number % BT_LINKS];
}

/* Where a link goes, by its number. */
static inline uint64_t bt_link_rip(const struct bt_vm *bt, uint64_t number)
{
	return bt->block[number / BT_LINKS].link[number % BT_LINKS].rip;
}

static inline uint32_t bt_block_number(const struct bt_vm *bt,
				       const struct bt_block *block)
{
	return (uint32_t)(block - bt->block);
}

static inline bool bt_link_is_by_tlb(const struct bt_vm *bt, uint64_t number)
{
	return bt->block[number / BT_LINKS].kind[number % BT_LINKS] ==
	       LINK_BY_TLB;
}

/* --- page.c: code and the memory it came from --- */

/* The page of the memfd that holds gpa, or ~0. */
uint64_t bt_page_index(struct bt_vm *bt, gpa_t gpa);
/* Of a host pointer into guest memory. */
static inline uint32_t bt_page_of(const struct bt_vm *bt, const uint8_t *host)
{
	return (uint32_t)((uint64_t)(host - bt->memory) >> PAGE_SHIFT);
}

/* Makes sure that nobody writes the page unseen. Lock held; stops the world
 * when the page had no code before and may be written. */
int bt_page_watch(struct bt_vcpu *vcpu, uint32_t page);
/* Drops what is no longer what it was made from; how many blocks. No lock held. */
unsigned bt_page_written(struct bt_vm *bt, uint32_t page);
/* Drops all code of a page. Any thread, no lock held. */
void bt_page_drop(struct bt_vm *bt, gpa_t gpa);

/* --- move.c: translations that move. Lock held. --- */

/* Can blocks of this flavour and address be moved at all? */
bool bt_block_may_move(const struct bt_flavour *flavour, uint64_t rip);
/* The vCPU's paging structures are in use. */
void bt_space_note(struct bt_vcpu *vcpu);
/* s.rip is in `page`, which has no blocks there: takes some that it has at
 * another address, and its neighbours'. May stop the world. */
bool bt_page_move(struct bt_vcpu *vcpu, uint32_t page);

/* --- stop.c --- */

/* Stops all other vCPUs outside guest code, or those of a set, and lets them
 * go. Lock held. */
void bt_stop_world(struct bt_vm *bt, struct bt_vcpu *self);
void bt_stop_some(struct bt_vm *bt, struct bt_vcpu *self, uint32_t set);
void bt_start_world(struct bt_vm *bt);
/* Around guest code. enter waits while the world is stopped. */
void bt_enter_guest(struct bt_vcpu *vcpu);
void bt_leave_guest(struct bt_vcpu *vcpu);

/* --- exec.c: what a vCPU knows about where code is. Its own thread, or the
 * world is stopped --- */

/* The guest may have changed what linear addresses mean. */
void bt_exec_notice(struct bt_vcpu *vcpu);
/* The page of rip, just fetched from, is that of the block whose code this is. */
void bt_exec_enter(struct bt_vcpu *vcpu, uint64_t rip, uint32_t code);
/* All ids, of all address spaces: another flavour's hold from now on. The
 * second: only those of 32-bit code, or of 16-bit code. */
void bt_exec_forget(struct bt_vcpu *vcpu);
void bt_exec_forget_32(struct bt_vcpu *vcpu, bool is_16);
void bt_jump_enter(struct bt_vcpu *vcpu, uint64_t rip, uint32_t code);
/* Of code in [from, to). */
void bt_jumps_forget(struct bt_vcpu *vcpu, const uint8_t *from,
		     const uint8_t *to);
void bt_forget_stack(struct bt_vcpu *vcpu, unsigned view);
/* bt_vcpu.percpu. Whether GS's base is the one it knows: after whatever may have
 * changed it. */
void bt_percpu_choose(struct bt_vcpu *vcpu);
void bt_percpu_forget(struct bt_vcpu *vcpu);
/* The right to write that page of the host's. */
void bt_percpu_forget_host(struct bt_vcpu *vcpu, const uint8_t *host);
/* Empties the shadow stack, down to its bottom frame. */
void bt_shadow_reset(struct bt_vcpu *vcpu);

/* --- the two mappings of the cache --- */

static inline uint8_t *bt_code(const struct bt_vm *bt, uint32_t place)
{
	return bt->executable + place;
}

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

/* --- translate.c ----------------------------------------------------------- */

/* How it goes on behind a block. */
struct bt_ahead {
	bool is_same_flavour; /* wherever its direct branches lead */
	uint64_t rip; /* nearly always there, if it is not over; 0: unknown */
};

/*
 * Translates the code at `rip`, which is at `host`, in guest memory, to the end
 * of its page. Lock held. NULL: nothing here that the translator carries, or
 * out of memory.
 */
struct bt_block *bt_translate(struct bt_vcpu *vcpu, uint64_t rip,
			      const uint8_t *host, struct bt_ahead *ahead);

/* --- stub.c ---------------------------------------------------------------- */

void bt_stubs_make(struct bt_vm *bt);

/* --- leave.c --------------------------------------------------------------- */

struct code;

void bt_miss_stubs_make(struct code *c, struct bt_vm *bt);

/* --- string.c --------------------------------------------------------------- */

void bt_string_stubs_make(struct code *c, struct bt_vm *bt);

/*
 * In a stub: `host` = the host address of the register `address`, `offset` = its
 * offset in the page. Clobbers RFLAGS. Returns the branch for what the TLB does not
 * hold, to be landed.
 */
uint8_t *bt_stub_translate(struct code *c, unsigned view,
			   enum mmu_access access, unsigned address,
			   unsigned host, unsigned offset);

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

/* struct interp's begin, end, run_code, run_aborted, sync and leave. */
void bt_run_code(struct interp *cpu);
void bt_run_aborted(struct interp *cpu);
void bt_sync(struct interp *cpu);
void bt_begin(struct interp *cpu);
void bt_end(struct interp *cpu);
void bt_leave(struct interp *cpu);

/* --- flavour.c ------------------------------------------------------------- */

uint32_t bt_flavour_pack(const struct bt_flavour *flavour);
/* The mode, the segments and RFLAGS are such that code is translated. */
bool bt_is_translatable(struct bt_vcpu *vcpu);
/* Before translated code is looked for: what it depends on now. */
void bt_flavour_choose(struct bt_vcpu *vcpu);
/* It is still what was chosen: STAC, LDMXCSR and the like change it. */
bool bt_flavour_is_current(struct bt_vcpu *vcpu);

/* s.rip, and its linear address: bt_rip_make. */
static inline uint64_t bt_rip(const struct bt_vcpu *vcpu)
{
	const struct cpu_state *s = &vcpu->cpu.s;

	return vcpu->flavour.is_32 ?
		       bt_rip_make(s->segment[SEG_CS].base, s->rip) :
		       s->rip;
}

static inline uint64_t bt_rip_linear(const struct bt_vcpu *vcpu, uint64_t rip)
{
	return vcpu->flavour.is_32 ? (uint32_t)rip : rip;
}
