"""Keyword arguments as options of the command line."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Iterator, Mapping, Optional, Sequence, Union

import numpy.typing as npt

from .engine import Progress
from .models import Model, Workspace, is_path, usage

#: Values of inputs by name.
Feeds = Mapping[str, npt.ArrayLike]
Names = Union[str, Sequence[str]]
Path = Union[str, "os.PathLike[str]"]
#: Samples along axis 0: arrays by input name, or files as ``--data`` takes them.
Data = Union[Feeds, Path, Sequence[Path]]

_PRINTED = "Functions give what the command line would print as their result."
_MANY = "Call the function for each model; `bnfold fold FOLDER` does many on several processors."

#: Options that a function has another way for, and which.
ELSEWHERE: Mapping[str, str] = {
    "o": "Give output=.",
    "dry_run": "`inspect` says what fold would do, and without output= no file is written.",
    "no_merge": "Give merge=False.",
    "no_check": "Give check=False.",
    "no_run": "Give run=False.",
    "input": "Give inputs=, arrays by name or files.",
    "shape": "Give shapes=, sizes by name.",
    "json": _PRINTED,
    "format": _PRINTED,
    "csv": _PRINTED,
    "quiet": _PRINTED,
    "verbose": _PRINTED,
    "print_config": _PRINTED,
    "help": _PRINTED,
    "version": "It is bnfold.__version__.",
    "exit_code": "`.diff.changes` counts them.",
    "channels": "That is the function `channels`.",
    "memory": _PRINTED,
    "profile": _PRINTED,
    "top": _PRINTED,
    "jobs": _MANY,
    "resume": _MANY,
}


def flags(options: Mapping[str, object]) -> list[str]:
    """Keyword arguments as words: ``relu_to_max=True`` is ``--relu-to-max``; a list repeats the option.

    Raises UsageError for one that a function has another way for.
    """
    args: list[str] = []
    for name, value in options.items():
        option = f"--{name.rstrip('_').replace('_', '-')}"
        if value is None or value is False:
            continue
        if value is True:
            args.append(option)
            continue
        listed = value if isinstance(value, (list, tuple)) else [value]
        for item in listed:
            args += [option, os.fspath(item) if isinstance(item, os.PathLike) else str(item)]
    return args


def others(options: Mapping[str, object]) -> list[str]:
    """The same of what a function does not name itself."""
    for name in options:
        if name in ELSEWHERE:
            raise usage(f"{name}= is an option of the command line only", ELSEWHERE[name])
    return flags(options)


def inputs(space: Workspace, given: Union[Feeds, Names, None], shapes: Optional[Mapping[str, Sequence[int]]]) -> list[str]:
    """``--input`` and ``--shape``."""
    args: list[str] = []
    if isinstance(given, Mapping):
        args += ["--input", space.arrays(given)] if given else []
    elif given is not None:
        args += flags({"input": [given] if isinstance(given, str) else list(given)})
    for name, dims in (shapes or {}).items():
        args += ["--shape", f"{name}={','.join(str(int(size)) for size in dims)}"]
    return args


def samples(space: Workspace, option: str, data: Optional[Data]) -> list[str]:
    """``--data``, or another option that takes the same."""
    if data is None:
        return []
    if isinstance(data, Mapping):
        return [option, space.arrays(data)]
    listed = [data] if isinstance(data, (str, os.PathLike)) else list(data)
    return [word for item in listed for word in (option, os.fspath(item))]


def target(space: Workspace, model: Model, output: Optional[Path], in_place: bool) -> tuple[list[str], bool]:
    """Where a result is written, and whether it is to be loaded from there."""
    if in_place:
        if not is_path(model) or output is not None:
            raise usage("in_place=True replaces the file of a model given by its path", "Leave output= away, or in_place=.")
        return ["--in-place"], False
    if output is None:
        return ["-o", str(space.fresh(".onnx"))], True
    # A folder stays one by its last character.
    name = os.fspath(output)
    folder = os.sep if name.endswith(("/", os.sep)) else ""
    return ["-o", os.path.abspath(name) + folder], False


@contextmanager
def told(progress: Union[Progress, bool, None]) -> Iterator[Optional[Progress]]:
    """What is told of progress: the caller's function, or a bar of tqdm that goes away with the call."""
    if progress is not True:
        yield progress or None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise usage("progress=True draws with the package tqdm", "`pip install tqdm`, or give a function.") from error
    with tqdm(bar_format="{desc} {n_fmt}/{total_fmt} [{elapsed}]", leave=False) as bar:

        def tell(stage: str, done: int, total: int) -> None:
            bar.set_description_str(stage, refresh=False)
            bar.total, bar.n = total, done
            bar.refresh()

        yield tell
