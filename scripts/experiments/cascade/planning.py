"""X1, X2 and X6: scores against counting by hand, the frontier against random cascades, and the time that planning takes."""

import csv
import gzip
import json
import math
import random
import statistics
import subprocess
import sys

import cells
import facts
import svg


def lines_of(command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def record_files(every):
    """The record files whose licence allows a look: FrugalML's, and with `every` those of language models too."""
    files = sorted(facts.DATA.glob("frugalml_*.csv.gz"))
    return files + (sorted(facts.DATA.glob("llmchain_*.csv.gz")) if every else [])


def answers_of(path):
    """Returns {model: [(right, certainty)]} of a record file, in this script's own reading of it."""
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    pick = lambda end: [column[: -len(end)] for column in rows[0] if column.endswith(end)]
    if "label" in rows[0]:
        return {m: [(row[f"{m}_pred"] == row["label"], float(row[f"{m}_certainty"])) for row in rows] for m in pick("_pred")}
    return {m: [(row[f"{m}_correct"] == "1", math.exp(float(row[f"{m}_logprob"]))) for row in rows] for m in pick("_correct")}


def scoring(args, each=20, seed=1):
    """X1: random cascades of every file, thresholds being certainties that occur, so that ties are there."""
    dice, off, count = random.Random(seed), 0, 0
    print("| file | samples | cascades | scored otherwise |\n|---|---|---|---|")
    for path in record_files(every=True):
        answers = answers_of(path)
        wrong = 0
        for _ in range(each):
            models = dice.sample(sorted(answers), dice.randint(1, min(3, len(answers))))
            thresholds = [dice.choice(answers[model])[1] for model in models[:-1]]
            accuracy, reach = facts.walk(answers, models, thresholds)
            asked = [f"{model}:{threshold!r}" for model, threshold in zip(models, thresholds)] + [models[-1]]
            (said,) = lines_of([args.examples / "score", path, *asked])
            same = math.isclose(said["accuracy"], accuracy, abs_tol=1e-12) and all(map(lambda a, b: math.isclose(a, b, abs_tol=1e-12), said["reach"], reach))
            wrong += not same
        off, count = off + wrong, count + each
        print(f"| {path.name} | {len(next(iter(answers.values())))} | {each} | {wrong} |", flush=True)
    print(f"\n{off} of {count} cascades scored otherwise")


def frontiers(args, samples=50_000):
    """X2: no random cascade above the frontier."""
    rows = lines_of([args.examples / "cascade_frontier", samples, *record_files(every=True)])
    print("| file | samples | frontier | random, distinct | above the frontier | least lead | recounted otherwise | frontier, s | random, s |")
    print("|" + "---|" * 9)
    for row in rows:
        name = row["file"].rsplit("/", 1)[-1]
        print(f"| {name} | {row['samples']} | {row['frontier']} | {row['random']} | {row['above']} | {row['least_lead']:.5f} | {row['recounted_differently']} | {row['frontier_s']:.2f} | {row['random_s']:.2f} |")


def times(args, out):
    """X6: our planner and the ring on the same problems, over models, devices, ranges and samples."""
    series = {"models": (4, 5, 6, 8), "devices": (2, 4, 8, 16), "gears": (4, 16, 64), "samples": (2_000, 8_000, 16_000)}
    usual = {"models": 5, "devices": 8, "gears": 10, "samples": 16_000}
    print("| models | devices | gears at most, ranges | samples | ours, ms | gears | ring, ms | ring ÷ ours |\n|" + "---|" * 8)
    drawn = {}
    # The largest is the last row.
    asked = {"models": 8, "devices": 16, "gears": 64, "samples": 16_000}
    for axis, values in (*series.items(), ("asked", (None,))):
        for value in values:
            at = asked if axis == "asked" else usual | {axis: value}
            profile = facts.family(out, at["models"], at["samples"])
            problem = out / "time.toml"
            made = {"name": "time", "profile": profile.resolve(), "trace": cells.trace_for_the_planner(out).resolve(), "scale": 95.0 * at["devices"]}
            text = cells.PROBLEM.format(**made, max_rps=7600 * at["devices"], limit=200, device="device", most=at["devices"], memory=800)
            problem.write_text(text + f"gears_at_most = {at['gears']}\n[published]\nload_ranges = {at['gears']}\n")
            (row,) = lines_of([args.examples / "cascade_time", problem, 3])
            ratio = row["ring_ms"] / row["ours_ms"]
            print(f"| {at['models']} | {at['devices']} | {at['gears']} | {at['samples']} | {row['ours_ms']:.0f} | {row['gears']} | {row['ring_ms']:.0f}{'' if row['ring_found'] else ' (no plan)'} | {ratio:.0f} |", flush=True)
            if value:
                drawn.setdefault(axis, []).append((value, row["ours_ms"], row["ring_ms"]))
    if args.pictures:
        for axis, points in drawn.items():
            title = f"Planning time over {axis}: the ring takes {statistics.median(ring / ours for _, ours, ring in points):.0f} times as long (median)"
            lines = {"ours": [(x, ours) for x, ours, _ in points], "CascadeServe as published": [(x, ring) for x, _, ring in points]}
            (args.pictures / f"cascade-time-{axis}.svg").write_text(svg.lines(title, axis, "planning time, ms", lines, log=True))
