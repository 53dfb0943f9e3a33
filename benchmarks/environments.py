"""The environments of the comparison: each competitor gets what it needs, and no more.

Keras imports scikit-learn, SciPy and matplotlib wherever they are installed, which makes every start slower. So
TensorFlow, Ray and raygrid are installed once, in ``base``, and each peer that needs more has an environment of its own
that holds only its packages and a path file that leads to those of ``base``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
FOLDER = CLONE / ".venv-bench"
BASE = "base"
PEERS = {"keras_tuner": ["keras-tuner"], "scikeras": ["scikit-learn", "scikeras"], "optuna": ["optuna"]}


def python_of(environment: str) -> Path:
    """The interpreter of an environment."""
    return FOLDER / environment / "bin" / "python"


def make_all() -> None:
    """Makes every environment anew where it is missing, and installs what the constraints say."""
    _make(BASE)
    _pip(BASE, "setuptools", "wheel")
    _pip(BASE, "--no-build-isolation", "--editable", str(CLONE))
    for name, packages in PEERS.items():
        _make(name)
        (_site_packages(name) / "base.pth").write_text(f"{_site_packages(BASE)}\n")
        _pip(name, *packages)


def _make(name: str) -> None:
    if not python_of(name).exists():
        print(f"Making {FOLDER.name}/{name}", flush=True)
        venv.create(FOLDER / name, symlinks=True)


def _site_packages(name: str) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return FOLDER / name / "lib" / version / "site-packages"


def _pip(name: str, *arguments: str) -> None:
    constraints = [CLONE / "constraints.txt", CLONE / "benchmarks" / "constraints.txt"]
    given = [text for path in constraints for text in ("--constraint", str(path))]
    target = ["--python", str(python_of(name)), "install", "--quiet", "--disable-pip-version-check"]
    without_paths = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-m", "pip", *target, *given, *arguments], check=True, env=without_paths)


if __name__ == "__main__":
    make_all()
