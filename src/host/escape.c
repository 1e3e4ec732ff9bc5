/* SPDX-License-Identifier: BSD-2-Clause */
/* The escape key's state machine. */
#include "host/escape.h"

#include <string.h>

static const char commands[] = "xpbsh";

const char escape_help[] = "Ctrl-a x       end the VM at once\n"
			   "Ctrl-a p       press its power button\n"
			   "Ctrl-a b       send a break on the serial line\n"
			   "Ctrl-a s       print the exits so far\n"
			   "Ctrl-a h       this list\n"
			   "Ctrl-a Ctrl-a  send Ctrl-a to the guest\n";

enum escape_result escape_key(struct escape *escape, uint8_t key, uint8_t *byte,
			      char *command)
{
	if (!escape->is_pending) {
		if (key == ESCAPE_KEY) {
			escape->is_pending = true;
			return ESCAPE_NOTHING;
		}
		*byte = key;
		return ESCAPE_BYTE;
	}
	escape->is_pending = false;
	if (key == ESCAPE_KEY || key == 'a') {
		*byte = ESCAPE_KEY;
		return ESCAPE_BYTE;
	}
	if (key && strchr(commands, key)) {
		*command = (char)key;
		return ESCAPE_COMMAND;
	}
	return ESCAPE_UNKNOWN;
}
