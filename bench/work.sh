#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The work that bench/run times, in a guest and natively: a few kinds of integer
# code of busybox, in user space, with processes started in between.
busybox=${BUSYBOX:-/bin/busybox}

$busybox dd if=/dev/zero bs=64k count=64 2>/dev/null | $busybox sha256sum
$busybox awk 'BEGIN { for (i = 0; i < 300000; i++) s += i % 7; print s }'
$busybox seq 1 40000 | $busybox sort -r | $busybox gzip -c | $busybox md5sum
i=0
while [ $i -lt 40 ]; do
	$busybox true
	i=$((i + 1))
done
