"""What one task makes: a branch less what need not be made again, and what it reads back."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from tilepipe.geo.branch import bits, children_of, full, level_of, level_start, parent_of, tile_at
from tilepipe.geo.pyramid import Tile
from tilepipe.outcome import State
from tilepipe.plan import Branch

__all__ = ["Lookup", "Made", "Need", "Task", "block", "split", "task_for"]


UNMADE = frozenset[State]({"failed", "blocked"})


class Task(NamedTuple):
    """A few integers that say it all; the tiles are bits of `geo.branch`."""

    root: Tile
    depth: int
    make: int
    """Tiles to make."""
    read: int
    """Tiles to read back from the output for the overviews above them; one level more than *depth*."""


class Made(NamedTuple):
    """What an earlier run made of a tile."""

    state: State
    turn: int
    """Later turns came later."""


class Need(NamedTuple):
    """A task, and what has to be done before it can start."""

    task: Task
    roots: tuple[Tile, ...]
    """Roots of branches below whose state the task must know."""
    kept: int
    """Tiles of the branch that stay as they are."""
    blocked: int = 0
    """Overviews above tiles that an earlier run could not make and this one does not try."""


Lookup = Callable[[Iterable[Tile]], Mapping[Tile, Made]]


def task_for(branch: Branch, *, reduced: frozenset[int], lookup: Lookup | None, remade: Callable[[Tile], bool]) -> Need:
    """What is left to make of a branch.

    Args:
        branch: the planned tiles.
        reduced: zooms that are made from the one below them.
        lookup: what earlier runs made, or None where there were none.
        remade: whether a root of a branch below is made by this run.
    """
    made = lookup(_around(branch, reduced)) if lookup else {}
    make = _to_make(branch, reduced, made, remade) if made else branch.tiles
    blocked = _blocked(branch, make, reduced=reduced, made=made, remade=remade) if made else 0
    make &= ~blocked
    read, roots = 0, []
    # Where nothing is known, only what lies below the branch may have been made.
    overviews = make if made or not branch.depth else make & ~full(branch.depth - 1)
    for bit in bits(overviews):
        if branch.root.zoom + level_of(bit) not in reduced:
            continue
        for child in children_of(bit):
            if make >> child & 1:
                continue
            tile = tile_at(branch.root, child)
            if level_of(child) > branch.depth and remade(tile):
                roots.append(tile)
            elif tile in made and made[tile].state == "written":
                read |= 1 << child
    return Need(Task(branch.root, branch.depth, make, read), tuple(roots), branch.tiles & ~make & ~blocked, blocked)


def _around(branch: Branch, reduced: frozenset[int]) -> list[Tile]:
    """The planned tiles of a branch and the children of its overviews."""
    wanted = branch.tiles
    for bit in bits(branch.tiles):
        if branch.root.zoom + level_of(bit) in reduced:
            wanted |= 0b1111 << (4 * bit + 1)
    return [tile_at(branch.root, bit) for bit in bits(wanted)]


def _to_make(branch: Branch, reduced: frozenset[int], made: Mapping[Tile, Made], remade: Callable[[Tile], bool]) -> int:
    """Tiles that are not there, and overviews that are older than one of their children."""
    make = 0
    for bit in sorted(bits(branch.tiles), reverse=True):
        tile = tile_at(branch.root, bit)
        own = made.get(tile)
        if own is None or own.state in UNMADE:
            make |= 1 << bit
        elif tile.zoom in reduced:
            for child in children_of(bit):
                below = tile_at(branch.root, child)
                newer = below in made and made[below].turn > own.turn
                if newer or make >> child & 1 or (level_of(child) > branch.depth and remade(below)):
                    make |= 1 << bit
                    break
    return make


def _blocked(
    branch: Branch,
    make: int,
    *,
    reduced: frozenset[int],
    made: Mapping[Tile, Made],
    remade: Callable[[Tile], bool],
) -> int:
    """Overviews that would hide a hole: above a tile that could not be made and is not to be made now."""
    blocked = 0
    for bit in sorted(bits(make), reverse=True):
        if branch.root.zoom + level_of(bit) not in reduced:
            continue
        for child in children_of(bit):
            below = tile_at(branch.root, child)
            awaited = make >> child & 1 or (level_of(child) > branch.depth and remade(below))
            failed = below in made and made[below].state in UNMADE and not awaited
            if failed or blocked >> child & 1:
                blocked |= 1 << bit
                break
    return blocked


def block(task: Task, states: Mapping[Tile, State]) -> tuple[Task, int]:
    """The task once the roots below are known: those written are read, and what stands above a failed one is blocked.

    Returns:
        What is left of the task, and the blocked tiles.
    """
    blocked, read = 0, task.read
    if not states:
        return task, 0
    for bit in range(level_start(task.depth + 1), level_start(task.depth + 2)):
        state = states.get(tile_at(task.root, bit))
        if state == "written":
            read |= 1 << bit
        elif state in {"failed", "blocked"}:
            above = bit
            while above:
                above = parent_of(above)
                blocked |= task.make & 1 << above
    return task._replace(make=task.make & ~blocked, read=read), blocked


def split(task: Task, *, reduced: frozenset[int]) -> list[Need]:
    """The same work in up to five smaller tasks: the four branches below the root, then the root alone."""
    needs = []
    roots = []
    top_read = task.read & full(1)
    for quarter in range(4):
        make, read = _quarter(task.make, quarter), _quarter(task.read, quarter)
        root = tile_at(task.root, quarter + 1)
        if make:
            needs.append(Need(Task(root, task.depth - 1, make, read), (), 0))
        if make & 1:
            roots.append(root)
    if task.make & 1:
        waits = tuple(roots) if task.root.zoom in reduced else ()
        needs.append(Need(Task(task.root, 0, 1, top_read & ~1), waits, 0))
    return needs


def _quarter(mask: int, quarter: int) -> int:
    """The bits of the branch below child *quarter* of the root, as bits of that branch."""
    result = 0
    for bit in bits(mask >> 1):
        level = level_of(bit + 1)
        place = bit + 1 - level_start(level)
        if place >> 2 * (level - 1) == quarter:
            result |= 1 << level_start(level - 1) + (place & (1 << 2 * (level - 1)) - 1)
    return result
