"""f46: data and grid files of absurd size, or that claim one, are refused before memory is taken for them.

Each file is read in a process whose address space is limited: what takes memory by mistake fails there, and does no
harm to the machine.
"""

from __future__ import annotations

import json
import os
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as pa_feather
import pyarrow.parquet as pq
import pytest
from child_processes import run_script
from commands import Command

from raygrid.cli.inputs import MAX_DEPTH, MAX_FILE_BYTES, MAX_YAML_VALUES, read_mapping
from raygrid.errors import GridError

GIB = 2**30
TIB = 2**40
NEEDS = "of memory, and"
DAMAGED = "is damaged, or not a"
HEADER = "file: the header of an array has 4,294,967,295 bytes"
LIST = "file: its list of arrays is larger than that of any archive"


def sparse(path: Path, size: int, start: bytes = b"", end: bytes = b"") -> None:
    """A file of zeros between ``start`` and ``end``, which takes no room on the disk."""
    with open(path, "wb") as file:
        file.write(start)
        file.truncate(size)
        file.seek(0, os.SEEK_END)
        file.write(end)


def npy_header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    text = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    text += b" " * (118 - len(text) - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def long_header(size: int) -> bytes:
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", size)


NO_HEADER = b"\x93NUMPY\x01\x00\x0a\x00{[]: 1}  \n"


def npz(path: Path, member: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", member)


def npz_of_zeros(path: Path, gib: int) -> None:
    """An archive of a few kilobytes that holds gigabytes of zeros."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("X.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy_header((gib * 2**27 // 16, 16)))
        # What is compressed once and copied would do as well; this takes a second.
        for _ in range(gib * 16):
            member.write(bytes(2**26))


def npz_that_claims(path: Path, claimed_bytes: int) -> None:
    """Both places that say how large the array is unpacked say another size."""
    npz(path, npy_header((4, 2)) + bytes(64))
    data = path.read_bytes()
    size = struct.pack("<I", 118 + 10 + 64)
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, struct.pack("<I", claimed_bytes)))


def npz_with_a_list_of(path: Path, size: int) -> None:
    """The end of an archive whose list of members is ``size`` bytes long."""
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, min(size, 2**32 - 2), 0, 0)
    sparse(path, size, b"PK\1\2", end)


def feather(path: Path, rows: int, batches: int = 1) -> None:
    """A compressed file of zeros: 250 rows a byte."""
    table = pa.table({"a": np.zeros(rows // batches), "b": np.zeros(rows // batches)})
    with pa.OSFile(str(path), "wb") as sink:
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_file(sink, table.schema, options=options) as writer:
            for _ in range(batches):
                writer.write_table(table)


def feather_of_texts(path: Path) -> None:
    texts = pa.array(["x" * 2**20] + ["y"] * 2**14).dictionary_encode()
    pa_feather.write_feather(pa.table({"a": np.zeros(2**14 + 1), "label": texts}), path)


def feather_that_claims(path: Path) -> None:
    """The first compressed buffer says that it holds eight TiB."""
    feather(path, 2**16)
    data = path.read_bytes()
    size = struct.pack("<q", 2**16 * 8)
    assert size in data
    path.write_bytes(data.replace(size, struct.pack("<q", 8 * TIB), 1))


def parquet_of_zeros(path: Path, rows: int) -> None:
    """Ten million rows are some kilobytes."""
    table = pa.table({"a": np.zeros(10**7)})
    with pq.ParquetWriter(path, table.schema) as writer:
        for _ in range(rows // 10**7):
            writer.write_table(table, row_group_size=10**7)


def parquet_that_claims(path: Path) -> None:
    """A footer of a gigabyte, which is not there, and one that is, of zeros."""
    sparse(path, 3 * GIB, b"PAR1", struct.pack("<I", 2 * GIB) + b"PAR1")


def parquet_of_texts(path: Path) -> None:
    """One text of a megabyte, a million times: three megabytes on the disk."""
    texts = pa.DictionaryArray.from_arrays(np.zeros(10**6, np.int32), ["x" * 2**20])
    # Without the schema of Arrow, which would say that it is a dictionary.
    pq.write_table(pa.table({"a": np.zeros(10**6), "label": texts}), path, store_schema=False)


FILES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "sparse npy": (".npy", lambda p: sparse(p, 4 * TIB + 128, npy_header((2**35, 16))), NEEDS),
    "sparse csv": (".csv", lambda p: sparse(p, TIB, b"a,b\n1,2\n"), NEEDS),
    "sparse csv that would fit": (".csv", lambda p: sparse(p, GIB // 16, b"a,b\n1,2\n"), DAMAGED),
    "sparse parquet": (".parquet", lambda p: sparse(p, TIB, b"PAR1", bytes(4) + b"PAR1"), DAMAGED),
    "sparse feather": (".arrow", lambda p: sparse(p, TIB, b"ARROW1\0\0", bytes(4) + b"ARROW1"), DAMAGED),
    "sparse arrow stream": (".arrow", lambda p: sparse(p, TIB, b"\xff\xff\xff\xff"), DAMAGED),
    "sparse npz": (".npz", lambda p: sparse(p, TIB, b"PK\3\4"), DAMAGED),
    "npy of a trillion rows that are not there": (".npy", lambda p: sparse(p, 200, npy_header((10**12, 2))), DAMAGED),
    "npy of more bytes than there are numbers": (".npy", lambda p: sparse(p, 200, npy_header((2**62, 2**62))), DAMAGED),
    "npy of fewer than no rows": (".npy", lambda p: sparse(p, 2000, npy_header((-4, -2))), DAMAGED),
    "npy of a header of 4 GiB": (".npy", lambda p: sparse(p, 8 * GIB, long_header(2**32 - 1)), HEADER),
    "npy of a header that is no header": (".npy", lambda p: sparse(p, 200, NO_HEADER), DAMAGED),
    "npz that holds a GiB in kilobytes": (".npz", lambda p: npz_of_zeros(p, 1), NEEDS),
    "npz that claims 4 GiB": (".npz", lambda p: npz_that_claims(p, 2**32 - 2), NEEDS),
    "npz that claims ten bytes": (".npz", lambda p: npz_that_claims(p, 10), DAMAGED),
    "npz of a trillion rows": (".npz", lambda p: npz(p, npy_header((10**12, 2)) + bytes(64)), DAMAGED),
    "npz of a header of 4 GiB": (".npz", lambda p: npz(p, long_header(2**32 - 1) + bytes(2**25)), HEADER),
    "npz of a list of 3 GiB": (".npz", lambda p: npz_with_a_list_of(p, 3 * GIB), LIST),
    "feather of many rows": (".arrow", lambda p: feather(p, 2**25), NEEDS),
    "feather of many batches": (".arrow", lambda p: feather(p, 2**26, 2**6), NEEDS),
    "feather that claims 8 TiB": (".arrow", feather_that_claims, NEEDS),
    "feather of one long label": (".arrow", feather_of_texts, NEEDS),
    "parquet of many rows": (".parquet", lambda p: parquet_of_zeros(p, 10**8), NEEDS),
    "parquet of a footer of 2 GiB": (".parquet", parquet_that_claims, DAMAGED),
    "parquet of one long label": (".parquet", parquet_of_texts, NEEDS),
    "csv of one digit a number": (".csv", lambda p: p.write_bytes(b"a,b\n" + b"1,2\n" * 2**25) and None, NEEDS),
}  # fmt: skip

# The address space is limited after the imports: what they map is not the file's.
_READ = """
    import json, resource, sys
    import numpy as np
    import pyarrow as pa, pyarrow.compute, pyarrow.csv, pyarrow.feather, pyarrow.ipc, pyarrow.parquet
    from raygrid.cli import main
    from raygrid.cli.data import Columns, load_file
    from raygrid.data.files.tables import read_data
    from raygrid.errors import DataError
    from pathlib import Path

    # Threads of Arrow take their stacks once.
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    pyarrow.csv.read_csv(pa.BufferReader(b"a\\n1\\n"))
    mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    limit = mapped + int({left_gib} * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in {names!r}:
        labels = ["label"] if "label" in Path(name).stem else None
        try:
            data = read_data(name, labels=labels)
            print(json.dumps([name, f"read {{data.X.shape}}"]))
        except DataError as error:
            print(json.dumps([name, str(error)]))
    print(json.dumps(["peak MiB", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024]))
"""


def answers(folder: Path, names: list[str], left_gib: float) -> dict[str, str | int]:
    """What ``read_data`` says of files, in a process that may map ``left_gib`` more than at its start."""
    output = run_script(_READ.format(names=names, left_gib=left_gib), folder, timeout_s=100)
    return dict(json.loads(line) for line in output.splitlines())


def test_f46_a_data_file_of_absurd_size_is_refused_with_the_memory_that_it_needs_or_as_damaged(tmp_path: Path) -> None:
    expected = {}
    for title, (suffix, make, refusal) in FILES.items():
        path = tmp_path / f"{title.replace(' ', '_')}{suffix}"
        make(path)
        expected[path.name] = refusal
    found = answers(tmp_path, list(expected), left_gib=0.4)
    peak_mib = found.pop("peak MiB")
    wrong = {name: found.get(name) for name, refusal in expected.items() if refusal not in str(found.get(name))}
    assert not wrong
    for name, message in found.items():
        assert str(message).startswith(name)
        assert "Write " in str(message)
    assert int(peak_mib) < 350


def test_f46_what_fits_is_read_in_the_same_process(tmp_path: Path) -> None:
    names = ["a.arrow", "a.parquet", "a.csv", "a.npy", "a.npz", "label.arrow", "label.parquet"]
    feather(tmp_path / "a.arrow", 2**20, 4)
    parquet_of_zeros(tmp_path / "a.parquet", 10**7)
    (tmp_path / "a.csv").write_bytes(b"a,b\n" + b"1,2\n" * 2**20)
    np.save(tmp_path / "a.npy", np.zeros((2**20, 2)))
    np.savez_compressed(tmp_path / "a.npz", X=np.zeros((2**20, 2)))
    labelled = pa.table({"a": np.zeros(10**5), "label": ["low", "high"] * 50_000})
    pa_feather.write_feather(labelled, tmp_path / "label.arrow")
    pq.write_table(labelled, tmp_path / "label.parquet")
    found = answers(tmp_path, names, left_gib=1)
    shapes = [(2**20, 2), (10**7, 1), (2**20, 2), (2**20, 2), (2**20, 2), (10**5, 1), (10**5, 1)]
    assert [found[name] for name in names] == [f"read {shape}" for shape in shapes]


def test_f46_the_needed_memory_is_named_beside_what_there_is(tmp_path: Path) -> None:
    sparse(tmp_path / "x.npy", 4 * TIB + 128, npy_header((2**35, 16)))
    message = str(answers(tmp_path, ["x.npy"], left_gib=0.5)["x.npy"])
    assert message.startswith("x.npy would need about 6,144.0 GiB of memory, and 0.")
    assert "GiB are available. Write a file with fewer rows or columns" in message


# Grids and configs


def test_f46_a_data_file_of_absurd_size_ends_the_command(command: Command, folder: Path) -> None:
    sparse(folder / "x.npy", 4 * TIB, npy_header((2**34, 16)))
    ended = command("search", "--data", "x.npy")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("raygrid: x.npy would need about 3,072.0 GiB of memory, and ")
    assert "Traceback" not in ended.err
    (folder / "x.npy").unlink()
    assert os.listdir(folder) == ["table.csv"]


@pytest.mark.parametrize("option", ["--grid", "--config"])
@pytest.mark.parametrize("name", ["g.json", "g.yaml", "g.toml"])
def test_f46_a_grid_file_above_the_limit_is_refused_with_size_and_limit(
    command: Command, folder: Path, option: str, name: str
) -> None:
    sparse(folder / name, 10 * GIB, b'{"latent_dim": [1')
    ended = command("search", option, name)
    assert ended.code == 2
    assert f"{name} has {10 * GIB:,} bytes, more than the limit of {MAX_FILE_BYTES:,}" in ended.err
    # One that has no size and no end.
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    ended = command("search", option, name)
    assert ended.code == 2
    assert f"more than the limit of {MAX_FILE_BYTES:,} for a grid or config" in ended.err


def bomb(levels: int, start: str, level: str) -> str:
    """Aliases of aliases, nine at each level."""
    lines = [f"a0: &a0 {start}"]
    lines += [f"a{i}: &a{i} {level % ', '.join([f'*a{i - 1}'] * 9)}" for i in range(1, levels)]
    return "\n".join(lines) + "\n"


BOMBS = {
    "laughs": bomb(12, "[lol, lol]", "[%s]"),
    "keys that merge": bomb(12, "{x: 1, y: 2}", "{<<: [%s]}"),
    "mappings": bomb(12, "{x: 1, y: 2}", "{b: [%s]}"),
}
_BOMB = """
    import resource
    from pathlib import Path
    from raygrid.cli.inputs import read_mapping
    from raygrid.errors import GridError
    import yaml
    mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + 2**28, mapped + 2**28))
    for name in {names!r}:
        try:
            read_mapping(Path(name))
        except GridError as error:
            print(str(error).splitlines()[0])
"""


def test_f46_a_page_of_yaml_that_stands_for_more_than_any_memory_is_refused(tmp_path: Path) -> None:
    names = []
    for i, text in enumerate(BOMBS.values()):
        (tmp_path / f"bomb{i}.yaml").write_text(text)
        names.append(f"bomb{i}.yaml")
    (tmp_path / "itself.yaml").write_text("latent_dim: &a [1, *a]\n")
    (tmp_path / "deep.json").write_text('{"latent_dim": ' + "[" * 500_000 + "]" * 500_000 + "}")
    lines = run_script(_BOMB.format(names=[*names, "itself.yaml", "deep.json"]), tmp_path, timeout_s=60).splitlines()
    limit = f"with its aliases written out it holds more than {MAX_YAML_VALUES:,} values"
    assert lines[:3] == [f"{name} is not valid YAML: {limit}" for name in names]
    assert lines[3] == "itself.yaml is not valid YAML: an alias stands for what holds it"
    assert lines[4].startswith("deep.json is not valid JSON: maximum recursion depth exceeded")


@pytest.mark.parametrize("opening", ["{a: ", "[", "[\n", "- "], ids=["mappings", "lists", "lines", "blocks"])
def test_f46_yaml_of_absurd_depth_is_refused_at_once(tmp_path: Path, opening: str) -> None:
    file = tmp_path / "deep.yaml"
    file.write_text(opening * (MAX_FILE_BYTES // len(opening)))
    begin = time.monotonic()
    with pytest.raises(GridError, match=f"deep.yaml is not valid YAML: .* lie more than {MAX_DEPTH} deep"):
        read_mapping(file)
    assert time.monotonic() - begin < 2
    for inner in ("1", ""):
        # Beside the lists there is the mapping.
        file.write_text("a: " + "[" * (MAX_DEPTH - 1) + inner + "]" * (MAX_DEPTH - 1))
        assert list(read_mapping(file)) == ["a"]
        file.write_text("a: " + "[" * MAX_DEPTH + inner + "]" * MAX_DEPTH)
        with pytest.raises(GridError, match="deep in each other"):
            read_mapping(file)


@pytest.mark.parametrize("begin", ["", "[", "a = 1\nb = {c = 1, "], ids=["key", "table", "inline"])
def test_f46_a_name_of_absurdly_many_parts_in_toml_is_refused_at_once(tmp_path: Path, begin: str) -> None:
    file = tmp_path / "deep.toml"
    file.write_text(begin + "a." * 2**18 + "a = 1")
    start = time.monotonic()
    with pytest.raises(GridError, match=f"deep.toml is not valid TOML: .* name of more than {MAX_DEPTH} parts"):
        read_mapping(file)
    assert time.monotonic() - start < 2
    file.write_text("rates = [" + "0.5, " * 500 + "]\n" + "a." * (MAX_DEPTH - 1) + "a = 1")
    assert list(read_mapping(file)) == ["rates", "a"]


def test_f46_aliases_that_stand_for_little_are_written_out(command: Command, folder: Path) -> None:
    (folder / "g.yaml").write_text("latent_dim: &a [2, 3]\nencoder_layers: [*a, [4]]\nepochs: [1]\n")
    ended = command("search", "--data", "table.csv", "--features", "a,b", "--grid", "g.yaml", "--plan")
    assert ended.code == 0, ended.err
    assert "points          4\n" in ended.out
