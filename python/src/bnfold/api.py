"""The functions of the package that fold, compare and run. Each is one command of the command line, run by the engine process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Optional, Union

import numpy as np

from . import report as r
from .calls import Result, Shapes, Told, call, made
from .engine import Engine
from .errors import KeptError, NotEquivalentError
from .models import Array, Model, workspace
from .options import Data, Feeds, Names, flags, others, target
from .options import Path as PathLike
from .options import inputs as inputs_of
from .options import samples as samples_of

NOT_EQUIVALENT = 1
KEPT = 5


def _folded(
    command: str,
    model: Model,
    output: Optional[PathLike],
    in_place: bool,
    words: Mapping[str, object],
    more: Mapping[str, object],
    data: tuple[Union[Feeds, Names, None], Optional[Shapes], Optional[Data]],
    base_dir: Optional[PathLike],
    progress: Told,
    engine: Optional[Engine],
) -> Result[r.FoldReport]:
    """``fold`` and ``equalize``."""
    given, shapes, activations = data
    with workspace() as space:
        where, load = target(space, model, output, in_place)
        args = [command, space.model(model, base_dir), *where, *flags(words), *others(more)]
        args += [*inputs_of(space, given, shapes), *samples_of(space, "--activations", activations)]
        report, code = call(r.FoldReport, args, progress, engine)
        if code == NOT_EQUIVALENT:
            error = NotEquivalentError(report.verdict.summary, kind="not-equivalent", code=code)
            error.report = report
            raise error
        if code == KEPT:
            strictly = KeptError(_kept(report), kind="kept", code=code)
            strictly.report = report
            raise strictly
        return Result(made(space, where, load, report), report)


def _kept(report: r.FoldReport) -> str:
    kept = report.batch_normalization.kept
    if kept > 0:
        return f"{kept} BatchNormalization kept"
    return "a node was kept that may not be, or the model is in training mode"


def fold(
    model: Model,
    output: Optional[PathLike] = None,
    *,
    in_place: bool = False,
    only: Optional[Names] = None,
    skip: Optional[Names] = None,
    partial: bool = False,
    relu_to_max: bool = False,
    bn_to_conv: bool = False,
    constant_channel: bool = False,
    norms: bool = False,
    merge: bool = True,
    freeze: bool = False,
    drop_outputs: bool = False,
    equalize: bool = False,
    activations: Optional[Data] = None,
    assume_constant: bool = False,
    max_bits_lost: Optional[float] = None,
    allow_rounding: Optional[str] = None,
    max_growth: Union[int, str, None] = None,
    certificate: Optional[PathLike] = None,
    check: bool = True,
    run: bool = True,
    full_run: bool = False,
    samples: Optional[int] = None,
    seed: Optional[int] = None,
    inputs: Union[Feeds, Names, None] = None,
    shapes: Optional[Shapes] = None,
    runtime: Optional[str] = None,
    max_memory: Union[int, str, None] = None,
    external: Optional[str] = None,
    mkdir: bool = False,
    strict: bool = False,
    fail_on: Optional[Names] = None,
    report: Optional[PathLike] = None,
    base_dir: Optional[PathLike] = None,
    progress: Told = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> Result[r.FoldReport]:
    """Folds batch normalization into neighbouring weights and proves the result equivalent.

    ``model`` is a path or an ``onnx.ModelProto``. With ``output`` the result is written there (``in_place=True``: to the
    model's own file) and ``.model`` is its path; without it ``.model`` is a ``ModelProto``. ``inputs`` are arrays by input
    name for the float64 run, ``shapes`` sizes of open inputs, ``activations`` samples for ``equalize``. ``certificate``
    and ``report`` are files to write as well. What each option does: ``bnfold fold --help``.

    Raises NotEquivalentError when the result was not shown to compute the same (nothing is written), KeptError with
    ``strict`` or ``fail_on`` when a node was kept that may not be (``output`` is written then), UsageError, ModelError,
    FileError or EngineError.
    """
    words = {
        "only": only,
        "skip": skip,
        "partial": partial,
        "relu_to_max": relu_to_max,
        "bn_to_conv": bn_to_conv,
        "constant_channel": constant_channel,
        "norms": norms,
        "no_merge": not merge,
        "freeze": freeze,
        "drop_outputs": drop_outputs,
        "equalize": equalize,
        "assume_constant": assume_constant,
        "max_bits_lost": max_bits_lost,
        "allow_rounding": allow_rounding,
        "max_growth": max_growth,
        "certificate": certificate,
        "no_check": not check,
        "no_run": check and not run,
        "full_run": full_run,
        "samples": samples,
        "seed": seed,
        "runtime": runtime,
        "max_memory": max_memory,
        "external": external,
        "mkdir": mkdir,
        "strict": strict,
        "fail_on": _listed(fail_on),
        "report": report,
    }
    data = (inputs, shapes, activations)
    return _folded("fold", model, output, in_place, words, options, data, base_dir, progress, engine)


def _listed(names: Optional[Names]) -> Optional[str]:
    return names if names is None or isinstance(names, str) else ",".join(names)


def equalize(
    model: Model,
    output: Optional[PathLike] = None,
    *,
    in_place: bool = False,
    only: Optional[Names] = None,
    skip: Optional[Names] = None,
    activations: Optional[Data] = None,
    assume_constant: bool = False,
    check: bool = True,
    run: bool = True,
    full_run: bool = False,
    samples: Optional[int] = None,
    seed: Optional[int] = None,
    inputs: Union[Feeds, Names, None] = None,
    shapes: Optional[Shapes] = None,
    runtime: Optional[str] = None,
    max_memory: Union[int, str, None] = None,
    external: Optional[str] = None,
    mkdir: bool = False,
    report: Optional[PathLike] = None,
    base_dir: Optional[PathLike] = None,
    progress: Told = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> Result[r.FoldReport]:
    """Evens out ranges of channels by powers of two, for a quantiser; proven like a fold. ``.report.equalized`` says what changed."""
    words = {
        "only": only,
        "skip": skip,
        "assume_constant": assume_constant,
        "no_check": not check,
        "no_run": check and not run,
        "full_run": full_run,
        "samples": samples,
        "seed": seed,
        "runtime": runtime,
        "max_memory": max_memory,
        "external": external,
        "mkdir": mkdir,
        "report": report,
    }
    data = (inputs, shapes, activations)
    return _folded("equalize", model, output, in_place, words, options, data, base_dir, progress, engine)


def verify(
    a: Model,
    b: Model,
    *,
    assume_constant: bool = False,
    full_run: bool = False,
    samples: Optional[int] = None,
    seed: Optional[int] = None,
    inputs: Union[Feeds, Names, None] = None,
    shapes: Optional[Shapes] = None,
    bisect: bool = False,
    runtime: Optional[str] = None,
    report: Optional[PathLike] = None,
    base_dir: Optional[PathLike] = None,
    progress: Told = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> r.Verdict:
    """Decides whether two models compute the same function: ``.outcome`` is "equivalent", "different" or "undecided".

    With ``bisect=True`` or ``runtime=`` use ``verify_report``, which also has what was found by it.
    """
    given: dict[str, Any] = {"inputs": inputs, "shapes": shapes, "base_dir": base_dir, "progress": progress, "engine": engine}
    given.update(assume_constant=assume_constant, full_run=full_run, samples=samples, seed=seed, bisect=bisect)
    given.update(runtime=runtime, report=report, **options)
    return verify_report(a, b, **given).verdict


def verify_report(
    a: Model,
    b: Model,
    *,
    inputs: Union[Feeds, Names, None] = None,
    shapes: Optional[Shapes] = None,
    base_dir: Optional[PathLike] = None,
    progress: Told = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> r.VerifyReport:
    """The whole report of ``bnfold verify``: verdict, files, times, and what ``bisect=True`` found."""
    with workspace() as space:
        files = [space.model(a, base_dir), space.model(b, base_dir)]
        args = ["verify", *files, *others(options), *inputs_of(space, inputs, shapes)]
        return call(r.VerifyReport, args, progress, engine)[0]


def diff(
    a: Model,
    b: Model,
    *,
    verify: bool = False,
    report: Optional[PathLike] = None,
    base_dir: Optional[PathLike] = None,
    progress: Told = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> r.DiffReport:
    """What changed between two models: nodes paired by structure, constants by their numbers. ``verify`` adds the verdict."""
    with workspace() as space:
        files = [space.model(a, base_dir), space.model(b, base_dir)]
        args = ["diff", *files, *flags({"verify": verify, "report": report}), *others(options)]
        return call(r.DiffReport, args, progress, engine)[0]


def inspect(
    model: Model,
    *,
    only: Optional[Names] = None,
    skip: Optional[Names] = None,
    partial: bool = False,
    relu_to_max: bool = False,
    bn_to_conv: bool = False,
    constant_channel: bool = False,
    norms: bool = False,
    merge: bool = True,
    assume_constant: bool = False,
    max_bits_lost: Optional[float] = None,
    allow_rounding: Optional[str] = None,
    max_growth: Union[int, str, None] = None,
    report: Optional[PathLike] = None,
    base_dir: Optional[PathLike] = None,
    progress: Told = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> r.InspectReport:
    """What is in a model, and what ``fold`` would do with each BatchNormalization, with the same options of the planner."""
    words = {
        "only": only,
        "skip": skip,
        "partial": partial,
        "relu_to_max": relu_to_max,
        "bn_to_conv": bn_to_conv,
        "constant_channel": constant_channel,
        "norms": norms,
        "no_merge": not merge,
        "assume_constant": assume_constant,
        "max_bits_lost": max_bits_lost,
        "allow_rounding": allow_rounding,
        "max_growth": max_growth,
        "report": report,
    }
    with workspace() as space:
        args = ["inspect", space.model(model, base_dir), *flags(words), *others(options)]
        return call(r.InspectReport, args, progress, engine)[0]


def channels(
    model: Model, *, base_dir: Optional[PathLike] = None, engine: Optional[Engine] = None
) -> r.ChannelsReport:
    """Gamma, beta, mean and variance of every normalization, channel by channel, and which look dead or odd."""
    with workspace() as space:
        return call(r.ChannelsReport, ["inspect", space.model(model, base_dir), "--channels"], None, engine)[0]


def certify(
    model: Model,
    certificate: PathLike,
    *,
    assume_constant: bool = False,
    base_dir: Optional[PathLike] = None,
    progress: Told = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> r.CertifyReport:
    """Checks what ``fold(certificate=)`` wrote, without the planner: ``.holds`` and ``.problems``.

    ``model`` is the one that was folded, byte for byte: as a ``ModelProto`` it is that only if it was given as one then.
    """
    with workspace() as space:
        words = flags({"assume_constant": assume_constant})
        args = ["certify", space.model(model, base_dir), str(Path(certificate).absolute()), *words, *others(options)]
        return call(r.CertifyReport, args, progress, engine)[0]


def run(
    model: Model,
    feeds: Union[Feeds, Names, None] = None,
    *,
    dump: Optional[Names] = None,
    storage: bool = False,
    seed: Optional[int] = None,
    shapes: Optional[Shapes] = None,
    threads: Optional[int] = None,
    base_dir: Optional[PathLike] = None,
    progress: Told = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> dict[str, Array]:
    """Runs a model: an array by output name, floats in float64 (with ``storage`` as the model declares them).

    Inputs that ``feeds`` does not give are made up from ``seed``. ``dump`` names inner values (``*`` and ``?`` as
    wildcards) to give as well.
    """
    with workspace() as space:
        results = space.fresh(".npz")
        words = flags({"dump": dump, "storage": storage, "seed": seed, "threads": threads})
        args = ["run", space.model(model, base_dir), "-o", str(results), *words, *others(options)]
        call(r.RunReport, [*args, *inputs_of(space, feeds, shapes)], progress, engine)
        with np.load(results, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
