"""The functions of the package. Each is one command of the command line, run by the engine process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Generic, Mapping, NamedTuple, Optional, Sequence, TypeVar, Union

import numpy as np
import numpy.typing as npt

from . import report as r
from .decode import decode
from .engine import Answer, Engine, Progress, shared_engine
from .errors import KeptError, NotEquivalentError
from .models import Array, Model, Workspace, usage, workspace

NOT_EQUIVALENT = 1
KEPT = 5

R = TypeVar("R")
#: Values of inputs by name.
Feeds = Mapping[str, npt.ArrayLike]
Names = Union[str, Sequence[str]]


class Result(NamedTuple, Generic[R]):
    """A model that was made, and what is to be said of it."""

    #: An ``onnx.ModelProto``; with ``output`` the path that was written.
    model: Any
    report: R


def _flags(options: Mapping[str, object]) -> list[str]:
    """Keyword arguments as options of the command line: ``relu_to_max=True`` is ``--relu-to-max``."""
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


def _data(space: Workspace, inputs: Optional[Feeds], shapes: Optional[Mapping[str, Sequence[int]]]) -> list[str]:
    args = [] if not inputs else ["--input", space.arrays(inputs)]
    for name, dims in (shapes or {}).items():
        args += ["--shape", f"{name}={','.join(str(int(size)) for size in dims)}"]
    return args


def _bar(progress: Union[Progress, bool, None]) -> Optional[Progress]:
    """What is told of progress: the caller's function, or a bar of tqdm."""
    if progress is None or progress is False:
        return None
    if progress is not True:
        return progress
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise usage("progress=True draws with the package tqdm", "`pip install tqdm`, or give a function.") from error
    bar = tqdm(bar_format="{desc} {n_fmt}/{total_fmt} [{elapsed}]", leave=False)

    def tell(stage: str, done: int, total: int) -> None:
        bar.set_description_str(stage, refresh=False)
        bar.total, bar.n = total, done
        bar.refresh()

    return tell


def _json(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.out)
    return found


def _made(space: Workspace, output: Union[str, os.PathLike[str], None]) -> tuple[str, bool]:
    """Where a result is written, and whether it is to be loaded from there."""
    return (str(space.fresh(".onnx")), True) if output is None else (os.path.abspath(os.fspath(output)), False)


