/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * outb PORT BYTE: writes a byte to an I/O port, from a guest's user space, on
 * kernels without /dev/port. Numbers as C writes them. Without any C library,
 * so that it is a few hundred bytes in an initramfs.
 */

static long syscall3(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

static unsigned long number(const char *text)
{
	unsigned long value = 0;
	unsigned int base = 10;

	if (text[0] == '0' && text[1] == 'x') {
		base = 16;
		text += 2;
	}
	for (; *text; text++) {
		unsigned int digit = *text <= '9' ? *text - '0' :
						    (*text | 32) - 'a' + 10;

		value = value * base + digit;
	}
	return value;
}

/* The kernel enters with argc and argv on the stack. */
__attribute__((used)) static void start(long *stack)
{
	enum { sys_exit = 60, sys_iopl = 172 };
	char **argv = (char **)(stack + 1);

	if (stack[0] != 3)
		syscall3(sys_exit, 2, 0, 0);
	if (syscall3(sys_iopl, 3, 0, 0) < 0)
		syscall3(sys_exit, 1, 0, 0);
	__asm__ volatile("outb %0, %1"
			 :
			 : "a"((unsigned char)number(argv[2])),
			   "d"((unsigned short)number(argv[1])));
	syscall3(sys_exit, 0, 0, 0);
}

__asm__(".globl _start\n"
	"_start:\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call start\n"
	"	hlt\n");
