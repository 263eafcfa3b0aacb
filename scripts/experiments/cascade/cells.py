"""X3 and X4: the fewest devices for each (accuracy, p95) cell, ours beside every baseline of section 6.2.

A system reaches a cell where some plan of it, in simulation over the whole trace, answers 95 % of **all** requests within the cell's time and is
right as often as the cell asks, over **requests**. Devices are counted as they are paid for: the mean of what is up. Cells that only a
cascade reaches are listed without a saving; all others count in the geometric mean, also those at 1.0 times.
"""

import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

import facts
import svg

TRACE = Path("../shared/data/traces/cascadeserve_twitter_1200s.csv")
# The paper's: 80 queries a second in the trace, 7,600 at most.
SCALE = 95
# Sampling: 1.9 million requests draw their samples at random (standard error 0.03 points).
TOLERANCE = 0.0005
SYSTEMS = ("ours", "published", "static cascade", "single", "oracle", "reactive", "ms+")
SINGLE_MODEL = ("single", "oracle", "reactive", "ms+")
PROBLEM = """
format = "planner.problem/1"
name = "{name}"
room = "cascade"
profiles = ["{profile}"]
[workload]
max_rps = {max_rps}
trace = "{trace}"
trace_scale = {scale}
[slo]
quantile = 0.95
latency_ms = {limit}
[inventory]
cores = 1
[[inventory.machines]]
name = "{device}"
device = "{device}"
cores = 1
memory_mb = {memory}
at_most = {most}
price_usd_per_hour = 1.0
[goal]
kind = "most-accurate"
"""


def trace_for_the_planner(out, scale):
    """Writes the trace with a header that the planner knows; returns its path."""
    path = out / "trace.csv"
    lines = TRACE.read_text().splitlines()[1:]
    path.write_text("second,rps\n" + "\n".join(lines) + "\n")
    return path


def run_rows(args, out, name, profile, scale, limits, accuracies, most, highest_threshold, memory, device):
    """Runs the example, or reads what an earlier run printed."""
    if args.rows:
        text = args.rows.read_text()
    else:
        trace = trace_for_the_planner(out, scale)
        problem = out / f"{name}.toml"
        max_rps = scale * max(int(line.split(",")[1]) for line in TRACE.read_text().splitlines()[1:])
        made = {"name": name, "profile": profile.resolve(), "trace": trace.resolve(), "scale": float(scale), "max_rps": max_rps}
        problem.write_text(PROBLEM.format(**made, limit=limits[0], device=device, most=most, memory=memory))
        listed = lambda numbers: ",".join(f"{number:g}" for number in numbers)
        command = [args.examples / "cascade_cells", problem, trace, scale, listed(limits), listed(accuracies), most, highest_threshold]
        done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}")
        text = done.stdout
        (out / f"{name}.rows.jsonl").write_text(text)
    return [json.loads(line) for line in text.splitlines()]


def fewest(rows, system, accuracy, limit):
    """Returns the row with the fewest devices that reaches a cell; a plan for a stricter limit counts too."""
    reaches = [
        row
        for row in rows
        if row["system"] == system and row["slo_met"] and row["limit_ms"] <= limit and (row["accuracy"] or 0) >= accuracy - TOLERANCE
    ]
    return min(reaches, key=lambda row: row["devices"], default=None)


def table(rows, limits, accuracies):
    """Prints every cell; returns (accuracy, limit, saving against single models, against the ring) of each."""
    print("| accuracy ≥ | p95 ≤ | " + " | ".join(SYSTEMS) + " | cheapest single-model | saving | against the ring |")
    print("|" + "---|" * (5 + len(SYSTEMS)))
    found = []
    for accuracy in accuracies:
        for limit in limits:
            best = {system: fewest(rows, system, accuracy, limit) for system in SYSTEMS}
            devices = {system: row["devices"] if row else None for system, row in best.items()}
            singles = [devices[system] for system in SINGLE_MODEL if devices[system]]
            cheapest = min(singles, default=None)
            ratio = lambda theirs: theirs / devices["ours"] if theirs and devices["ours"] else None
            saving, ring = ratio(cheapest), ratio(devices["published"])
            shown = lambda number: "–" if number is None else f"{number:.3g}"
            times = lambda number: "–" if number is None else f"{number:.2f}×"
            cell = [f"{accuracy:.4g}", f"{limit:g} ms", *(shown(devices[system]) for system in SYSTEMS)]
            print("| " + " | ".join([*cell, shown(cheapest), times(saving), times(ring)]) + " |")
            found.append((accuracy, limit, saving, ring))
    return found


def summary(found):
    for place, what in ((2, "the cheapest single-model baseline"), (3, "CascadeServe as published")):
        savings = [cell[place] for cell in found if cell[place]]
        if savings:
            mean = math.exp(statistics.mean(map(math.log, savings)))
            print(f"\nAgainst {what}: {mean:.2f}× (geometric mean of {len(savings)} cells; {min(savings):.2f}× to {max(savings):.2f}×); {sum(cell[place] is None for cell in found)} cells without one of the two")
    return found


def picture(path, title, found, limits, accuracies):
    values = {(accuracy, limit): saving for accuracy, limit, saving, _ in found}
    path.write_text(svg.heat(title, "p95 limit, ms", "least accuracy over requests", limits, accuracies, values))


def bert(args, out):
    limits, accuracies = [100, 200, 400], [0.81, 0.82, 0.83, 0.835, 0.84, 0.843, 0.846, 0.848, 0.85]
    profile = facts.bert(out)
    rows = run_rows(args, out, "bert", profile, SCALE, limits, accuracies, 12, 0.4, 32_500, "v100")
    found = summary(table(rows, limits, accuracies))
    if args.pictures:
        picture(args.pictures / "cascade-bert-cells.svg", "BERT on the recovered trace: devices of the cheapest single-model baseline ÷ ours", found, limits, accuracies)


def record_set(args, out, name):
    """The same with a set's prices as work, at a load that asks for several devices."""
    labels, answers, _ = facts.record_set(name)
    single = sorted(sum(row[0] == label for row, label in zip(rows, labels)) / len(labels) for rows in answers.values())
    best = single[-1]
    accuracies = [round(best - points / 100, 4) for points in (5, 2, 1, 0.5, 0)]
    limits = [50, 200]
    profile = facts.records(out, name)
    print(f"\n### {name}: single models {', '.join(f'{accuracy:.4f}' for accuracy in single)}\n")
    rows = run_rows(args, out, name, profile, SCALE, limits, accuracies, 12, 1.0, 1e6, "device")
    found = summary(table(rows, limits, accuracies))
    if args.pictures:
        picture(args.pictures / f"cascade-{name}-cells.svg", f"{name}, prices as work: devices of the cheapest single-model baseline ÷ ours", found, limits, accuracies)
