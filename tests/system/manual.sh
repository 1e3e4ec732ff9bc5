#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The manual and the program name the same commands and options.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

manual=man/ringfence.1
# Options as mdoc has them (.Fl -kernel, .Fl m), and as help prints them.
in_manual() {
	sed -n 's/^\.\(It \|Op \)\?Fl \([^ ]*\).*/-\2/p; s/^\.It Fl .* Fl \(-[^ ]*\).*/-\1/p' \
		"$manual" | sort -u
}
in_help() {
	"$RINGFENCE" help "$1" 2>&1 |
		grep -oE '(^|[ ,[|(])--?[a-z][a-z-]*' | grep -oE -- '--?[a-z-]*[a-z]' |
		sort -u
}
for command in run doctor stat ps stop; do
	ok "the manual has $command" grep -qE "^\.(It|Ss|Nm|Ic|It Ic) .*\b$command\b" "$manual"
	for option in $(in_help "$command"); do
		ok "$command: the manual has $option" \
			grep -qxF -- "$option" <(in_manual)
	done
done
ok "--version names a version" \
	grep -qE '^ringfence [0-9]' <("$RINGFENCE" --version)
finish
