/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hold-kvm COMMAND...: runs a command with two VMs of KVM open that nobody runs.
 *
 * Linux patches its scheduler when the first VM comes and when the last one goes
 * (preempt_notifier_key), and KVM's code likewise for the first vCPU without a
 * local APIC and for one whose APIC is off. With them open it does so once.
 * QEMU's translator with two processors now and then goes on with the breakpoint
 * that stands in the code meanwhile, for ever.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

int main(int argc, char **argv)
{
	struct kvm_enable_cap split = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args = { 24 },
	};
	int kvm = open("/dev/kvm", O_RDWR);
	int bare = ioctl(kvm, KVM_CREATE_VM, 0);
	int with_apic = ioctl(kvm, KVM_CREATE_VM, 0);

	if (argc < 2)
		return 2;
	/* They stay open in the command and in what it starts. */
	if (ioctl(bare, KVM_CREATE_VCPU, 0) < 0 ||
	    ioctl(with_apic, KVM_ENABLE_CAP, &split) < 0 ||
	    ioctl(with_apic, KVM_CREATE_VCPU, 0) < 0 ||
	    fcntl(bare, F_SETFD, 0) < 0 || fcntl(with_apic, F_SETFD, 0) < 0)
		perror("hold-kvm: /dev/kvm");
	execvp(argv[1], argv + 1);
	perror(argv[1]);
	return 127;
}
