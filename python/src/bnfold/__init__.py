"""Fold batch normalization into ONNX weights, prove the result equivalent, and leave every other byte alone.

>>> import bnfold
>>> folded, report = bnfold.fold("model.onnx")
>>> report.batch_normalization
NodeCounts(before=20, folded=20, kept=0)
"""

from .api import certify, channels, diff, equalize, fold, inspect, run, verify, verify_report
from .calls import Result
from .engine import Engine
from .errors import (
    BnfoldError,
    EngineError,
    FileError,
    KeptError,
    ModelError,
    NotEquivalentError,
    UsageError,
)
from .training import convert_momentum, freeze, momentum_report, recalibrate

__version__ = "0.1.0"

__all__ = [
    "BnfoldError",
    "Engine",
    "EngineError",
    "FileError",
    "KeptError",
    "ModelError",
    "NotEquivalentError",
    "Result",
    "UsageError",
    "certify",
    "channels",
    "convert_momentum",
    "diff",
    "equalize",
    "fold",
    "freeze",
    "inspect",
    "momentum_report",
    "recalibrate",
    "run",
    "verify",
    "verify_report",
]
