"""Two processes that train under one prefix at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest
from child_processes import started
from small_models import LoggedModel, builds, small_rows

from raygrid.errors import LockTimeoutError

_SEARCH = """
    import time
    from pathlib import Path
    from raygrid.tuning.resources import Resources
    from small_models import LoggedModel, small_rows

    class Held(LoggedModel):
        def build_model(self, config, input_shape):
            model = super().build_model(config, input_shape)
            while not Path(self.build_log).with_name("go on").exists():
                time.sleep(0.05)
            return model

    if __name__ == "__main__":
        model = Held("models", "small", 1, build_log={build_log!r}, resources=Resources(max_concurrent=1))
        model.fit(small_rows(), small_rows(60, seed=1), param_grid={{"hidden": [(3,), (4,), (5,)]}})
        print("best", model.best_config["hidden"], model.best_metrics["val_loss"])
"""


@pytest.mark.ray
def test_f08_f43_one_of_two_searches_trains_and_the_other_waits_and_then_loads_also_where_no_home_folder_is_set(
    tmp_path: Path,
) -> None:
    build_log = tmp_path / "builds.txt"
    script = _SEARCH.format(build_log=str(build_log))
    # Keras would write into the home folder of the account.
    no_home = {"HOME": None, "RAY_AUTH_MODE": None, "KERAS_HOME": str(tmp_path)}
    with started(script, tmp_path, **no_home) as first:
        first.wait_until(build_log.exists)
        holder = f"process {first.process.pid} on "
        with started(script, tmp_path, **no_home) as second:
            second.wait_until(lambda: f"{holder}" in second.text())
            assert "trains under the prefix 'small'; waiting for it" in second.text()

            # Who does not want to wait for ever is told whom it waited for.
            hurried = LoggedModel(tmp_path / "models", "small", 0, build_log=str(build_log), lock_timeout_s=0.3)
            with pytest.raises(LockTimeoutError, match=f"held for longer than 0.3 s by {holder}"):
                hurried.fit(small_rows(), model_config={"hidden": (6,)})

            (tmp_path / "go on").touch()
            assert first.process.wait(120) == 0, first.text()
            assert second.process.wait(60) == 0, second.text()
            drivers = {first.process.pid, second.process.pid}
            texts = first.text(), second.text()
    trained = [hidden for pid, hidden in builds(build_log) if pid not in drivers]
    assert sorted(trained) == [(3,), (4,), (5,)]
    assert "Loaded from cache" not in texts[0]
    assert "Loaded from cache" in texts[1]
    assert "to train" not in texts[1]
    (best,), (same,) = ([line for line in text.splitlines() if line.startswith("best")] for text in texts)
    assert best == same
