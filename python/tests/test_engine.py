"""The process behind the functions: found, kept, crashed, forked, interrupted; and the package around it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path

import bnfold
import onnx
import pytest
from bnfold import node
from bnfold.engine import Engine, shared_engine
from bnfold.report import FoldReport

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def engine():
    with Engine() as made:
        yield made


def test_versions_are_those_of_package_json() -> None:
    wanted = json.loads((ROOT / "package.json").read_text())["version"]
    assert bnfold.__version__ == version("bnfold") == wanted
    assert re.search(r'^version = "(.*)"$', (ROOT / "python/pyproject.toml").read_text(), re.M)[1] == wanted
    assert shared_engine().call(["--version"]).out.strip() == wanted


def test_types_are_those_of_the_schema() -> None:
    subprocess.run([sys.executable, str(ROOT / "python/scripts/make_types.py"), "--check"], check=True)


def test_one_process_serves_many_calls(engine: Engine, model: onnx.ModelProto) -> None:
    bnfold.inspect(model, engine=engine)
    process = engine._process
    for _ in range(3):
        bnfold.inspect(model, engine=engine)
    assert engine._process is process


def test_a_crash_is_said_and_the_next_call_works(engine: Engine, model: onnx.ModelProto) -> None:
    bnfold.inspect(model, engine=engine)
    os.kill(engine._process.pid, signal.SIGKILL)
    engine._process.wait()
    assert bnfold.inspect(model, engine=engine).nodes == 2

    def die(stage: str, done: int, total: int) -> None:
        os.kill(engine._process.pid, signal.SIGKILL)

    with pytest.raises(bnfold.EngineError, match="signal 9"):
        bnfold.fold(model, engine=engine, progress=die)
    assert bnfold.fold(model, engine=engine).report.batch_normalization.folded == 1


def test_what_a_callback_raises_comes_through(engine: Engine, model: onnx.ModelProto) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bnfold.fold(model, engine=engine, progress=stop)
    assert bnfold.fold(model, engine=engine).report.verdict.outcome == "equivalent"


def test_threads_take_turns(engine: Engine, model: onnx.ModelProto) -> None:
    reports: list[FoldReport] = []
    threads = [
        threading.Thread(target=lambda: reports.append(bnfold.fold(model, engine=engine).report)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.batch_normalization.folded for report in reports] == [1] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_has_an_engine_of_its_own(engine: Engine, model: onnx.ModelProto) -> None:
    bnfold.inspect(model, engine=engine)
    child = os.fork()
    if child == 0:
        os._exit(0 if bnfold.inspect(model, engine=engine).nodes == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert bnfold.inspect(model, engine=engine).nodes == 2


def test_node_is_found_where_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BNFOLD_NODE", str(tmp_path / "nothing"))
    with pytest.raises(bnfold.EngineError, match="could not be run"):
        node.find_node()
    old = tmp_path / "node18"
    old.write_text("#!/bin/sh\necho v18.20.0\n")
    old.chmod(0o755)
    monkeypatch.setenv("BNFOLD_NODE", str(old))
    with pytest.raises(bnfold.EngineError, match="needs 20.19"):
        node.find_node()
    monkeypatch.delenv("BNFOLD_NODE")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(node, "_packaged", lambda: None)
    with pytest.raises(bnfold.EngineError, match=r"bnfold\[node\]"):
        node.find_node()


def test_the_command_line_is_the_engine(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bnfold"]
    said = subprocess.run([*command, "momentum", "0.1", "--from", "pytorch", "--to", "keras"], capture_output=True, text=True)
    assert said.returncode == 0 and said.stdout.startswith("0.9")
    assert subprocess.run([*command, "inspect", str(tmp_path / "no.onnx")], capture_output=True).returncode == 4


def test_types_hold() -> None:
    checked = subprocess.run([sys.executable, "-m", "mypy", "--strict", "-p", "bnfold"], capture_output=True, text=True, cwd=ROOT / "python")
    assert checked.returncode == 0, checked.stdout


def test_a_call_costs_little_more_than_its_work(engine: Engine, model: onnx.ModelProto) -> None:
    """Not a bound on time: that the start of a process is not in it."""
    bnfold.inspect(model, engine=engine)
    start = time.perf_counter()
    for _ in range(10):
        bnfold.convert_momentum(0.1, source="pytorch", target="onnx", engine=engine)
    warm = (time.perf_counter() - start) / 10
    start = time.perf_counter()
    with Engine() as cold:
        bnfold.convert_momentum(0.1, source="pytorch", target="onnx", engine=cold)
    assert warm < time.perf_counter() - start
