"""No file that a person may have been sent runs code: no pickle and no eval in raygrid, and real files that try it."""

from __future__ import annotations

import ast
import hashlib
import io
import logging
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import raygrid
from raygrid.cli.inputs import parse_settings, read_mapping
from raygrid.data.files.tables import read_data
from raygrid.data.mapped_arrays import open_array_files
from raygrid.errors import DataError, GridError
from raygrid.grid.records import PointRecord, WeightsFile
from raygrid.store.ledger import read_ledger, results_table
from raygrid.store.paths import ModelArtifacts
from raygrid.store.points import PointStore

PACKAGE = Path(raygrid.__file__).parent

_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle", "code", "codeop"}
_CALLS = {"eval", "exec", "__import__", "os.system", "os.popen", "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle"}
# A call that is safe with this argument alone: where in the arguments, its name, and its value.
_ONLY_WITH = {"np.load": ("allow_pickle", False), "keras.saving.load_model": ("safe_mode", True)}


def _name(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def _dangers(tree: ast.AST) -> Iterator[str]:
    """What in a module could run code that lies in a file."""
    safe_loaders = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and [_name(base) for base in node.bases] == ["yaml.SafeLoader"]
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            yield from (f"import {name}" for name in names if name.partition(".")[0] in _MODULES)
        elif isinstance(node, ast.Call) and _is_unsafe(node, safe_loaders):
            yield ast.unparse(node)


def _is_unsafe(call: ast.Call, safe_loaders: set[str]) -> bool:
    name = _name(call.func)
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if name == "yaml.load":
        return len(call.args) != 2 or _name(call.args[1]) not in safe_loaders
    if name in _ONLY_WITH:
        keyword, value = _ONLY_WITH[name]
        return not _is_constant(given.get(keyword), value)
    return name in _CALLS or ("shell" in given and not _is_constant(given["shell"], False))


def _is_constant(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def test_no_module_of_raygrid_unpickles_evaluates_or_loads_without_the_safe_setting() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 50
    found = {file: list(_dangers(ast.parse(file.read_text()))) for file in files}
    assert {str(file): dangers for file, dangers in found.items() if dangers} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from cloudpickle import loads",
        "import joblib.numpy_pickle",
        "eval(text)",
        "exec(text)",
        "yaml.load(text)",
        "yaml.load(text, yaml.UnsafeLoader)",
        "yaml.unsafe_load(text)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=trust)",
        "keras.saving.load_model(path)",
        "keras.saving.load_model(path, safe_mode=False)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_what_the_reader_of_the_modules_looks_for_it_finds(line: str) -> None:
    assert list(_dangers(ast.parse(line)))


class _Owns:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return Path.mkdir, (self.folder,)  # type: ignore[return-value]


@pytest.fixture
def owned(tmp_path: Path) -> Iterator[Path]:
    """What a file makes whose code is run; the file would work if it were read carelessly, and must not here."""
    folder = tmp_path / "owned"
    pickle.loads(pickle.dumps(_Owns(folder)))
    assert folder.is_dir()
    folder.rmdir()
    yield folder
    assert not folder.exists()


def _objects(owned: Path) -> np.ndarray[Any, Any]:
    return np.array([_Owns(owned), _Owns(owned)], dtype=object)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_data_file_of_pickled_objects_is_refused_and_not_unpickled(owned: Path, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"data{suffix}"
    if suffix == ".npy":
        np.save(file, _objects(owned), allow_pickle=True)
    else:
        np.savez(file, X=_objects(owned))
    with pytest.raises(DataError, match="holds Python objects"):
        read_data(file)


def test_a_pickle_with_the_name_of_a_data_file_is_refused_and_not_unpickled(owned: Path, tmp_path: Path) -> None:
    for suffix in (".npy", ".npz", ".parquet", ".arrow", ".feather"):
        file = tmp_path / f"data{suffix}"
        file.write_bytes(pickle.dumps(_Owns(owned)))
        with pytest.raises(DataError, match="damaged"):
            read_data(file)


def _pickled_type(owned: Path) -> pa.Table:
    """Numbers whose columns claim to be of a Python type, which pyarrow once unpickled from the file.

    See CVE-2023-47248. The table's own metadata, which pandas writes, holds a pickle as well.
    """
    stolen = pickle.dumps(_Owns(owned))
    claim = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": stolen}
    fields = [pa.field(name, pa.float64(), metadata=claim) for name in ("a", "b")]
    schema = pa.schema(fields, metadata={b"pandas": stolen})
    return pa.table([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], schema=schema)


def test_a_table_whose_metadata_is_pickled_is_read_as_the_numbers_that_it_holds(owned: Path, tmp_path: Path) -> None:
    table = _pickled_type(owned)
    pq.write_table(table, tmp_path / "data.parquet")
    with pa.OSFile(str(tmp_path / "data.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    for name in ("data.parquet", "data.arrow"):
        np.testing.assert_array_equal(read_data(tmp_path / name).X, [[1, 4], [2, 5], [3, 6]])


def test_a_ledger_whose_metadata_is_pickled_is_read_without_it(owned: Path, tmp_path: Path) -> None:
    paths = ModelArtifacts.for_prefix(tmp_path, "small")
    claims = _pickled_type(owned).schema
    empty = results_table([], {})
    fields = [field.with_metadata(claims.field(0).metadata) for field in empty.schema]
    pq.write_table(empty.cast(pa.schema(fields, metadata=claims.metadata)), paths.ledger_path)
    table = read_ledger(paths)
    assert table is not None
    assert table.to_pydict() == empty.to_pydict()


def test_weights_of_pickled_objects_count_as_none_though_their_record_vouches_for_them(
    owned: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **{"00000": _objects(owned)})
    (tmp_path / "ab.npz").write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    record = PointRecord("ab", "c", {}, 0, "done", weights=WeightsFile("ab.npz", len(buffer.getvalue()), digest))
    with caplog.at_level(logging.WARNING, "raygrid"):
        assert PointStore(tmp_path).weights(record) is None
    assert "it holds no weights" in caplog.text


def test_scaled_data_of_pickled_objects_is_not_opened(owned: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x_train.npy", _objects(owned), allow_pickle=True)
    (tmp_path / "arrays.json").write_text('{"x_train": "x_train.npy", "x_val": "x_train.npy"}')
    with pytest.raises(ValueError, match=r"Object arrays|Python objects"):
        open_array_files(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "units: !!python/object/apply:pathlib.Path.mkdir [!!python/object/apply:pathlib.Path [{owned}]]",
        "!!python/object/apply:os.mkdir [{owned}]",
        "units: !!python/name:os.system",
    ],
)
def test_a_yaml_grid_that_names_python_objects_is_refused_and_makes_none(
    owned: Path, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(text.format(owned=owned))
    with pytest.raises(GridError, match=r"is not valid YAML: .*could not determine a constructor"):
        read_mapping(file)


def test_python_in_a_json_grid_or_a_setting_stays_text(owned: Path, tmp_path: Path) -> None:
    code = f"__import__('os').mkdir('{owned}')"
    file = tmp_path / "grid.json"
    file.write_text(f'{{"units": ["{code}"]}}')
    assert read_mapping(file) == {"units": [code]}
    assert parse_settings([f'units=["{code}"]']) == {"units": [code]}
    with pytest.raises(GridError, match="is not NAME=JSON"):
        parse_settings([f"units={code}"])
