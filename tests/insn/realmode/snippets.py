# SPDX-License-Identifier: BSD-2-Clause
"""Random 16-bit code for rom.S: what a processor does in real mode, with faults
where they come, and no flag looked at that the manual leaves undefined."""

import random
import struct

CF, PF, AF, ZF, SF, OF = 1, 4, 0x10, 0x40, 0x80, 0x800
ALL = CF | PF | AF | ZF | SF | OF

# Segments whose 64 KiB lie within what is compared.
SEGMENTS = [0x2000, 0x2001, 0x20ff, 0x2100, 0x2200, 0x2280, 0x22ff, 0x2300]
DONE = 0xf1
CODE_SEGMENT = 0x1000


class Snippet:
    """Code, its registers, and the flags that are undefined behind it."""

    def __init__(self, rng, unreal):
        self.shift = 0  # IP is so much more than it was in segment 1000h
        self.names = []
        self.rng = rng
        self.unreal = unreal
        self.code = bytearray()
        self.undefined = 0  # now
        self.ever = 0  # at some time, if it ends there
        self.either = ()  # vectors of which any will do
        self.start = rng.choice([0, 0x100, 0x8000, 0xfd00, 0xffc0])
        self.registers = [self.value() for _ in range(8)]
        self.registers[4] = rng.choice([0x8000, 0x7ffe, 0x10, 6, 0xfffe])
        self.flags = 2 | rng.randrange(1 << 16) & (ALL | 0x400 | 0x7000)

    def value(self):
        rng = self.rng
        low = rng.choice([0, 1, 2, 0xffff, 0xfffe, 0xfffd, 0x7fff, 0x8000,
                          rng.randrange(1 << 16), rng.randrange(1 << 16),
                          rng.randrange(256)])
        if self.unreal or rng.random() < 0.7:
            return low
        return low | rng.choice([1, 0x8000, 0xffff,
                                 rng.randrange(1 << 16)]) << 16

    def put(self, *parts):
        for part in parts:
            if isinstance(part, int):
                self.code.append(part)
            else:
                self.code += part

    def here(self):
        return (self.start + len(self.code)) & 0xffff

    def sets(self, defined=ALL, undefined=0):
        self.undefined = self.undefined & ~defined | undefined
        self.ever |= self.undefined

    def reads(self, flags=ALL):
        """Makes what will be looked at defined: CMP SP, SP."""
        if self.undefined & flags:
            self.put(0x39, 0xe4)
            self.sets()


# --- operands ----------------------------------------------------------------

