"""X3, X4 and X11: the fewest devices for each (accuracy, p95) cell, ours beside every baseline of section 6.2.

A system reaches a cell where some plan of it, in simulation over the whole trace, answers 95 % of **all** requests within the cell's time and is
right as often as the cell asks, over **requests**. Devices are counted as they are paid for: the mean of what is up. As 5 % may be late, a
system may be planned for less than the highest rate; and a plan made for another limit counts wherever its simulated p95 fits. Both are tried
for every system alike (single models are tried on every number of devices instead), as the paper searches a grid for each. Of ours the table
also tells what *as asked* needs: the plan for the whole load and the cell's own limit, or a stricter one; and what is needed with the accuracy
proved on samples that the search never saw.
Cells that only a cascade reaches are listed without a saving; all others count in the geometric mean, also those at 1.0 times.
"""

import itertools
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
# Sampling: a million requests and more draw their samples at random (standard error 0.03 points).
TOLERANCE = 0.0005
# Requests without an answer, of all, up to which the p95 of the answered ones is that of all.
MISSING = 0.001
# Parts of the highest rate that plans are made for; the trace has eight levels.
PARTS = (1.0, 0.75, 0.625, 0.5)
# Single variants are tried on as many devices.
MOST_SINGLE = 128
SINGLE_MODEL = ("single", "oracle", "oracle, no delay", "reactive")
SYSTEMS = ("ours", "ours, as asked", "ours, proved", "published", "static cascade", "ms+", *SINGLE_MODEL)
# What savings are of: name, whose devices are divided, by whose.
SAVINGS = (
    ("the cheapest single-model baseline", "singles", "ours"),
    ("the same, ours as asked, without a grid", "singles", "ours, as asked"),
    ("the same, ours with its accuracy proved", "singles", "ours, proved"),
    ("model switching (MS+) by our own planner", "ms+", "ours"),
    ("CascadeServe as published", "published", "ours"),
    ("the best static cascade", "static cascade", "ours"),
)
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

    def __init__(self, args, out, name, profile, trace, scale, limit, highest_threshold, memory, device, most, most_of_ring, accuracies, no_delay=None):
        self.args, self.out, self.limit, self.trace, self.scale = args, out, limit, trace, scale
        self.alone = {variant["name"]: variant["accuracy"]["value"] for variant in json.loads(profile.read_text())["variants"]}
        peak = scale * max(float(line.split(",")[1]) for line in trace.read_text().splitlines()[1:])
        self.made = {"name": name, "profile": profile.resolve(), "trace": trace.resolve(), "scale": float(scale), "max_rps": peak}
        self.made |= {"limit": limit, "device": device, "memory": memory}
        self.highest_threshold, self.most, self.most_of_ring, self.accuracies = highest_threshold, most, most_of_ring, accuracies
        self.no_delay, self.rows = no_delay, []

    def solve(self, devices, *sets, **other):
        """Returns the path of the plan and the seconds that it took, or `None` where there is none."""
        problem, plan = self.out / f"{self.made['name']}.cell.toml", self.out / f"{self.made['name']}.cell.json"
        made = self.made | other
        made["max_rps"] *= made.pop("part", 1.0)
        problem.write_text(PROBLEM.format(most=devices, **made))
        plan.unlink(missing_ok=True)
        began = time.monotonic()
        run([self.args.planner, "solve", problem, *(f"--set={key}" for key in sets), "-o", plan], (0, 1, 2))
        return (plan, time.monotonic() - began) if plan.exists() else None

    def simulate(self, plan, *more):
        load = ["--trace", self.trace, "--scale", self.scale, "--replications", 1, "--format", "json"]
        return json.loads(run([self.args.planner, "simulate", plan, *load, *more]))

    def note(self, system, name, devices, report, seconds=0.0, **more):
        whole = report["whole"]
        missing = (whole["unfinished"] + whole["refused"] + whole["dropped"]) / whole["arrived"]
        row = {"system": system, "name": name, "limit_ms": self.limit, "devices": devices, "slo_met": whole["slo_met"], "late": whole["violation_share"]}
        row |= {"accuracy": whole.get("accuracy"), "p95_ms": (whole.get("latency") or {}).get("p95_ms"), "missing": missing, "plan_s": seconds}
        self.rows.append(row | {"changes_per_hour": report["gear_changes_per_hour"]} | more)

    def gears_and_switching(self):
        """Ours, the static cascade and model switching on so many devices, each the most accurate on all samples; and the ring."""
        for devices, part in itertools.product(self.most, PARTS):
            solved = self.solve(devices, "cascade.certify=false", part=part)
            if solved:
                plan, seconds = solved
                gears = len(json.loads(plan.read_text())["gears"])
                found = self.simulate(plan, "--baseline", "switching,cascade")
                self.note("ours", "ours", devices, found["report"], seconds, part=part, gears=gears)
                for other in found["baselines"]:
                    system = "ms+" if other["name"].startswith("switching") else "static cascade"
                    self.note(system, other["name"], devices, other["report"], part=part)
            if devices <= self.most_of_ring:
                ring = self.solve(devices, "formulation=published", f"published.highest_threshold={self.highest_threshold}", part=part)
                if ring:
                    self.note("published", "CascadeServe as published", devices, self.simulate(ring[0]), ring[1], part=part)

    def proved(self):
        """Ours with the fewest devices on which each accuracy is proved (δ = 5 %, half of the samples are kept for the proof).

        What the most accurate single model reaches is proved beside it, as its accuracy less a loss; what it does not, by itself.
        """
        reference, best = max(self.alone.items(), key=lambda alone: alone[1])
        for accuracy, part in itertools.product(self.accuracies, PARTS):
            beside = (f"cascade.reference={reference}", f"cascade.loss_at_most={best - accuracy:.6f}")
            goal = beside if accuracy <= best else (f"goal.mean_accuracy_at_least={accuracy}",)
            solved = self.solve(max(self.most), "goal.kind=cheapest", *goal, part=part)
            if solved:
                plan = json.loads(solved[0].read_text())
                devices = sum(pool["replicas"] for pool in plan["placement"])
                self.note("ours, proved", "ours", devices, self.simulate(solved[0]), solved[1], target=accuracy, proof=plan["proof"], part=part)

    def singles(self):
        """Each variant alone on the fewest devices that keep the limit, whatever the closed form says."""
        for variant in self.alone:
            solved = self.solve(MOST_SINGLE, f'variants=["{variant}"]', "goal.gears_at_most=1", "goal.kind=cheapest", "goal.accuracy_at_least=0.0")
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
                if kept and broken + 1 >= kept[0] or broken >= MOST_SINGLE:
                    break
                devices = kept[0] - 1 if kept else broken + 1
            if kept:
                self.note("single", variant, *kept)

    def scaled(self):
        """Each variant alone, scaled by an oracle that sees so many seconds, and by what was just seen; loading as the profile says, or at once."""
        for part in PARTS:
            self.scaled_with("oracle", "reactive", part, self.made["profile"], ((5, "oracle,reactive"), (10, "oracle"), (60, "oracle")))
            if self.no_delay:
                self.scaled_with("oracle, no delay", "reactive", part, self.no_delay.resolve(), ((5, "oracle"),))

    def scaled_with(self, oracle, reactive, part, profile, looks):
        goal = ("goal.kind=cheapest", "goal.accuracy_at_least=0.0", "cascade.certify=false")
        solved = self.solve(MOST_SINGLE, *goal, part=part, profile=profile)
        for ahead, kinds in looks if solved else ():
            for other in self.simulate(solved[0], "--baseline", kinds, "--look-ahead-s", ahead)["baselines"]:
                kind, variant = other["name"].split(" ", 1)
                devices = sum(pool["mean_replicas"] for pool in other["report"]["pools"])
                name = f"{variant}, sees {ahead} s" if kind == "oracle" else variant
                self.note({"oracle": oracle, "reactive": reactive}[kind], name, devices, other["report"], part=part)

    def all(self):
        for part in (self.gears_and_switching, self.singles, self.scaled, self.proved):
            part()
        return self.rows


