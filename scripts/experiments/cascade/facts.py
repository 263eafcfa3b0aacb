"""Facts for experiments without a GPU, made in a folder of the caller's and never kept: the data has no licence.

`bert`: latencies and memory are the measured ones of ../shared/data/cascade/bert_v100_profile.csv, up to batch 100. Per-sample answers of BERT
were never published, so 16,000 are **synthesised**: a model's margin (log-odds of the right class) is normal, one factor ties the models
together, and certainty is |2p - 1| = |tanh(margin / 2)|. Fitted are, for each model, the spread of its margins (from the reach that published
costs imply) and its loading on the factor (from the accuracies of published cascades of two). Marginal accuracies are the published ones, to
the sample. `check_bert` recomputes every published cascade, also those of three and more models, which the fit never saw.

`records`: the labelled answers of a public set, with prices as work: a sample takes a model as long as its price says, the dearest 1 ms and none
less than 0.01 ms, after a start-up of 1 ms. Nobody measured such times; they only carry the ratios of the prices.
"""

import csv
import gzip
import hashlib
import io
import json
import math
import random
import statistics
from pathlib import Path

DATA = Path("../shared/data/cascade")
SAMPLES = 16_000
NORMAL = statistics.NormalDist()
# Accuracies of single models behind figures 5 and 6 (16,000 tweets); tiny is `tiny3` of the published cascades.
BERT = {"tiny": 0.812875, "mini": 0.824, "small": 0.8348125, "medium": 0.837, "base": 0.848625}
GRID = 48


