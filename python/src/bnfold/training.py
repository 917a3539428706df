"""Normalization in training: freezing, recalibration, momentum. Each is one command of the command line."""

from __future__ import annotations

from typing import Optional, Union

from . import report as r
from .calls import Result, Shapes, Told, call, made
from .engine import Engine
from .models import Model, workspace
from .options import Data, Feeds, Names, flags, others
from .options import Path as PathLike
from .options import inputs as inputs_of
from .options import samples as samples_of
from .options import target as target_of


def freeze(
    model: Model,
    output: Optional[PathLike] = None,
    *,
    in_place: bool = False,
    drop_outputs: bool = False,
    samples: Optional[int] = None,
    seed: Optional[int] = None,
    inputs: Union[Feeds, Names, None] = None,
    shapes: Optional[Shapes] = None,
    external: Optional[str] = None,
    mkdir: bool = False,
    base_dir: Optional[PathLike] = None,
    progress: Told = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> Result[r.FreezeReport]:
    """Gives a model exported in training mode inference semantics; the report says by how much its numbers change."""
    words = {"drop_outputs": drop_outputs, "samples": samples, "seed": seed, "external": external, "mkdir": mkdir}
    with workspace() as space:
        where, load = target_of(space, model, output, in_place)
        args = ["freeze", space.model(model, base_dir), *where, *flags(words), *others(options)]
        report, _ = call(r.FreezeReport, [*args, *inputs_of(space, inputs, shapes)], progress, engine)
        return Result(made(space, where, load, report), report)


def recalibrate(
    model: Model,
    data: Optional[Data] = None,
    output: Optional[PathLike] = None,
    *,
    in_place: bool = False,
    only: Optional[Names] = None,
    untie: bool = False,
    at_once: bool = False,
    unbiased: bool = False,
    block: Optional[int] = None,
    whole: bool = False,
    from_moments: Optional[Names] = None,
    inputs: Union[Feeds, Names, None] = None,
    backend: Optional[str] = None,
    external: Optional[str] = None,
    mkdir: bool = False,
    base_dir: Optional[PathLike] = None,
    progress: Told = None,
    engine: Optional[Engine] = None,
    **options: object,
) -> Result[r.RecalibrateReport]:
    """Computes the running statistics of every BatchNormalization anew from data.

    ``data`` holds samples along axis 0: arrays by input name, or files as ``--data`` takes them; ``inputs`` are those that
    stay the same. ``backend`` is ``--engine``: what runs the model.
    """
    words = {
        "only": only,
        "untie": untie,
        "at_once": at_once,
        "unbiased": unbiased,
        "block": block,
        "whole": whole,
        "from_moments": from_moments,
        "engine": backend,
        "external": external,
        "mkdir": mkdir,
    }
    with workspace() as space:
        where, load = target_of(space, model, output, in_place)
        args = ["recalibrate", space.model(model, base_dir), *where, *samples_of(space, "--data", data)]
        args += [*inputs_of(space, inputs, None), *flags(words), *others(options)]
        report, _ = call(r.RecalibrateReport, args, progress, engine)
        return Result(made(space, where, load, report), report)


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
    return call(r.MomentumReport, ["momentum", written, "--from", source, "--to", target], None, engine)[0]
