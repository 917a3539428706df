"""The same bytes and the same verdict as the command line, of a path and of a ModelProto; test/engine/places.test.ts holds the library to it."""

import hashlib
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import bnfold
import onnx
import pytest
from bnfold.decode import decode
from bnfold.report import FoldReport
from conftest import FIXTURES

SHARED = FIXTURES.parents[2] / "shared" / "corpus"
MODELS = sorted(FIXTURES.glob("*/model.onnx"))
for folder in (SHARED / "probes", SHARED / "exports"):
    found = sorted(folder.glob("*/model.onnx"))
    if not found:
        warnings.warn(f"{folder} is not there: its models are left out", stacklevel=1)
    MODELS += found


def command_line(source: Path, folder: Path) -> dict[str, Any]:
    """Folds with the command line; the report."""
    folder.mkdir()
    args = [sys.executable, "-m", "bnfold", "fold", str(source), "-o", str(folder / "model.onnx"), "--json"]
    return json.loads(subprocess.run(args, check=True, capture_output=True, text=True).stdout)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def verdict(said: dict[str, Any]) -> object:
    return decode(FoldReport, said).verdict


@pytest.mark.parametrize("source", MODELS, ids=lambda path: path.parent.name)
def test_same_bytes_and_verdict(source: Path, tmp_path: Path) -> None:
    said = command_line(source, tmp_path / "command")
    (tmp_path / "path").mkdir()
    _, report = bnfold.fold(source, tmp_path / "path" / "model.onnx")
    assert hashes(tmp_path / "path") == hashes(tmp_path / "command")
    assert report.verdict == verdict(said)
    assert report.verdict.outcome == "equivalent"

    # Protocol buffers write a model in their own order, with the numbers of side files inside: what they make of either is the same.
    folded, own = bnfold.fold(onnx.load(source))
    assert folded.SerializeToString() == onnx.load(tmp_path / "path" / "model.onnx").SerializeToString()
    assert own.verdict == report.verdict
