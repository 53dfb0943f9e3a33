"""TensorFlow in a process: the GPUs that it sees, and what it says on the terminal."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from child_processes import run_script

from raygrid.errors import ResourceError
from raygrid.training.tensorflow_setup import prepare_worker, quiet_tensorflow, tensorflow_is_quiet


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, int], None]:
    """Prepares a worker that was granted so many GPUs, and whose TensorFlow sees so many."""
    import tensorflow as tf

    def prepare(granted: float, seen: int) -> None:
        found = [f"GPU:{number}" for number in range(seen)]
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: found)
        prepare_worker(tf.config.threading.get_intra_op_parallelism_threads(), granted)

    return prepare


def test_gpus_that_were_granted_and_that_tensorflow_does_not_see_are_an_error_with_the_fix(
    prepare: Callable[[float, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    with pytest.raises(ResourceError) as caught:
        prepare(2, 0)
    for part in ("granted this trial 2 GPUs on ", "(CUDA_VISIBLE_DEVICES is '0,3'), and TensorFlow sees none"):
        assert part in str(caught.value)
    for fix in ("pip install 'raygrid[gpu]'", "nvidia-smi", "Resources(gpus_per_trial=0) (--gpus-per-trial 0)"):
        assert fix in str(caught.value)
    with pytest.raises(ResourceError, match="sees 1\\. Install"):
        prepare(2, 1)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with pytest.raises(ResourceError, match=r"0\.5 GPUs on .* \(CUDA_VISIBLE_DEVICES is not set\)"):
        prepare(0.5, 0)


def test_gpus_that_tensorflow_sees_and_none_where_none_were_granted_are_fine(
    prepare: Callable[[float, int], None],
) -> None:
    prepare(1, 1)
    prepare(0, 0)


def test_tensorflow_is_quiet_unless_the_user_wants_to_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.getLogger("raygrid")
    monkeypatch.setattr(log, "level", logging.INFO)
    for level, quiet in (("3", True), ("0", False), ("2", False)):
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
        assert tensorflow_is_quiet() is quiet
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    assert tensorflow_is_quiet()
    log._cache.clear()  # type: ignore[attr-defined]
    monkeypatch.setattr(log, "level", logging.DEBUG)
    assert not tensorflow_is_quiet()
    log._cache.clear()  # type: ignore[attr-defined]


def test_python_warnings_of_tensorflow_are_held_back_inside_alone_and_not_where_the_user_set_a_level() -> None:
    tensorflow, absl = logging.getLogger("tensorflow"), logging.getLogger("absl")
    before = tensorflow.level, absl.level
    try:
        tensorflow.setLevel(logging.NOTSET)
        absl.setLevel(logging.INFO)
        with quiet_tensorflow():
            assert (tensorflow.level, absl.level) == (logging.ERROR, logging.INFO)
        assert (tensorflow.level, absl.level) == (logging.NOTSET, logging.INFO)
    finally:
        tensorflow.setLevel(before[0])
        absl.setLevel(before[1])


_IMPORTS = """
    import os, sys
    from raygrid.training.tensorflow_setup import load_tensorflow, quiet_import_of_tensorflow

    os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
    if sys.argv[1:] == ["loud"]:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
    with quiet_import_of_tensorflow():
        import tensorflow as tf
    load_tensorflow()
    print("imported", tf.constant(1).numpy(), tf.__spec__.name, len(sys.meta_path) > 0)
"""


def test_an_import_of_tensorflow_by_whatever_module_says_nothing(tmp_path: Path) -> None:
    assert run_script(_IMPORTS, tmp_path, CUDA_VISIBLE_DEVICES=None) == "imported 1 tensorflow True\n"


def test_an_import_of_tensorflow_says_everything_where_the_user_asks_for_it(tmp_path: Path) -> None:
    loud = _IMPORTS.replace('sys.argv[1:] == ["loud"]', "True")
    assert len(run_script(loud, tmp_path, CUDA_VISIBLE_DEVICES=None).splitlines()) > 1
