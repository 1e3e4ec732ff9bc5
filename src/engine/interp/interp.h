/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reference interpreter's inside: one vCPU, and the contracts between its
 * files.
 *
 * Rules of the house:
 *  1. An instruction is a function (interp_fn). It reads everything it needs,
 *     may fault while reading or while checking a write, and only then changes
 *     state: nothing is half-committed. REP forms commit per element.
 *  2. Faults leave by interp_fault (longjmp to the run loop): frames in between
 *     hold no cleanup variables and no locks. s.rip is the faulting
 *     instruction's until the run loop moves it to next_rip.
 *  3. The world (RAM, ports, MSRs, time) is reached through struct interp_ops
 *     only, so that tests, bt and nested guests bring their own.
 *  4. Arithmetic flags are the silicon's: the host's own instruction with
 *     LAHF/SETO around it, undefined flags included.
 *  5. vCPUs share nothing here but guest memory; locked operations are host
 *     atomics on the guest's page.
 *  6. Code is decoded into blocks keyed by guest physical address and mode; a
 *     block compares its bytes with memory each time it is entered, so no
 *     write, through whatever alias or by whomever, leaves stale code. A store
 *     to the page that is executing ends the block after the instruction.
 */
#pragma once

#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/engine.h"
#include "core/exit.h"
#include "x86/addr.h"
#include "x86/cpu_state.h"
#include "x86/cpuid.h"
#include "x86/insn.h"

struct vcpu;
struct interp;

typedef void interp_fn(struct interp *cpu, const struct insn *insn);

/* RAM or ROM that is one run for the guest and for the host. */
struct interp_piece {
	gpa_t base;
	uint64_t size;
	uint8_t *host;
};

/* All on the vCPU's thread. `world` is interp->world. */
struct interp_ops {
	/*
	 * The page of RAM or ROM at gpa (page-aligned) as a host pointer into
	 * the guest view, or NULL: then every access is an MMIO exit.
	 */
	uint8_t *(*page)(void *world, gpa_t gpa, bool *is_writable);
	/* What is around gpa, as long as `page` would say so. False: nothing is
	 * there. NULL: nobody can tell. */
	bool (*piece)(void *world, gpa_t gpa, struct interp_piece *piece);
	/*
	 * The page is about to be written: dirty log. False: the right to write
	 * is not to be remembered, so that every write asks (bt: the page has
	 * translated code).
	 */
	bool (*dirty)(void *world, gpa_t gpa);
	/* Everything that is an exit: exit_handle, or a test's own. */
	enum exit_action (*exit)(void *world, struct exit *exit);
	uint64_t (*tsc)(void *world);
	/* s.msr.tsc_adjust changed. NULL: nobody cares. */
	void (*tsc_moved)(void *world);
	uint64_t (*random)(void *world);
	/* Interrupts that the local APIC holds: vcpu_has/take_interrupt. */
	bool (*has_interrupt)(void *world);
	int (*take_interrupt)(void *world);
	uint8_t (*get_tpr)(void *world);
	void (*set_tpr)(void *world, uint8_t cr8);
	/* FERR#, by its level; true: IGNNE# is asserted. NULL: no pins, every
	 * x87 exception is #MF (vm->fpu_error). */
	bool (*fpu_error)(void *world, bool is_asserted);
};

/*
 * Software TLB: per kind of access and per privilege view, direct mapped. An
 * entry's tag is its linear page, and an empty one's that of another slot, so
 * that
 *	address ^ tag
 * is the offset in the page for a hit and larger than any offset otherwise: one
 * comparison checks page, canonical form and page crossing. What it points to is
 * at address + addend. tlb.c tells how it is flushed.
 */
enum mmu_access { MMU_READ, MMU_WRITE, MMU_EXEC, MMU_ACCESSES };

/* User; supervisor; supervisor with SMAP in force (CR4.SMAP, AC = 0). */
enum mmu_view { MMU_USER, MMU_SUPERVISOR, MMU_SMAP, MMU_VIEWS };

#define TLB_ENTRIES 4096

struct tlb_entry {
	gva_t tag; /* the page */
	uint64_t addend; /* host address less linear address */
};

