# SPDX-License-Identifier: BSD-2-Clause
"""Builds what guests boot: build/bench/{tree,small.cpio,big.cpio}.

tree is what the packages hold, and in /bench our own programs, scripts and
data; big.cpio is the same as an initramfs, small.cpio has an init only.
"""

import glob
import hashlib
import os
import shutil
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GUEST = os.path.join(TOP, "build/guest")
BENCH = os.path.join(TOP, "build/bench")
TREE = os.path.join(BENCH, "tree")
SMALL = os.path.join(BENCH, "small.cpio")
BIG = os.path.join(BENCH, "big.cpio")
KERNEL = os.path.join(GUEST, "cloud/vmlinuz")
SOURCES = os.path.join(TOP, "bench/guest")
PROGRAMS = ["init", "kernel", "compute", "nothing"]
DATA_SIZE = 2 << 20


def key():
    """Changes with everything that goes into the tree."""
    digest = hashlib.sha256()
    files = sorted(glob.glob(SOURCES + "/*")) + [
        os.path.abspath(__file__), os.path.join(BENCH, "fetched"),
        os.path.join(GUEST, "done")]
    for path in files:
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def compile_programs(folder):
    for name in PROGRAMS:
        subprocess.run(["gcc", "-O2", "-static", "-o",
                        os.path.join(folder, name),
                        os.path.join(SOURCES, name + ".c")], check=True)
    # What gcc compiles in the guest needs no headers.
    subprocess.run(["gcc", "-E", "-P", "-o", os.path.join(folder, "compile.i"),
                    os.path.join(SOURCES, "kernel.c")], check=True)


def write_data(path):
    """Text with repetitions: the sources of Python's library."""
    with open(path, "wb") as out:
        while out.tell() < DATA_SIZE:
            for source in sorted(glob.glob(TREE + "/usr/lib/python3*/*.py")):
                with open(source, "rb") as file:
                    out.write(file.read(DATA_SIZE - out.tell()))


def write_cpio(tree, path):
    """The files of a tree, in order, as the kernel unpacks them."""
    names = subprocess.run(["find", ".", "-mindepth", "1"], cwd=tree,
                           check=True, capture_output=True).stdout
    names = b"\n".join(sorted(names.split(b"\n")[:-1])) + b"\n"
    with open(path, "wb") as out:
        subprocess.run([os.path.join(GUEST, "busybox"), "cpio", "-o",
                        "-H", "newc", "-R", "0:0"], cwd=tree, input=names,
                       stdout=out, stderr=subprocess.DEVNULL, check=True)


def make_small():
    tree = os.path.join(BENCH, "small")
    shutil.rmtree(tree, ignore_errors=True)
    for folder in ("dev", "proc", "tmp", "bench"):
        os.makedirs(os.path.join(tree, folder))
    shutil.copy(os.path.join(TREE, "bench/init"), os.path.join(tree, "init"))
    shutil.copy(os.path.join(GUEST, "busybox"), os.path.join(tree, "bench"))
    write_cpio(tree, SMALL)


def make():
    """Does nothing if what is there is of the same sources and packages."""
    subprocess.run([os.path.join(TOP, "tools/fetch")], check=True)
    subprocess.run([os.path.join(TOP, "bench/fetch")], check=True)
    done = os.path.join(BENCH, "built")
    want = key()
    if os.path.exists(done):
        with open(done) as file:
            if file.read() == want:
                return
        os.unlink(done)
    shutil.rmtree(TREE, ignore_errors=True)
    subprocess.run(["cp", "-al", os.path.join(BENCH, "packages"), TREE],
                   check=True)
    ours = os.path.join(TREE, "bench")
    for folder in (ours, TREE + "/dev", TREE + "/proc", TREE + "/tmp"):
        os.makedirs(folder, exist_ok=True)
    shutil.copy(os.path.join(GUEST, "busybox"), ours)
    for name in ("work.py", "work.pl", "work.sql"):
        shutil.copy(os.path.join(SOURCES, name), ours)
    compile_programs(ours)
    write_data(os.path.join(ours, "data"))
    os.link(os.path.join(ours, "init"), os.path.join(TREE, "init"))
    make_small()
    write_cpio(TREE, BIG)
    with open(done, "w") as file:
        file.write(want)
