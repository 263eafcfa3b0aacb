"""X8 to X10: what happens when the load jumps, what each part of the planner is worth, and what fewer gears cost; and `rules`, what other
rules of switching would give."""

import itertools
import json
import subprocess
import sys

import cells
import facts
import svg

# Levels of the step load in requests a second, each held this long, so that the 60 windows of a report are seconds; the peak is the
# recovered trace's.
LEVELS, HOLD_S = (760, 3800, 7600, 1520, 7600, 760), 10
SLO = 0.95
AS_PUBLISHED = ("formulation=published", "published.highest_threshold=0.4")


def run(command, allowed=(0, 1)):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode not in allowed:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def problem_of(out, devices, limit, trace=None, memory=32_500):
    profile = facts.bert(out)
    path = out / "steps.toml"
    made = {"name": "bert", "profile": profile.resolve(), "max_rps": 7600, "limit": limit, "device": "v100", "most": devices, "memory": memory}
    path.write_text(cells.PROBLEM.format(trace=(trace or cells.trace_for_the_planner(out)).resolve(), scale=95.0, **made))
    return path


def solved(args, problem, path, *sets):
    """Solves; returns the plan, or `None` where there is none."""
    path.unlink(missing_ok=True)
    run([args.planner, "solve", problem, *(f"--set={key}" for key in sets), "-o", path], (0, 1, 2))
    return json.loads(path.read_text()) if path.exists() else None


def tried(args, path, *load):
    return json.loads(run([args.planner, "simulate", path, *load, "--replications", 1, "--format", "json"]))


def step_trace(out):
    path = out / "step-trace.csv"
    rates = [level for level in LEVELS for _ in range(HOLD_S)]
    path.write_text("second,rps\n" + "".join(f"{second},{rate}\n" for second, rate in enumerate(rates)))
    return path


def window_ms(plan, gear):
    return gear.get("window_ms", plan["switch"]["window_ms"])


def windows_in_words(plan):
    """Returns the time that gears look at the rate, from the shortest to the longest."""
    ends = sorted({window_ms(plan, gear) / 1e3 for gear in plan["gears"]})
    return f"{ends[0]:g} s" if len(ends) == 1 else f"{ends[0]:g} to {ends[-1]:g} s, by gear"


def one_window(plan):
    """Returns the plan where all gears look at the rate for the same time."""
    return {**plan, "gears": [{key: value for key, value in gear.items() if key != "window_ms"} for gear in plan["gears"]]}


def load_steps(args, out):
    """X8: one-second windows whose requests kept the limit, outside and inside the detection delay after each rise."""
    limit, devices = 200, 2
    problem, trace = problem_of(out, devices, limit), step_trace(out)
    print(f"\n{', '.join(f'{level:,}' for level in LEVELS)} requests/s for {HOLD_S} s each, {devices} devices, p95 limit {limit} ms\n")
    print("| plan | switch window | windows | of them broken | broken after the detection delay | worst share of late requests after it | accuracy | gear changes |")
    print("|" + "---|" * 8)
    series, held = {}, 0
    for name, sets in (("ours", ("cascade.certify=false",)), ("CascadeServe as published", AS_PUBLISHED)):
        path = out / "steps-plan.json"
        plan = solved(args, problem, path, *sets)
        if plan is None:
            print(f"| {name} | no plan |")
            continue
        report = tried(args, path, "--trace", trace)
        # A window is judged where its requests arrived: those that came before the next look of the gear that served before the rise
        # count as undetected.
        serves = lambda level: next((gear for gear in plan["gears"] if gear["up_to_rps"] * plan["switch"]["up"] >= level), plan["gears"][-1])
        width_s = (report["windows"][1]["start_ms"] - report["windows"][0]["start_ms"]) / 1e3
        windows = [(w["start_ms"] / 1e3, w["violations"] / max(1.0, w["rate_rps"] * width_s)) for w in report["windows"]]
        rises = [(HOLD_S * i, window_ms(plan, serves(LEVELS[i - 1])) / 1e3) for i in range(1, len(LEVELS)) if LEVELS[i] > LEVELS[i - 1]]
        undetected = lambda start: any(start + width_s > rise and start < rise + window_s for rise, window_s in rises)
        settled = [w for w in windows if not undetected(w[0])]
        broken = lambda some: sum(late > 1 - SLO for _, late in some)
        worst = max(late for _, late in settled)
        print(f"| {name} | {windows_in_words(plan)} | {len(windows)} | {broken(windows)} | {broken(settled)} of {len(settled)} | {worst:.1%} | {report['whole']['accuracy']:.4f} | {len(report['changes'])} |", flush=True)
        series[name] = [(start, 100 * late) for start, late in windows]
        if name == "ours":
            held = broken(settled)
    if args.pictures and series:
        what = "holds in every window after the detection delay" if not held else f"breaks in {held} windows after the detection delay"
        title = f"The limit {what} (ours; BERT, {devices} devices, p95 {limit} ms)"
        (args.pictures / "cascade-load-steps.svg").write_text(svg.lines(title, "time, s", "late requests in each second, %", series | {"allowed": [(0, 5), (HOLD_S * len(LEVELS), 5)]}))


