"""Python's keyword arguments and the command line's options, held together."""

import inspect
import re
from pathlib import Path
from typing import Any, Callable

import bnfold
import numpy as np
import onnx
import pytest
from bnfold.engine import shared_engine
from bnfold.options import ELSEWHERE
from conftest import conv_norm

#: What a function has beside options, or under another name.
OWN = {"model", "a", "b", "data", "feeds", "base_dir", "progress", "engine", "options", "output", "certificate"}
RENAMED = {"input": "inputs", "shape": "shapes", "no_merge": "merge", "no_check": "check", "no_run": "run", "data": "data"}
#: Exit codes tell a shell what a report tells a program; a part of a recalibration is merged by commands.
SHELL = {
    "verify": {"strict"},
    "inspect": {"strict", "fail_on"},
    "recalibrate": {"shard", "moments"},
    # Results are what is given back.
    "run": {"output"},
    "fold": {"shard"},
}
#: Each function with its command, and what is called otherwise there.
FUNCTIONS: list[tuple[str, Callable[..., Any], dict[str, str]]] = [
    ("fold", bnfold.fold, {}),
    ("equalize", bnfold.equalize, {}),
    ("verify", bnfold.verify, {}),
    ("diff", bnfold.diff, {}),
    ("inspect", bnfold.inspect, {}),
    ("certify", bnfold.certify, {}),
    ("run", bnfold.run, {"input": "feeds"}),
    ("freeze", bnfold.freeze, {}),
    ("recalibrate", bnfold.recalibrate, {"engine": "backend"}),
]


def table(command: str) -> set[str]:
    """The options ``bnfold <command> --help`` lists."""
    said = shared_engine().call([command, "--help"]).out
    return {name.replace("-", "_") for name in re.findall(r"^ +(?:-\w, )?--([a-z-]+)", said, re.M)}


@pytest.mark.parametrize(("command", "function", "renamed"), FUNCTIONS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_option_is_a_keyword_argument(command: str, function: Callable[..., Any], renamed: dict[str, str]) -> None:
    options = table(command)
    assert len(options) > 5
    named = set(inspect.signature(function).parameters)
    common = {"config"}
    wanted = {
        {**RENAMED, **renamed}.get(name, name)
        for name in options - common - SHELL.get(command, set())
        if name not in ELSEWHERE or name in RENAMED
    }
    assert wanted - named == set()
    assert named - wanted - OWN == set()


def test_an_option_that_a_function_has_another_way_for_says_which(model: onnx.ModelProto) -> None:
    for name in ("dry_run", "json", "no_check", "jobs"):
        with pytest.raises(bnfold.UsageError, match="command line only") as caught:
            bnfold.fold(model, **{name: True})
        assert caught.value.hint


def test_paths_begin_where_python_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: onnx.ModelProto) -> None:
    bnfold.inspect(model)
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.zeros((8, 3, 8, 8), np.float32))
    onnx.save(model, "model.onnx")
    path, _ = bnfold.fold("model.onnx", "folded.onnx", report="report.json", certificate="certificate.json", inputs="x=x.npy")
    assert path == tmp_path / "folded.onnx"
    assert {"report.json", "certificate.json"} <= {name.name for name in tmp_path.iterdir()}
    assert bnfold.certify("model.onnx", "certificate.json").holds
    assert bnfold.recalibrate("model.onnx", "x.npy", "fresh.onnx").report.data is not None


def test_a_folder_as_output_and_the_file_itself(tmp_path: Path, model: onnx.ModelProto) -> None:
    source = tmp_path / "model.onnx"
    onnx.save(model, source)
    path, _ = bnfold.fold(source, f"{tmp_path}/out/", mkdir=True)
    assert path == tmp_path / "out" / "model.onnx" and path.exists()
    with pytest.raises(bnfold.UsageError, match="in-place"):
        bnfold.fold(source, source)
    with pytest.raises(bnfold.UsageError, match="by its path"):
        bnfold.fold(model, in_place=True)
    again, _ = bnfold.fold(source, in_place=True)
    assert again == source and source.read_bytes() == path.read_bytes()


def test_newer_options_and_commands(tmp_path: Path, x: np.ndarray) -> None:
    trained = conv_norm(training=True)
    folded, report = bnfold.fold(trained, freeze=True, drop_outputs=True)
    assert [node.op_type for node in folded.graph.node] == ["Conv"] and report.frozen is not None
    plain = conv_norm()
    kept, strict = bnfold.fold(plain, max_bits_lost=0)
    assert strict.batch_normalization.before == 1
    assert bnfold.fold(plain, skip="norm", fail_on=["training-mode", "shape-unknown"]).report.kept[0].code == "excluded-by-user"
    with pytest.raises(bnfold.KeptError):
        bnfold.fold(plain, skip="norm", fail_on=["excluded-by-user"])
    equal, told = bnfold.equalize(folded, activations={"x": x})
    assert told.equalized is not None and bnfold.verify(folded, equal, full_run=True).outcome == "equivalent"
    changed = bnfold.diff(plain, bnfold.fold(plain).model, verify=True)
    assert [node.op_type for node in changed.diff.nodes.removed] == ["BatchNormalization"]
    assert changed.verdict is not None and changed.verdict.outcome == "equivalent"
    assert bnfold.diff(plain, plain).diff.changes == 0
    assert bnfold.channels(plain).layers[0].node.name == "norm"


def test_progress_with_tqdm(model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    tqdm = pytest.importorskip("tqdm.auto")
    closed: list[bool] = []

    class Bar(tqdm.tqdm):  # type: ignore[misc]
        def close(self) -> None:
            closed.append(True)
            super().close()

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    bnfold.fold(model, progress=True)
    assert closed
    assert "proof" in capfd.readouterr().err
