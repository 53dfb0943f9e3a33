"""Takes a training up from its checkpoint, and writes the next ones while it runs. Imports TensorFlow."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from raygrid.base.once import first_time
from raygrid.grid.plan import Point
from raygrid.store.checkpoints import Checkpoint, Checkpoints
from raygrid.training.point_group import PointGroup
from raygrid.training.training_state import HiddenStateError, assign, fits, state_variables, values_of
from raygrid.training.user_callbacks import put_states, states_of

log = logging.getLogger("raygrid")


class Resumption:
    """The checkpoints of one training.

    Args:
        checkpoints: where they are; None: there are none.
        key: names the training.
        found: the one to go on from; None: the training begins with its first epoch.
        point: whose config the model is built from.
        group: the points of the training.

    Attributes:
        found: as above, until the training has begun.
    """

    def __init__(
        self, checkpoints: Checkpoints | None, key: str, found: Checkpoint | None, point: Point, group: PointGroup
    ) -> None:
        self.found = found
        self._checkpoints = checkpoints
        self._key = key
        self._point = point
        self._group = group
        self._way = ""
        self._find_state: Callable[[], list[tf.Variable]] | None = None
        self._state: list[tf.Variable] | None = None
        self._why_not: str | None = None
        self._last = time.monotonic()
        self._warned = False
        self._callbacks: Sequence[keras.callbacks.Callback] = ()
        self._states: Sequence[Mapping[str, Any]] = ()

    def begin(
        self,
        way: str,
        model: keras.Model,
        functions: Callable[[], Sequence[Any]],
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> int:
        """Gives ``model`` the values of the checkpoint and the points its epochs, where the training stays the same.

        Args:
            way: how epochs are run.
            model: with its initial values; its variables are changed only where the checkpoint is taken.
            functions: gives the concrete functions that an epoch is made of.
            callbacks: those of the user, whose states are known.

        Returns:
            How many epochs are done.
        """
        self._way, self._last = way, time.monotonic()
        self._find_state, self._state = lambda: state_variables(model, functions()), None
        self._callbacks, self._states = callbacks, ()
        found, self.found = self.found, None
        if found is None or found.way != way:
            return 0
        state = self._known_state()
        if state is None:
            self._tell_why_not()
            return 0
        # Without a finite epoch there are no best weights yet.
        weights = [v.value for v in model.weights] if found.best_epoch is not None else []
        same_callbacks = len(found.callbacks) == len(callbacks)
        if not same_callbacks or not fits(state, found.variables) or not fits(weights, found.best_weights):
            log.warning("A checkpoint does not fit the model that build_model gives now; the training begins anew.")
            return 0
        assign(state, found.variables)
        self._states = found.callbacks
        self._group.replay(found)
        log.info("A training goes on from its checkpoint, after epoch %d.", len(found.rows))
        return len(found.rows)

    def callbacks_begun(self) -> None:
        """Gives the callbacks, which have begun a training, their states of the checkpoint."""
        if self._states:
            put_states(self._callbacks, self._states)

    def impossible(self, reason: str) -> None:
        """The training cannot go on from a checkpoint, and writes none."""
        self._why_not, self.found = reason, None

    def epoch_ended(self) -> None:
        """Writes a checkpoint if the last one is long enough ago. A training never fails for want of one."""
        if self._checkpoints is None or time.monotonic() - self._last < self._checkpoints.interval_s:
            return
        state = self._known_state()
        if state is None:
            self._tell_why_not()
        else:
            self._write(self._checkpoints, state)
        self._last = time.monotonic()

    def end(self) -> None:
        """All points of the training are finished: it has no use for a checkpoint any more."""
        if self._checkpoints is not None:
            self._checkpoints.remove(self._key)

    def _known_state(self) -> list[tf.Variable] | None:
        if self._state is None and self._why_not is None and self._find_state is not None:
            try:
                self._state = self._find_state()
            except HiddenStateError as error:
                self._why_not = str(error)
            except Exception as error:
                log.debug("The steps could not be looked at.", exc_info=True)
                self._why_not = f"its steps cannot be traced ({type(error).__name__})"
        return self._state

    def _tell_why_not(self) -> None:
        anew = f"Long trainings begin anew if their process is killed, without checkpoints: {self._why_not}."
        if self._why_not is not None and first_time(anew):
            log.info("%s", anew)

    def _write(self, checkpoints: Checkpoints, state: list[tf.Variable]) -> None:
        try:
            checkpoints.write(
                self._key, self._group.checkpoint(self._way, self._point, values_of(state), states_of(self._callbacks))
            )
        except (OSError, MemoryError) as error:
            if not self._warned:
                log.warning("No checkpoint could be written (%s); the training goes on without.", error)
            self._warned = True
