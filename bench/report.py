# SPDX-License-Identifier: BSD-2-Clause
"""From figures to medians, ratios, verdicts and the table."""

import os
import platform
import statistics
import subprocess

import rows
import tree

TCG = ("tcg-max", "tcg")


def summary(values):
    """None where there is no figure: not measured, not possible, died."""
    if not values or None in values:
        return None
    return {"median": statistics.median(values), "min": min(values),
            "max": max(values), "values": values}


def cpu_model():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown"


def output(*argv):
    done = subprocess.run(argv, cwd=tree.TOP, capture_output=True, check=False)
    return done.stdout.decode().split("\n")[0].strip()


def header(runs):
    with open(os.path.join(tree.GUEST, "cloud/release")) as file:
        release = file.read().strip()
    return {"host": cpu_model(), "processors": os.cpu_count(),
            "host_kernel": platform.release(),
            "load": os.getloadavg()[0],
            "guest_kernel": release, "runs": runs,
            "qemu": output("qemu-system-x86_64", "--version"),
            "commit": output("git", "describe", "--always", "--dirty")}


def judge(row, ours):
    """Adds TCG's better figure, the ratio to it, and whether it will do."""
    figures = row["engines"]
    mine = figures.get(ours)
    others = [figures[e]["median"] for e in TCG if figures.get(e)]
    row["ratio"] = row["verdict"] = None
    if not mine:
        row["verdict"] = "none"
    elif "goal_mib" in row:
        row["verdict"] = "reached" if mine["median"] <= row["goal_mib"] \
            else "missed"
    if mine and others:
        row["ratio"] = min(others) / mine["median"]
        if "goal" in row:
            row["verdict"] = "reached" if row["ratio"] >= row["goal"] \
                else "missed"
    return row


def build(figures, engines, runs, names):
    """figures: row name -> engine -> list of figures, in MiB or CPU seconds."""
    ours = next((e for e in engines if e.startswith("bt")), engines[-1])
    result = header(runs)
    result.update(engines=engines, ours=ours, rows=[])
    for name in names:
        row = {"name": name}
        if name == rows.BOOT:
            row["goal"] = rows.BOOT_GOAL
        elif name == rows.MEMORY:
            row["goal_mib"] = rows.MEMORY_GOAL_MIB
        else:
            row["goal"] = next(r.goal for r in rows.ROWS if r.name == name)
        row["engines"] = {
            e: summary([v["total"] if isinstance(v, dict) else v
                        for v in figures[name].get(e, [])])
            for e in engines}
        row["parts"] = {e: v[-1] for e, v in figures[name].items()
                        if v and isinstance(v[-1], dict)}
        result["rows"].append(judge(row, ours))
    return result


def cell(figure):
    if not figure:
        return "-"
    middle = figure["median"]
    spread = (figure["max"] - figure["min"]) / 2 / middle if middle else 0
    return "%.3f ±%.0f%%" % (middle, 100 * spread)


def ratio(figure, base):
    if not figure or not base or not base["median"]:
        return "-"
    return "%.1f" % (figure["median"] / base["median"])


def goal(row):
    return "<= %g MiB" % row["goal_mib"] if "goal_mib" in row else \
        ">= %g" % row["goal"]


def columns(result):
    """(heading, row -> cell) of the table."""
    engines = result["engines"]
    has_native = "native" in engines

    def of(engine):
        return lambda row: cell(row["engines"].get(engine))

    def against_native(engine):
        return lambda row: ratio(row["engines"].get(engine),
                                 row["engines"].get("native"))

    shown = [("", lambda row: row["name"])]
    shown += [(e, of(e)) for e in engines]
    shown += [("%s/native" % e.partition(":")[0], against_native(e))
              for e in engines if e != "native" and has_native]
    shown += [("TCG/%s" % result["ours"].partition(":")[0],
               lambda row: "%.2f" % row["ratio"] if row["ratio"] else "-"),
              ("goal", goal), ("", lambda row: row["verdict"] or "")]
    return shown


def table(result):
    shown = columns(result)
    lines = [[heading for heading, _ in shown]]
    lines += [[text(row) for _, text in shown] for row in result["rows"]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(shown))]
    text = ["  ".join(part.ljust(width) if i == 0 else part.rjust(width)
                      for i, (part, width) in enumerate(zip(line, widths)))
            .rstrip() for line in lines]
    return "\n".join(text)


def show(result):
    print("host: %(host)s, %(processors)d processors, Linux %(host_kernel)s, "
          "load %(load).1f" % result)
    print("guest: Debian's Linux %(guest_kernel)s, one processor; %(qemu)s; "
          "Ringfence %(commit)s" % result)
    print("CPU seconds of all processes, medians of %(runs)d with half their "
          "range; memory in MiB" % result)
    print()
    print(table(result))
    for row in result["rows"]:
        for engine, parts in sorted(row["parts"].items()):
            print("%s, %s: %s" % (row["name"], engine, ", ".join(
                "%s %.1f" % part for part in sorted(parts.items()))))
    reached = sum(r["verdict"] == "reached" for r in result["rows"])
    print("%d of %d goals reached" % (reached, len(result["rows"])))
