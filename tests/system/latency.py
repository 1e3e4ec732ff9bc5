#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# time: 120
# cpus: 2
# engines: interp bt
"""How late interrupts and kicks come: within 1 ms, also inside a REP that moves
a GiB, and in loops.

tests/system/tiny/latency.S measures its timer's interrupts by RDTSC. A kick is
a debugger's Ctrl-C: how long until it is told that the machine has stopped. A
busy host takes the processor away for longer than that, so what counts is the
best of many short runs: eight interrupts, 1 ms together, each of which was in
time; and the best of the kicks. Where an instruction cannot be interrupted for
D ms, a run is in time with a chance of 1 in D to the power of 8.
"""

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
RINGFENCE = os.environ.get("RINGFENCE", os.path.join(TOP, "build/ringfence"))
ENGINE = os.environ.get("ENGINE", "bt")
KINDS = ["rep stosb", "rep stosq", "rep movsb", "rep movsq", "repe scasb",
         "repe cmpsq", "jmp to itself", "dec and jnz", "calls and jumps"]
SAMPLES = 1024
RUN = 8
KICKS = 200
LIMIT_US = 1000
count = 0
failed = False


def ok(what, good):
    global count, failed
    count += 1
    failed = failed or not good
    print("%s %d - %s" % ("ok" if good else "not ok", count, what))


def build(folder):
    elf = os.path.join(folder, "latency.elf")
    lib = os.path.join(TOP, "tests/guest/lib")
    subprocess.run(
        ["gcc", "-nostdlib", "-static", "-no-pie", "-I", lib,
         "-Wl,--build-id=none,-z,noexecstack,--no-warn-rwx-segments",
         "-Wl,-T," + lib + "/guest.ld", "-o", elf,
         os.path.join(TOP, "tests/system/tiny/latency.S")], check=True)
    return elf


def arguments(elf):
    return [RINGFENCE, "run", "--kernel", elf, "--engine", ENGINE, "-m",
            "64M"]


def interrupts(elf):
    # To a file: a reader that a busy host starves for a second loses the end.
    with tempfile.TemporaryFile() as file:
        done = subprocess.run(arguments(elf) + ["--stat", "--json"],
                              stdin=subprocess.DEVNULL, stdout=file,
                              stderr=subprocess.PIPE, timeout=90, check=False)
        file.seek(0)
        out = file.read()
    wanted = 8 + 8 * SAMPLES * len(KINDS)
    ok("the guest has run to its end", len(out) == wanted)
    if len(out) != wanted:
        return
    table = json.loads(done.stderr[done.stderr.index(b"{"):])
    events = {e["name"]: sum(e["count"]) for e in table["events"]}
    ok("as many are counted as were delivered",
       events["interrupts"] == SAMPLES * len(KINDS))
    khz = struct.unpack_from("<Q", out)[0]
    ticks = struct.unpack_from("<%dq" % (SAMPLES * len(KINDS)), out, 8)
    for n, kind in enumerate(KINDS):
        us = [t * 1000 / khz for t in ticks[n * SAMPLES:(n + 1) * SAMPLES]]
        best = min(max(us[i:i + RUN]) for i in range(0, SAMPLES, RUN))
        ok("an interrupt in %s: %.0f us late at most" % (kind, best),
           0 <= min(us) and best < LIMIT_US)
        print("#   all: min %.0f, median %.0f, max %.0f us" %
              (min(us), sorted(us)[SAMPLES // 2], max(us)))


class Debugger:
    """As much of the remote protocol as it takes to stop and go on."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        for _ in range(200):
            try:
                self.socket.connect(path)
                break
            except OSError:
                time.sleep(0.05)

    def send(self, packet):
        self.socket.sendall(b"$%s#%02x" % (packet, sum(packet) % 256))

    def reply(self):
        """The next packet, acknowledged."""
        data = b""
        while data.count(b"#") < 1 or len(data.split(b"#", 1)[1]) < 2:
            got = self.socket.recv(4096)
            if not got:
                return b""
            data += got
        self.socket.sendall(b"+")
        return data

    def ask(self, packet):
        self.send(packet)
        return self.reply()

    def stop(self):
        """Microseconds until the machine has stopped."""
        start = time.monotonic()
        self.socket.sendall(b"\x03")
        good = b"$T" in self.reply() or None
        return good and (time.monotonic() - start) * 1e6


def kicks(elf, folder):
    path = os.path.join(folder, "gdb")
    guest = subprocess.Popen(
        arguments(elf) + ["--append", "spin console=ttyS0", "--gdb", "unix:" + path],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        debugger = Debugger(path)
        debugger.ask(b"?")
        us, places = [], set()
        for n in range(KICKS):
            debugger.send(b"c")
            time.sleep(0.0005 + n % 16 / 16000)
            us.append(debugger.stop())
            places.add(debugger.ask(b"g")[:50])  # RAX, RBX, RCX
    finally:
        guest.kill()
        guest.wait()
    answered = [u for u in us if u is not None]
    ok("a debugger's Ctrl-C stops it each time", len(answered) == KICKS)
    ok("in the middle, and it goes on from there", len(places) > KICKS / 2)
    best = min(answered, default=float("inf"))
    ok("a kick in rep stosb: %.0f us until it has stopped" % best,
       best < LIMIT_US)
    if answered:
        print("#   all: median %.0f, max %.0f us" %
              (sorted(answered)[len(answered) // 2], max(answered)))


def main():
    if not os.access(RINGFENCE, os.X_OK):
        print("skip: there is no program yet")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        elf = build(folder)
        interrupts(elf)
        kicks(elf, folder)
    return 1 if failed else 0


sys.exit(main())
