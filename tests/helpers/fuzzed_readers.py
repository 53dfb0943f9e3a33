"""Every reader of a file that a person may have been sent, and what may come out of it, whatever the bytes are.

The tests, and the long runs in ``stress``, take their readers from the one table here. A reader either reads its input
or refuses it with an error of raygrid, soon, in little memory, and executes nothing.
"""

from __future__ import annotations

import io
import json
import logging
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pyarrow import csv

from raygrid.base.files import MAX_MODEL_BYTES, decode_json, encode_json, read_bytes, sha256
from raygrid.cli.inputs import read_mapping
from raygrid.data.files.tables import read_data
from raygrid.errors import RaygridError
from raygrid.grid.plan import Point
from raygrid.grid.records import PointRecord, WeightsFile
from raygrid.grid.request import Request
from raygrid.identity.identity import Identity, installed_versions, point_key
from raygrid.search.run import recorded_results
from raygrid.store.checkpoints import Checkpoint, Checkpoints
from raygrid.store.ledger import read_ledger, results_table, results_text, write_ledger
from raygrid.store.lock import locked
from raygrid.store.manifest import Manifest
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore, write_weights
from raygrid.store.published import read_cached, require_current
from raygrid.store.publishing import publish
from raygrid.store.resets import current_experiment
from raygrid.zoo.autoencoder import Autoencoder
from raygrid.zoo.detector import AutoencoderDetector
from raygrid.zoo.mlp_classifier import MLPClassifier

# Seconds of the processor, and bytes by which the peak of the memory may grow.
LIMIT_S = 5.0
LIMIT_BYTES = 2**30

PREFIX = "a"
CONFIG = {
    "activation": "relu",
    "batch_size": 32,
    "epochs": 2,
    "hidden": (4, 2),
    "learning_rate": 0.01,
    "patience": None,
}
IDENTITY = Identity(
    data={"x_train": {"digest": "1" * 64, "shape": [80, 4]}, "x_val": {"digest": "2" * 64, "shape": [20, 4]}},
    code={"name": "small_models:SmallModel", "digest": "3" * 64},
    settings={"seed": 0, "scaler": "standard", "target_scaler": None, "windowed": False, "shuffle": True},
)
CONTEXT = IDENTITY.context("")
METRICS = {
    "loss": 0.5,
    "mae": 0.25,
    "val_loss": 0.25,
    "val_mae": None,
    "best_epoch": 2,
    "epochs_run": 2,
    "seconds": 1.5,
}
SCALER = {"format": 1, "inputs": {"kind": "standard", "mean": [0.0, 1.0, 2.0, 3.0], "scale": [1.0, 0.5, 2.0, 1e-3]}}

# What runs code, or another program; importing a module of raygrid when it is first needed is not among them.
_FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "pickle.find_class")


class Reader(NamedTuple):
    """A reader in a folder of its own.

    Attributes:
        path: where it looks for its input.
        samples: valid inputs, which inputs are made from.
        read: reads what is there.
    """

    path: Path
    samples: tuple[bytes, ...]
    read: Callable[[], object]


class BrokenReaderError(Exception):
    """A reader that took too long or too much memory."""


class LetInError(BrokenReaderError):
    """A reader that ran something, or gave what is another's."""


class _Guard:
    """Refuses what would run code while an input is read. A hook cannot be removed, so it is armed and disarmed."""

    armed = False
    hooked = False
    # Kept, since a reader may take the error for one of the input.
    refused: LetInError | None = None

    def __enter__(self) -> None:
        _Guard.refused = None
        if not _Guard.hooked:
            sys.addaudithook(self._audit)
            _Guard.hooked = True
        _Guard.armed = True

    def __exit__(self, *error: object) -> None:
        _Guard.armed = False
        if _Guard.refused is not None:
            raise _Guard.refused

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if _Guard.armed and event in _FORBIDDEN:
            _Guard.refused = LetInError(f"{event} was called with {arguments!r}")
            raise _Guard.refused