def run_rows(args, out, name, limits, **made):
    """Tries every system at every limit that no earlier run noted."""
    path = args.rows or out / f"{name}.rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if not args.rows:
        noted = {row["limit_ms"] for row in rows}
        for limit in (limit for limit in limits if limit not in noted):
            began = time.monotonic()
            found = Bench(args, out, name, limit=limit, **made).all()
            print(f"{name}, {limit:g} ms: {len(found)} plans tried in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            with path.open("a") as file:
                file.write("".join(json.dumps(row) + "\n" for row in found))
            rows += found
    return rows


def fewest(rows, system, accuracy, limit):
    """Returns the row with the fewest devices that reaches a cell."""
    made_for_it = lambda row: row["slo_met"] and row["limit_ms"] <= limit and row.get("part", 1.0) == 1.0
    in_time = lambda row: made_for_it(row) or row["p95_ms"] is not None and row["p95_ms"] <= limit and row["missing"] <= MISSING
    right = lambda row: (row["accuracy"] or 0) >= accuracy - TOLERANCE
    match system:
        case "ours, as asked":
            system, in_time = "ours", made_for_it
        case "ours, proved":
            right = lambda row: row["target"] >= accuracy and (row["accuracy"] or 0) >= accuracy - TOLERANCE
    mine = [row for row in rows if row["system"] == system and in_time(row) and right(row)]
    return min(mine, key=lambda row: row["devices"], default=None)


def table(rows, limits, accuracies):
    """Prints every cell; returns {(accuracy, limit): {system: devices}}."""
    print("| accuracy ≥ | p95 ≤ | " + " | ".join(SYSTEMS) + " | cheapest single-model | saving | as asked | proved | against MS+ | against the ring |")
    print("|" + "---|" * (8 + len(SYSTEMS)))
    cells = {}
    for accuracy in accuracies:
        for limit in limits:
            best = {system: fewest(rows, system, accuracy, limit) for system in SYSTEMS}
            devices = {system: row["devices"] if row else None for system, row in best.items()}
            cheapest = min((system for system in SINGLE_MODEL if devices[system]), key=devices.get, default=None)
            devices["singles"] = devices[cheapest] if cheapest else None
            name = f"{devices['singles']:.3g}: {cheapest} {best[cheapest]['name']}" if cheapest else "–"
            shown = lambda number: "–" if number is None else f"{number:.3g}"
            times = [saving(devices, *pair) for _, *pair in SAVINGS[:5]]
            shown_times = ["–" if ratio is None else f"{ratio:.2f}×" for ratio in times]
            print("| " + " | ".join([f"{accuracy:.4g}", f"{limit:g} ms", *(shown(devices[system]) for system in SYSTEMS), name, *shown_times]) + " |")
            cells[accuracy, limit] = devices
    return cells


def saving(devices, theirs, ours):
    return devices[theirs] / devices[ours] if devices[theirs] and devices[ours] else None


def mean(ratios):
    return math.exp(statistics.mean(map(math.log, ratios)))


def summary(cells):
    """Prints geometric means over all cells that both reach; returns that of the headline."""
    print()
    for what, theirs, ours in SAVINGS:
        ratios = [ratio for devices in cells.values() if (ratio := saving(devices, theirs, ours))]
        if not ratios:
            print(f"- Against {what}: no cell that both reach")
            continue
        only = lambda one, other: sum(bool(devices[one]) and not devices[other] for devices in cells.values())
        lost = sum(ratio < 0.995 for ratio in ratios)
        print(f"- Against {what}: **{mean(ratios):.2f}×** (geometric mean of {len(ratios)} cells, {min(ratios):.2f}× to {max(ratios):.2f}×, {lost} below 1×); {only(ours, theirs)} cells only ours reaches, {only(theirs, ours)} only the other, {len(cells) - len(ratios) - only(ours, theirs) - only(theirs, ours)} neither")
    return mean([ratio for devices in cells.values() if (ratio := saving(devices, "singles", "ours"))])


def picture(path, title, cells, limits, accuracies):
    values = {cell: saving(devices, "singles", "ours") for cell, devices in cells.items()}
    path.write_text(svg.heat(title, "p95 limit, ms", "least accuracy over requests", [f"{limit:g}" for limit in limits], [f"{accuracy:.4g}" for accuracy in accuracies], [[values[accuracy, limit] for limit in limits] for accuracy in accuracies]))


def bert(args, out):
    """X3 at the paper's load, and at the load of its lowest accuracy target (80,000 queries a second), there over 150 s of the trace."""
    profile, no_delay = facts.bert(out), facts.bert(out / "no-delay", 0.0)
    accuracies = [0.81, 0.815, 0.82, 0.825, 0.83, 0.835, 0.84, 0.845, 0.848, 0.85]
    limits = [float(limit) for limit in args.limits.split(",")]
    loads = (("bert", SCALE, None, (1, 2, 3, 4, 5, 6, 7, 8, 10), 4), ("bert-80k", 1000, 150, (1, 2, 3, 4, 6, 8, 12, 16, 32, 64), 16))
    both = {}
    for name, scale, seconds, most, ring in loads:
        if name not in args.loads.split(","):
            continue
        trace = trace_for_the_planner(out, seconds)
        made = {"profile": profile, "trace": trace, "scale": scale, "highest_threshold": 0.4, "memory": 32_500, "device": "v100", "most": most, "most_of_ring": ring}
        print(f"\n### {name}: peak {scale * 80:,} requests/s\n")
        cells = table(run_rows(args, out, name, limits, **made, accuracies=accuracies, no_delay=no_delay), limits, accuracies)
        headline = summary(cells)
        both |= {(name, *cell): devices for cell, devices in cells.items()}
        if args.pictures:
            title = f"BERT, peak {scale * 80:,} requests/s: {headline:.1f} times fewer devices than single models"
            picture(args.pictures / f"cascade-{name}-cells.svg", title, cells, limits, accuracies)
    print("\n### Both loads\n")
    summary(both)


# Points below the most accurate single model.
POINTS = (5, 2, 1, 0.5, 0)


def record_sets(args, out):
    """X4: the same with public record sets, their prices as work."""
    limits = [float(limit) for limit in args.limits.split(",")]
    drawn = {}
    for name in args.sets.split(","):
        labels, answers, _ = facts.record_set(name)
        single = sorted(sum(row[0] == label for row, label in zip(rows, labels)) / len(labels) for rows in answers.values())
        accuracies = [round(single[-1] - points / 100, 4) for points in POINTS]
        made = {"profile": facts.records(out, name), "trace": trace_for_the_planner(out, 300), "scale": SCALE, "highest_threshold": 1.0}
        made |= {"memory": 1e6, "device": "device", "most": (1, 2, 3, 4, 5, 6, 8, 10), "most_of_ring": 4, "accuracies": accuracies}
        print(f"\n### {name}: {len(labels):,} samples, single models {', '.join(f'{accuracy:.4f}' for accuracy in single)}\n")
        cells = table(run_rows(args, out, name, limits, **made), limits, accuracies)
        summary(cells)
        drawn[name] = [saving(cells[accuracy, limits[len(limits) // 2]], "singles", "ours") for accuracy in accuracies]
    if args.pictures:
        every = [ratio for row in drawn.values() for ratio in row if ratio]
        title = f"Public record sets, p95 limit {limits[len(limits) // 2]:g} ms: {mean(every):.1f} times fewer devices than single models"
        heat = svg.heat(title, "points below the most accurate single model", "record set", [f"{points:g}" for points in POINTS], list(drawn), list(drawn.values()))
        (args.pictures / "cascade-records-cells.svg").write_text(heat)


def digits(args, out):
    """X11: the same on the family that `planner profile` measured on this machine, a core being a device."""
    profile = Path("profiles/digits.json")
    accuracies, limits = [0.74, 0.84, 0.86, 0.9, 0.92, 0.93, 0.94, 0.945, 0.949], [10.0, 20.0, 50.0]
    made = {"profile": profile, "trace": trace_for_the_planner(out, 300), "scale": 150, "highest_threshold": 1.0, "memory": 1e6}
    made |= {"device": "cpu", "most": (1, 2, 3, 4, 5, 6, 8, 10, 12), "most_of_ring": 4, "accuracies": accuracies}
    print("\n### digits, measured on this machine: peak 12,000 requests/s\n")
    cells = table(run_rows(args, out, "digits", limits, **made), limits, accuracies)
    headline = summary(cells)
    if args.pictures:
        title = f"Digits on cores, peak 12,000 requests/s: {headline:.1f} times fewer cores than single models"
        picture(args.pictures / "cascade-digits-cells.svg", title, cells, limits, accuracies)
