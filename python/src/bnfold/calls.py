"""A command of the command line as a call: what goes out, what comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Generic, Mapping, NamedTuple, Optional, Sequence, TypeVar, Union

from .decode import decode
from .engine import Engine, Progress, shared_engine
from .models import Workspace
from .options import told

R = TypeVar("R")
Shapes = Mapping[str, Sequence[int]]
#: A function that is told (stage, done, total); True draws with tqdm.
Told = Union[Progress, bool, None]


class Result(NamedTuple, Generic[R]):
    """A model that was made, and what is to be said of it."""

    #: An ``onnx.ModelProto``; with ``output`` the path that was written.
    model: Any
    report: R


def call(kind: type[R], args: Sequence[str], progress: Told, engine: Optional[Engine]) -> tuple[R, int]:
    """What a command says with ``--json``, and its exit code."""
    with told(progress) as tell:
        answer = (engine or shared_engine()).call([*args, "--json"], tell)
    return decode(kind, json.loads(answer.out)), answer.code


def made(space: Workspace, words: Sequence[str], load: bool, report: Any) -> Any:
    """The model that ``options.target`` gave a place: loaded, or its path."""
    if load:
        return space.load(Path(words[-1]))
    return None if report.output is None else Path(report.output.file)
