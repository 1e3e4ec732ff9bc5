/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Protection keys as Linux gives them to programs (pkeys(7)): what a key
 * forbids faults and says which, also where the kernel touches the page; PKRU
 * lives through switches of tasks, signals, fork and threads; PROT_EXEC alone
 * is code that cannot be read. Ends with the line of the first that fails, or 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE	    4096
#define NO_ACCESS   1u
#define NO_WRITE    2u
#define SEGV_BY_KEY 4 /* SEGV_PKUERR */
#define SWITCHES    3000

#define must(condition)                                                       \
	do {                                                                  \
		if (!(condition)) {                                           \
			printf("pkeys: line %d: %s\n", __LINE__, #condition); \
			fflush(stdout);                                       \
			_exit(1);                                             \
		}                                                             \
	} while (0)

static sigjmp_buf back;
static volatile int code, key_of_fault;

static uint32_t rdpkru(void)
{
	uint32_t eax, edx;

	__asm__ volatile(".byte 0x0f, 0x01, 0xee"
			 : "=a"(eax), "=d"(edx)
			 : "c"(0));
	return eax;
}

static void wrpkru(uint32_t value)
{
	__asm__ volatile(".byte 0x0f, 0x01, 0xef"
			 :
			 : "a"(value), "c"(0), "d"(0)
			 : "memory");
}

static void set_rights(int key, uint32_t rights)
{
	uint32_t value = rdpkru() & ~(3u << 2 * key);

	wrpkru(value | rights << 2 * key);
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	code = info->si_code;
	key_of_fault = (int)info->si_pkey;
	siglongjmp(back, 1);
}

/* 0: the access went well; else si_code. */
static int touch(volatile char *page, int is_write)
{
	uint32_t before = rdpkru();

	code = 0;
	key_of_fault = -1;
	if (!sigsetjmp(back, 1)) {
		if (is_write)
			*page = 7;
		else
			(void)*page;
	}
	wrpkru(before);
	return code;
}

static void test_accesses(char *page, int key)
{
	must(touch(page, 1) == 0);
	set_rights(key, NO_WRITE);
	must(touch(page, 0) == 0);
	must(touch(page, 1) == SEGV_BY_KEY && key_of_fault == key);
	set_rights(key, NO_ACCESS);
	must(touch(page, 0) == SEGV_BY_KEY && key_of_fault == key);
	set_rights(key, 0);
	must(touch(page, 1) == 0);
	/* Often: each change is seen at once. */
	for (int i = 0; i < 200; i++) {
		set_rights(key, i % 2 ? NO_ACCESS : 0);
		must(touch(page + i, 0) == (i % 2 ? SEGV_BY_KEY : 0));
	}
	set_rights(key, 0);
}

/* The kernel's own accesses keep to the rights of the task. */
static void test_kernel(char *page, int key)
{
	int zero = open("/dev/zero", O_RDONLY);

	must(zero >= 0);
	set_rights(key, NO_WRITE);
	must(read(zero, page, 100) == -1 && errno == EFAULT);
	set_rights(key, 0);
	must(read(zero, page, 100) == 100 && page[99] == 0);
	close(zero);
}

static volatile uint32_t in_handler;

static void on_usr1(int signal)
{
	in_handler = rdpkru();
	wrpkru(0);
}

static void test_signals(int key)
{
	signal(SIGUSR1, on_usr1);
	set_rights(key, NO_WRITE);
	in_handler = 0;
	uint32_t before = rdpkru();

	raise(SIGUSR1);
	must(in_handler && in_handler != before);
	must(rdpkru() == before);
	set_rights(key, 0);
}

/* Each of two has a value of its own, and keeps it. */
static void switch_often(uint32_t value)
{
	wrpkru(value);
	for (int i = 0; i < SWITCHES; i++) {
		sched_yield();
		must(rdpkru() == value);
	}
}

static void *thread(void *inherited)
{
	must(rdpkru() == *(uint32_t *)inherited);
	switch_often(0x55555554);
	return NULL;
}

static void test_switches(int key)
{
	uint32_t inherited;
	pthread_t other;
	int status;
	pid_t child;

	set_rights(key, NO_WRITE);
	inherited = rdpkru();
	child = fork();
	if (!child) {
		must(rdpkru() == inherited);
		switch_often(0x55555550);
		_exit(0);
	}
	must(child > 0);
	must(pthread_create(&other, NULL, thread, &inherited) == 0);
	switch_often(0x55555540);
	pthread_join(other, NULL);
	must(waitpid(child, &status, 0) == child && status == 0);
	wrpkru(inherited);
	set_rights(key, 0);
}

static void test_execute_only(void)
{
	static const uint8_t forty_two[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
	uint8_t *code_page = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(code_page != MAP_FAILED);
	memcpy(code_page, forty_two, sizeof(forty_two));
	must(mprotect(code_page, SIZE, PROT_EXEC) == 0);
	must(((int (*)(void))(uintptr_t)code_page)() == 42);
	must(touch((char *)code_page, 0) == SEGV_BY_KEY);
	must(((int (*)(void))(uintptr_t)code_page)() == 42);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = on_fault,
				    .sa_flags = SA_SIGINFO };
	char *page = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int key = (int)syscall(SYS_pkey_alloc, 0, 0);

	sigaction(SIGSEGV, &action, NULL);
	must(page != MAP_FAILED);
	must(key > 0);
	must(syscall(SYS_pkey_mprotect, page, SIZE, PROT_READ | PROT_WRITE,
		     key) == 0);
	test_accesses(page, key);
	test_kernel(page, key);
	test_signals(key);
	test_switches(key);
	test_execute_only();
	printf("pkeys: good\n");
	return 0;
}
