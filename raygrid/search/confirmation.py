"""Whether the winner stands: the points close to it, trained again with further seeds.

A winner is the lowest of many noisy numbers, so its own ``val_loss`` flatters it. The further seeds do not know that it
won: their mean is what the comparison rests on.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raygrid.base.types import ModelDefinition
from raygrid.base.wording import counted
from raygrid.errors import MissingArtifactError
from raygrid.grid.plan import Plan, Point
from raygrid.grid.records import PointRecord
from raygrid.search.run import SearchRun
from raygrid.search.winner import train_on_ray
from raygrid.tuning.options import SearchOptions

MAX_CONTENDERS = 8
CLOSE = "too close to call"


@dataclass(frozen=True)
class Contender:
    """A point that was trained with further seeds.

    Attributes:
        number: its point number.
        config: its config.
        val_loss: what it had in the search.
        further: its ``val_loss`` with each further seed that did not diverge or fail.
    """

    number: int
    config: dict[str, Any]
    val_loss: float
    further: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the further seeds; infinite where none of them gave a result."""
        return statistics.fmean(self.further) if self.further else math.inf

    @property
    def spread(self) -> float:
        """Standard deviation over the further seeds; 0 for fewer than two."""
        return statistics.stdev(self.further) if len(self.further) > 1 else 0.0


@dataclass(frozen=True)
class Confirmation:
    """The winner and its contenders, the winner first.

    Attributes:
        contenders: the winner, then the others by their ``val_loss`` in the search.
        seeds: the further seeds.
    """

    contenders: tuple[Contender, ...]
    seeds: tuple[int, ...]

    @property
    def best(self) -> Contender:
        """The one with the lowest mean; the winner where means are equal."""
        return min(self.contenders, key=lambda c: c.mean)

    @property
    def verdict(self) -> str:
        """``stands``, ``too close to call`` or ``does not stand``.

        Too close to call: another point's mean is lower, but by less than the standard error of the difference of the
        two means (Welch), or one of the means is of a single seed, which has no such error. A winner that gives a
        result with none of the further seeds does not stand.
        """
        winner, best = self.contenders[0], self.best
        if not winner.further:
            return "does not stand"
        if best.mean >= winner.mean:
            return "stands"
        if min(len(winner.further), len(best.further)) < 2:
            return CLOSE
        error = math.sqrt(winner.spread**2 / len(winner.further) + best.spread**2 / len(best.further))
        return CLOSE if winner.mean - best.mean < error else "does not stand"

    def text(self) -> str:
        """For people: a row a contender, and the verdict."""
        names = [n for n in self.contenders[0].config if len({repr(c.config[n]) for c in self.contenders}) > 1]
        lines = [
            f"{counted(len(self.seeds), 'further seed')} for the winner and "
            f"{counted(len(self.contenders) - 1, 'point')} close to it:"
        ]
        for contender in self.contenders:
            values = ", ".join(f"{name}={contender.config[name]}" for name in names)
            lines.append(
                f"  point {contender.number}{f' ({values})' if values else ''}: "
                f"{self._mean_text(contender)}, in the search {contender.val_loss:.6g}"
            )
        winner, best = self.contenders[0], self.best
        verdict = f"The winner, point {winner.number}, {'is ' if self.verdict == CLOSE else ''}{self.verdict}"
        if best is not winner:
            verdict += f": point {best.number} has the lower mean"
        return "\n".join([*lines, verdict + "."])

    def _mean_text(self, contender: Contender) -> str:
        lost = len(self.seeds) - len(contender.further)
        if not contender.further:
            return f"no result with {'any' if lost > 1 else 'the'} further seed"
        spread = f" +- {contender.spread:.2g}" if len(contender.further) > 1 else ""
        return f"mean {contender.mean:.6g}{spread}" + (
            f" (no result with {lost} of {counted(len(self.seeds), 'seed')})" if lost else ""
        )


def confirm_winner(
    run: SearchRun, winner_key: str, definition: ModelDefinition, options: SearchOptions, seeds: int, within: float
) -> Confirmation:
    """Trains the winner and the points close to it with further seeds; what is trained already is not trained again.

    Args:
        run: the search whose winner is published.
        winner_key: the winner's key.
        definition: what the user's model defines.
        options: how trials are run.
        seeds: how many further seeds.
        within: how close to the winner's ``val_loss`` a point must be, as a fraction of it.

    Raises:
        MissingArtifactError: the winner's record is not there, as where only the artifacts were copied.
    """
    numbers = {point.key: point.number for point in run.points()}
    searched = {r.key: r for r in run.store.get_all(numbers).values() if r.status == "done"}
    if winner_key not in searched:
        raise MissingArtifactError(
            f"{run.paths.points_dir} has no record of the published winner, so there is nothing to compare.",
            remedy="To search anew, $train_anew.",
        )
    winner = searched[winner_key]
    close = _close_to(winner, list(searched.values()), within)
    first = int(run.identity.settings["seed"])
    further = tuple((first + i) % 2**32 for i in range(1, seeds + 1))
    wanted = {numbers[record.key] for record in close}
    points = [point for seed in further for point in run.points(seed) if point.number in wanted]
    plan = run.plan_for(points)
    with run.prepared.files():
        records = plan.done | train_on_ray(run, plan, definition, options, meanwhile=lambda: None)
    return Confirmation(tuple(_contender(r, numbers[r.key], plan, records) for r in close), further)


def _close_to(winner: PointRecord, records: Sequence[PointRecord], within: float) -> list[PointRecord]:
    assert winner.val_loss is not None
    limit = winner.val_loss + within * abs(winner.val_loss)
    others = [r for r in records if r.key != winner.key and r.val_loss is not None and r.val_loss <= limit]
    others.sort(key=lambda r: (r.val_loss, r.key))
    return [winner, *others[: MAX_CONTENDERS - 1]]


def _contender(record: PointRecord, number: int, plan: Plan, records: Mapping[str, PointRecord]) -> Contender:
    assert record.val_loss is not None
    again = [records[point.key] for point in _points_of(plan, number)]
    further = tuple(r.val_loss for r in again if r.status == "done" and r.val_loss is not None)
    return Contender(number, record.config, record.val_loss, further)


def _points_of(plan: Plan, number: int) -> list[Point]:
    return [point for point in plan.points if point.number == number]
