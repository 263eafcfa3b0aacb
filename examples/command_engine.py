"""A complete engine for `planner profile --engine command --command 'python3 examples/command_engine.py'`.

Its model files hold a linear classifier as JSON: for each class a list of weights, the bias first.
"""
import json
import sys
import time


def scores_of(model, sample):
    return [bias + sum(w * x for w, x in zip(weights, sample)) for bias, *weights in model]


def main():
    model = []
    for line in sys.stdin:  # the end of stdin is the end of the session
        ask = json.loads(line)
        try:
            if "about" in ask:
                answer = {"about": {"name": "linear.py", "version": "1.0"}}
            elif "open" in ask:  # also tells the wanted "output", and how many "cores" to use
                with open(ask["open"]["model"]) as file:
                    model = json.load(file)
                answer = {"opened": {}}
            else:
                data, samples = ask["run"]["data"], ask["run"]["shape"][0]
                size = len(data) // samples
                begin = time.perf_counter()
                scores = [s for i in range(samples) for s in scores_of(model, data[i * size : (i + 1) * size])]
                wall_ms = (time.perf_counter() - begin) * 1e3  # without it, the round trip counts
                answer = {"scores": scores, "classes": len(model), "wall_ms": wall_ms}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
