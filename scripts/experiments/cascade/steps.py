"""X8 to X10: what happens when the load jumps, what each part of the planner is worth, and what fewer gears cost."""

import json
import subprocess
import sys

import cells
import facts
import svg

# Levels of the step load in requests a second, each held this long; the peak is the recovered trace's.
LEVELS, HOLD_S = (760, 3800, 7600, 1520, 7600, 760), 60
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
    run([args.planner, "solve", problem, *(f"--set={key}" for key in sets), "-o", path])
    return json.loads(path.read_text()) if path.exists() else None


def tried(args, path, *load):
    return json.loads(run([args.planner, "simulate", path, *load, "--replications", 1, "--format", "json"]))


def step_trace(out):
    path = out / "step-trace.csv"
    rates = [level for level in LEVELS for _ in range(HOLD_S)]
    path.write_text("second,rps\n" + "".join(f"{second},{rate}\n" for second, rate in enumerate(rates)))
    return path


def load_steps(args, out):
    """X8: one-second windows whose requests kept the limit, outside and inside the detection delay after each rise."""
    problem, trace = problem_of(out, 2, 200), step_trace(out)
    print("| plan | windows | of them broken | broken after the detection delay | worst share of late requests after it | accuracy | gear changes |")
    print("|" + "---|" * 7)
    series = {}
    for name, sets in (("ours", ()), ("CascadeServe as published", AS_PUBLISHED)):
        path = out / "steps-plan.json"
        plan = solved(args, problem, path, *sets)
        if plan is None:
            print(f"| {name} | no plan |")
            continue
        report = tried(args, path, "--trace", trace)
        delay_s = 2 * plan["switch"]["window_ms"] / 1e3
        windows = [(w["start_ms"] / 1e3, w["violations"] / max(1.0, w["rate_rps"]), w) for w in report["windows"]]
        rises = [HOLD_S * i for i in range(1, len(LEVELS)) if LEVELS[i] > LEVELS[i - 1]]
        # A request counts where it arrived: what a rise leaves behind waits for the windows within the delay and one more second.
        settled = [w for w in windows if not any(rise <= w[0] < rise + delay_s + 1 for rise in rises)]
        broken = lambda some: [w for w in some if w[1] > 1 - SLO]
        worst = max(w[1] for w in settled)
        print(f"| {name} | {len(windows)} | {len(broken(windows))} | {len(broken(settled))} | {worst:.1%} | {report['whole']['accuracy']:.4f} | {len(report['changes'])} |")
        series[name] = [(w[0], 100 * w[1]) for w in windows]
    if args.pictures and series:
        (args.pictures / "cascade-load-steps.svg").write_text(svg.lines("Late requests in every second of the step load, 2 devices, p95 limit 200 ms", "time, s", "late requests, %", series))


def ablations(args, out):
    """X9: our plan for a fixed fleet without each of its parts, on the recovered trace."""
    print("| devices | p95 limit | plan | accuracy over requests | late | within SLO | gear changes an hour |")
    print("|" + "---|" * 7)
    trace = cells.trace_for_the_planner(out)
    for devices, limit in ((1, 200), (2, 100), (2, 200)):
        path = out / "ablation.json"
        # Memory for three of the five models at most, so that placement matters.
        small = 500
        variants = {
            "whole": (32_500, (), None),
            "accuracy not proved, all samples chosen on": (32_500, ("cascade.certify=false",), None),
            "without gears (one cascade)": (32_500, ("goal.gears_at_most=1",), None),
            "without hysteresis": (32_500, (), {"down": 1.0, "up": 1.0, "dwell_ms": 0.0}),
            "as published": (32_500, AS_PUBLISHED, None),
            "whole, 500 MB a device": (small, (), None),
            "as published, 500 MB a device": (small, AS_PUBLISHED, None),
        }
        for name, (memory, sets, switch) in variants.items():
            plan = solved(args, problem_of(out, devices, limit, memory=memory), path, *sets)
            if plan is None:
                print(f"| {devices} | {limit} ms | {name} | no plan | | | |")
                continue
            if switch:
                path.write_text(json.dumps(plan | {"switch": plan["switch"] | switch}))
            report = tried(args, path, "--trace", trace, "--scale", 95)
            whole = report["whole"]
            print(f"| {devices} | {limit} ms | {name} | {whole['accuracy']:.4f} | {whole['violation_share']:.2%} | {'yes' if whole['slo_met'] else 'no'} | {report['gear_changes_per_hour']:.0f} |")


def capped_gears(args, out):
    """X10: the accuracy that is left with 1, 2, 3, … gears."""
    problem, path = problem_of(out, 1, 200), out / "capped.json"
    trace = cells.trace_for_the_planner(out)
    print("| gears at most | gears | accuracy over requests | late |")
    print("|" + "---|" * 4)
    line = []
    for most in (1, 2, 3, 4, 6, 8, 12, 16, 32, None):
        plan = solved(args, problem, path, *([f"goal.gears_at_most={most}"] if most else []))
        if plan is None:
            continue
        report = tried(args, path, "--trace", trace, "--scale", 95)
        whole, gears = report["whole"], len(plan["gears"])
        print(f"| {most or 'no limit'} | {gears} | {whole['accuracy']:.4f} | {whole['violation_share']:.2%} |")
        line.append((gears, 100 * whole["accuracy"]))
    if args.pictures:
        (args.pictures / "cascade-capped-gears.svg").write_text(svg.lines("A few gears are enough: BERT, 1 device, p95 limit 200 ms, recovered trace", "gears", "accuracy over requests, %", {"ours": line}))