def outcome(reader: Reader, data: bytes, limit_s: float = LIMIT_S) -> str:
    """What a reader makes of ``data``: ``read``, or the name of the error of raygrid that it refuses it with.

    Raises:
        BrokenReaderError: it took too long or too much memory.
        LetInError: it ran something.
        Exception: it raised what is not an error of raygrid.
    """
    reader.path.write_bytes(data)
    # Of the processor, since a busy machine is not the reader's fault.
    before, begin, result = _peak_bytes(), time.process_time(), "read"
    with _Guard():
        try:
            reader.read()
        except RaygridError as error:
            if not str(error).strip():
                raise BrokenReaderError(f"{type(error).__name__} without a message") from error
            result = type(error).__name__
    seconds, grown = time.process_time() - begin, _peak_bytes() - before
    if seconds > limit_s:
        raise BrokenReaderError(f"it took {seconds:.2f} s, more than {limit_s:g}")
    if grown > LIMIT_BYTES:
        raise BrokenReaderError(f"it took {grown:,} bytes of memory, more than {LIMIT_BYTES:,}")
    return result


def open_reader(name: str, folder: Path) -> Reader:
    """The reader of that name, ready in ``folder``; what it logs is not shown."""
    logging.getLogger("raygrid").setLevel(logging.CRITICAL)
    folder.mkdir(parents=True, exist_ok=True)
    return READERS[name](folder)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# What raygrid writes itself


def _files(paths: ModelArtifacts) -> dict[str, bytes]:
    return {
        paths.config_path.name: encode_json(CONFIG),
        paths.model_path.name: b"not looked into here",
        paths.metrics_path.name: encode_json(METRICS),
        paths.scaler_path.name: encode_json(SCALER),
    }


def _record() -> PointRecord:
    return PointRecord(
        key=point_key(CONTEXT, CONFIG, 0),
        context=CONTEXT,
        config=CONFIG,
        seed=0,
        status="done",
        metrics={"loss": 0.5, "val_loss": 0.25, "val_mae": None},
        best_epoch=2,
        epochs_run=2,
        seconds=1.5,
        history={"loss": (0.75, 0.5), "val_loss": (None, 0.25)},
        worker="machine 17",
        device="CPU",
        threads=1,
        weights=WeightsFile("a.npz", 10, "4" * 64),
    )


def _manifest(folder: Path) -> Reader:
    paths = ModelArtifacts.for_prefix(folder, PREFIX)
    record = PointStore(paths.points_dir).add(_record())
    publish(
        paths,
        _files(paths),
        Manifest(
            "",
            {},
            depends_on=IDENTITY.to_json(),
            request=Request(grid={"hidden": ((4, 2), (8,))}, defaults={**CONFIG}).to_json(),
            context=CONTEXT,
            winner={"key": record.key, "point": 0},
            model_class="small_models:SmallModel",
            input_shape=[4],
            versions=installed_versions(),
            created="2026-01-05T10:00:00+00:00",
        ),
    )
    table = recorded_results(paths)

    def read() -> None:
        cached = read_cached(paths)
        assert cached is None or cached.legacy or cached.config == CONFIG
        if cached is not None:
            current_experiment(paths)
            results_text(recorded_results(paths))
            require_current(paths, cached, IDENTITY)

    assert table.num_rows == 1
    return Reader(paths.manifest_path, (paths.manifest_path.read_bytes(),), read)


def _legacy(part: str) -> Callable[[Path], Reader]:
    """A file of a set without a manifest, in which no digest stands before the reader."""

    def prepare(folder: Path) -> Reader:
        paths = ModelArtifacts.for_prefix(folder, PREFIX)
        for name, data in _files(paths).items():
            (folder / name).write_bytes(data)
        path: Path = getattr(paths, f"{part}_path")
        plain = [encode_json({"mean": [0.0, 1.0], "std_": [1, 2]})] if part == "scaler" else []
        return Reader(path, (path.read_bytes(), *plain), lambda: read_cached(paths))

    return prepare


def _extra(name: str, model: Callable[[], Any], value: dict[str, Any]) -> Callable[[Path], Reader]:
    """A further published file, whose digest is taken to be right: whoever changed it may have changed the manifest."""

    def prepare(folder: Path) -> Reader:
        paths = ModelArtifacts.for_prefix(folder, PREFIX)
        path = paths.extra_path(name)
        return Reader(
            path,
            (encode_json(value),),
            lambda: model().take_extra_artifacts({name: decode_json(read_bytes(path), path)}),
        )

    return prepare


