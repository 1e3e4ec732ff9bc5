# SPDX-License-Identifier: BSD-2-Clause
"""A guest that runs commands, on each of the engines, and its host's clocks.

CPU seconds are those of all processes of a machine together: what each living
one has used, threads that ended included (its CPU-time clock), and the children
that it waited for.
"""

import os
import re
import select
import signal
import subprocess
import time

import tree

RINGFENCE = os.path.join(tree.TOP, "build/ringfence")
APPEND = "console=ttyS0 quiet panic=-1"
LIMIT_S = 600


def qemu(cpu):
    def command(initrd, memory_mb):
        return ["qemu-system-x86_64", "-M", "q35,memory-backend=ram",
                "-accel", "tcg,thread=single", *(["-cpu", cpu] if cpu else []),
                "-nodefaults", "-display", "none", "-no-reboot",
                "-chardev", "stdio,id=console,signal=off",
                "-serial", "chardev:console",
                "-object",
                "memory-backend-memfd,id=ram,size=%dM" % memory_mb,
                "-m", str(memory_mb), "-kernel", tree.KERNEL,
                "-initrd", initrd, "-append", APPEND]
    return command


def ringfence(engine, program):
    def command(initrd, memory_mb):
        return [program, "run", "--engine", engine, "--kernel", tree.KERNEL,
                "--initrd", initrd, "--append", APPEND, "--no-reboot",
                "-m", "%dM" % memory_mb]
    return command


def engine_command(name):
    """What starts the engine: bt, or bt:PROGRAM for another build's."""
    if name == "tcg-max":
        return qemu("max")
    if name == "tcg":
        return qemu(None)
    engine, _, program = name.partition(":")
    if engine not in ("bt", "interp", "kvm"):
        raise ValueError("no engine '%s'" % name)
    return ringfence(engine, program or RINGFENCE)


def descendants(pid):
    found = [pid]
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/children" % (pid, task)) as file:
            for child in file.read().split():
                found += descendants(int(child))
    return found


def cpu_seconds(pid):
    total = 0
    for one in descendants(pid):
        # clock_getcpuclockid(3): ~pid << 3 | CPUCLOCK_SCHED
        total += time.clock_gettime(~one << 3 | 2)
        with open("/proc/%d/stat" % one) as file:
            fields = file.read().rpartition(")")[2].split()
        total += (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    return total


class Console:
    """The line to bench/guest/init.c."""

    def __init__(self, argv):
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, bufsize=0)
        self.seen = b""
        self.pid = self.process.pid

    def read_until(self, pattern):
        deadline = time.monotonic() + LIMIT_S
        while True:
            match = re.search(pattern, self.seen)
            if match:
                self.seen = self.seen[match.end():]
                return match
            ready = select.select([self.process.stdout], [], [],
                                  deadline - time.monotonic())[0]
            some = os.read(self.process.stdout.fileno(), 65536) if ready \
                else b""
            if not some:
                raise RuntimeError(self.how_it_ended())
            self.seen += some

    def how_it_ended(self):
        try:
            how = "ended with status %d" % self.process.wait(1)
        except subprocess.TimeoutExpired:
            how = "says nothing for %d s" % LIMIT_S
        return "%s %s: %s" % (self.process.args[0], how,
                              self.seen[-800:].decode(errors="replace"))

    def command(self, line):
        """(status, the guest's own count of CPU seconds)"""
        self.process.stdin.write(line.encode() + b"\n")
        match = self.read_until(rb"bench: done (\d+) (\d+)\r\n")
        return int(match.group(1)), int(match.group(2)) / 1e6

    def close(self):
        """Ends it, however far it got."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Machine:
    """A booted guest. boot_s: CPU seconds to its init."""

    def __init__(self, engine, initrd, memory_mb):
        self.console = Console(engine_command(engine)(initrd, memory_mb))
        try:
            self.console.read_until(rb"bench: ready\r\n")
            self.boot_s = cpu_seconds(self.console.pid)
        except BaseException:
            self.console.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.console.close()

    def measure(self, row):
        """CPU seconds; None if this processor cannot do it."""
        before = cpu_seconds(self.console.pid)
        status, _ = self.console.command(row.command.format(n=row.count))
        after = cpu_seconds(self.console.pid)
        return check(row, status, after - before)

    def memory_mib(self):
        return private_dirty_mib(self.console.pid)


class Native:
    """The same programs on the host, in a mount namespace of their own."""

    SHORT_S = 0.2

    def __init__(self):
        script = "set -e; cd %s; mount --rbind /dev dev; " \
            "mount -t proc proc proc; mount -t tmpfs tmpfs tmp; " \
            "exec chroot . /init" % tree.TREE
        self.console = Console(["unshare", "--mount", "sh", "-c", script])
        try:
            self.console.read_until(rb"bench: ready\r\n")
        except BaseException:
            self.console.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.console.close()

    def measure(self, row):
        """As Machine.measure; short work is done more often, for the clock."""
        factor = 1
        while True:
            status, took = self.console.command(
                row.command.format(n=row.count * factor))
            if check(row, status, took) is None:
                return None
            if took >= self.SHORT_S or factor > 1000:
                return took / factor
            factor *= max(2, int(1.3 * self.SHORT_S / max(took, 0.001)))


def check(row, status, took):
    if status == 3:
        return None
    if status:
        raise RuntimeError("%s: status %d in the guest" % (row.name, status))
    return took


def kind_of_mapping(line):
    """Of a line of /proc/PID/smaps that begins a mapping, or None."""
    match = re.match(r"[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ \S+ *(.*)", line)
    if not match:
        return None
    rights, name = match.groups()
    if re.search(r"memfd:(guest-memory|memory-backend)", name):
        return "guest RAM"
    # QEMU's code buffer is the one anonymous mapping that may be executed.
    if "memfd:code-cache" in name or (rights[:3] == "rwx" and not name):
        return "code cache"
    if name == "[heap]":
        return "heap"
    if name.startswith("["):
        return "stack" if name.startswith("[stack") else "anonymous"
    return "files" if name else "anonymous"


def private_dirty_mib(pid):
    """By kind of mapping, in MiB, of all processes; "total" is what counts:
    without guest RAM and code cache. Of the code cache, which bt maps twice,
    and its tables: what they take of the host's memory (Pss)."""
    parts = {}
    for one in descendants(pid):
        kind = None
        with open("/proc/%d/smaps" % one) as file:
            for line in file:
                kind = kind_of_mapping(line) or kind
                field = "Pss:" if kind == "code cache" else "Private_Dirty:"
                if line.startswith(field):
                    kib = int(line.split()[1])
                    parts[kind] = parts.get(kind, 0) + kib / 1024
    parts["total"] = sum(parts.values()) - parts.get("guest RAM", 0) - \
        parts.get("code cache", 0)
    return parts
