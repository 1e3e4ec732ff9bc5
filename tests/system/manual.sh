#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The manual and the program name the same commands and options.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

manual=man/ringfence.1
# Options as mdoc has them (Fl -kernel, Fl m), and as help lists them.
in_manual() { grep -oE 'Fl [^ ]+' "$manual" | sed 's/^Fl /-/' | sort -u; }
in_help() {
	"$RINGFENCE" help "$1" | grep -E '^ +-' |
		sed 's/^\( *-., --[a-z-]*\|  *--[a-z-]*\).*/\1/' |
		grep -oE -- '--?[a-z][a-z-]*' | sort -u
}
listed=$("$RINGFENCE" help | sed -n 's/^  \([a-z]*\) .*/\1/p')
ok "help lists the commands" at_least "$(echo "$listed" | wc -w)" 6
for command in $listed; do
	ok "the manual has $command" grep -qx "\.Ss $command" "$manual"
	for option in $(in_help "$command"); do
		ok "$command: the manual has $option" \
			grep -qxF -- "$option" <(in_manual)
	done
done
ok "--version names a version" \
	grep -qE '^ringfence [0-9]' <("$RINGFENCE" --version)
finish