def equal_ranges(plan, count=4):
    """Returns the plan with borders at equal parts of the load in place of the envelope's: each part has the best gear that carries its end."""
    top = plan["gears"][-1]["up_to_rps"]
    gears = []
    for end in (top * (part + 1) / count for part in range(count)):
        gear = next(gear for gear in plan["gears"] if gear["up_to_rps"] >= end * (1 - 1e-9))
        if gears and {**gears[-1], "up_to_rps": 0} == {**gear, "up_to_rps": 0}:
            gears.pop()
        gears.append({**gear, "up_to_rps": end})
    return {**plan, "gears": gears}


def without_hysteresis(plan):
    return {**plan, "switch": {**plan["switch"], "up": 1.0, "down": 1.0, "dwell_ms": min(window_ms(plan, gear) for gear in plan["gears"])}}


def held(plan, hold_ms):
    """Returns the plan where calls wait so long for companions."""
    lane = lambda lane: {**lane, "hold_ms": hold_ms}
    stage = lambda stage: {**stage, "lanes": [lane(one) for one in stage["lanes"]]}
    return {**plan, "gears": [{**gear, "stages": [stage(one) for one in gear["stages"]]} for gear in plan["gears"]]}


def one_pattern(args, out, devices, limit, memory, path):
    """Returns the most accurate plan of those where every device holds the same models, one for each set that fits and cannot grow."""
    profile = json.loads(facts.bert(out).read_text())
    sizes = {variant["name"]: variant["memory_mb"] for variant in profile["variants"]}
    fits = [set(some) for count in range(1, len(sizes) + 1) for some in itertools.combinations(sizes, count) if sum(sizes[name] for name in some) <= memory]
    plans = []
    for names in (some for some in fits if not any(some < other for other in fits)):
        variants = json.dumps(sorted(names))
        plan = solved(args, problem_of(out, devices, limit, memory=memory), path, "cascade.certify=false", f"variants={variants}")
        plans += [plan] if plan else []
    return max(plans, key=lambda plan: plan["gears"][0]["certificate"]["objective"], default=None)


