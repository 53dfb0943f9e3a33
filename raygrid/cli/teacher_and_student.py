"""``raygrid search --model residual-regressor``: two searches, the student's after its teacher's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from raygrid.base.wording import counted
from raygrid.cli.inputs import Asked
from raygrid.cli.reports import print_outcome, print_plan

if TYPE_CHECKING:
    from raygrid.zoo.residual_regressor import AutoencoderResidualRegressor

TEACHER = "autoencoder"


def search_teacher_and_student(
    searcher: AutoencoderResidualRegressor,
    arrays: dict[str, Any],
    asked: Asked,
    how: dict[str, Any],
    plan_workers: int | None,
) -> None:
    """Trains the autoencoder, then the regressor of its residuals, or loads them.

    Args:
        searcher: owns both models.
        arrays: ``X_train`` and, where there is one, ``X_val``.
        asked: ``autoencoder.NAME`` is meant for the teacher, all else for the student.
        how: ``reset_experiment``, ``retry_failed`` and ``accept_code_change``, of both.
        plan_workers: say what would be trained on so many workers, and train nothing; None: train.
    """
    of_teacher, of_student = asked.split(TEACHER)
    teacher, student = of_teacher.of(searcher.autoencoder), of_student.of(searcher.regressor)
    # What is wrong with the student is said before its teacher is trained.
    asked_of_student = searcher.regressor._space().asked(student.get("param_grid"), student.get("model_config"))
    if plan_workers is not None:
        click.echo("autoencoder")
        of_autoencoder = searcher.autoencoder.plan(**arrays, **teacher, **how)
        print_plan(of_autoencoder, plan_workers)
        click.echo("\nregressor of the autoencoder's residuals")
        if of_autoencoder.loads:
            print_plan(searcher.plan(**arrays, **student, **how), plan_workers)
        else:
            points = (asked_of_student or searcher.regressor._space().default()).count
            click.echo(f"{counted(points, 'point')}; what is done is known once the autoencoder is trained")
        return
    click.echo("autoencoder")
    searcher.train_autoencoder(
        **arrays,
        autoencoder_param_grid=teacher.get("param_grid"),
        autoencoder_config=teacher.get("model_config"),
        reset_autoencoder=how["reset_experiment"],
        retry_failed=how["retry_failed"],
        accept_code_change=how["accept_code_change"],
    )
    print_outcome(searcher.autoencoder)
    click.echo("\nregressor of the autoencoder's residuals")
    searcher.fit(**arrays, **student, **how)
    print_outcome(searcher.regressor)
    X = arrays.get("X_val", arrays["X_train"])
    measured = ", ".join(f"{name} {value:.4g}" for name, value in searcher.evaluate(X).items())
    click.echo(f"\non {'validation' if 'X_val' in arrays else 'training'} rows, against the autoencoder: {measured}")