/*
 * What an entry held before the one that it holds now: two pages that share an
 * index, and are used in turn, need no walk each time.
 */
struct tlb_victim {
	struct tlb_entry entry;
	uint64_t generation; /* 0: none */
	gpa_t code_gpa;
};

#define TLB_VICTIMS 32

/* An entry's number: where it is in tlb.entry, all tables in one row. */
struct tlb_saved {
	struct tlb_entry entry;
	gpa_t code_gpa;
	uint16_t number;
};

#define TLB_SAVED 512

/* Translations of a PCID that is not the current one. */
struct tlb_bank {
	uint16_t pcid;
	uint16_t generation; /* 0: none */
	unsigned count;
	struct tlb_saved saved[TLB_SAVED];
};

#define TLB_BANKS 8

#define TLB_FILLS 4096

/* Numbers of the entries that were filled since a half was flushed last. */
struct tlb_fills {
	unsigned count; /* TLB_FILLS: there may be more */
	uint16_t number[TLB_FILLS];
};

struct tlb {
	struct tlb_entry entry[MMU_VIEWS][MMU_ACCESSES][TLB_ENTRIES];
	gpa_t code_gpa[MMU_VIEWS][TLB_ENTRIES]; /* of the MMU_EXEC entries */
	/* By tlb_index, modulo TLB_VICTIMS. */
	struct tlb_victim victim[MMU_VIEWS][MMU_ACCESSES][TLB_VICTIMS];
	/* Of the translations of either half of the linear space, by bit 63 of
	 * the address: never 0, another after a flush. */
	uint64_t generation[2];
	/* How often tlb_flush_page was called, and for what last: so many
	 * bytes, which hold the page that it was called for. */
	uint32_t page_flushes;
	gva_t flushed_page;
	uint64_t flushed_size;
	/* ---- mmu.c's own */
	struct tlb_fills fills[2];
	uint16_t last_generation;
	uint16_t pcid;
	struct tlb_bank bank[TLB_BANKS];
	unsigned next_bank;
	bool has_local_high; /* upper half: not only global pages */
	bool has_global_low; /* lower half: global pages, since all went */
	/* Where large pages have been seen, in either half. */
	uint64_t large_2m[2][8], large_1g[2];
	unsigned maxphyaddr; /* 0: not looked up yet */
	/* Protection keys of pages that entries may be of, a bit each: user
	 * pages under CR4.PKE, supervisor pages under CR4.PKS. */
	uint16_t user_keys, supervisor_keys;
	/* For tests: each fill drops the one before it. */
	bool has_one_entry;
	enum mmu_view last_view;
	unsigned last_index;
};

/* Engine events, for core/engine.h's table. */
enum interp_event {
	INTERP_INSTRUCTIONS,
	INTERP_BLOCKS_DECODED,
	INTERP_TLB_FILLS,
	INTERP_TLB_FLUSHES,
	INTERP_EXCEPTIONS,
	INTERP_INTERRUPTS,
	INTERP_EVENT_COUNT,
};

/* More than any address: bt compares its stack pointer with it. */
#define INTERP_ATTENTION UINT64_MAX

struct interp {
	struct cpu_state s;

	/* Where s.rip goes when the instruction completes; branches set it. */
	uint64_t next_rip;
	/* The block ends after this instruction: mode, mapping, interrupt
	 * flag or own code changed. */
	bool end_block;
	/* Derived from s by interp_mode_changed, up to has_breakpoints. */
	enum x86_mode mode;
	uint8_t cpl;
	enum mmu_view view; /* of data accesses */
	/* 64-bit: DS ES SS CS bases are 0, no limits; and no alignment
	 * checks (CR0.AM, AC, CPL 3), which only the slow path makes. */
	bool is_flat;
	/* DR7 enables some, or a debugger watches memory: the run loop steps,
	 * is_flat is off (debug.h). */
	bool has_breakpoints;
	/* DR6 bits that accesses of this instruction hit. */
	uint64_t debug_hits;

	/*
	 * Of a debugger, not of the guest (set_breakpoints). While has_code,
	 * blocks run one by one and end before a breakpoint.
	 */
	struct {
		struct breakpoint *list;
		size_t count;
		bool has_code, has_data;
		bool is_stepping; /* run's one instruction passes them */
		bool holds_interrupts;
		bool is_hit;
		struct breakpoint hit;
	} debugger;