def _ledger(folder: Path) -> Reader:
    paths = ModelArtifacts.for_prefix(folder, PREFIX)
    record = _record()
    failed = replace(record, key="f" * 64, status="failed", metrics={}, error="ValueError: units is -1", weights=None)
    write_ledger(paths, results_table([record, failed], {record.key: 0}))

    def read() -> None:
        table = read_ledger(paths)
        assert table is not None
        results_text(table)

    return Reader(paths.ledger_path, (paths.ledger_path.read_bytes(),), read)


def _point(folder: Path) -> Reader:
    store, record = PointStore(folder), _record()
    store.add(record)
    path = folder / f"{record.key}.json"

    def read() -> None:
        found = store.get(record.key)
        if found is not None:
            results_text(results_table([found], {found.key: 0}))

    return Reader(path, (path.read_bytes(),), read)


def _weights(folder: Path) -> Reader:
    store, record = PointStore(folder), _record()
    path = folder / f"{record.key}.npz"
    write_weights(path, [np.ones((4, 2), np.float32), np.zeros(2, np.float32), np.ones((), np.int64)])

    def read() -> None:
        # With the digest of what is there, so that the digest does not stand before the reader.
        data = path.read_bytes()
        store.weights(replace(record, weights=WeightsFile(path.name, len(data), sha256(data))))

    return Reader(path, (path.read_bytes(),), read)


def _checkpoint(folder: Path) -> Reader:
    checkpoints, weights = Checkpoints(folder), [np.ones((4, 2), np.float32), np.zeros(2, np.float32)]
    rows = [{"loss": 0.5, "val_loss": 0.25}, {"loss": 0.25, "val_loss": 0.5}]
    checkpoints.write(PREFIX, Checkpoint("graph", {"epochs": 9}, rows, weights, 1, weights, 1.5))
    point = Point(0, {"epochs": 9, "patience": 3}, 0, PREFIX)

    def read() -> None:
        found = checkpoints.read(PREFIX)
        if found is not None:
            found.serves(point)

    path = folder / f"{PREFIX}.npz"
    return Reader(path, (path.read_bytes(),), read)


def _model(folder: Path) -> Reader:
    """A ``.keras`` file of a set without a manifest, in which no digest stands before Keras."""
    import keras

    from raygrid.training.keras_files import model_bytes, model_from_bytes

    def sample(*layers: Any) -> bytes:
        model = keras.Sequential([keras.Input((4,)), *layers])
        model.compile("adam", "mse")
        model.optimizer.build(model.trainable_variables)
        return model_bytes(model)

    path = folder / f"{PREFIX}_model.keras"
    samples = (sample(keras.layers.Dense(2)), sample(keras.layers.Reshape((2, 2)), keras.layers.LSTM(2)))
    # What Keras imports with the first model that it loads looks around in the machine.
    model_from_bytes(samples[0], path, None)
    return Reader(path, samples, lambda: model_from_bytes(read_bytes(path, MAX_MODEL_BYTES), path, None))


def _lock_holder(folder: Path) -> Reader:
    """The name that a lock's holder left, which someone who waits is told."""
    lock = folder / f"{PREFIX}.lock"
    held = locked(lock, None, lambda holder: None)
    held.__enter__()

    def read() -> None:
        with locked(lock, 0.0, lambda holder: None):
            # Also keeps what holds it.
            raise LetInError(f"a lock that is held was given twice: {held}")

    return Reader(lock.with_name(f"{lock.name}.holder"), (b"process 17 on machine",), read)


def _reset(folder: Path) -> Reader:
    paths = ModelArtifacts.for_prefix(folder, PREFIX)
    paths.runs_dir.mkdir()
    return Reader(
        paths.reset_path, (encode_json({"experiment": "0f", "asked": "5" * 64}),), lambda: current_experiment(paths)
    )


# What people write

_GRID: dict[str, Any] = {"latent_dim": [2, 4], "encoder_layers": [[8, 4], [16]], "learning_rate": [1e-3, 5e-4]}
_CONFIG: dict[str, Any] = {"latent_dim": 2, "encoder_layers": [8, 4], "learning_rate": 1e-3, "patience": None}
_TOML_GRID = b"latent_dim = [2, 4]\nencoder_layers = [[8, 4], [16]]\nlearning_rate = [1e-3, 0.5]\n"
_TOML_CONFIG = b"latent_dim = 2\nencoder_layers = [8, 4]\nactivation = 'relu'\n"
_EVAL = {"latent_dim": {"eval": "__import__('os').system('touch owned')"}}
_YAML_TRAPS = (
    b"latent_dim: !!python/object/apply:os.system ['touch owned']\n",
    b"base: &base {latent_dim: [2]}\n<<: *base\nepochs: [1, 2]\nseen: 2001-12-14t21:59:43.10-05:00\n",
    b"a: !!bool yes\nb: !!int '7'\nc: !!float 1\nd: !!binary aGk=\ne: !!set {x}\nf: !!omap [g: 1]\n",
    b"a: !!timestamp 2001-01-01\n",
)


