"""Reading safetensors without a mapping: the same bytes as the library, and typed errors for anything else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from autoglm_phone.errors import CheckpointError
from autoglm_phone.runner.checkpoint import Checkpoint
from autoglm_phone.runner.shards import Shard, ShardReader

TENSORS = {
    "a.float": torch.randn(3, 5),
    "a.half": torch.randn(7).half(),
    "a.brain": torch.randn(2, 2, 2).bfloat16(),
    "b.long": torch.arange(4),
    "b.byte": torch.arange(9, dtype=torch.uint8),
    "b.bool": torch.tensor([True, False, True]),
    "b.scalar": torch.tensor(3.5),
    "b.empty": torch.zeros(0, 4),
    "b.eight": torch.randn(6).to(torch.float8_e4m3fn),
    "b.wide": torch.tensor([1, 2], dtype=torch.uint32),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file({k: v for k, v in TENSORS.items() if k.startswith("a")}, tmp_path / "one.safetensors")
    save_file({k: v for k, v in TENSORS.items() if k.startswith("b")}, tmp_path / "two.safetensors", {"note": "x"})
    return tmp_path


def header(path: Path, change) -> None:
    """Write a file whose header was tampered with."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    table = json.loads(raw[8 : 8 + length])
    change(table)
    new = json.dumps(table).encode()
    path.write_bytes(len(new).to_bytes(8, "little") + new + raw[8 + length :])


def test_every_type_reads_as_the_library_reads_it(folder):
    reader = ShardReader(Checkpoint(folder))
    for name, tensor in TENSORS.items():
        read = reader.get(name, tuple(tensor.shape))
        assert read.dtype == tensor.dtype
        assert torch.equal(
            read.view(torch.uint8) if read.dim() else read, tensor.view(torch.uint8) if read.dim() else tensor
        )
    assert set(reader.under("a.")) == {"float", "half", "brain"}
    assert reader.nbytes("a.", torch.float32) == 4 * (15 + 7 + 8)
    assert "a.float" in reader
    assert set(reader.names()) == set(TENSORS)


def test_what_is_not_there_or_has_another_shape_is_refused(folder):
    reader = ShardReader(Checkpoint(folder))
    with pytest.raises(CheckpointError, match="no tensor"):
        reader.get("c")
    with pytest.raises(CheckpointError, match="shape"):
        reader.get("a.float", (5, 3))


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: p.write_bytes(b""),
        lambda p: p.write_bytes(b"\x00" * 64),
        lambda p: p.write_bytes((1 << 62).to_bytes(8, "little") + b"{}"),
        lambda p: p.write_bytes((2).to_bytes(8, "little") + b"[}"),
        lambda p: p.write_bytes((2).to_bytes(8, "little") + b"[]"),
        lambda p: header(p, lambda t: t["a.float"].update(data_offsets=[0, 1 << 40])),
        lambda p: header(p, lambda t: t["a.float"].update(data_offsets=[-8, 52])),
        lambda p: header(p, lambda t: t["a.float"].update(shape=[1 << 40, 1 << 40])),
        lambda p: header(p, lambda t: t["a.float"].update(shape="big")),
        lambda p: header(p, lambda t: t.update({"a.float": 7})),
        lambda p: p.unlink(),
    ],
)
def test_broken_files_are_typed_errors(folder, damage):
    path = folder / "one.safetensors"
    damage(path)
    with pytest.raises(CheckpointError):
        Shard(path)


def test_unknown_types_are_errors_only_when_they_are_read(folder):
    path = folder / "one.safetensors"
    header(path, lambda t: t["a.half"].update(dtype="F4_NEW"))
    shard = Shard(path)
    assert torch.equal(shard.read(["a.float"])["a.float"], TENSORS["a.float"])
    with pytest.raises(CheckpointError, match="type"):
        shard.read(["a.half"])


def test_a_file_that_came_back_with_other_contents_is_refused(folder):
    path = folder / "one.safetensors"
    shard = Shard(path)
    size = path.stat().st_size
    save_file({"a.other": torch.randn(3, 5)}, path)
    path.write_bytes(path.read_bytes().ljust(size, b"\x00"))
    with pytest.raises(CheckpointError):
        shard.read(["a.float"])
