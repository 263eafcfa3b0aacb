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
import time
from pathlib import Path

import facts
import svg

TRACE = Path("../shared/data/traces/cascadeserve_twitter_1200s.csv")
# The paper's: 80 queries a second in the trace, 7,600 at most.
SCALE = 95
# Sampling: 1.9 million requests draw their samples at random (standard error 0.03 points).
TOLERANCE = 0.0005
SYSTEMS = ("ours", "ours, not proved", "ours, proved", "published", "static cascade", "single", "oracle", "reactive", "ms+")
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


def run(command, allowed=(0, 1)):
    """Runs a command; 1 is an answer too: no plan, or an SLO that is broken."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode not in allowed:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def trace_for_the_planner(out, seconds=None):
    """Writes the trace, or its beginning, with a header that the planner knows; returns its path."""
    path = out / f"trace{seconds or ''}.csv"
    lines = TRACE.read_text().splitlines()[1:]
    path.write_text("second,rps\n" + "\n".join(lines[:seconds]) + "\n")
    return path


class Bench:
    """One family under one trace and one limit: every system on 1, 2, 3, … devices."""

    def __init__(self, args, out, name, profile, trace, scale, limit, highest_threshold, memory, device, most, most_of_ring):
        self.args, self.out, self.limit, self.trace, self.scale = args, out, limit, trace, scale
        self.variants = [variant["name"] for variant in json.loads(profile.read_text())["variants"]]
        peak = scale * max(float(line.split(",")[1]) for line in trace.read_text().splitlines()[1:])
        self.made = {"name": name, "profile": profile.resolve(), "trace": trace.resolve(), "scale": float(scale), "max_rps": peak}
        self.made |= {"limit": limit, "device": device, "memory": memory}
        self.highest_threshold, self.most, self.most_of_ring, self.rows = highest_threshold, most, most_of_ring, []

    def solve(self, devices, *sets, extra=""):
        """Returns the path of the plan and the seconds that it took, or `None` where there is none."""
        problem, plan = self.out / "cell.toml", self.out / "cell.json"
        problem.write_text(PROBLEM.format(most=devices, **self.made) + extra)
        plan.unlink(missing_ok=True)
        began = time.monotonic()
        run([self.args.planner, "solve", problem, *(f"--set={key}" for key in sets), "-o", plan], (0, 1, 2))
        return (plan, time.monotonic() - began) if plan.exists() else None

    def simulate(self, plan, *more):
        load = ["--trace", self.trace, "--scale", self.scale, "--replications", 1, "--format", "json"]
        return json.loads(run([self.args.planner, "simulate", plan, *load, *more]))

    def note(self, system, name, devices, report, seconds=0.0):
        whole = report["whole"]
        row = {"system": system, "name": name, "limit_ms": self.limit, "devices": devices, "slo_met": whole["slo_met"], "late": whole["violation_share"]}
        row |= {"accuracy": whole.get("accuracy"), "p95_ms": (whole.get("latency") or {}).get("p95_ms"), "plan_s": seconds}
        self.rows.append(row | {"changes_per_hour": report["gear_changes_per_hour"]})

    def gears_and_switching(self):
        """Ours, the static cascade and model switching on so many devices, each the most accurate; and the ring."""
        for devices in self.most:
            solved = self.solve(devices)
            if solved:
                plan, seconds = solved
                found = self.simulate(plan, "--baseline", "switching,cascade")
                self.note("ours", "ours", devices, found["report"], seconds)
                # What is proved of the same plan, whose cascades were chosen on half of the samples.
                proof = json.loads(plan.read_text()).get("proof") or {}
                self.rows[-1]["proved"] = proof.get("low")
                whole = self.solve(devices, "cascade.certify=false")
                if whole:
                    self.note("ours, not proved", "ours", devices, self.simulate(whole[0]), whole[1])
                for other in found["baselines"]:
                    system = "ms+" if other["name"].startswith("switching") else "static cascade"
                    self.note(system, other["name"], devices, other["report"])
            if devices <= self.most_of_ring:
                ring = self.solve(devices, "formulation=published", f"published.highest_threshold={self.highest_threshold}")
                if ring:
                    self.note("published", "CascadeServe as published", devices, self.simulate(ring[0]), ring[1])

    def singles(self):
        """Each variant alone on the fewest devices that keep the limit, whatever the closed form says."""
        for variant in self.variants:
            solved = self.solve(64, f'variants=["{variant}"]', "goal.gears_at_most=1", "goal.kind=cheapest", "goal.accuracy_at_least=0.0")
            if not solved:
                continue
            plan = json.loads(solved[0].read_text())
            broken, kept, devices = 0, None, plan["placement"][0]["replicas"]
            while True:
                plan["placement"][0]["replicas"] = devices
                solved[0].write_text(json.dumps(plan))
                report = self.simulate(solved[0])
                if report["whole"]["slo_met"]:
                    kept = (devices, report)
                else:
                    broken = devices
                if kept and broken + 1 >= kept[0] or broken >= 64:
                    break
                devices = kept[0] - 1 if kept else broken + 1
            if kept:
                self.note("single", variant, *kept)

    def scaled(self):
        """Each variant alone, scaled by an oracle that sees 5 or 60 s, and by what was just seen; a device takes 5 s to load it."""
        solved = self.solve(64, "goal.kind=cheapest", "goal.accuracy_at_least=0.0")
        if not solved:
            return
        for ahead, kinds in ((5, "oracle,reactive"), (60, "oracle")):
            for other in self.simulate(solved[0], "--baseline", kinds, "--look-ahead-s", ahead)["baselines"]:
                system, variant = other["name"].split(" ", 1)
                devices = sum(pool["mean_replicas"] for pool in other["report"]["pools"])
                name = f"{variant}, sees {ahead} s" if system == "oracle" else variant
                self.note(system, name, devices, other["report"])

    def all(self):
        self.gears_and_switching()
        self.singles()
        self.scaled()
        return self.rows


def run_rows(args, out, name, limits, **made):
    """Tries every system at every limit, or reads what an earlier run noted."""
    path = args.rows or out / f"{name}.rows.jsonl"
    if not args.rows:
        rows = [row for limit in limits for row in Bench(args, out, name, limit=limit, **made).all()]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [json.loads(line) for line in path.read_text().splitlines()]


def fewest(rows, system, accuracy, limit):
    """Returns the row with the fewest devices that reaches a cell; a plan for a stricter limit counts too."""
    accuracy_of = lambda row: row["accuracy"] or 0
    if system == "ours, proved":
        system, accuracy_of = "ours", lambda row: (row.get("proved") or 0) + TOLERANCE
    mine = [row for row in rows if row["system"] == system and row["slo_met"] and row["limit_ms"] <= limit]
    reaches = [row for row in mine if accuracy_of(row) >= accuracy - TOLERANCE]
    return min(reaches, key=lambda row: row["devices"], default=None)


def table(rows, limits, accuracies):
    """Prints every cell; returns (accuracy, limit, saving against single models, against the ring) of each."""
    print("| accuracy ≥ | p95 ≤ | " + " | ".join(SYSTEMS) + " | cheapest single-model | saving | saving, proved | against the ring |")
    print("|" + "---|" * (6 + len(SYSTEMS)))
    found = []
    for accuracy in accuracies:
        for limit in limits:
            best = {system: fewest(rows, system, accuracy, limit) for system in SYSTEMS}
            devices = {system: row["devices"] if row else None for system, row in best.items()}
            singles = [devices[system] for system in SINGLE_MODEL if devices[system]]
            cheapest = min(singles, default=None)
            ratio = lambda theirs, ours="ours": theirs / devices[ours] if theirs and devices[ours] else None
            saving, ring, proved = ratio(cheapest), ratio(devices["published"]), ratio(cheapest, "ours, proved")
            shown = lambda number: "–" if number is None else f"{number:.3g}"
            times = lambda number: "–" if number is None else f"{number:.2f}×"
            cell = [f"{accuracy:.4g}", f"{limit:g} ms", *(shown(devices[system]) for system in SYSTEMS)]
            print("| " + " | ".join([*cell, shown(cheapest), times(saving), times(proved), times(ring)]) + " |")
            found.append((accuracy, limit, saving, ring, proved))
    return found


def summary(found):
    for place, what in ((2, "the cheapest single-model baseline"), (4, "the cheapest single-model baseline, with accuracy proved"), (3, "CascadeServe as published")):
        savings = [cell[place] for cell in found if cell[place]]
        if savings:
            mean = math.exp(statistics.mean(map(math.log, savings)))
            print(f"\nAgainst {what}: {mean:.2f}× (geometric mean of {len(savings)} cells; {min(savings):.2f}× to {max(savings):.2f}×); {sum(cell[place] is None for cell in found)} cells without one of the two")
    return found


def picture(path, title, found, limits, accuracies):
    values = {(accuracy, limit): saving for accuracy, limit, saving, *_ in found}
    path.write_text(svg.heat(title, "p95 limit, ms", "least accuracy over requests", limits, accuracies, values))


def bert(args, out):
    """X3 at the paper's load, and at the load of its lowest accuracy target (80,000 queries a second), there over 150 s of the trace."""
    profile = facts.bert(out)
    accuracies = [0.81, 0.815, 0.82, 0.825, 0.83, 0.835, 0.84, 0.845, 0.848, 0.85]
    limits = [float(limit) for limit in args.limits.split(",")]
    for name, scale, seconds, most in (("bert", SCALE, None, (1, 2, 3, 4, 6, 8)), ("bert-80k", 1000, 150, (2, 3, 4, 6, 8, 12, 16))):
        if name not in args.loads.split(","):
            continue
        trace = trace_for_the_planner(out, seconds)
        made = {"profile": profile, "trace": trace, "scale": scale, "highest_threshold": 0.4, "memory": 32_500, "device": "v100", "most": most, "most_of_ring": 4}
        print(f"\n### {name}: peak {scale * 80:,} requests/s\n")
        found = summary(table(run_rows(args, out, name, limits, **made), limits, accuracies))
        if args.pictures:
            title = f"BERT, peak {scale * 80:,} requests/s: devices of the cheapest single-model baseline ÷ ours"
            picture(args.pictures / f"cascade-{name}-cells.svg", title, found, limits, accuracies)


def record_set(args, out, name):
    """X4: the same with a set's prices as work."""
    labels, answers, _ = facts.record_set(name)
    single = sorted(sum(row[0] == label for row, label in zip(rows, labels)) / len(labels) for rows in answers.values())
    accuracies = [round(single[-1] - points / 100, 4) for points in (5, 2, 1, 0.5, 0)]
    limits = [float(limit) for limit in args.limits.split(",")]
    profile = facts.records(out, name)
    made = {"profile": profile, "trace": trace_for_the_planner(out, 300), "scale": 95, "highest_threshold": 1.0, "memory": 1e6, "device": "device"}
    print(f"\n### {name}: single models {', '.join(f'{accuracy:.4f}' for accuracy in single)}\n")
    rows = run_rows(args, out, name, limits, **made, most=(1, 2, 3, 4, 5, 6, 8, 10), most_of_ring=5)
    found = summary(table(rows, limits, accuracies))
    if args.pictures:
        title = f"{name}, prices as work: devices of the cheapest single-model baseline ÷ ours"
        picture(args.pictures / f"cascade-{name}-cells.svg", title, found, limits, accuracies)