def published():
    """Returns the published BERT cascades as (source, models, thresholds, accuracy, cost)."""
    with (DATA / "cascadeserve_published_cascades.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["source"].startswith("bert")]
    numbers = lambda text: [float(part) for part in text.split(";") if part]
    return [(row["source"], row["models"].split(">"), numbers(row["thresholds"]), float(row["accuracy"]), float(row["cost"])) for row in rows]


def kind(model):
    return model.rstrip("1234")


def pair_accuracy(first, second, threshold, spread, rho):
    """P(the pair is right): the first model's answer where it is certain, else the second's; margins normal, correlated by rho."""
    d1, d2, s1 = NORMAL.inv_cdf(BERT[first]), NORMAL.inv_cdf(BERT[second]), spread[first]
    low, high = (sign * 2 * math.atanh(threshold) / s1 - d1 for sign in (-1, 1))
    step = (high - low) / GRID
    centres = (low + (i + 0.5) * step for i in range(GRID))
    rest = math.sqrt(1 - rho * rho)
    return 1 - NORMAL.cdf(high) + step * sum(NORMAL.pdf(z) * NORMAL.cdf((d2 + rho * z) / rest) for z in centres)


def reach(model, threshold, spread):
    half = 2 * math.atanh(threshold) / spread
    d = NORMAL.inv_cdf(BERT[model])
    return NORMAL.cdf(half - d) - NORMAL.cdf(-half - d)


def solve(function, low, high):
    """Bisection for a decreasing function's zero."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return (low + high) / 2


def batch_one_seconds():
    """Seconds a sample of each model in the unit of `bert_rt`: as published alone, else the profile's, scaled as those are."""
    profile = {row["model"]: float(row["latency_s"]) for row in profile_rows() if row["batch"] == "1"}
    alone = {kind(models[0]): cost for source, models, _, _, cost in published() if source == "bert_rt" and len(models) == 1}
    scale = statistics.mean(alone[name] / profile[name] for name in alone)
    return {name: alone.get(name, scale * profile[name]) for name in BERT}


def fit():
    """Returns each model's spread of margins and its loading on the common factor."""
    seconds = batch_one_seconds()
    seen = {name: [] for name in BERT}
    for source, models, thresholds, _, cost in published():
        if source in ("bert_rt", "bert_bs8_e400") and len(models) == 2:
            first, second = map(kind, models)
            part = (cost - seconds[first]) / seconds[second]
            seen[first].append(solve(lambda spread: reach(first, thresholds[0], spread) - part, 0.1, 10))
    # Nothing tells mini's certainties in these units; in those of `bert_new_cost`, mini > base at 0.3 reaches base with a third of all.
    seen["mini"].append(solve(lambda spread: reach("mini", 0.3, spread) - 0.335, 0.1, 10))
    spread = {name: statistics.median(values) for name, values in seen.items()}
    pairs = [(kind(m[0]), kind(m[1]), t[0], a) for _, m, t, a, _ in published() if len(m) == 2 and kind(m[0]) != kind(m[1])]

    def error(loading):
        off = lambda first, second, threshold, accuracy: pair_accuracy(first, second, threshold, spread, loading[first] * loading[second]) - accuracy
        return sum(off(*pair) ** 2 for pair in pairs)

    loading, step = {name: 0.9 for name in BERT}, 0.05
    best = error(loading)
    while step > 0.001:
        better = False
        for name in BERT:
            for sign in (-1, 1):
                moved = loading | {name: min(0.995, max(0.1, loading[name] + sign * step))}
                if (found := error(moved)) < best:
                    loading, best, better = moved, found, True
        step = step if better else step / 2
    return spread, loading, math.sqrt(best / len(pairs))


def bert_answers(seed=1):
    """Returns {model: [(right, certainty)]}: normal scores, so that every model's own law is exact."""
    spread, loading, _ = fit()
    dice = random.Random(seed)
    factor = [dice.gauss(0, 1) for _ in range(SAMPLES)]
    answers = {}
    for name, accuracy in BERT.items():
        own = math.sqrt(1 - loading[name] ** 2)
        z = [loading[name] * common + own * dice.gauss(0, 1) for common in factor]
        scores = [0.0] * SAMPLES
        for rank, index in enumerate(sorted(range(SAMPLES), key=z.__getitem__)):
            scores[index] = NORMAL.inv_cdf((rank + 0.5) / SAMPLES)
        margins = [spread[name] * (NORMAL.inv_cdf(accuracy) + score) for score in scores]
        answers[name] = [(margin > 0, abs(math.tanh(margin / 2))) for margin in margins]
    return answers


def walk(answers, models, thresholds):
    """Returns accuracy and reach of a cascade, counted sample by sample."""
    right, got_to = 0, [0] * len(models)
    for sample in range(len(answers[models[0]])):
        for place, model in enumerate(models):
            got_to[place] += 1
            is_right, certainty = answers[model][sample]
            if place == len(models) - 1 or certainty >= thresholds[place]:
                right += is_right
                break
    count = len(answers[models[0]])
    return right / count, [n / count for n in got_to]


def check_bert():
    """Prints how far recomputed published cascades are from what was published."""
    spread, loading, fitted = fit()
    print("margins' spread", {k: round(v, 3) for k, v in spread.items()}, "loading", {k: round(v, 3) for k, v in loading.items()})
    answers, seconds = bert_answers(), batch_one_seconds()
    off = {"two models (fitted)": [], "three or more (not fitted)": []}
    costs, skipped = [], 0
    for source, models, thresholds, accuracy, cost in published():
        kinds = [kind(model) for model in models]
        if len(kinds) < 2 or len(set(kinds)) < len(kinds):
            skipped += len(kinds) > 1
            continue
        found, parts = walk(answers, kinds, thresholds)
        off["two models (fitted)" if len(kinds) == 2 else "three or more (not fitted)"].append(found - accuracy)
        if source in ("bert_rt", "bert_bs8_e400"):
            costs.append(sum(part * seconds[name] for part, name in zip(parts, kinds)) / cost - 1)
    for name, errors in off.items():
        rms = math.sqrt(statistics.mean(error * error for error in errors))
        print(f"{name}: {len(errors)} cascades, accuracy off by {1e2 * rms:.2f} points (root mean square), {1e2 * max(errors, key=abs):+.2f} at worst")
    print(f"mean work of {len(costs)} cascades with costs in seconds: off by {statistics.mean(map(abs, costs)):.1%} on average, {max(costs, key=abs):+.1%} at worst")
    print(f"left out: {skipped} cascades of several separately trained tiny models, of which we have one")


def profile_rows():
    with (DATA / "bert_v100_profile.csv").open() as file:
        return list(csv.DictReader(file))


def write_profile(folder, task, device, models, answers, labels, certainty):
    """Writes a profile with its answers. `models`: name → (memory_mb, load_ms, [(batch, ms)])."""
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    text.write("label," + ",".join(f"{name}_pred,{name}_certainty" for name in models) + "\n")
    for sample, label in enumerate(labels):
        row = (f"{answers[name][sample][0]},{answers[name][sample][1]:.5f}" for name in models)
        text.write(f"{label}," + ",".join(row) + "\n")
    packed = gzip.compress(text.getvalue().encode(), mtime=0)
    (folder / f"{task}.answers.csv.gz").write_bytes(packed)
    variants, points = [], []
    for name, (memory_mb, load_ms, curve) in models.items():
        right = sum(answers[name][sample][0] == label for sample, label in enumerate(labels)) / len(labels)
        half = 1.96 * math.sqrt(right * (1 - right) / len(labels))
        fact = {"value": right, "low": max(0, right - half), "high": min(1, right + half), "samples": len(labels), "trust": "imported"}
        variants.append({"name": name, "file": f"{name}.onnx", "sha256": "", "engine": "published", "accuracy": fact, "load_time_ms": load_ms, "memory_mb": memory_mb})
        for batch, ms in curve:
            exact = {"value_ms": ms, "low_ms": ms, "high_ms": ms}
            latency = {"mean_ms": ms, "std_ms": 0.0, "min_ms": ms, "max_ms": ms} | {f"p{q}": exact for q in ("50", "90", "95", "99", "999")}
            conditions = {"warmup": 0, "stopped": "imported", "involuntary_switches": 0, "contended": False}
            histogram = {"value_ns": [round(1e6 * ms)], "count": [100]}
            point = {"variant": name, "batch": batch, "cores": 1, "device": device, "count": 100, "latency": latency}
            points.append(point | {"throughput_rps": 1e3 * batch / ms, "histogram": histogram, "conditions": conditions})
    host = {"cpu": "published", "cpu_flags": [], "cores_visible": 1, "cores_allowed": 1, "memory_mb": 0.0, "kernel": "", "libraries": [], "thread_variables": []}
    made = {"tool": "scripts/experiments/cascade", "measured_at": "", "models": "", "models_sha256": "", "data_sha256": "", "budget_ms": 0.0, "precision": 0.0, "seed": 0}
    file = {"file": f"{task}.answers.csv.gz", "sha256": hashlib.sha256(packed).hexdigest(), "samples": len(labels), "certainty": certainty}
    profile = {"format": "planner.profile/1", "task": task, "variants": variants, "points": points, "answers": file, "host": host, "provenance": made}
    path = folder / f"{task}.json"
    path.write_text(json.dumps(profile))
    return path


def bert(folder, load_ms=5000.0):
    """Makes the BERT profile; a model loads in so many milliseconds (Cocktail+ counts with 0, 5 or 30 s)."""
    curves = {}
    for row in profile_rows():
        if row["model"] in BERT:
            memory, curve = curves.setdefault(row["model"], (float(row["memory_bytes"]) / 1e6, []))
            curve.append((int(row["batch"]), 1e3 * float(row["latency_s"])))
    dice = random.Random(2)
    labels = [dice.randrange(2) for _ in range(SAMPLES)]
    synthetic = bert_answers()
    answers = {name: [(label if right else 1 - label, certainty) for label, (right, certainty) in zip(labels, rows)] for name, rows in synthetic.items()}
    models = {name: (curves[name][0], load_ms, monotone(curves[name][1])) for name in BERT}
    return write_profile(folder, "bert", "v100", models, answers, labels, "top-one-minus-top-two")


def monotone(curve):
    """A batch never takes less than a smaller one: the profile is a mean of a few runs and jitters."""
    best, kept = 0.0, []
    for batch, ms in sorted(curve):
        best = max(best, ms)
        kept.append((batch, best))
    return kept


def record_set(name):
    """Returns labels, {service: [(class, certainty)]} and {service: price} of a FrugalML set."""
    with (DATA / "index.csv").open() as file:
        prices = {row["model"]: float(row["cost"]) for row in csv.DictReader(file) if row["dataset"] == name}
    with gzip.open(DATA / f"frugalml_{name}.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    answers = {model: [(int(row[f"{model}_pred"]), float(row[f"{model}_certainty"])) for row in rows] for model in prices}
    return [int(row["label"]) for row in rows], answers, prices


def records(folder, name):
    """Makes the profile of a public record set with prices as work."""
    labels, answers, prices = record_set(name)
    dearest = max(prices.values())
    batches = (1, 2, 4, 8, 16, 32, 64)
    curve = lambda price: [(batch, 1.0 + batch * max(0.01, price / dearest)) for batch in batches]
    models = {model: (1000.0, 5000.0, curve(price)) for model, price in prices.items()}
    return write_profile(folder, name, "device", models, answers, labels, "max-probability")


def family(folder, models, samples=SAMPLES, seed=3):
    """Makes a family of any size for timing: accuracies from 0.80 to 0.85, each model 1.6 times as slow and 1.5 times as large as the one before."""
    dice = random.Random(seed)
    factor = [dice.gauss(0, 1) for _ in range(samples)]
    labels = [dice.randrange(2) for _ in range(samples)]
    answers, facts = {}, {}
    for index in range(models):
        name, accuracy = f"m{index + 1}", 0.80 + 0.05 * index / max(1, models - 1)
        loading, spread = 0.9, 1.0 + 0.6 * index / max(1, models - 1)
        own = math.sqrt(1 - loading**2)
        margins = [spread * (NORMAL.inv_cdf(accuracy) + loading * common + own * dice.gauss(0, 1)) for common in factor]
        answers[name] = [(label if margin > 0 else 1 - label, abs(math.tanh(margin / 2))) for margin, label in zip(margins, labels)]
        start, each = 1.0 * 1.2**index, 0.02 * 1.6**index
        facts[name] = (100 * 1.5**index, 5000.0, [(batch, start + each * batch) for batch in (1, 2, 4, 8, 16, 32, 64)])
    return write_profile(folder, f"family-{models}-{samples}", "device", facts, answers, labels, "top-one-minus-top-two")
