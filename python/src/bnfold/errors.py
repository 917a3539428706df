"""What can go wrong, as exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from .report import FoldReport


class BnfoldError(Exception):
    """Input or environment that bnfold cannot work with.

    ``code`` is the exit code the command line gives for it; ``kind`` one of ``usage``, ``format``, ``model``,
    ``operator``, ``file``, ``internal``, ``engine``. ``file``, ``byte``, ``node`` and ``tensor`` say where, as far as
    that is known, ``hint`` what to do.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        code: int,
        hint: Optional[str] = None,
        file: Optional[str] = None,
        byte: Optional[int] = None,
        node: Optional[str] = None,
        tensor: Optional[str] = None,
    ) -> None:
        self.message = message
        self.kind = kind
        self.code = code
        self.hint = hint
        self.file = file
        self.byte = byte
        self.node = node
        self.tensor = tensor
        super().__init__(self._text())

    def _text(self) -> str:
        where = [
            *([f"node {self.node}"] if self.node else []),
            *([f'tensor "{self.tensor}"'] if self.tensor else []),
            *([f"byte {self.byte}"] if self.byte is not None else []),
        ]
        file = f"{self.file}: " if self.file and self.file not in self.message else ""
        place = f" ({', '.join(where)})" if where else ""
        return f"{file}{self.message}{place}{f' {self.hint}' if self.hint else ''}"


class UsageError(BnfoldError):
    """An option or a combination of options that means nothing."""


class ModelError(BnfoldError):
    """A file that is no ONNX model, is broken, or holds what bnfold cannot work with."""


class FileError(BnfoldError):
    """A file that cannot be read or written."""


class EngineError(BnfoldError):
    """The Node.js process that does the work could not be started, or died."""


class NotEquivalentError(BnfoldError):
    """The result was not shown to compute what the original does: nothing was written. ``report`` says why."""

    report: FoldReport


class KeptError(BnfoldError):
    """With ``strict=True``: a BatchNormalization was kept. ``report`` says which and why; ``output`` was written."""

    report: FoldReport


KINDS: dict[str, type[BnfoldError]] = {
    "usage": UsageError,
    "format": ModelError,
    "model": ModelError,
    "operator": ModelError,
    "file": FileError,
    "engine": EngineError,
}
