#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 120
# bench/run goes all the way for two cheap rows; how fast is not asked.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

bench/fetch || skip_all "the bench's packages cannot be fetched"

# has EXPRESSION: true of the result, r, and its rows by name, row.
has() {
	python3 -c "import json, sys
r = json.load(open(sys.argv[1]))
row = {one['name']: one for one in r['rows']}
sys.exit(not ($1))" "$TMPDIR/json"
}

bench/run --runs 1 --engines bt --rows boot,indirect --json "$TMPDIR/json" \
	>"$TMPDIR/out" 2>"$TMPDIR/err"
ok "status 0" is $? 0
ok "two rows" has "list(row) == ['boot', 'indirect']"
ok "boot took CPU time" has "row['boot']['engines']['bt']['median'] > 0.01"
ok "so did the work" has "row['indirect']['engines']['bt']['median'] > 0.01"
ok "no TCG, no ratio" has "row['boot']['ratio'] is None"
ok "the table has the row" grep -q '^indirect .* >= 5' "$TMPDIR/out"

bench/run --rows nosuch >"$TMPDIR/out" 2>"$TMPDIR/err"
ok "an unknown row: status 2" is $? 2
ok "and which there are" grep -q 'getppid' "$TMPDIR/err"
bench/run --engines nosuch >"$TMPDIR/out" 2>"$TMPDIR/err"
ok "an unknown engine: status 2" is $? 2
finish
