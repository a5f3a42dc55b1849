"""What a benchmark says: a figure, its ratio to a peer, and whether the target is reached.

Ratios are taken within a round; a figure is the median over the rounds, with the smallest and largest ratio beside it.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from measure import Run, alone

__all__ = ["Figure", "against", "machine", "main"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table."""

    work: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    ratios: tuple[float, ...] = ()
    """Value by the peer's value in each round."""
    target: float | None = None
    """Upper limit of the median ratio; of the value where there is no peer, or `absolute`."""
    absolute: bool = False
    """Whether the target is one of the value although there is a peer."""
    data: str = ""

    @property
    def judged(self) -> float:
        """The number that the target is about."""
        return self.value if self.absolute or not self.ratios else median(self.ratios)

    def cells(self) -> tuple[str, ...]:
        """Work, data, value, peer's value, ratio with its range, target, verdict."""
        spread, theirs, target, verdict = "-", "-", "-", "-"
        if self.ratios:
            spread = f"{median(self.ratios):.3g} ({min(self.ratios):.3g}-{max(self.ratios):.3g})"
        if self.peer_value is not None:
            theirs = f"{self.peer}: {self.peer_value:.3g} {self.unit}"
        if self.target is not None:
            target = f"<= {self.target:g}" + (f" {self.unit}" if self.absolute or not self.ratios else "")
            verdict = "reached" if self.judged <= self.target else "missed"
        return self.work, self.data, f"{self.value:.3g} {self.unit}", theirs, spread, target, verdict


def against(
    runs: Mapping[str, Sequence[Run]], peer: str, *, work: str, data: str, **targets: float
) -> Iterator[Figure]:
    """Figures of tilepipe by *peer*: one for each of `wall`, `cpu` and `memory` that *targets* names."""
    measures: Mapping[str, tuple[str, Callable[[Run], float]]] = {
        "wall": ("s", lambda r: r.wall_s),
        "cpu": ("s", lambda r: r.cpu_s),
        "memory": ("MB", lambda r: r.peak_bytes / 1e6),
    }
    for name, target in targets.items():
        unit, of = measures[name]
        ours, theirs = [of(r) for r in runs["tilepipe"]], [of(r) for r in runs[peer]]
        ratios = tuple(a / b for a, b in zip(ours, theirs, strict=True))
        yield Figure(
            work=f"{work}, {name}",
            value=median(ours),
            unit=unit,
            peer=peer,
            peer_value=median(theirs),
            ratios=ratios,
            target=target or None,
            data=data,
        )


def machine() -> str:
    """Cores that may be used, and how busy they were in the last minute."""
    return f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}"


def main(measure: Callable[[int], Iterator[Figure]], *, rounds: int = 5) -> None:
    """Command line of one benchmark: prints a line a figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=rounds, help="how often each system runs (default %(default)s)")
    asked = parser.parse_args().rounds
    with alone():
        for figure in measure(asked):
            print(" | ".join((*figure.cells(), machine())), flush=True)
