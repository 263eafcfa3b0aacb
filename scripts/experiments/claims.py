"""Holds the plans that an experiment emits against simulation, gear by gear at its highest rate: examples/claims.rs."""

import json
import subprocess
from pathlib import Path

HEAD = "| plan | gear | requests/s | claimed, ms | simulated, ms | its 95 % interval | SLO, ms | late, 95 % interval | SLO | claim off by |"


class Claims:
    """Plans of one experiment, each tried once however often it comes."""

    def __init__(self, planner):
        self.program = Path(planner).resolve().parent / "examples/claims"
        self.seen = set()
        self.rows = []

    def add(self, name, plan):
        """Tries the plan in a file, unless one that does the same was tried before."""
        does = lambda gear: {key: gear[key] for key in ("up_to_rps", "replicas", "stages")}
        gears = json.dumps([does(gear) for gear in json.loads(Path(plan).read_text())["gears"]])
        if gears in self.seen:
            return
        self.seen.add(gears)
        done = subprocess.run([self.program, f"{name}={plan}"], stdout=subprocess.PIPE, text=True)
        # Exit 1 says that a gear breaks its SLO or that a claim is far off: that is a result too.
        if done.returncode not in (0, 1) or not done.stdout:
            raise SystemExit(f"{self.program} ended with {done.returncode} on {name}")
        self.rows += done.stdout.splitlines()

    def print(self):
        """Prints every gear, and what all come to."""
        print(f"\nClaims and simulation, each gear alone at its highest rate with Poisson arrivals:\n\n{HEAD}\n" + "|---" * 10 + "|")
        print("\n".join(self.rows))
        cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in self.rows]
        kept = sum(row[8] == "kept" for row in cells)
        off = [abs(float(row[9].rstrip(" %"))) for row in cells if row[9] != "–"]
        near = sum(by <= 15 for by in off)
        print(f"\n{kept} of {len(cells)} gears keep the SLO with their interval; {near} of {len(off)} claims are within 15 %", end="")
        print(f", the farthest off by {max(off):.1f} %." if off else ".")
