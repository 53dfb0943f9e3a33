"""Trains one model on arrays, without Ray. Importing this module imports TensorFlow.

The rules of a point are here and in ``stopping.py``. ``TRAINING_RULES`` is raised whenever a change may change
results: it is part of every point's key.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from raygrid.base.keras_settings import KerasSettings
from raygrid.base.types import Builder, ModelDefinition, wants_training_data
from raygrid.data.dataset_source import TrainingDatasets
from raygrid.data.structures import Tree, map_leaves
from raygrid.data.texts import in_memory
from raygrid.data.training_arrays import TrainingArrays, TrainSettings
from raygrid.errors import BuilderError
from raygrid.grid.plan import Point
from raygrid.grid.records import PointRecord
from raygrid.progress.listeners import tell_left_out, tell_slower, tell_trained_apart
from raygrid.store.checkpoints import Checkpoints, stops_of, training_key
from raygrid.training.custom_gradients import release_custom_gradients
from raygrid.training.epoch_hooks import NeedsFitError, train_with_callbacks, with_listeners
from raygrid.training.epoch_program import EpochProgram, why_not
from raygrid.training.feeds import Feed, feed_of
from raygrid.training.keras_internals import outside_eager_execution
from raygrid.training.point_group import OnEpoch, OnFinished, PointGroup
from raygrid.training.publishable import publishable_model
from raygrid.training.resuming import Resumption
from raygrid.training.shared_training import StopsMatterError, built_whatever_the_stops
from raygrid.training.traced_programs import TracedPrograms
from raygrid.training.user_callbacks import (
    change_the_rate_alone,
    new_callbacks,
    why_unknown_state,
    why_within_epochs,
)

log = logging.getLogger("raygrid")


# The two ways to run epochs, which may round otherwise: as one graph each, or by model.fit.
_IN_GRAPH, _BY_FIT = "graph", "fit"


def train_points(
    definition: ModelDefinition,
    points: Sequence[Point],
    context: str,
    arrays: TrainingArrays | TrainingDatasets,
    settings: TrainSettings,
    *,
    device: str,
    on_epoch: OnEpoch = lambda points, epoch, logs: None,
    on_finished: OnFinished = lambda trained: None,
    programs: TracedPrograms | None = None,
    checkpoints: Checkpoints | None = None,
    on_apart: Callable[[str], None] = tell_trained_apart,
    on_left_out: Callable[[str], None] = tell_left_out,
    on_slower: Callable[[str], None] = tell_slower,
) -> None:
    """Trains points that differ only in when to stop: clears the session, seeds, builds, trains once, to the longest.

    Each point has its own stop and its own best weights, exactly as if it were trained alone. Where a config's
    ``epochs`` or ``patience`` may have an effect on the epochs themselves (see ``built_whatever_the_stops``), they are
    different trainings, and trained one by one. What the builder or a callback does wrong is recorded and never raised;
    what ``on_finished`` raises comes out.

    Args:
        definition: what the user's model defines.
        points: configs that differ in ``STOP_KEYS`` alone, of one seed.
        context: digest for the records.
        arrays: arrays in the units that the model sees, or how a config's datasets are made.
        settings: shuffling and dtype policy.
        device: what the records say of where they were trained.
        on_epoch: called after every epoch with the points that trained it, its number (from 1) and its metrics.
        on_finished: called with each point the moment it is finished.
        programs: those of earlier trainings, to be used again; None: there are none.
        checkpoints: where a long training leaves how far it is, and finds it; the one of this training is removed once
            all its points are finished. None: there are none.
        on_apart: called with the reason where points are trained one by one.
        on_left_out: called with a text for people where callbacks do not run.
        on_slower: called with a text for people where epochs run through ``model.fit``.
    """

    def train(some: Sequence[Point]) -> None:
        train_points(
            definition,
            some,
            context,
            arrays,
            settings,
            device=device,
            on_epoch=on_epoch,
            on_finished=on_finished,
            programs=programs,
            checkpoints=checkpoints,
            on_apart=on_apart,
            on_left_out=on_left_out,
            on_slower=on_slower,
        )

    def train_apart(reason: str) -> None:
        on_apart(reason)
        for point in points:
            train([point])

    if len(points) > 1 and definition.callbacks is not None:
        train_apart("callbacks are told the number of epochs, and may stop a training")
        return
    if len(points) > 1 and definition.class_weight is not None:
        train_apart("weights of classes may depend on when a training stops")
        return
    if len(points) > 1 and isinstance(arrays, TrainingDatasets):
        train_apart("datasets may depend on when a training stops")
        return
    apply_keras_settings(settings.keras)
    key = training_key(context, points[0])
    found = None if checkpoints is None else checkpoints.read(key)
    served = [] if found is None else [point for point in points if found.serves(point)]
    if 0 < len(served) < len(points):
        # The others ended, or would have, before the checkpoint: they are the shorter training.
        train(served)
        train([point for point in points if point not in served])
        return
    longest = max(points, key=lambda point: int(point.config["epochs"]))
    base = PointRecord(
        key="",
        context=context,
        config={},
        seed=longest.seed,
        status="failed",
        worker=f"{socket.gethostname()}:{os.getpid()}",
        device=device,
        threads=tf.config.threading.get_intra_op_parallelism_threads(),
        trained_with=longest.key if len(points) > 1 else None,
    )
    group = PointGroup(points, base, on_epoch, on_finished, finish_at_end=definition.callbacks is not None)
    shared = len(points) > 1
    if not served:
        found = None
    of_another_stop = found is not None and found.stops != stops_of(longest)
    if of_another_stop and definition.callbacks is not None:
        # What gives the callbacks may have read from the config when to stop.
        found, of_another_stop = None, False
    resumption = Resumption(checkpoints, key, found, longest, group)
    error: str | None = None
    programs = TracedPrograms() if programs is None else programs

    feeds: list[Feed] = []
    weigh = definition.class_weight
    class_weight = None if weigh is None else weigh(dict(longest.config))

    def begin() -> None:
        begin_session(longest.seed, settings.dtype_policy, keep_programs=len(programs) > 0)

    def built(config: Mapping[str, Any]) -> keras.Model:
        begin()
        # Datasets are made in the session of their model, which seeds them.
        feeds[:] = [feed_of(arrays, longest.config, settings, class_weight, begin)]
        return build_checked(definition.build, config, feeds[0].inputs.shape, feeds[0].x_train)

    def new_model() -> keras.Model:
        if not shared and (resumption.found is None or not of_another_stop):
            return built(dict(longest.config))
        try:
            return built_whatever_the_stops(built, longest.config)
        except StopsMatterError:
            if shared:
                raise
            # The checkpoint is of another model.
            resumption.found = None
            return built(dict(longest.config))

    def callbacks() -> list[keras.callbacks.Callback]:
        return new_callbacks(definition.callbacks, longest.config, on_left_out)

    try:
        _train(new_model, callbacks, lambda: feeds[0], longest, group, programs, resumption, on_slower)
    except StopsMatterError as stops_matter:
        train_apart(str(stops_matter))
        return
    except Exception as raised:
        if raised is group.caller_error:
            raise
        if shared and not group.begun:
            # In doubt it is for what the config was built from: nothing is recorded yet.
            train_apart(f"the training of all of them raises {type(raised).__name__}")
            return
        error = traceback.format_exc(limit=-8)
    group.end(error)
    if error is None:
        resumption.end()


def this_device() -> str:
    """Where TensorFlow trains in a process that nobody prepared as a worker."""
    found = tf.config.get_visible_devices("GPU")
    return str(tf.config.experimental.get_device_details(found[0]).get("device_name", "GPU")) if found else "CPU"


def begin_session(seed: int, dtype_policy: str, *, keep_programs: bool = False) -> None:
    """A clean Keras session: what an earlier model left, the dtype policy and all seeds are set anew.

    In this order, since clearing the session also resets the policy and the seeds, both of which belong to the thread.

    Args:
        seed: seeds Python, numpy and TensorFlow.
        dtype_policy: such as ``float32``.
        keep_programs: whether traced programs stay ready to run. Keras has TensorFlow drop what it prepared for them,
            and to prepare it again takes as long as several epochs; outside eager execution Keras leaves it alone.
    """
    release_custom_gradients()
    with outside_eager_execution() if keep_programs else contextlib.nullcontext():
        keras.utils.clear_session()
    keras.config.set_dtype_policy(dtype_policy)
    keras.utils.set_random_seed(seed)


def apply_keras_settings(settings: KerasSettings) -> None:
    """Makes ``settings`` those of this process."""
    keras.config.set_floatx(settings.floatx)
    keras.config.set_epsilon(settings.epsilon)
    keras.config.set_image_data_format(settings.image_data_format)


def build_checked(
    build: Builder, config: Mapping[str, Any], input_shape: Any, x_train: Tree | None = None
) -> keras.Model:
    """The builder's model.

    Args:
        build: gives it; one with an argument ``X_train`` is given the training inputs, for layers that must see them.
        config: the point's.
        input_shape: of a row.
        x_train: inputs in the units that the model sees; None: they are not at hand.

    Raises:
        BuilderError: it is not a compiled ``keras.Model``.
    """
    if wants_training_data(build):
        inputs = None if x_train is None else map_leaves(in_memory, x_train)
        model = build(config, input_shape, X_train=inputs)
    else:
        model = build(config, input_shape)
    if not isinstance(model, keras.Model):
        raise BuilderError(
            f"build_model returned {type(model).__name__}, not a keras.Model.",
            remedy="End it with 'return model'.",
        )
    if not model.compiled:
        raise BuilderError(
            "build_model returned a model that is not compiled.",
            remedy="Call model.compile(optimizer=..., loss=...) before it is returned.",
        )
    return model


def _train(
    new_model: Callable[[], keras.Model],
    callbacks_of_user: Callable[[], list[keras.callbacks.Callback]],
    feed_of_model: Callable[[], Feed],
    point: Point,
    group: PointGroup,
    programs: TracedPrograms,
    resumption: Resumption,
    on_slower: Callable[[str], None],
) -> None:
    model = publishable_model(new_model, feed_of_model)
    callbacks, feed = callbacks_of_user(), feed_of_model()
    of_callbacks = why_within_epochs(callbacks)
    try:
        own_reason = why_not(model)
    except Exception as error:
        own_reason = _untraceable(error)
    if own_reason is None and feed.why_fit is None and of_callbacks is None:
        if change_the_rate_alone(callbacks):
            program: EpochProgram | None = None
            try:
                program = feed.program(model, programs)
            except Exception as error:
                own_reason = _untraceable(error)
            if program is not None:
                _train_in_graph(program, callbacks, point, feed, group, resumption)
                return
        else:
            try:
                _train_in_own_graph(model, callbacks, point, feed, group, resumption)
                return
            except NeedsFitError as error:
                of_callbacks = str(error)
                group.begin_anew()
        # The trace, or a callback, may have left its marks on the model.
        model, callbacks, feed = new_model(), callbacks_of_user(), feed_of_model()
    on_slower(f"Epochs run through model.fit, which is slower: {feed.why_fit or own_reason or of_callbacks}.")
    done = 0
    unknown = feed.why_no_checkpoint or own_reason or why_unknown_state(callbacks)
    if unknown is not None:
        resumption.impossible(unknown)
    else:

        def begin() -> int:
            return resumption.begin(_BY_FIT, model, lambda: feed.step_functions(model), callbacks)

        wanted = resumption.found is not None
        done = begin()
        if wanted and not done:
            # Looking at its steps may have left marks on it as well.
            model, callbacks, feed = new_model(), callbacks_of_user(), feed_of_model()
            begin()
    if not group.ended:
        _train_with_fit(model, callbacks, point, feed, group, resumption, done)


def _untraceable(error: Exception) -> str:
    log.debug("An epoch could not be traced.", exc_info=True)
    return f"its epoch cannot be traced ({next(iter(str(error).splitlines()), type(error).__name__)})"


def _train_in_graph(
    program: EpochProgram,
    callbacks: Sequence[keras.callbacks.Callback],
    point: Point,
    feed: Feed,
    group: PointGroup,
    resumption: Resumption,
) -> None:
    """Trains with a program that may serve other models as well."""
    unknown = why_unknown_state(callbacks)
    if unknown is not None:
        resumption.impossible(unknown)
    done = resumption.begin(_IN_GRAPH, program.model, lambda: [program.function], callbacks)
    if callbacks:
        listening = with_listeners(callbacks, group, resumption)
        train_with_callbacks(program.model, lambda: program, callbacks, listening, point, feed.steps(), done)
        return
    for epoch in range(done, point.config["epochs"]):
        if group.ended or group.take(program.model, epoch + 1, program.run(point.seed, epoch)):
            return
        resumption.epoch_ended()


def _train_in_own_graph(
    model: keras.Model,
    callbacks: Sequence[keras.callbacks.Callback],
    point: Point,
    feed: Feed,
    group: PointGroup,
    resumption: Resumption,
) -> None:
    """Trains with callbacks that may change anything of the model: it is in the trace, which serves no other model.

    Raises:
        NeedsFitError: only ``model.fit`` can train it.
    """
    resumption.impossible(why_unknown_state(callbacks) or "its callbacks may change it")

    def program() -> EpochProgram:
        try:
            return feed.program(model, None)
        except Exception as error:
            raise NeedsFitError(_untraceable(error)) from error

    listening = with_listeners(callbacks, group, resumption)
    train_with_callbacks(model, program, callbacks, listening, point, feed.steps(), 0)


def _train_with_fit(
    model: keras.Model,
    callbacks: Sequence[keras.callbacks.Callback],
    point: Point,
    feed: Feed,
    group: PointGroup,
    resumption: Resumption,
    done: int,
) -> None:
    # It changes no result, and where it does not divide an epoch's steps, an epoch would take some of the next one's.
    model.steps_per_execution = 1
    epochs = point.config["epochs"]
    with feed.ends_quietly():
        model.fit(
            **feed.fit_arguments(epochs, point.seed, done),
            initial_epoch=done,
            epochs=epochs,
            callbacks=with_listeners(callbacks, group, resumption),
            verbose=0,
        )
