#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# time: 300
"""Code that no compiler made: the translator does with it what the interpreter
does, and what it keeps of it is bounded.

usage: tests/system/bad-code.py [SEED]

tests/system/tiny/random.S runs 10,000 times random bytes at CPL 3 and says how
each ended; what differs is printed, and is built alone by -DONLY=NUMBER. In
tests/guest, scattered-pages has code at 100,000 addresses and many-blocks more
of it than the code cache holds: here their memory is watched from outside.
"""

import os
import random
import struct
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
RINGFENCE = os.environ.get("RINGFENCE", os.path.join(TOP, "build/ringfence"))
FULL = os.environ.get("RINGFENCE_TEST_SCALE") == "full"
RAM = 64  # MiB
# Beyond the guest's memory: code cache, table of blocks, and the rest.
MOST = {"interp": 64, "bt": 64 + 160 + 32}
count = 0
failed = False


def ok(what, good):
    global count, failed
    count += 1
    failed = failed or not good
    print("%s %d - %s" % ("ok" if good else "not ok", count, what))
    sys.stdout.flush()


def build(name, folder):
    source = os.path.join(TOP, "tests/system/tiny", name + ".S")
    if not os.path.exists(source):
        source = os.path.join(TOP, "tests/guest", name, "main.S")
    elf = os.path.join(folder, name + ".elf")
    lib = os.path.join(TOP, "tests/guest/lib")
    subprocess.run(
        ["gcc", "-nostdlib", "-static", "-no-pie", "-I", lib,
         "-Wl,--build-id=none,-z,noexecstack,--no-warn-rwx-segments",
         "-Wl,-T," + lib + "/guest.ld", "-o", elf, source], check=True)
    return elf


def command(elf, engine, *more):
    return [RINGFENCE, "run", "--kernel", elf, "--engine", engine, "-m",
            "%dM" % RAM] + list(more)


def records(elf, engine, words):
    """(CRC, RIP's low word, vector) by number; None: the timer ended it."""
    # To a file: a reader that a busy host starves for a second loses the end.
    with tempfile.TemporaryFile() as out:
        done = subprocess.run(
            command(elf, engine, "--append", words + " console=none"),
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE,
            timeout=250, check=False)
        out.seek(0)
        found = out.read()
    if done.returncode:
        print("#   status %d: %s" % (done.returncode, done.stderr[-300:]))
        return []
    return [r[:3] if r[3] else None
            for r in struct.iter_unpack("<IHBB", found)]


def compare(elf, seed, words, engines):
    wanted = records(elf, "interp", words)
    ok("10,000 times random code, seed %s, on interp" % seed,
       len(wanted) == 10000)
    for engine in engines:
        got = records(elf, engine, words)
        both = [(n + 1, w, g) for n, (w, g) in enumerate(zip(wanted, got))
                if w and g]
        differ = [b for b in both if b[1] != b[2]]
        ok("%d that end by themselves are the same on %s" %
           (len(both), engine), len(both) > 5000 and not differ)
        for one in differ[:10]:
            print("#   number %d: (CRC, RIP, vector) %s, expected %s" %
                  (one[0], one[2], one[1]))


def memory(pid):
    """MiB of a process and its children, each page once."""
    total = 0
    with open("/proc/%d/smaps_rollup" % pid) as file:
        for line in file:
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return total / 1024 + sum(memory(int(c)) for c in file.read().split())


def watch(name, elf, engine):
    guest = subprocess.Popen(command(elf, engine), stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL)
    peak, start = 0, time.monotonic()
    while guest.poll() is None and time.monotonic() < start + 100:
        try:
            peak = max(peak, memory(guest.pid))
        except OSError:
            pass
        time.sleep(0.02)
    guest.kill()
    ok("%s on %s: %d MiB at most beyond the guest's" %
       (name, engine, max(peak - RAM, 0)),
       guest.wait() == 0 and 0 < peak < RAM + MOST[engine.split(",")[0]])


def main():
    if not os.access(RINGFENCE, os.X_OK):
        print("skip: there is no program yet")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        elf = build("random", folder)
        for n in range(10 if FULL else 1):
            seed = (sys.argv[1:2] or ["%08x" % random.getrandbits(32)])[0]
            # Status flags that nobody reads are kept by flags=exact only.
            compare(elf, seed, seed + "-",
                    ["bt", "bt,stress=all,stress-every=16"])
            compare(elf, seed, seed + "x", ["bt,flags=exact"])
        for name in ["scattered-pages", "many-blocks"]:
            elf = build(name, folder)
            for engine in ["interp", "bt"]:
                watch(name, elf, engine)
    return 1 if failed else 0


sys.exit(main())
