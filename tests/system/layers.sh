#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tools/check-includes lets pass what src/layers.txt allows, and only that.
# shellcheck disable=SC2034
needs_program=
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tree=$TMPDIR/tree
# includes FILE LINE: a tree with just that, checked.
includes() {
	rm -rf "$tree"
	mkdir -p "$tree/tools" "$tree"/src/{base,x86,core,host,chip} \
		"$tree"/src/engine/{kvm,interp} "$tree"/tests/unit/core \
		"$tree/$(dirname "$1")"
	cp tools/check-includes "$tree/tools"
	cp src/layers.txt "$tree/src"
	touch "$tree"/src/{base/a,x86/a,core/a,host/a,chip/a,engine/kvm/a}.h
	echo "$2" >"$tree/$1"
	"$tree/tools/check-includes" >"$TMPDIR/out" 2>&1
}
refuses() { ! includes "$@"; }

ok "core may include x86" includes src/core/b.c '#include "x86/a.h"'
ok "core may not include host" refuses src/core/b.c '#include "host/a.h"'
ok "it says which edge" stdout_has 'core include host'
ok "x86 may not include core" refuses src/x86/b.h '#include "core/a.h"'
ok "chip may not include an engine" refuses src/chip/b.c \
	'#include "engine/kvm/a.h"'
ok "interp may not include kvm" refuses src/engine/interp/b.c \
	'#include "engine/kvm/a.h"'
ok "no neighbour without its folder" refuses src/core/b.c '#include "a.h"'
ok "no parent" refuses src/core/b.c '#include "../x86/a.h"'
ok "no parent through a folder" refuses src/core/b.c \
	'#include "core/../host/a.h"'
ok "no unknown folder" refuses src/new/b.c '#include "base/a.h"'
ok "no unknown file" refuses src/core/b.c '#include "x86/none.h"'
ok "spaces do not hide it" refuses src/core/b.c '  #  include   "host/a.h"'
ok "KVM's types stay in engine/kvm" refuses src/core/b.c \
	'#include <linux/kvm.h>'
ok "and may be there" includes src/engine/kvm/b.c '#include <linux/kvm.h>'
ok "a test sees what its folder sees" includes tests/unit/core/test_b.c \
	'#include "base/a.h"'
ok "and not more" refuses tests/unit/core/test_b.c '#include "host/a.h"'
ok "a table of data is checked, too" refuses src/x86/b.def \
	'#include "core/a.h"'
ok "this tree passes" tools/check-includes
finish
