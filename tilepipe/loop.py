"""The loop: plan in, outcomes out.

Fill the executor up to its slots, wait for one, yield its outcome, release what waited for it. Whoever watches a run
loops over it; whoever stops it leaves the loop, and what was under way is ended.
"""

from collections.abc import Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

from tilepipe.errors import RunFailed, WorkerLost
from tilepipe.executors.protocol import Executor
from tilepipe.geo.branch import bits, tile_at
from tilepipe.geo.pyramid import Tile
from tilepipe.journal import Journal
from tilepipe.memory import worker_bytes
from tilepipe.outcome import Failure, Outcome, State
from tilepipe.pipeline import Pipeline
from tilepipe.plan import Branch, Plan
from tilepipe.schedule import Schedule
from tilepipe.task import Need, Task, block, split, task_for
from tilepipe.worker import Orders, make_branch

__all__ = ["loop"]

STRIKES = 3
"""Workers that a single tile may take down before it counts as failed."""

SHOWN = 5
"""Failed tiles named in the error at the end."""


@dataclass(slots=True, kw_only=True)
class _Loop:
    """What is under way, what waits, and what went wrong."""

    plan: Plan
    journal: Journal
    executor: Executor
    stop: bool
    projected_bytes: int
    """The memory that a worker is expected to need for one tile."""
    schedule: Schedule[Tile, Task, State] = field(default_factory=Schedule)
    ready: list[Task] = field(default_factory=list)
    settled: list[Outcome] = field(default_factory=list)
    """Outcomes of tasks that need no worker."""
    under_way: dict[Future[Outcome], Task] = field(default_factory=dict)
    strikes: dict[Tile, int] = field(default_factory=dict)
    failed: int = 0
    reasons: list[str] = field(default_factory=list)

    def outcomes(self) -> Iterator[Outcome]:
        branches = self.plan.branches()
        exhausted = False
        while True:
            while not exhausted and len(self.under_way) + len(self.ready) < self.executor.slots and not self.settled:
                branch = next(branches, None)
                exhausted = branch is None
                if branch is not None:
                    self._admit(branch)
            self._submit()
            settled, self.settled = self.settled, []
            for outcome in settled or self._wait():
                yield self._take(outcome)
                # After it was told: where the disk is full, this fails, and what became of the tiles is known.
                self.journal.keep()
                if self.stop and self.failed:
                    return
            if exhausted and not self.under_way and not self.ready and not self.settled:
                if len(self.schedule):
                    raise RuntimeError(f"{len(self.schedule)} tasks wait for what nobody makes")
                return

    def _admit(self, branch: Branch) -> None:
        """Turn a branch into a task that is ready or held."""
        need = task_for(branch, reduced=self.plan.reduced, lookup=self.journal.known, remade=self.schedule.expects)
        if need.kept:
            self.settled.append(Outcome(root=branch.root, depth=branch.depth, kept=need.kept))
        if need.blocked:
            self.settled.append(Outcome(root=branch.root, depth=branch.depth, blocked=need.blocked))
        if need.task.make:
            self._hold(need)

    def _hold(self, need: Need) -> None:
        if need.task.make & 1 and self._awaited(need.task.root):
            self.schedule.start(need.task.root)
        self._release(self.schedule.hold(need.task, need.roots))

    def _awaited(self, root: Tile) -> bool:
        """Whether an overview is made from *root*."""
        return root.zoom - 1 in self.plan.reduced

    def _release(self, released: list[tuple[Task, dict[Tile, State]]]) -> None:
        for task, states in released:
            left, blocked = block(task, states)
            if blocked:
                self.settled.append(Outcome(root=task.root, depth=task.depth, blocked=blocked))
            if left.make:
                self.ready.append(left)

    def _submit(self) -> None:
        """Start what is ready, what came last first: it is nearest to being an overview."""
        while self.ready and len(self.under_way) < self.executor.slots:
            task = self.ready.pop()
            future = self.executor.submit(make_branch, task, priority=-task.root.zoom)
            self.under_way[future] = task

    def _wait(self) -> list[Outcome]:
        if not self.under_way:
            return []
        outcomes = []
        for future in self.executor.wait(self.under_way):
            task = self.under_way.pop(future)
            try:
                outcomes.append(future.result())
            except WorkerLost as error:
                outcomes.extend(self._lost(task, error))
        return outcomes

    def _lost(self, task: Task, error: WorkerLost) -> list[Outcome]:
        """Cut the task of a lost worker smaller, until the one tile that takes workers down stands alone."""
        if task.make.bit_count() > 1:
            for need in split(task, reduced=self.plan.reduced):
                self._hold(need)
            return []
        tile = tile_at(task.root, next(bits(task.make)))
        self.strikes[tile] = self.strikes.get(tile, 0) + 1
        if self.strikes[tile] < STRIKES:
            self.ready.append(task)
            return []
        reason = f"tile {tile}: {error}; {STRIKES} workers ended over this tile{self._memory(error)}"
        failure = Failure(tile, reason, "")
        return [Outcome(root=task.root, depth=task.depth, failures=(failure,))]

    def _memory(self, error: WorkerLost) -> str:
        """What was expected of a worker that ended, what was seen, and what it was allowed."""
        figures = [
            ("projected", self.projected_bytes),
            ("peak seen", error.peak_bytes),
            ("limit of the worker", error.limit_bytes),
        ]
        known = [f"{name} {size / 1e6:,.0f} MB" for name, size in figures if size]
        return f"; memory: {', '.join(known)}" if known else ""

    def _take(self, outcome: Outcome) -> Outcome:
        """Note an outcome and release what waited for it."""
        if outcome.made or outcome.failures or outcome.blocked:
            self.journal.add(outcome)
        self.failed += len(outcome.failures)
        self.reasons.extend(failure.reason for failure in outcome.failures[: SHOWN - len(self.reasons)])
        state = outcome.root_state()
        if state is not None and self.schedule.expects(outcome.root):
            self._release(self.schedule.done(outcome.root, state))
        return outcome


def loop(
    pipeline: Pipeline,
    plan: Plan,
    *,
    executor: Executor,
    journal: Journal,
    stop: bool = True,
    retries: int = 2,
) -> Generator[Outcome, None, None]:
    """Make the tiles of *plan* that are not there yet.

    Args:
        pipeline: what to make tiles from.
        plan: which tiles.
        executor: where.
        journal: what is there, and where to note what was made.
        stop: whether to end at the first failed tile, or to go on without it.
        retries: how often a passing fault of an input or a storage is tried again.

    Yields:
        What became of each task, in the order in which they ended; tiles that stay as they are come as `kept`.

    Raises:
        RunFailed: after the last outcome, when tiles failed.
    """
    state = _Loop(plan=plan, journal=journal, executor=executor, stop=stop, projected_bytes=worker_bytes(pipeline, 0))
    with executor:
        executor.share(Orders(pipeline, retries, stop, journal.replaces), calls=plan.count_branches())
        yield from state.outcomes()
    if state.failed:
        raise RunFailed(state.failed, state.reasons)