	uint64_t instructions; /* retired */
	uint32_t pauses; /* PAUSE instructions */
	/* Set by vcpu_request through kick: look at vcpu->requests. */
	_Atomic uint64_t attention; /* 0, or INTERP_ATTENTION */

	struct tlb tlb;
	/* Of physical addresses: without bit 20 while the A20 gate is closed.
	 * Translations that are in the TLB went through it. */
	gpa_t address_mask;
	/* FERR# may be asserted. */
	bool has_fpu_error;
	/* One more NMI follows the one that s.nmi_is_pending tells of. */
	bool has_second_nmi;

	/* Host address of the page being executed: stores compare with it. */
	const uint8_t *code_page;

	/*
	 * bt's way in, all NULL for the interpreter alone. run_code executes
	 * until end_block or attention, in place of blocks; faults leave it as
	 * they leave an instruction, and run_aborted is told. sync brings s.fpu
	 * up to date before the interpreter executes code of its own accord.
	 * After run_code the guest's x87, SSE and AVX registers may still be in
	 * the processor, so what runs from there to sync, to leave or to one of
	 * ops does not touch them (Makefile: general): leave is called at the
	 * end of interp_execute, and before what needs them. begin and end are
	 * called there alone: in between, guest memory may be written.
	 */
	void (*begin)(struct interp *cpu);
	void (*end)(struct interp *cpu);
	void (*run_code)(struct interp *cpu);
	void (*run_aborted)(struct interp *cpu);
	void (*sync)(struct interp *cpu);
	void (*leave)(struct interp *cpu);

	struct vcpu *vcpu; /* NULL in unit tests */
	const struct interp_ops *ops;
	void *world;
	const struct cpuid_table *cpuid;
	struct block_cache *blocks;
	struct host_unit *host_unit; /* x87 to AVX on the host's own units */
	jmp_buf fault;
	struct cpu_event pending; /* what interp_fault raised */
};

/* Recomputes what is derived from s; ends the block. Call after any change of
 * CR0, CR4, EFER, DR7, RFLAGS.AC/VM, CS or SS. */
void interp_mode_changed(struct interp *cpu);

/* The model is AMD's, where the two vendors' processors differ. Not for hot
 * paths: it looks in CPUID. */
bool interp_is_amd(const struct interp *cpu);

/*
 * Faults. The instruction is abandoned; nothing it did may be visible. The
 * error code is pushed for vectors that have one.
 */
_Noreturn void interp_fault(struct interp *cpu, enum vector vector,
			    uint32_t error);
_Noreturn void interp_page_fault(struct interp *cpu, gva_t gva, uint32_t error);

/* What it raises. `error`: SDM 3, 4.7. */
static inline struct cpu_event page_fault_event(gva_t gva, uint32_t error)
{
	return (struct cpu_event){
		.is_valid = true,
		.kind = CPU_EVENT_EXCEPTION,
		.vector = VECTOR_PF,
		.has_error_code = true,
		.error_code = error,
		.payload = gva,
	};
}

/* Shorthand for what most instructions need. */
_Noreturn static inline void fault_ud(struct interp *cpu)
{
	interp_fault(cpu, VECTOR_UD, 0);
}

_Noreturn static inline void fault_gp(struct interp *cpu, uint32_t error)
{
	interp_fault(cpu, VECTOR_GP, error);
}

/* --- memory: mmu.c -------------------------------------------------------- */

/*
 * The linear address of [offset, +size) in a segment, with the checks of SDM 3,
 * 5.3 and 5.5: canonical form in 64-bit mode, else limit, type and null
 * selector: #GP(0), or #SS(0) for SS. `offset` is already truncated to the
 * address size.
 */
gva_t mem_linear(struct interp *cpu, enum segment segment, uint64_t offset,
		 unsigned size, enum mmu_access access);

/*
 * Sizes 1, 2, 4, 8: the fast path is a TLB hit within a page. A write that
 * crosses pages checks both before it changes either. Little-endian, zero
 * extended.
 */
