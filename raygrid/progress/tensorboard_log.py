"""Event files from which TensorBoard shows every point of a grid.

Each point is one TensorBoard run: a folder with one event file, which holds the point's hyperparameters, one scalar
per metric and epoch, and how the point ended. No run carries an experiment summary: TensorBoard takes the first one
that it finds in any run for the whole table, and builds the table from all runs only where there is none.

The file format (TFRecord frames around ``Event`` messages) and the messages are those of the ``tensorboard`` package.
Neither TensorFlow nor Ray is imported.
"""

from __future__ import annotations

import io
import math
import re
import socket
import time
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SourceMetadata
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from raygrid.errors import RaygridError

BEST_VAL_LOSS_TAG = "best_val_loss"

_EVENT_FILE_PREFIX = "events.out.tfevents."
_MAX_NAME_LENGTH = 100
_KEY_LENGTH = 8
# The hparams plugin keeps numbers as doubles: a larger int would be shown as another number.
_MAX_EXACT_INT = 2**53
# Scalars are stored as float32: a larger double would become infinite in the file.
_MAX_SCALAR = (2 - 2**-23) * 2.0**127


class PointRun:
    """The TensorBoard run of one point.

    The order of calls is ``start``, any number of ``epochs``, ``finish``. No file stays open between two calls and no
    thread is started, so any number of runs can be under way and an object can be pickled at any time. What a call
    has written is visible to TensorBoard when the call returns.

    Args:
        folder: the run's own folder, ``logdir/<name>``. Its name is the run's name and its group in the table.
        config: the point's hyperparameters by name.
        as_text: names of hyperparameters to write as text, see ``text_hyperparameters``.

    The constructor touches no disk.
    """

    def __init__(self, folder: Path, config: Mapping[str, object], as_text: frozenset[str] = frozenset()) -> None:
        self._folder = folder
        self._config = dict(config)
        self._as_text = as_text
        self._file: Path | None = None
        self._size = 0

    def start(self) -> None:
        """Begin the run: remove the event files of an earlier try and write the hyperparameters.

        Only event files directly in the run's own folder are removed. The folder is created if it is missing.
        A TensorBoard that has already read how the earlier try ended shows that status until it is restarted.

        Raises:
            OSError: the folder or the file cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        second = max(0, int(time.time()))
        for old in sorted(self._folder.glob(f"{_EVENT_FILE_PREFIX}*")):
            # TensorBoard reads the files of a run in the order of their names and never goes back: a clock that was
            # set back must not give the new file an earlier name than the old one had.
            second = max(second, _second_in_name(old) + 1)
            old.unlink(missing_ok=True)
        name = f"{_EVENT_FILE_PREFIX}{second:010d}.{socket.gethostname()}.{uuid.uuid4().hex}"
        self._file = self._folder / name
        self._file.touch(exist_ok=False)
        self._size = 0
        now = time.time()
        hyperparameters = {
            name: str(value) if name in self._as_text else _native_or_text(value)
            for name, value in self._config.items()
        }
        self._append(
            [
                Event(
                    wall_time=now,
                    file_version="brain.Event:2",
                    source_metadata=SourceMetadata(writer="raygrid"),
                ),
                # Without a group of its own, a run would share one row with every run of equal hyperparameters.
                Event(
                    wall_time=now,
                    summary=hparams_pb(hyperparameters, trial_id=self._folder.name, start_time_secs=now),
                ),
            ]
        )

    def epochs(self, first_epoch: int, rows: Sequence[Mapping[str, float | None]]) -> None:
        """Write the metrics of consecutive epochs, one scalar tag per key.

        Args:
            first_epoch: number of the first row's epoch, which becomes its step; the first epoch of a point is 1.
            rows: metrics by name, one mapping per epoch. None, NaN, infinities and values beyond the float32 range
                are left out.

        Raises:
            RaygridError: the run was not started, or is finished.
            OSError: the file cannot be written.
        """
        now = time.time()
        events = []
        for step, row in enumerate(rows, start=first_epoch):
            values = [_scalar(tag, value) for tag, value in row.items() if value is not None and _can_show(value)]
            if values:
                events.append(Event(wall_time=now, step=step, summary=Summary(value=values)))
        self._append(events)

    def finish(self, best_val_loss: float | None, succeeded: bool) -> None:
        """Write how the point ended.

        Args:
            best_val_loss: written under its own tag, because TensorBoard's table shows the last value of a tag and
                not its best one. Left out under the same rule as the metrics of ``epochs``.
            succeeded: whether the session is shown as a success or as a failure.

        Raises:
            RaygridError: the run was not started, or is finished already.
            OSError: the file cannot be written.
        """
        now = time.time()
        events = []
        if best_val_loss is not None and _can_show(best_val_loss):
            summary = Summary(value=[_scalar(BEST_VAL_LOSS_TAG, best_val_loss)])
            events.append(Event(wall_time=now, step=0, summary=summary))
        events.append(Event(wall_time=now, summary=_session_end(succeeded, now)))
        self._append(events)
        self._file = None

    def _append(self, events: Sequence[Event]) -> None:
        if self._file is None:
            raise RaygridError(
                f"The TensorBoard run {str(self._folder)!r} is not open.",
                remedy="Call start() once before epochs() and finish(), and nothing after finish().",
            )
        buffer = io.BytesIO()
        writer = RecordWriter(buffer)
        for event in events:
            writer.write(event.SerializeToString())
        data = buffer.getvalue()
        # A reader stops at the first broken record. Writing at the end of the last good one, instead of appending,
        # replaces what a write cut short by a full disk has left.
        with self._file.open("r+b") as stream:
            stream.seek(self._size)
            stream.write(data)
            stream.truncate()
        self._size += len(data)


def text_hyperparameters(configs: Iterable[Mapping[str, object]]) -> frozenset[str]:
    """Names of the hyperparameters that must be written as text in every run of a grid.

    TensorBoard 2.21 answers with an error when a column is sorted that holds numbers in some runs and text in others,
    and a filter on such a column hides the runs with numbers. These are the names whose values are of more than one
    kind (number, bool, text) over all configs; a value that would be written as text anyway counts as text.

    Args:
        configs: every config whose run is to share one table.
    """
    kinds: dict[str, set[type]] = {}
    for config in configs:
        for name, value in config.items():
            written = _native_or_text(value)
            kinds.setdefault(name, set()).add(float if type(written) is int else type(written))
    return frozenset(name for name, found in kinds.items() if len(found) > 1)


def run_name(config: Mapping[str, object], key: str, varying: Collection[str]) -> str:
    """A readable and stable folder name for a point's run.

    Args:
        config: the point's hyperparameters by name.
        key: the point's key, a hexadecimal digest; its first eight characters keep names apart.
        varying: the hyperparameters to name, those with more than one value in the grid.

    Returns:
        ``"name=value,...-<key8>"`` in the order of names, or ``"point-<key8>"`` if nothing varies. The part before
        the key has at most 100 characters, all of them in ``[A-Za-z0-9._=,+-]``.
    """
    parts = [
        # Without "," and "=" in names and values, these two characters always separate: (128, 64) becomes 128_64.
        f"{_plain(name)}={_plain(str(config[name])).strip('_')}"
        for name in sorted(varying)
        if name in config
    ]
    readable = ",".join(parts)[:_MAX_NAME_LENGTH] or "point"
    return f"{readable}-{key[:_KEY_LENGTH]}"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", text)


def _native_or_text(value: object) -> bool | int | float | str:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int) and abs(value) <= _MAX_EXACT_INT:
        return value
    # TensorBoard shows an empty cell for a NaN or an infinity: its answers are JSON, which has neither.
    if isinstance(value, float) and math.isfinite(value):
        return value
    return str(value)


def _can_show(value: float) -> bool:
    return -_MAX_SCALAR <= value <= _MAX_SCALAR


def _scalar(tag: str, value: float) -> Summary.Value:
    return Summary.Value(tag=tag, simple_value=float(value))


def _session_end(succeeded: bool, end_time_s: float) -> Summary:
    # tensorboard.plugins.hparams.summary has a function for this, but importing that module imports TensorFlow.
    status = api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE
    data = HParamsPluginData(session_end_info=SessionEndInfo(status=status, end_time_secs=end_time_s))
    return Summary(
        value=[
            Summary.Value(
                tag=metadata.SESSION_END_INFO_TAG,
                metadata=metadata.create_summary_metadata(data),
                tensor=metadata.NULL_TENSOR,
            )
        ]
    )


def _second_in_name(event_file: Path) -> int:
    digits = event_file.name.removeprefix(_EVENT_FILE_PREFIX).split(".", 1)[0]
    return int(digits) if digits.isdecimal() else 0