def fold(
    model: Model,
    output: Union[str, os.PathLike[str], None] = None,
    *,
    only: Optional[Names] = None,
    skip: Optional[Names] = None,
    partial: bool = False,
    relu_to_max: bool = False,
    bn_to_conv: bool = False,
    equalize: bool = False,
    norms: bool = False,
    merge: bool = True,
    assume_constant: bool = False,
    check: bool = True,
    run: bool = True,
    samples: Optional[int] = None,
    seed: Optional[int] = None,
    inputs: Optional[Feeds] = None,
    shapes: Optional[Mapping[str, Sequence[int]]] = None,
    external: Optional[str] = None,
    strict: bool = False,
    base_dir: Union[str, os.PathLike[str], None] = None,
    progress: Union[Progress, bool, None] = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> Result[r.FoldReport]:
    """Folds batch normalization into neighbouring weights and proves the result equivalent.

    ``model`` is a path or an ``onnx.ModelProto``. With ``output`` the result is written there and ``.model`` is its
    path; without it ``.model`` is a ``ModelProto``. ``inputs`` are arrays by input name for the float64 run, ``shapes``
    sizes of open inputs. Other keyword arguments are options of ``bnfold fold`` (``max_memory="2GB"``).

    Raises NotEquivalentError when the result was not shown to compute the same (nothing is written), KeptError with
    ``strict`` when a BatchNormalization was kept (``output`` is written then), UsageError, ModelError, FileError or EngineError.
    """
    flags = {
        "only": only,
        "skip": skip,
        "partial": partial,
        "relu_to_max": relu_to_max,
        "bn_to_conv": bn_to_conv,
        "equalize": equalize,
        "norms": norms,
        "no_merge": not merge,
        "assume_constant": assume_constant,
        "no_check": not check,
        "no_run": check and not run,
        "samples": samples,
        "seed": seed,
        "external": external,
        "strict": strict,
        **options,
    }
    with workspace() as space:
        target, load = _made(space, output)
        args = ["fold", space.model(model, base_dir), "-o", target, "--json", *_flags(flags), *_data(space, inputs, shapes)]
        answer = (engine or shared_engine()).call(args, _bar(progress))
        report = decode(r.FoldReport, _json(answer))
        if answer.code == NOT_EQUIVALENT:
            error = NotEquivalentError(report.verdict.summary, kind="not-equivalent", code=answer.code)
            error.report = report
            raise error
        if answer.code == KEPT:
            kept = report.batch_normalization.kept
            strictly = KeptError(f"{kept} BatchNormalization kept", kind="kept", code=answer.code)
            strictly.report = report
            raise strictly
        return Result(space.load(Path(target)) if load else Path(target), report)


def verify(
    a: Model,
    b: Model,
    *,
    samples: Optional[int] = None,
    seed: Optional[int] = None,
    inputs: Optional[Feeds] = None,
    shapes: Optional[Mapping[str, Sequence[int]]] = None,
    bisect: bool = False,
    base_dir: Union[str, os.PathLike[str], None] = None,
    progress: Union[Progress, bool, None] = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> r.Verdict:
    """Decides whether two models compute the same function: ``.outcome`` is "equivalent", "different" or "undecided".

    With ``bisect=True`` use ``verify_report``, which also has what was found by it.
    """
    given: dict[str, Any] = {"samples": samples, "seed": seed, "inputs": inputs, "shapes": shapes, "bisect": bisect}
    given.update(base_dir=base_dir, progress=progress, engine=engine, **options)
    return verify_report(a, b, **given).verdict


def verify_report(
    a: Model,
    b: Model,
    *,
    inputs: Optional[Feeds] = None,
    shapes: Optional[Mapping[str, Sequence[int]]] = None,
    base_dir: Union[str, os.PathLike[str], None] = None,
    progress: Union[Progress, bool, None] = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> r.VerifyReport:
    """The whole report of ``bnfold verify``: verdict, files, times, and what ``bisect=True`` found."""
    with workspace() as space:
        files = [space.model(a, base_dir), space.model(b, base_dir)]
        args = ["verify", *files, "--json", *_flags(options), *_data(space, inputs, shapes)]
        return decode(r.VerifyReport, _json((engine or shared_engine()).call(args, _bar(progress))))


def inspect(
    model: Model,
    *,
    base_dir: Union[str, os.PathLike[str], None] = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> r.InspectReport:
    """What is in a model, and what ``fold`` would do with each BatchNormalization. Takes the options of the planner."""
    with workspace() as space:
        args = ["inspect", space.model(model, base_dir), "--json", *_flags(options)]
        return decode(r.InspectReport, _json((engine or shared_engine()).call(args)))


def run(
    model: Model,
    feeds: Optional[Feeds] = None,
    *,
    dump: Optional[Names] = None,
    storage: bool = False,
    seed: Optional[int] = None,
    shapes: Optional[Mapping[str, Sequence[int]]] = None,
    base_dir: Union[str, os.PathLike[str], None] = None,
    progress: Union[Progress, bool, None] = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> dict[str, Array]:
    """Runs a model: an array by output name, floats in float64 (with ``storage`` as the model declares them).

    Inputs that ``feeds`` does not give are made up from ``seed``. ``dump`` names inner values (``*`` and ``?`` as
    wildcards) to give as well.
    """
    with workspace() as space:
        results = space.fresh(".npz")
        flags = {"dump": dump, "storage": storage, "seed": seed, "samples": None, **options}
        args = ["run", space.model(model, base_dir), "-o", str(results), "--json", *_flags(flags)]
        (engine or shared_engine()).call([*args, *_data(space, feeds, shapes)], _bar(progress))
        with np.load(results, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}


def freeze(
    model: Model,
    output: Union[str, os.PathLike[str], None] = None,
    *,
    drop_outputs: bool = False,
    inputs: Optional[Feeds] = None,
    shapes: Optional[Mapping[str, Sequence[int]]] = None,
    base_dir: Union[str, os.PathLike[str], None] = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> Result[r.FreezeReport]:
    """Gives a model exported in training mode inference semantics; the report says by how much its numbers change."""
    with workspace() as space:
        target, load = _made(space, output)
        flags = _flags({"drop_outputs": drop_outputs, **options})
        args = ["freeze", space.model(model, base_dir), "-o", target, "--json", *flags, *_data(space, inputs, shapes)]
        report = decode(r.FreezeReport, _json((engine or shared_engine()).call(args)))
        return Result(space.load(Path(target)) if load else Path(target), report)


def recalibrate(
    model: Model,
    data: Union[Feeds, str, os.PathLike[str], Sequence[Union[str, os.PathLike[str]]]],
    output: Union[str, os.PathLike[str], None] = None,
    *,
    block: Optional[int] = None,
    unbiased: bool = False,
    base_dir: Union[str, os.PathLike[str], None] = None,
    progress: Union[Progress, bool, None] = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> Result[r.RecalibrateReport]:
    """Computes the running statistics of every BatchNormalization anew from data.

    ``data`` holds samples along axis 0: arrays by input name, or files as ``--data`` takes them.
    """
    with workspace() as space:
        target, load = _made(space, output)
        if isinstance(data, Mapping):
            files = [space.arrays(data)]
        else:
            listed = [data] if isinstance(data, (str, os.PathLike)) else list(data)
            files = [os.fspath(item) for item in listed]
        flags = _flags({"data": files, "block": block, "unbiased": unbiased, **options})
        args = ["recalibrate", space.model(model, base_dir), "-o", target, "--json", *flags]
        report = decode(r.RecalibrateReport, _json((engine or shared_engine()).call(args, _bar(progress))))
        return Result(space.load(Path(target)) if load else Path(target), report)


def convert_momentum(
    momentum: Optional[float], *, source: str, target: str, engine: Optional[Engine] = None
) -> Optional[float]:
    """A momentum as another framework writes it: 0.1 of "pytorch" is 0.9 for "keras" and "onnx".

    PyTorch's ``None``, a cumulative average, has no number and stays ``None``.
    """
    return momentum_report(momentum, source=source, target=target, engine=engine).to.momentum


def momentum_report(
    momentum: Optional[float], *, source: str, target: str, engine: Optional[Engine] = None
) -> r.MomentumReport:
    """Both ends of a conversion, with update formulas, half-life, epsilon and variance conventions."""
    written = "None" if momentum is None else repr(float(momentum))
    args = ["momentum", written, "--from", source, "--to", target, "--json"]
    return decode(r.MomentumReport, _json((engine or shared_engine()).call(args)))
