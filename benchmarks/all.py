"""All benchmarks in turn; prints the table of the README in Markdown."""

import argparse
import sys

import cluster
import convert
import empty
import figure
import hillshade
import hub_jobs
import planning
import simulation
import startup
from measure import alone

HEADS = ("work", "data", "tilepipe", "peer", "ratio (range)", "target", "")
SECTIONS = (
    (hillshade, 5),
    (convert, 3),
    (empty, 3),
    (startup, 15),
    (planning, 3),
    (cluster, 3),
    (hub_jobs, 3),
    (simulation, 1),
)


def main() -> None:
    """Each benchmark with its own number of rounds; lines on stderr as they come, the table at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="how often each system runs, in all benchmarks")
    asked = parser.parse_args().rounds
    rows = []
    with alone():
        for module, rounds in SECTIONS:
            for line in module.figures(asked or rounds):
                print(" | ".join((*line.cells(), figure.machine())), file=sys.stderr, flush=True)
                rows.append(line.cells())
    print("| " + " | ".join(HEADS) + " |")
    print("|---" * len(HEADS) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(f"\nMeasured on {figure.machine()}.")


if __name__ == "__main__":
    main()
