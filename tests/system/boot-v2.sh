#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 120
# engines: interp bt
# Debian's cloud kernel on a processor without AVX and BMI, where TZCNT is BSF.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

run_guest 100 cloud/vmlinuz 'grep -m 1 ^flags /proc/cpuinfo; exit 42' \
	--engine "$ENGINE" --cpu x86-64-v2 -m 256M
ok "it reaches init and runs a command" is "$status" 42
ok "without AVX and BMI" stdout_lacks '^flags.* (avx|bmi1) '
run_guest 100 cloud/vmlinuz 'grep -m 1 ^flags /proc/cpuinfo; exit 42' \
	--engine "$ENGINE" --cpu x86-64-v3,pcid=off -m 256M
ok "a feature left out" stdout_lacks '^flags.* pcid '
ok "but not the others" stdout_has '^flags.* avx2 '
finish