def _mapping(suffix: str, kind: str, *samples: bytes) -> Callable[[Path], Reader]:
    def prepare(folder: Path) -> Reader:
        path = folder / f"asked{suffix}"
        space = Autoencoder()._space()
        ask = space.grid if kind == "grid" else space.config
        return Reader(path, samples, lambda: ask(read_mapping(path)))

    return prepare


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _yaml(value: Any) -> bytes:
    return yaml.safe_dump(value).encode()


# Data

_TABLE = pa.table(
    {
        "temp": pa.array([1.0, 2.5, -3.0, 4.0]),
        "flow": pa.array([1, 2, 3, 4], pa.int32()),
        "kind": pa.array([0.5, 0.25, 0.125, 1.0], pa.float32()),
    }
)
_TEXTS = _TABLE.append_column("name", pa.array(["a", "b", "a", "b"]).dictionary_encode())


def _buffer(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _ipc(table: pa.Table, new: Callable[..., Any]) -> bytes:
    def write(buffer: io.BytesIO) -> None:
        with new(buffer, table.schema) as writer:
            writer.write_table(table)

    return _buffer(write)


def _object_array() -> bytes:
    return _buffer(lambda buffer: np.save(buffer, np.array([{1, 2}, None], dtype=object), allow_pickle=True))


_ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


def _data(suffix: str, *samples: Callable[[], bytes]) -> Callable[[Path], Reader]:
    def prepare(folder: Path) -> Reader:
        path = folder / f"data{suffix}"
        return Reader(path, tuple(sample() for sample in samples), lambda: read_data(path))

    return prepare


READERS: dict[str, Callable[[Path], Reader]] = {
    "manifest": _manifest,
    "config": _legacy("config"),
    "metrics": _legacy("metrics"),
    "scaler": _legacy("scaler"),
    "detector": _extra(
        "detector",
        AutoencoderDetector,
        {"format": 1, "threshold": 0.5, "quantile": 0.99, "validation_rows": 20},
    ),
    "classes": _extra("classes", MLPClassifier, {"format": 1, "classes": ["high", "low"]}),
    "ledger": _ledger,
    "point record": _point,
    "weights": _weights,
    "checkpoint": _checkpoint,
    "model": _model,
    "lock holder": _lock_holder,
    "reset": _reset,
    "grid.json": _mapping(".json", "grid", _json(_GRID), _json(_EVAL)),
    "grid.yaml": _mapping(".yaml", "grid", _yaml(_GRID), *_YAML_TRAPS),
    "grid.toml": _mapping(".toml", "grid", _TOML_GRID),
    "config.json": _mapping(".json", "config", _json(_CONFIG), _json(_EVAL)),
    "config.yaml": _mapping(".yaml", "config", _yaml(_CONFIG), *_YAML_TRAPS),
    "config.toml": _mapping(".toml", "config", _TOML_CONFIG),
    "data.csv": _data(".csv", lambda: _buffer(lambda b: csv.write_csv(_TABLE, b)), lambda: b"a,b\n1,2\n3,x\n"),
    "data.npy": _data(".npy", lambda: _buffer(lambda b: np.save(b, _ROWS)), _object_array),
    "data.npz": _data(
        ".npz",
        lambda: _buffer(lambda b: np.savez(b, X=_ROWS, y=_ROWS[:, 0])),
        lambda: _buffer(lambda b: np.savez_compressed(b, X_train=_ROWS, X_val=_ROWS)),
    ),
    "data.parquet": _data(
        ".parquet",
        lambda: _buffer(lambda b: pq.write_table(_TABLE, b)),
        lambda: _buffer(lambda b: pq.write_table(_TEXTS, b, compression="gzip")),
    ),
    "data.arrow": _data(".arrow", lambda: _ipc(_TABLE, pa.ipc.new_file), lambda: _ipc(_TABLE, pa.ipc.new_stream)),
}
