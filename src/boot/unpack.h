/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unpacks a kernel's payload with ringfence-unpack (src/helper/unpack.c), a
 * short-lived child that holds nothing but the file, the memfd it writes and
 * a pipe for its last words, under a seccomp filter.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "boot/bzimage.h"
#include "boot/source.h"

#define UNPACK_REASON_MAX 160

/*
 * Unpacks `packed` (a part of a file) into a new memfd of exactly `size` bytes,
 * sealed, which the caller closes. On failure a negative errno and the reason
 * in words. Any thread; blocks, two minutes at most.
 *
 * The helper is looked for in $RINGFENCE_LIBEXEC, beside the running program,
 * and in ../libexec/ringfence from there.
 */
int unpack_payload(const struct boot_source *packed, enum payload_kind kind,
		   uint64_t size, int *memfd, char reason[UNPACK_REASON_MAX]);
