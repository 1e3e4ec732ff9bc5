# SPDX-License-Identifier: BSD-2-Clause
"""What is measured: a row a kind of work, in groups that share a goal.

A row's command runs in the guest's shell with its count in place of {n}; the
count makes it last about a CPU second or two on QEMU's TCG. The goal is how many
times fewer CPU seconds than TCG, with the better of its two processors, bt is
to take.
"""

import collections

Row = collections.namedtuple("Row", "name group goal command count")


def rounds(command):
    """The same command N times over."""
    return "i=0; while [ $i -lt {n} ]; do %s >/dev/null || exit; " \
        "i=$((i + 1)); done" % command


GROUPS = [
    ("system calls", 3, [
        ("getppid", "kernel getppid {n}", 1000000),
        ("readwrite", "kernel readwrite {n}", 60000),
        ("stat", "kernel stat {n}", 100000),
        ("open", "kernel open {n}", 60000),
    ]),
    ("memory and processes", 5, [
        ("fault", "kernel fault {n}", 100000),
        ("mmap", "kernel mmap {n}", 8000),
        ("fork", "kernel fork {n}", 1000),
        ("exec-static", "kernel exec-static {n}", 400),
        ("exec-dynamic", "kernel exec-dynamic {n}", 60),
        ("pipe", "kernel pipe {n}", 20000),
    ]),
    ("integers", 2, [
        ("integer", "compute integer {n}", 5000),
        ("gzip", rounds("/bin/gzip -c /bench/data"), 3),
        ("xz", rounds("/usr/bin/xz -1 -c /bench/data"), 1),
        ("sha256", rounds("/usr/bin/sha256sum /bench/data /bench/data"), 7),
    ]),
    ("programs", 4.5, [
        ("python", "python3.11 -I -S -E /bench/work.py {n}", 15),
        ("perl", "perl /bench/work.pl {n}", 25),
        ("sqlite", rounds("sqlite3 :memory: '.read /bench/work.sql'"), 3),
        ("gcc", rounds("x86_64-linux-gnu-gcc-12 -O2 -c "
                       "-o /tmp/out.o /bench/compile.i"), 1),
    ]),
    ("vectors", 10, [
        ("scalar", "compute scalar {n}", 800),
        ("sse", "compute sse {n}", 20000),
        ("avx2", "compute avx2 {n}", 10000),
        ("aes", "compute aes {n}", 5000),
    ]),
    ("calls and jumps", 5, [
        ("calls", "compute calls {n}", 30000),
        ("indirect", "compute indirect {n}", 6000000),
    ]),
    ("copies", 10, [
        ("memcpy", "compute memcpy {n}", 10000),
        ("rep-movs", "compute rep-movs {n}", 10000),
    ]),
]

BOOT_GOAL = 2.5
MEMORY_GOAL_MIB = 6

ROWS = [Row(name, group, goal, command, count)
        for group, goal, rows in GROUPS
        for name, command, count in rows]
# Measured on a guest with nothing to do.
BOOT, MEMORY = "boot", "memory"


def select(words):
    """(boot?, memory?, rows) of names and groups; all if there are none."""
    if not words:
        return True, True, ROWS
    known = {BOOT, MEMORY} | {r.name for r in ROWS} | {r.group for r in ROWS}
    for word in words:
        if word not in known:
            raise ValueError("no row or group '%s': there are %s" % (
                word, ", ".join([BOOT] + [r.name for r in ROWS] + [MEMORY])))
    return BOOT in words, MEMORY in words, \
        [r for r in ROWS if r.name in words or r.group in words]
