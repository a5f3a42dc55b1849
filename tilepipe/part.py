"""What one of several parts of a run makes, and what is missing when all have run."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from tilepipe.errors import PlanError
from tilepipe.plan import Plan, Share, depth_for
from tilepipe.task import UNMADE, Lookup

__all__ = ["refuse_missing", "share_of"]

BRANCHES = 4
"""A part has at least this many times four branches where there are enough tiles: for its workers, and so that all
parts have about the same to do. It does not depend on the workers, so that all parts agree."""

SHOWN = 20
"""Parts told of one by one."""


def share_of(plan: Plan, share: Share) -> Plan:
    """The tiles of *plan* that one part makes: its share of the branches that need none of the others' tiles.

    Raises:
        PlanError: all of the tiles are overviews of others.
    """
    base = _dealt(plan, share.of)
    if base is None:
        raise PlanError(
            f"zooms {', '.join(map(str, plan.zooms))} are overviews, which parts leave to `tilepipe finish`; "
            "select a zoom that the process makes"
        )
    return replace(base, share=share)


def refuse_missing(plan: Plan, *, of: int, lookup: Lookup | None, failed: bool, recipe: str) -> None:
    """Refuse to go on while tiles are missing that parts should have made.

    Args:
        plan: the tiles of the whole run.
        of: how many parts there are; 0 where none has run.
        lookup: what has been made; None for nothing.
        failed: whether tiles that could not be made are missing too.
        recipe: what its parts are called with.

    Raises:
        PlanError: some are; says which parts make them.
    """
    base = _dealt(plan, max(of, 1))
    if base is None:
        return
    missing, tried = Counter[int](), Counter[int]()
    for number, branch in base.deal(max(of, 1)):
        tiles = [tile for tile in branch.each() if tile.zoom not in base.reduced]
        made = lookup(tiles) if lookup else {}
        unmade = sum(made[tile].state in UNMADE for tile in made)
        missing[number] += len(tiles) - len(made) + (unmade if failed else 0)
        tried[number] += unmade if failed else 0
    count = missing.total()
    if not count:
        return
    if not of:
        raise PlanError(
            f"{_tiles(count)} {_have(count)} not been made; run `tilepipe execute {recipe} --part 1/N` to `--part N/N` "
            f"first, or `tilepipe execute {recipe}`, which does it all"
        )
    numbers = sorted(number for number in missing if missing[number])
    lines = [f"  part {number}/{of}: {_lack(missing[number], tried[number])}" for number in numbers[:SHOWN]]
    if len(numbers) > SHOWN:
        lines.append(f"  and {len(numbers) - SHOWN} more parts")
    remedy = f"run `tilepipe execute {recipe} --part {numbers[0]}/{of}`"
    if len(numbers) > 1:
        remedy += f" and so on, as an array of {_spans(numbers)}"
    if tried.total() == count:
        remedy += ", or finish without them: --on-error skip"
    raise PlanError("\n".join([f"{_tiles(count)} {_have(count)} not been made:", *lines, f"{remedy}; {SAME}"]))


SAME = "parts and finish take the same selection"


def _dealt(plan: Plan, of: int) -> Plan | None:
    """The branches that are dealt out, in the size that all parts agree on."""
    return replace(plan, depth=depth_for(plan.count()[plan.zooms[-1]], BRANCHES * of)).base()


def _lack(missing: int, tried: int) -> str:
    return f"{_tiles(missing)}{f', {tried:,} of them failed' if tried else ''}"


def _tiles(count: int) -> str:
    return f"{count:,} tile{'s' if count != 1 else ''}"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _spans(numbers: Iterable[int]) -> str:
    """Numbers as schedulers take them: 1-3,7."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in spans)
