"""Who is compared: each a script that runs as a whole process in an environment of its own."""

from __future__ import annotations

from dataclasses import dataclass

from environments import BASE


@dataclass(frozen=True)
class Competitor:
    """One column of the comparison.

    Attributes:
        name: as in the command line and the tables.
        script: its file in ``peers``.
        environment: see ``environments``.
        packages: whose versions are told; the first is the one that it is known by.
        arguments: further arguments of the script.
    """

    name: str
    script: str
    environment: str
    packages: tuple[str, ...]
    arguments: tuple[str, ...] = ()


_KERAS = ("keras", "tensorflow", "numpy")

RAYGRID, PLAIN = "raygrid", "plain"

COMPETITORS = {
    competitor.name: competitor
    for competitor in (
        Competitor(RAYGRID, "raygrid_search.py", BASE, ("raygrid", "ray", *_KERAS)),
        Competitor(PLAIN, "plain_loop.py", BASE, _KERAS),
        Competitor("keras_tuner", "keras_tuner_search.py", "keras_tuner", ("keras-tuner", *_KERAS)),
        Competitor("scikeras", "scikeras_search.py", "scikeras", ("scikeras", "scikit-learn", "joblib", *_KERAS)),
        Competitor("optuna", "optuna_search.py", "optuna", ("optuna", *_KERAS), ("1",)),
        Competitor("optuna_2", "optuna_search.py", "optuna", ("optuna", *_KERAS), ("2",)),
        Competitor("ray_tune", "ray_tune_search.py", BASE, ("ray", *_KERAS)),
    )
}

# Whole libraries; the plain loop is what they are held against.
PEERS = tuple(name for name in COMPETITORS if name not in (RAYGRID, PLAIN))
