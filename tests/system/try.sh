#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 300
# ./try without a terminal: the command's output, nothing else, and its status.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

./try -- sh -c 'echo "one  two"; echo three >&2; exit 7' \
	>"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null
status=$?
ok "the command's status" is "$status" 7
ok "the command's output, and nothing else" \
	is "$(cat "$TMPDIR/out")" $'one  two\nthree'
finish
