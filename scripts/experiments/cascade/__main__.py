"""Experiments of the room `cascade` (docs/systems/cascade.md): facts without a GPU, and X1 to X11.

    python3 scripts/experiments/cascade facts            how well the synthesised BERT answers repeat what was published
    python3 scripts/experiments/cascade x3 [--pictures out/cascade]
    python3 scripts/experiments/cascade x4 --sets ferplus,rafdb
    python3 scripts/experiments/cascade x11              our own measured family
    python3 scripts/experiments/cascade rules            other rules of switching for the same gears

X5 (optimality) is tests of the room, X7 (guarantee) is scripts/experiments/cascade-guarantee. X3, X4 and X11 note every plan tried in
OUT/NAME.rows.jsonl and go on where they were cut off; remove that file, or give another --out, to try again.

Reads ../shared/data (what is missing is left out with a message) and writes to OUT only: nothing of it is kept in the repository.
"""

import argparse
import os
import sys
from pathlib import Path

import cells
import facts
import planning
import steps


def need(*paths):
    """Ends with a message where data is missing."""
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        sys.exit(f"left out: {', '.join(missing)} missing")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=["facts", "x1", "x2", "x3", "x4", "x6", "x8", "x9", "x10", "x11", "rules"])
    parser.add_argument("--examples", type=Path, default=Path("target/release/examples"))
    parser.add_argument("--planner", type=Path, default=Path("target/release/planner"))
    parser.add_argument("--out", type=Path, default=Path("out/cascade"))
    parser.add_argument("--sets", default="ferplus,rafdb,expw,imdb,yelp,shop,waimai,command,fluent,audiomnist,digit")
    parser.add_argument("--limits", default="100,200,400", help="p95 limits in milliseconds")
    parser.add_argument("--loads", default="bert,bert-80k", help="of x3: the paper's two loads")
    parser.add_argument("--from", dest="rows", type=Path, help="rows of an earlier run in place of a new one")
    parser.add_argument("--pictures", type=Path)
    args = parser.parse_args()
    os.chdir(Path(__file__).resolve().parent.parent.parent.parent)
    need(facts.DATA, cells.TRACE)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
    match args.experiment:
        case "facts":
            facts.check_bert()
        case "x1":
            planning.scoring(args)
        case "x2":
            planning.frontiers(args)
        case "x3":
            cells.bert(args, args.out)
        case "x4":
            cells.record_sets(args, args.out)
        case "x6":
            planning.times(args, args.out)
        case "x8":
            steps.load_steps(args, args.out)
        case "x9":
            steps.ablations(args, args.out)
        case "x10":
            steps.capped_gears(args, args.out)
        case "x11":
            cells.digits(args, args.out)
        case "rules":
            steps.rules(args, args.out)


if __name__ == "__main__":
    main()
