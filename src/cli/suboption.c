/* SPDX-License-Identifier: BSD-2-Clause */
/* Cuts "interp,key=value,flag" into its parts. */
#include "cli/suboption.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

static int take_part(const char *written, char *part, bool is_first,
		     struct suboptions *out, unsigned *count)
{
	char *equals = strchr(part, '=');

	if (is_first && !equals) {
		out->first = part;
		return 0;
	}
	if (equals)
		*equals = 0;
	if (!*part) {
		log_error("%s: a key is missing", written);
		return -EINVAL;
	}
	for (unsigned i = 0; i < *count; i++) {
		if (strcmp(out->option[i].name, part) == 0) {
			log_error("%s: %s is given twice", written, part);
			return -EINVAL;
		}
	}
	if (*count == SUBOPTIONS_MAX) {
		log_error("%s: more than %d keys", written, SUBOPTIONS_MAX);
		return -EINVAL;
	}
	out->option[(*count)++] =
		(struct machine_option){ part, equals ? equals + 1 : "" };
	return 0;
}

int suboptions_parse(const char *written, const char *text,
		     struct suboptions *out)
{
	unsigned count = 0;
	char *rest, *part;
	int error = 0;

	memset(out, 0, sizeof(*out));
	if (strlen(text) >= sizeof(out->text)) {
		log_error("%s: too long", written);
		return -EINVAL;
	}
	strcpy(out->text, text);
	rest = out->text;
	for (bool is_first = true; !error && (part = strsep(&rest, ","));
	     is_first = false)
		error = take_part(written, part, is_first, out, &count);
	return error;
}