def ablations(args, out):
    """X9: our plan for a fixed fleet without each of its parts, on the recovered trace."""
    print("| devices | p95 limit | plan | accuracy over requests | late | within SLO | gear changes an hour |")
    print("|" + "---|" * 7)
    trace, path = cells.trace_for_the_planner(out), out / "ablation.json"
    # Memory that does not hold all five models, so that placement matters.
    small = 500
    on_all = ("cascade.certify=false",)
    for devices, limit in ((1, 200), (2, 100), (3, 200)):
        plan = lambda *sets, memory=32_500: solved(args, problem_of(out, devices, limit, memory=memory), path, *sets)
        variants = {
            "whole": lambda: plan(*on_all),
            "cascades chosen on half of the samples, as a proof asks": lambda: plan(),
            "without the envelope (4 equal ranges)": lambda: equal_ranges(plan(*on_all)),
            "without gears (one cascade)": lambda: plan(*on_all, "goal.gears_at_most=1"),
            "without cascades (models switched)": lambda: plan(*on_all, "cascade.max_length=1"),
            "cascades of two models at most": lambda: plan(*on_all, "cascade.max_length=2"),
            "one window for all gears": lambda: one_window(plan(*on_all)),
            "without hysteresis": lambda: without_hysteresis(plan(*on_all)),
            "calls held up to 2 ms for companions": lambda: held(plan(*on_all), 2.0),
            "calls held up to 10 ms for companions": lambda: held(plan(*on_all), 10.0),
            "calls held up to 40 ms for companions": lambda: held(plan(*on_all), 40.0),
            "as published": lambda: plan(*AS_PUBLISHED),
            "whole, 500 MB a device": lambda: plan(*on_all, memory=small),
            "without the search over placements, 500 MB a device": lambda: one_pattern(args, out, devices, limit, small, path),
            "as published, 500 MB a device": lambda: plan(*AS_PUBLISHED, memory=small),
        }
        for name, make in variants.items():
            made = make()
            if made is None:
                print(f"| {devices} | {limit} ms | {name} | no plan | | | |", flush=True)
                continue
            path.write_text(json.dumps(made))
            report = tried(args, path, "--trace", trace, "--scale", 95)
            whole = report["whole"]
            print(f"| {devices} | {limit} ms | {name} | {whole['accuracy']:.4f} | {whole['violation_share']:.2%} | {'yes' if whole['slo_met'] else 'no'} | {report['gear_changes_per_hour']:.0f} |", flush=True)


def rules(args, out):
    """Other rules of switching for the same gears, written by hand, on the recovered trace."""
    print("| devices | p95 limit | gears | window | up | down | dwell | accuracy over requests | late | gear changes an hour |")
    print("|" + "---|" * 10)
    trace, path = cells.trace_for_the_planner(out), out / "rule.json"
    by_hand = [(100, 1.0, 0.95, 100), (100, 0.95, 0.9, 300), (500, 0.95, 0.9, 500), (1000, 0.95, 0.9, 1000), (1000, 1.0, 0.98, 1000), (5000, 1.0, 0.98, 5000), (30_000, 1.0, 0.98, 30_000)]
    for devices, limit in ((1, 200), (2, 100)):
        plan = solved(args, problem_of(out, devices, limit), path, "cascade.certify=false")
        hand = [{"window_ms": window, "up": up, "down": down, "dwell_ms": dwell} for window, up, down, dwell in by_hand]
        tries = [(f"as played: {windows_in_words(plan)}", plan), (f"as played for all gears: {plan['switch']['window_ms'] / 1e3:g} s", one_window(plan))]
        tries += [(f"{rule['window_ms'] / 1e3:g} s", {**one_window(plan), "switch": {**plan["switch"], **rule}}) for rule in hand]
        for name, made in tries:
            rule = made["switch"]
            path.write_text(json.dumps(made))
            report = tried(args, path, "--trace", trace, "--scale", 95)
            whole = report["whole"]
            print(f"| {devices} | {limit} ms | {len(plan['gears'])} | {name} | {rule['up']:g} | {rule['down']:g} | {rule['dwell_ms'] / 1e3:g} s | {whole['accuracy']:.4f} | {whole['violation_share']:.2%} | {report['gear_changes_per_hour']:.0f} |", flush=True)


def capped_gears(args, out):
    """X10: the accuracy that is left with 1, 2, 3, … gears."""
    problem, path = problem_of(out, 1, 200), out / "capped.json"
    trace = cells.trace_for_the_planner(out)
    print("| gears at most | gears | accuracy over requests | late |")
    print("|" + "---|" * 4)
    line = []
    for most in (1, 2, 3, 4, 6, 8, 12, 16, 32, None):
        plan = solved(args, problem, path, "cascade.certify=false", *([f"goal.gears_at_most={most}"] if most else []))
        if plan is None:
            continue
        report = tried(args, path, "--trace", trace, "--scale", 95)
        whole, gears = report["whole"], len(plan["gears"])
        print(f"| {most or 'no limit'} | {gears} | {whole['accuracy']:.4f} | {whole['violation_share']:.2%} |")
        line.append((gears, 100 * whole["accuracy"]))
    if args.pictures:
        (args.pictures / "cascade-capped-gears.svg").write_text(svg.lines("A few gears are enough: BERT, 1 device, p95 limit 200 ms, recovered trace", "gears", "accuracy over requests, %", {"ours": line}))