static inline uint64_t mem_read(struct interp *cpu, enum segment segment,
				uint64_t offset, unsigned size);
static inline void mem_write(struct interp *cpu, enum segment segment,
			     uint64_t offset, uint64_t value, unsigned size);

/* The same for any size up to 4096 bytes: vectors, XSAVE areas, ENTER. */
void mem_read_bytes(struct interp *cpu, enum segment segment, uint64_t offset,
		    void *to, unsigned size);
void mem_write_bytes(struct interp *cpu, enum segment segment, uint64_t offset,
		     const void *from, unsigned size);
/* Faults as the write would; changes nothing but A and D bits. */
void mem_check_write(struct interp *cpu, enum segment segment, uint64_t offset,
		     unsigned size);

/*
 * Read-modify-write. begin translates for writing and gives a pointer to the
 * operand: into guest memory when it lies in one page of RAM, else to `bounce`
 * holding a copy. `end` puts a bounced operand back and does the book-keeping
 * of a write. Between them nothing may fault. A locked operation is a host
 * atomic on `host`; where the operand was bounced (MMIO, two pages) begin took
 * the split lock that all vCPUs' bounced locked operations share.
 */
struct mem_rmw {
	uint8_t *host;
	bool is_bounced, is_locked;
	gva_t gva;
	unsigned size;
	/* A bounced operand's parts, one a page: host NULL for MMIO. */
	struct {
		uint8_t *host;
		gpa_t gpa;
		unsigned size;
	} part[2];
	_Alignas(16) uint8_t bounce[16];
};

void mem_rmw_begin(struct interp *cpu, struct mem_rmw *rmw,
		   enum segment segment, uint64_t offset, unsigned size,
		   bool is_locked);
void mem_rmw_end(struct interp *cpu, struct mem_rmw *rmw);

/*
 * A host pointer for up to *size bytes from the offset, for REP strings: *size
 * is cut at the page's end. NULL when that is not plain RAM (or would fault:
 * the element path then faults precisely).
 */
uint8_t *mem_span(struct interp *cpu, enum segment segment, uint64_t offset,
		  unsigned *size, enum mmu_access access);

/* Linear, with supervisor rights whatever the CPL: descriptor tables, TSS. */
uint64_t mem_read_system(struct interp *cpu, gva_t gva, unsigned size);
void mem_write_system(struct interp *cpu, gva_t gva, uint64_t value,
		      unsigned size);
/* Faults as such an access would, of any size up to 4096 bytes. */
void mem_check_system(struct interp *cpu, gva_t gva, unsigned size,
		      enum mmu_access access);

/* Linear, with the rights of a view that is not (yet) the CPU's: the stack of
 * the privilege level that an event goes to. */
uint64_t mem_read_linear(struct interp *cpu, gva_t gva, unsigned size,
			 enum mmu_view view);
void mem_write_linear(struct interp *cpu, gva_t gva, uint64_t value,
		      unsigned size, enum mmu_view view);

/*
 * Code: a host pointer to the byte at linear address `gva`, readable to the
 * end of its page, and its guest physical address. Faults as a fetch does. NULL
 * when the page is not RAM or ROM.
 */
static inline const uint8_t *mem_fetch(struct interp *cpu, gva_t gva,
				       gpa_t *gpa);

/*
 * Invalidation, SDM 3, 4.10.4. Over-invalidating is allowed. tlb_flush: all of
 * it, every PCID and global pages; after a change of CR0, CR4, EFER or memory.
 */
void tlb_flush(struct interp *cpu);
void tlb_flush_page(struct interp *cpu, gva_t gva);
/* s.cr3 was loaded; `keep` is bit 63 of the value (CR4.PCIDE = 1). */
void tlb_load_cr3(struct interp *cpu, bool keep);
/* INVPCID types 1 and 3: what is not global of one PCID, of all. */
void tlb_flush_pcid(struct interp *cpu, uint16_t pcid);
void tlb_flush_local(struct interp *cpu);

/* Loads PKRU, and drops translations that stood with the old rights. */
void interp_load_pkru(struct interp *cpu, uint32_t value);

/* --- segments, events, system instructions -------------------------------- */

