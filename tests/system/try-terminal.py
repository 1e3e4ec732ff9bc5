#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# time: 300
"""./try on a terminal: a shell, in a terminal of the same size, and its end."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
LIMIT = 240
count = 0
failed = False


def ok(what, good):
    global count, failed
    count += 1
    failed = failed or not good
    print("%s %d - %s" % ("ok" if good else "not ok", count, what))


def read_until(fd, word, end):
    text = b""
    while word not in text and time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                text += os.read(fd, 4096)
            except OSError:
                break
    return text


def main():
    try:
        master, slave = pty.openpty()
    except OSError as error:
        print("skip: no pseudo-terminal here: %s" % error)
        return 77
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 41, 133, 0, 0))
    before = termios.tcgetattr(slave)
    end = time.monotonic() + LIMIT
    process = subprocess.Popen([os.path.join(TOP, "try")], stdin=slave,
                               stdout=slave, stderr=slave,
                               start_new_session=True)
    text = read_until(master, b"# ", end)
    ok("a shell asks for a command", b"# " in text)
    # The sum is not in what the terminal echoes.
    os.write(master, b"stty size; echo sum $((20 + 22))\n")
    text += read_until(master, b"sum 42", end)
    ok("the shell carries it out", b"sum 42" in text)
    ok("its terminal has the size of ours", b"41 133" in text)
    os.write(master, b"exit 3\n")
    while process.poll() is None and time.monotonic() < end:
        text += read_until(master, b"\0never", time.monotonic() + 0.3)
    ok("exit ends the VM with its status (%s)" % process.returncode,
       process.returncode == 3)
    if process.poll() is None:
        process.kill()
        process.wait()
    ok("the terminal is as before", termios.tcgetattr(slave) == before)
    if failed:
        print("\n".join("# %r" % line for line in text.splitlines()[-30:]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