def imm(rng, size):
    value = rng.choice([0, 1, -1, 1 << (8 * size - 1), rng.getrandbits(32),
                        rng.getrandbits(32)])
    return (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")


def prefixes(s, memory=True, can_66=True, stack=False):
    """66h, 67h and a segment. Gives operand and address size."""
    rng, size, address = s.rng, 2, 2
    out = []
    if can_66 and rng.random() < 0.3:
        out.append(0x66)
        size = 4
    if memory and rng.random() < 0.25:
        out.append(0x67)
        address = 4
    if memory and rng.random() < 0.3:
        out.append(rng.choice([0x26, 0x36, 0x3e, 0x64, 0x65]))
    rng.shuffle(out)
    return bytes(out), size, address


def modrm(s, reg, address, memory=None, byte=False, written=True):
    """A ModRM byte and what follows. SP is never written in a register."""
    rng = s.rng
    if memory is None:
        memory = rng.random() < 0.6
    if not memory:
        rm = rng.randrange(8)
        if written and not byte and rm == 4:
            rm = 5
        return bytes([0xc0 | reg << 3 | rm])
    mod = rng.randrange(3)
    rm = rng.randrange(8)
    if address == 2:
        if mod == 0 and rm == 6:
            return bytes([reg << 3 | 6]) + imm(rng, 2)
        return bytes([mod << 6 | reg << 3 | rm]) + (
            b"" if mod == 0 else imm(rng, mod))
    out = bytearray([mod << 6 | reg << 3 | rm])
    base = rm
    if rm == 4:
        base = rng.randrange(8)
        index = rng.choice([0, 1, 2, 3, 4, 5, 6, 7])
        scale = rng.randrange(2 if s.unreal else 4)
        out.append(scale << 6 | index << 3 | base)
    if mod == 0 and base == 5:
        out += struct.pack("<I", rng.choice([0, 0x1234, 0xfffe, 0x4321]))
    elif mod == 1:
        out.append(rng.randrange(128) if s.unreal else rng.randrange(256))
    elif mod == 2:
        out += struct.pack("<I", rng.randrange(0x8000) if s.unreal else
                           rng.choice([0, 0xffff, 0xfffe, 0x10000, 0xffff0000,
                                       rng.randrange(1 << 16)]))
    return bytes(out)


def register(s):
    """Not SP."""
    return s.rng.choice([0, 1, 2, 3, 5, 6, 7])


# --- instructions ------------------------------------------------------------

LOGIC = {1, 4, 6}  # OR, AND, XOR


def arithmetic_flags(s, op):
    s.sets(ALL, AF if op in LOGIC else 0)


def alu(s):
    rng, op = s.rng, s.rng.randrange(8)
    if op in (2, 3):
        s.reads(CF)
    form = rng.randrange(6)
    pre, size, address = prefixes(s, form < 4)
    byte = not form & 1
    # CMP alone may have SP in its register field.
    reg = rng.randrange(8) if byte or op == 7 else register(s)
    if form < 4:
        to_reg = form & 2
        s.put(pre, op << 3 | form, modrm(s, reg, address, byte=byte,
                                         written=op != 7 and not to_reg))
    else:
        s.put(pre, op << 3 | form, imm(rng, 1 if form == 4 else size))
    arithmetic_flags(s, op)


def alu_immediate(s):
    rng, op = s.rng, s.rng.randrange(8)
    if op in (2, 3):
        s.reads(CF)
    form = rng.choice([0x80, 0x81, 0x82, 0x83])
    pre, size, address = prefixes(s)
    s.put(pre, form, modrm(s, op, address, byte=form in (0x80, 0x82),
                           written=op != 7),
          imm(rng, size if form == 0x81 else 1))
    arithmetic_flags(s, op)


def unary(s):
    """INC, DEC, NOT, NEG, TEST."""
    rng = s.rng
    pre, size, address = prefixes(s)
    kind, byte = rng.randrange(5), rng.randrange(2)
    if kind < 2:
        s.put(pre, 0xff - byte, modrm(s, kind, address, byte=byte))
        s.sets(ALL & ~CF)
    elif kind == 4:
        s.put(pre, 0xf7 - byte, modrm(s, 0, address, byte=byte),
              imm(rng, 1 if byte else size))
        s.sets(ALL, AF)
    else:
        s.put(pre, 0xf7 - byte, modrm(s, kind, address, byte=byte))
        if kind == 3:
            s.sets()


def short_inc(s):
    pre, _, _ = prefixes(s, False)
    s.put(pre, 0x40 + 8 * s.rng.randrange(2) + register(s))
    s.sets(ALL & ~CF)


def multiply(s):
    rng = s.rng
    pre, size, address = prefixes(s)
    undefined = PF | AF | ZF | SF
    kind = rng.randrange(4)
    if kind == 0:
        byte = rng.randrange(2)
        s.put(pre, 0xf7 - byte, modrm(s, 4 + rng.randrange(2), address,
                                      byte=byte, written=False))
    elif kind == 1:
        s.put(pre, 0x0f, 0xaf, modrm(s, register(s), address, written=False))
    elif kind == 2:
        s.put(pre, 0x69, modrm(s, register(s), address, written=False),
              imm(rng, size))
    else:
        s.put(pre, 0x6b, modrm(s, register(s), address, written=False),
              imm(rng, 1))
    s.sets(CF | OF, undefined)


def divide(s):
    byte = s.rng.randrange(2)
    pre, _, address = prefixes(s)
    s.put(pre, 0xf7 - byte, modrm(s, 6 + s.rng.randrange(2), address,
                                  byte=byte, written=False))
    s.sets(0, ALL)


def shift(s):
    rng, op = s.rng, s.rng.randrange(8)
    if op in (2, 3):
        s.reads(CF)
    byte = rng.randrange(2)
    pre, size, address = prefixes(s)
    width = 8 if byte else 8 * size
    kind = rng.randrange(3)
    rotates = op < 4
    if kind == 0:
        s.put(pre, 0xd1 - byte, modrm(s, op, address, byte=byte))
        s.sets(CF | OF if rotates else ALL, 0 if rotates else AF)
        return
    if kind == 1:
        count = rng.choice([0, 1, 2, 7, 8, 15, 16, 31, 33, rng.randrange(256)])
        s.put(pre, 0xc1 - byte, modrm(s, op, address, byte=byte), count)
    else:
        # The count is put in CL, so that it is known.
        count = rng.choice([0, 1, 3, 9, 17, 31, 32, rng.randrange(256)])
        s.put(0xb1, count)
        s.put(pre, 0xd3 - byte, modrm(s, op, address, byte=byte))
    count &= 31
    if count == 0:
        return
    undefined = 0 if count == 1 else OF
    if rotates:
        s.sets(CF, undefined)
        if count == 1:
            s.sets(OF)
        return
    # CF past the operand's width, SDM 2, SAL and SHR; SAR repeats the sign.
    if count > width and op != 7 or count == width and op == 7:
        undefined |= CF
    s.sets(ALL, undefined | AF)


def double_shift(s):
    rng = s.rng
    pre, size, address = prefixes(s)
    count = rng.randrange(1, 8 * size)
    s.put(pre, 0x0f, rng.choice([0xa4, 0xac]),
          modrm(s, rng.randrange(8), address), count)
    s.sets(ALL, AF | (0 if count == 1 else OF))


def move(s):
    rng = s.rng
    pre, size, address = prefixes(s)
    kind = rng.randrange(9)
    if kind == 0:
        s.put(pre, 0x88, modrm(s, rng.randrange(8), address, byte=True))
    elif kind == 1:
        s.put(pre, 0x89, modrm(s, rng.randrange(8), address))
    elif kind == 2:
        s.put(pre, 0x8a, modrm(s, rng.randrange(8), address, byte=True))
    elif kind == 3:
        s.put(pre, 0x8b, modrm(s, register(s), address, written=False))
    elif kind == 4:
        s.put(pre, 0xc6, modrm(s, 0, address, byte=True), imm(rng, 1))
    elif kind == 5:
        s.put(pre, 0xc7, modrm(s, 0, address), imm(rng, size))
    elif kind == 6:
        s.put(pre, 0xb8 + register(s), imm(rng, size))
    elif kind == 7:
        s.put(pre, rng.choice([0xa0, 0xa1, 0xa2, 0xa3]),
              imm(rng, 2) + (b"" if address == 2 else b"\0\0"))
    else:
        s.put(pre, 0x8d, modrm(s, register(s), address))


def extend(s):
    pre, _, address = prefixes(s)
    s.put(pre, 0x0f, s.rng.choice([0xb6, 0xb7, 0xbe, 0xbf]),
          modrm(s, register(s), address, written=False))


def exchange(s):
    rng = s.rng
    pre, _, address = prefixes(s)
    kind = rng.randrange(5)
    if kind == 0:
        s.put(pre, 0x86, modrm(s, rng.randrange(8), address, byte=True))
    elif kind == 1:
        s.put(pre, 0x87, modrm(s, register(s), address))
    elif kind == 2:
        s.put(pre, 0x90 + register(s))
    elif kind == 3:
        byte = rng.randrange(2)
        s.put(pre, 0x0f, 0xc1 - byte,
              modrm(s, rng.randrange(8) if byte else register(s), address,
                    byte=byte))
        s.sets()
    else:
        byte = rng.randrange(2)
        s.put(pre, 0x0f, 0xb1 - byte,
              modrm(s, rng.randrange(8) if byte else register(s), address,
                    byte=byte))
        s.sets()


def bit_test(s):
    rng = s.rng
    pre, _, address = prefixes(s)
    if rng.randrange(2):
        s.put(pre, 0x0f, 0xba, modrm(s, 4 + rng.randrange(4), address),
              imm(rng, 1))
    else:
        s.put(pre, 0x0f, rng.choice([0xa3, 0xab, 0xb3, 0xbb]),
              modrm(s, rng.randrange(8), address))
    s.sets(CF, OF | SF | AF | PF)


def stack(s):
    rng = s.rng
    pre, size, address = prefixes(s)
    plain = bytes(b for b in pre if b == 0x66)
    kind = rng.randrange(9)
    if kind == 0:
        s.put(plain, 0x50 + rng.randrange(8))
    elif kind == 1:
        s.put(plain, 0x58 + register(s))
    elif kind == 2:
        s.put(pre, 0xff, modrm(s, 6, address, written=False))
    elif kind == 3:
        s.put(pre, 0x8f, modrm(s, 0, address))
    elif kind == 4:
        s.put(plain, 0x68, imm(rng, size))
    elif kind == 5:
        s.put(plain, 0x6a, imm(rng, 1))
    elif kind == 6:
        s.put(plain, 0x60)
    elif kind == 7:
        s.reads()
        s.put(plain, 0x9c)
    else:
        s.put(0x83, rng.choice([0xc4, 0xec]), rng.choice([2, 4, 0x10]))
        s.sets()


def segment(s):
    """A data segment, by each of the ways to load it."""
    rng = s.rng
    value = rng.choice(SEGMENTS)
    word = struct.pack("<H", value)
    index = rng.choice([0, 3, 4, 5])
    kind = rng.randrange(5)
    if kind == 0:
        s.put(0xb8, word, 0x8e, 0xc0 | index << 3)
    elif kind == 1:
        s.put(0x68, word, {0: b"\x07", 3: b"\x1f", 4: b"\x0f\xa1",
                           5: b"\x0f\xa9"}[index])
    elif kind == 2:
        at = struct.pack("<H", rng.randrange(0x7000) * 2)
        s.put(0xc7, 0x06, at, imm(rng, 2),
              0xc7, 0x06, struct.pack("<H", struct.unpack("<H", at)[0] + 2),
              word)
        s.put(rng.choice([b"\xc4", b"\xc5", b"\x0f\xb4", b"\x0f\xb5"]),
              register(s) << 3 | 6, at)
    elif kind == 3:
        # SS, and what may follow it.
        s.put(0xb8, word, 0x8e, 0xd0, 0xbc,
              struct.pack("<H", rng.choice([0x8000, 0x40, 0xfffe])))
    else:
        s.put(0x8c, modrm(s, rng.randrange(6), 2))


def flags(s):
    rng = s.rng
    kind = rng.randrange(6)
    if kind == 0:
        s.put(rng.choice([0xf5, 0xf8, 0xf9]) if not s.undefined & CF else 0xf8)
        s.sets(CF)
    elif kind == 1:
        s.put(rng.choice([0xfc, 0xfd]))
    elif kind == 2:
        s.reads()
        s.put(0x9f)
    elif kind == 3:
        s.put(0x9e)
        s.sets(ALL & ~OF)
    elif kind == 4:
        # No TF, no IF.
        s.put(0x68, struct.pack("<H", rng.randrange(1 << 16) & 0xfcff), 0x9d)
        s.sets()
    else:
        s.reads(CF)
        s.put(0xd6)  # SALC


def decimal(s):
    kind = s.rng.randrange(6)
    if kind < 2:
        s.reads(CF | AF)
        s.put(0x27 + 8 * kind)
        s.sets(ALL, OF)
    elif kind < 4:
        s.reads(AF)
        s.put(0x27 + 8 * kind)
        s.sets(CF | AF, OF | SF | ZF | PF)
    elif kind == 4:
        s.put(0xd4, s.rng.choice([10, 16, 0, 7]))
        s.sets(SF | ZF | PF, OF | AF | CF)
    else:
        s.put(0xd5, s.rng.choice([10, 16, 7]))
        s.sets(SF | ZF | PF, OF | AF | CF)


def convert(s):
    pre, _, address = prefixes(s)
    kind = s.rng.randrange(4)
    if kind < 2:
        s.put(bytes(b for b in pre if b == 0x66), 0x98 + kind)
    elif kind == 2:
        s.put(pre, 0xd7)
    else:
        s.put(0x66, 0x0f, 0xc8 + register(s))


def condition(s):
    rng = s.rng
    s.reads()
    pre, _, address = prefixes(s)
    kind = rng.randrange(3)
    if kind == 0:
        s.put(pre, 0x0f, 0x90 + rng.randrange(16), modrm(s, 0, address,
                                                         byte=True))
    elif kind == 1:
        s.put(pre, 0x0f, 0x40 + rng.randrange(16),
              modrm(s, register(s), address, written=False))
    else:
        skipped = rng.choice([b"\x90", b"\x40", b"\x66\x40", b"\xf5"])
        if rng.randrange(2):
            s.put(0x70 + rng.randrange(16), len(skipped), skipped)
        else:
            s.put(0x0f, 0x80 + rng.randrange(16),
                  struct.pack("<H", len(skipped)), skipped)


def loop(s):
    rng = s.rng
    s.reads()
    wide = rng.random() < 0.3
    s.put(0x66 if wide else b"", 0xb9,
          rng.randrange(1, 256), b"\0\0\0" if wide else b"\0")
    body = rng.choice([b"\x40", b"\x42\x90", b"\xd1\xc2", b"\x05\x34\x12"])
    s.put(body, 0x67 if wide else b"", rng.choice([0xe0, 0xe1, 0xe2]),
          256 - len(body) - (3 if wide else 2))
    s.put(0x67 if wide else b"", 0xe3, 1, 0x90)


def transfer(s):
    """Near and far, direct and through memory, and back."""
    rng = s.rng
    # Another segment in which IP does not wrap.
    k = rng.randrange(64) * (-1 if s.start >= 0x8000 else 1)
    kind = rng.randrange(9)
    if kind == 0:
        s.put(0xeb, 1, 0xf4)
    elif kind == 1:
        s.put(0xe9, b"\1\0", 0xf4)
    elif kind == 2:
        s.put(0xe8, b"\1\0", 0xf4)
    elif kind == 3:  # far, by another segment
        s.put(rng.choice([0xea, 0x9a]))
        to = len(s.code) + 4 + 1
        s.put(far(s, to, k), 0xf4)
        s.shift = 16 * k
    elif kind == 4:  # RETF, RETF n
        at = len(s.code)
        tail = rng.choice([b"\xcb", b"\xca\x04\x00"])
        to = at + 6 + len(tail)
        offset, segment_ = struct.unpack("<HH", far(s, to, k))
        s.put(0x68, struct.pack("<H", segment_),
              0x68, struct.pack("<H", offset), tail)
        s.shift = 16 * k
    elif kind == 5:  # IRET
        at = len(s.code)
        to = at + 10
        offset, segment_ = struct.unpack("<HH", far(s, to, k))
        s.put(0x68, struct.pack("<H", rng.randrange(1 << 16) & 0xfcff),
              0x68, struct.pack("<H", segment_),
              0x68, struct.pack("<H", offset), 0xcf)
        s.shift = 16 * k
        s.sets()
    elif kind == 6:  # INT n that returns
        s.reads()
        s.put(0xcd, 0x60 + rng.randrange(16))
    elif kind == 7:  # near through a register
        at = len(s.code)
        s.put(0xb8, struct.pack("<H", (s.here() + 5 + s.shift) & 0xffff),
              0xff, rng.choice([0xe0, 0xd0]))
    else:  # RET, RET n
        tail = rng.choice([b"\xc3", b"\xc2\x06\x00"])
        s.put(0x68, struct.pack("<H", (s.here() + 3 + len(tail) + s.shift) &
                                0xffff), tail)


def far(s, to, k):
    """IP and CS of what will be at `to` in the code, with CS less by k."""
    return struct.pack("<HH", (s.start + to + 16 * k) & 0xffff,
                       CODE_SEGMENT - k)


def string(s):
    rng = s.rng
    op = rng.choice([0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae,
                     0xaf])
    pre, _, address = prefixes(s)
    repeat = rng.choice([b"", b"\xf2", b"\xf3"])
    if repeat:
        if address == 4:
            s.put(0x66, 0xb9, struct.pack("<I", rng.choice(
                [0, 1, 5, 0x40, 0x20000 if not s.unreal else 0x100])))
        else:
            s.put(0xb9, struct.pack("<H", rng.choice(
                [0, 1, 3, 0x20, 0x100, rng.randrange(0x1000)])))
    if rng.random() < 0.5:
        s.put(0xbe, struct.pack("<H", rng.choice(
            [0, 1, 0xfff0, 0xffff, 0x8000])))
        s.put(0xbf, struct.pack("<H", rng.choice(
            [0, 2, 0xffee, 0xfffe, 0x8001, 0x8010])))
    s.put(pre, repeat, op)
    # Of two operands beyond their limits processors find ES:DI, Bochs the other.
    if op in (0xa6, 0xa7) and b"\x36" in pre:
        s.either = (12, 13)
    if op in (0xa6, 0xa7, 0xae, 0xaf):
        # None at all leaves the flags, so what was undefined stays so. When a
        # later one faults the flags are those before the instruction (SDM 2,
        # REP); Bochs has those of the last that was done.
        if not repeat:
            s.sets()
        else:
            s.ever = ALL


def frame(s):
    rng = s.rng
    kind = rng.randrange(3)
    plain = 0x66 if rng.random() < 0.2 else b""
    if kind == 0:
        s.put(plain, 0xc8, struct.pack("<H", rng.choice([0, 2, 0x10, 0x100])),
              rng.choice([0, 1, 2, 3, 31]))
    elif kind == 1:
        s.put(0x89, 0xe5, 0xc9)
    elif rng.random() < 0.7:
        s.put(plain, 0x60)
    else:
        # Not across the limit: Bochs keeps the registers that were popped
        # until the last is, the host's processor does not.
        s.put(0xbc, b"\0\x60", plain, 0x61)


def bound(s):
    """Both bounds within the limit: Bochs reads both before it compares, the
    host's processor the upper one only if the lower one holds."""
    pre, _, _ = prefixes(s)
    s.put(pre.replace(b"\x67", b""), 0x62, s.rng.randrange(8) << 3 | 6,
          struct.pack("<H", s.rng.randrange(0xfff8)))


def event(s):
    rng = s.rng
    kind = rng.randrange(5)
    if kind == 0:
        s.reads()
        s.put(0xcc)
    elif kind == 1:
        s.reads()
        s.put(0xce)
    elif kind == 2:
        s.reads()
        s.put(0xcd, rng.choice([0, 4, 6, 13, 0x21, 0x80, 0xff]))
    elif kind == 3:  # what there is not in real mode, and what there is not
        s.put(rng.choice([b"\x0f\x00\xc0", b"\x0f\x00\xd8", b"\x0f\x02\xc1",
                          b"\x0f\x03\xc1", b"\x63\xc1", b"\x0f\x0b",
                          b"\xf0\x90", b"\xf0\x01\xc1", b"\x0f\xb9\xc0",
                          b"\xfe\xf8", b"\xff\xff", b"\x8e\xc8",
                          b"\x0f\x20\xe8", b"\x8c\xf8", b"\xc4\xc0",
                          b"\xf0\x8b\x07"]))
    else:  # more than 15 bytes
        s.put(b"\x66" * rng.choice([13, 14, 15]), 0x90)


def system(s):
    s.put(s.rng.choice([
        b"\x0f\x01\xe0",  # SMSW AX
        b"\x66\x0f\x01\xe1",
        b"\x0f\x20\xc0",  # MOV EAX, CR0
        b"\x0f\x20\xd2",  # CR2
        b"\x0f\x20\xdb",  # CR3
        b"\x0f\x06",  # CLTS
        b"\x0f\x21\xf8",  # DR7
        b"\x0f\x21\xf2",  # DR6
        b"\xfa"]))  # CLI


RULES = ([alu] * 6 + [alu_immediate] * 4 + [unary] * 2 + [short_inc] +
         [multiply] * 2 + [divide] + [shift] * 4 + [double_shift] * 2 +
         [move] * 5 + [extend] + [exchange] * 2 + [bit_test] * 2 + [stack] * 5 +
         [segment] * 3 + [flags] * 2 + [decimal] + [convert] +
         [condition] * 4 + [loop] + [transfer] * 5 + [string] * 5 +
         [frame] * 2 + [bound] + [event] + [system])


def generate(seed, unreal):
    """The snippet of this number. `unreal`: data segments have no limit."""
    rng = random.Random(seed)
    s = Snippet(rng, unreal)
    for _ in range(rng.randrange(1, 7)):
        rule = rng.choice(RULES)
        # Only the first to leave the segment knows where it is.
        if rule is transfer and s.shift:
            continue
        s.names.append(rule.__name__)
        rule(s)
    s.put(0xcd, DONE)
    return s


def encode(s):
    """As rom.S finds it."""
    body = struct.pack("<HH8IHH", len(s.code), s.start, *s.registers, s.flags,
                       0) + bytes(s.code)
    return body + bytes(-len(body) % 16)
