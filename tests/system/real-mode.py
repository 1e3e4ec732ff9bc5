#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# time: 900
# cpus: 1
"""Random 16-bit code in real mode and with segments that have no limit (unreal
mode): Bochs against the software engines, registers, flags, memory and the way
each snippet ends. The processor itself is no oracle here: a process cannot get
into real mode, and the KVM of many hosts emulates it.

usage: tests/system/real-mode.py [ROMS [SEED]]

A ROM (tests/insn/realmode/rom.S) holds some 1,900 snippets. ./check runs two,
--full twenty. Without Bochs: skipped."""

import os
import shutil
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
HERE = os.path.join(TOP, "tests/insn/realmode")
RINGFENCE = os.environ.get("RINGFENCE", os.path.join(TOP, "build/ringfence"))
ROOM = 0x1dff0
LINE = 112
LIMIT = 120
STATUS = 0x8d5

sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
import snippets  # noqa: E402

FIELDS = [("eax", 4), ("ecx", 4), ("edx", 4), ("ebx", 4), ("esp", 4),
          ("ebp", 4), ("esi", 4), ("edi", 4), ("ip", 2), ("cs", 2),
          ("flags", 2), ("unused", 2), ("ds", 2), ("es", 2), ("ss", 2),
          ("fs", 2), ("gs", 2), ("vector", 2), ("memory", 4)]


def make_rom(folder, seed, unreal):
    """The ROM's path, and its snippets."""
    made, size = [], 0
    with open(os.path.join(folder, "snippets"), "wb") as file:
        while True:
            snippet = snippets.generate(seed * 100000 + len(made), unreal)
            encoded = snippets.encode(snippet)
            if size + len(encoded) > ROOM - 16:
                break
            file.write(encoded)
            size += len(encoded)
            made.append(snippet)
        file.write(bytes(16))
    rom = os.path.join(folder, "rom")
    subprocess.run(
        ["gcc", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none",
         "-Wl,-Ttext,0", "-Wl,--oformat,binary", "-Wl,-z,noexecstack"] +
        (["-DUNREAL"] if unreal else []) +
        ['-DSNIPPETS="%s"' % file.name, "-o", rom,
         os.path.join(HERE, "rom.S")], check=True)
    return rom, made


def lines(path):
    """Results, however else the file was written to."""
    with open(path, errors="replace") as file:
        return [bytes.fromhex(line.strip()) for line in file
                if len(line.strip()) == LINE and
                not line.strip().strip("0123456789abcdef")]


def run(command, out, **options):
    """The status of what writes `out`, or of its end where it writes nothing
    more for LIMIT seconds, however busy the host is."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    size, since = -1, 0
    while process.poll() is None:
        time.sleep(0.05)
        now = os.path.getsize(out) if os.path.exists(out) else 0
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > LIMIT:
            process.kill()
    return process.wait()


def run_bochs(folder, rom):
    out = os.path.join(folder, "bochs.out")
    with open(os.path.join(folder, "bochsrc"), "w") as file:
        file.write(
            "romimage: file=%s, address=0xfffe0000\n"
            "cpu: model=corei7_haswell_4770, ips=100000000\n"
            "memory: guest=32, host=32\n"
            'display_library: rfb, options="timeout=0"\n'
            "port_e9_hack: enabled=1\nlog: %s/bochs.log\n"
            "panic: action=fatal\nerror: action=ignore\n"
            "info: action=ignore\ndebug: action=ignore\n"
            "clock: sync=none\n" % (rom, folder))
    # Debian's has the debugger built in, which waits for a word.
    with open(os.path.join(folder, "rc"), "w") as file:
        file.write("continue\nquit\n")
    with open(out, "w") as file:
        run(["bochs", "-q", "-f", "bochsrc", "-rc", "rc"], out, cwd=folder,
            stdout=file, stderr=subprocess.DEVNULL)
    return lines(out)


def run_engine(folder, rom, engine):
    out = os.path.join(folder, engine + ".out")
    status = run(
        [RINGFENCE, "run", "--firmware", rom, "--engine", engine, "-m", "32M",
         "--console", "none", "--debug-log", out], out)
    return lines(out), status


def split(result, mask):
    """Values by name, without the flags in mask."""
    values, at = {}, 0
    for name, size in FIELDS:
        values[name] = int.from_bytes(result[at:at + size], "little")
        at += size
    values["flags"] &= ~mask
    return values


def show(number, snippet, theirs, ours):
    print("#   snippet %d: %s" % (number, " ".join(snippet.names)))
    print("#     code at %x: %s" % (snippet.start, snippet.code.hex()))
    print("#     registers %s, flags %x" % (
        " ".join("%x" % r for r in snippet.registers), snippet.flags))
    for name, _ in FIELDS:
        if theirs[name] != ours[name]:
            print("#     %s: Bochs %x, ours %x" % (name, theirs[name],
                                                  ours[name]))


def compare(made, theirs, ours, engine):
    """How many differ."""
    differ = 0
    for number, (snippet, a, b) in enumerate(zip(made, theirs, ours)):
        # What a fault in the middle leaves is any of the flags that were
        # undefined on the way.
        done = a[50] == snippets.DONE
        mask = snippet.undefined if done else snippet.ever
        # Flags that only a fault would show are not kept, unless asked for.
        if not done and engine == "bt":
            mask |= STATUS
        a, b = split(a, mask), split(b, mask)
        if a["vector"] in snippet.either and b["vector"] in snippet.either:
            a["vector"] = b["vector"]
        if a != b:
            differ += 1
            if differ <= 5:
                show(number, snippet, a, b)
    return differ


def main():
    full = os.environ.get("RINGFENCE_TEST_SCALE") == "full"
    roms = int(sys.argv[1]) if len(sys.argv) > 1 else 20 if full else 2
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    failed = number = 0
    if not shutil.which("bochs"):
        print("no Bochs here (Debian: bochs)")
        return 77
    for i in range(roms):
        unreal = i % 2 == 1
        with tempfile.TemporaryDirectory() as folder:
            rom, made = make_rom(folder, seed + i, unreal)
            theirs = run_bochs(folder, rom)
            for engine in ["interp", "bt", "bt,flags=exact"]:
                ours, status = run_engine(folder, rom, engine)
                differ = compare(made, theirs, ours, engine)
                passed = (not differ and status == 42 and
                          len(theirs) == len(ours) == len(made))
                number += 1
                failed += not passed
                print("%s %d - %s, seed %d, %s: %d snippets, %d differ" % (
                    "ok" if passed else "not ok", number, engine, seed + i,
                    "unreal" if unreal else "real", len(made), differ))
                if not passed:
                    print("#   results: Bochs %d, ours %d, status %d" % (
                        len(theirs), len(ours), status))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