/* MOV to CR3 without its check of reserved bits, which a task switch has not:
 * #GP(0) for what PAE's page-directory pointers may not be. */
void interp_load_cr3(struct interp *cpu, uint64_t value);

/* Loads a segment register as MOV and POP do (SDM 2, MOV; SDM 3, 5.9). */
void segment_load(struct interp *cpu, enum segment segment, uint16_t selector);

/*
 * Delivers an event through the IDT (SDM 3, 6.12, 6.14): faults, traps, INT n,
 * NMI, interrupts. An exception on the way becomes #DF or a triple fault as
 * table 6-5 has it; false: triple fault, the CPU is shut down.
 */
bool event_deliver(struct interp *cpu, const struct cpu_event *event);

/*
 * The same where all that is needed is in the TLB, to 64-bit code of CPL 0.
 * False: nothing has happened, event_deliver has to. Raises no fault.
 */
bool event_deliver_quick(struct interp *cpu, const struct cpu_event *event);
/* Its part that pushes the frame, with this image of RFLAGS: event64.c. */
bool event_deliver_64(struct interp *cpu, const struct cpu_event *event,
		      uint64_t flags);

/* --- instructions --------------------------------------------------------- */

struct interp_handler {
	enum x86_op op;
	interp_fn *fn;
};

/* One table per file, `{0}` (fn NULL) at its end; handlers.c merges them. */
extern const struct interp_handler alu_handlers[];
extern const struct interp_handler move_handlers[];
extern const struct interp_handler shift_handlers[];
extern const struct interp_handler multiply_handlers[];
extern const struct interp_handler bit_handlers[];
extern const struct interp_handler bmi_handlers[];
extern const struct interp_handler branch_handlers[];
extern const struct interp_handler stack_handlers[];
extern const struct interp_handler string_handlers[];
extern const struct interp_handler io_handlers[];
extern const struct interp_handler atomic_handlers[];
extern const struct interp_handler system_handlers[];
extern const struct interp_handler transfer_handlers[];
extern const struct interp_handler sreg_handlers[];
extern const struct interp_handler control_handlers[];
extern const struct interp_handler syscall_handlers[];
extern const struct interp_handler msr_handlers[];
extern const struct interp_handler fpu_handlers[];

/* What the host's own units execute (host_unit.c): every x87, MMX, SSE and AVX
 * row that no table above names. */
void exec_host_unit(struct interp *cpu, const struct insn *insn);
void exec_undefined(struct interp *cpu, const struct insn *insn);

/* The function for a decoded instruction, specialized by its operands;
 * exec_undefined when the CPU model does not offer it. Never NULL. */
interp_fn *interp_handler_find(const struct interp *cpu,
			       const struct insn *insn);

/* --- the processor -------------------------------------------------------- */

/*
 * In memory of the caller's, aligned to 64 bytes: 0 or -ENOMEM. fini accepts
 * half-built.
 */
int interp_init(struct interp *cpu, const struct interp_ops *ops, void *world,
		const struct cpuid_table *cpuid);
void interp_fini(struct interp *cpu);

/*
 * For run_code: the first instruction of the block at s.rip (block_find), or all
 * of it, without a look at events. Faults as they do.
 */
struct block;
void interp_one(struct interp *cpu, const struct block *block);
void interp_block(struct interp *cpu);

/* A CPU in reset state. NULL when out of memory. */
struct interp *interp_create(const struct interp_ops *ops, void *world,
			     const struct cpuid_table *cpuid);
void interp_destroy(struct interp *cpu);

enum interp_result {
	INTERP_LEAVE, /* attention, an exit said EXIT_LEAVE, or the count is up */
	INTERP_WAIT, /* HLT */
	INTERP_SHUTDOWN, /* triple fault */
	INTERP_BREAKPOINT, /* debugger.hit: before it, or after the access */
};

/*
 * Executes up to `count` instructions (~0: no limit), delivering what is
 * pending at each boundary. A fault counts as an instruction when it has been
 * delivered.
 */
enum interp_result interp_execute(struct interp *cpu, uint64_t count);

/* The bodies of what is declared static inline above. */
#include "engine/interp/mem.h"
