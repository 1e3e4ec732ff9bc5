# SPDX-License-Identifier: BSD-2-Clause
"""usage: stat-count.py FILE REASON [DEVICE]
       stat-count.py FILE --event NAME
Prints how often a reason stands in a --stat --json table, summed over vCPUs
and, without DEVICE, over devices; or one of the engine's events.  FILE may have
other lines before it."""
import json
import sys

with open(sys.argv[1], errors="replace") as file:
    text = file.read()
table = json.loads(text[text.index("{"):text.rindex("}") + 1])
if sys.argv[2] == "--event":
    print(sum(sum(row["count"]) for row in table["events"]
              if row["name"] == sys.argv[3]))
    sys.exit()
reason, device = sys.argv[2], (sys.argv[3:] or [None])[0]
print(sum(row["count"] for row in table["exits"]
          if row["reason"] == reason and
          device in (None, row["device"])))
