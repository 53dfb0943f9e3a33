"""What ``raygrid search`` says at its end, on standard output."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from raygrid.base.wording import counted
from raygrid.cli.as_typed import folder_as_typed

if TYPE_CHECKING:
    from raygrid.model.fit_plan import FitPlan
    from raygrid.model.grid_search_model import GridSearchModel


def print_plan(found: FitPlan, workers: int) -> None:
    """What a search would do: load, or train points, and how long that may take."""
    from raygrid.grid.plan import estimate
    from raygrid.grid.time_left import duration

    run, plan = found.run, found.plan
    click.echo(f"points          {len(plan.points):,}")
    click.echo(f"already done    {len(plan.points) - plan.to_train:,}")
    before = f", {plan.failed_before:,} of them again (--keep-failed leaves these)" if plan.failed_before else ""
    if run.accepted:
        click.echo(f"taken over      {run.accepted.text()}")
    click.echo(f"to train        {plan.to_train:,}{before}")
    if found.loads:
        click.echo(f"nothing to do   {run.paths.model_path} is what is asked for; it is loaded")
        return
    again = found.retrained
    if again is not None:
        unless = ", unless a new point is better" if plan.to_train else ""
        click.echo(f"once more       point {again.number}, the best so far: its weights were not kept{unless}")
    if plan.to_train:
        recorded = [*run.recorded(), *run.accepted.records.values()]
        guess = estimate(plan, recorded, run.prepared.items, workers)
        basis = "from the speed of earlier points" if guess.measured else "a guess: nothing is measured yet"
        click.echo(f"estimated time  at most {duration(guess.seconds)} on {counted(workers, 'worker')} ({basis})")


def print_outcome(searcher: GridSearchModel) -> None:
    """The best points, the winner's config, and where the files are."""
    paths = searcher._get_artifacts()
    click.echo()
    click.echo(searcher.summary_text())
    click.echo()
    click.echo(f"best config     {searcher.best_config}")
    measured = {name: value for name, value in (searcher.best_metrics or {}).items() if isinstance(value, float)}
    click.echo("its metrics     " + ", ".join(f"{name} {value:.6g}" for name, value in measured.items()))
    click.echo(f"files           {paths.model_dir}{os.sep}")
    extra = [paths.extra_path(name) for name in searcher.EXTRA_ARTIFACTS]
    for path in (*paths.required, paths.scaler_path, *extra, paths.manifest_path, paths.ledger_path):
        if path.exists():
            click.echo(f"                  {path.name}")
    where = f"--model-dir {folder_as_typed(paths.model_dir)} --prefix {paths.prefix}"
    click.echo(f"TensorBoard     raygrid tensorboard {where}")
