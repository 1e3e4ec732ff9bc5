#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# time: 120
"""The terminal: raw while the guest runs, and as before on every way out."""

import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
RINGFENCE = os.environ.get("RINGFENCE", os.path.join(TOP, "build/ringfence"))
count = 0
failed = False


def ok(what, good):
    global count, failed
    count += 1
    failed = failed or not good
    print("%s %d - %s" % ("ok" if good else "not ok", count, what))


def build(name, folder):
    elf = os.path.join(folder, name + ".elf")
    source = os.path.join(TOP, "tests/system/tiny", name + ".S")
    if not os.path.exists(source):
        source = os.path.join(TOP, "tests/guest", name, "main.S")
    lib = os.path.join(TOP, "tests/guest/lib")
    subprocess.run(
        ["gcc", "-nostdlib", "-static", "-no-pie", "-I", lib,
         "-Wl,--build-id=none,-z,noexecstack,--no-warn-rwx-segments",
         "-Wl,-T," + lib + "/guest.ld", "-o", elf, source], check=True)
    return elf


def read_until(fd, word, seconds=15):
    text = b""
    end = time.monotonic() + seconds
    while word not in text and time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                text += os.read(fd, 4096)
            except OSError:
                break
    return text


def session(elf, act, what):
    """Starts a guest on a terminal, lets act() end it, checks the terminal."""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    process = subprocess.Popen(
        [RINGFENCE, "run", "--kernel", elf, "--engine", "interp", "-m", "64M"],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    text = read_until(master, b"spinning")
    ok("%s: the guest's words are on the terminal" % what, b"spinning" in text)
    now = termios.tcgetattr(slave)
    ok("%s: the terminal is raw meanwhile" % what,
       not now[3] & (termios.ICANON | termios.ECHO | termios.ISIG))
    act(process, master)
    end = time.monotonic() + 45
    while process.poll() is None and time.monotonic() < end:
        read_until(master, b"\0never", 0.3)
    ended = process.poll() is not None
    ok("%s: it ends (status %s)" % (what, process.returncode), ended)
    if not ended:
        process.kill()
        process.wait()
    ok("%s: the terminal is as before" % what,
       termios.tcgetattr(slave) == before)
    os.close(master)
    os.close(slave)
    return process.returncode


def main():
    if not os.access(RINGFENCE, os.X_OK):
        print("skip: there is no program yet")
        return 77
    try:
        for fd in pty.openpty():
            os.close(fd)
    except OSError as error:
        print("skip: no pseudo-terminal here: %s" % error)
        return 77
    with tempfile.TemporaryDirectory() as folder:
        spin = build("spin", folder)
        session(spin, lambda p, m: os.write(m, b"\x01x"), "Ctrl-a x")
        status = session(spin, lambda p, m: p.send_signal(signal.SIGTERM),
                         "SIGTERM")
        ok("SIGTERM: status 143", status == 143)
        session(spin, lambda p, m: p.send_signal(signal.SIGHUP), "SIGHUP")
        status = session(spin, lambda p, m: p.send_signal(signal.SIGSEGV),
                         "SIGSEGV")
        ok("SIGSEGV: dies of it", status == -signal.SIGSEGV)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
