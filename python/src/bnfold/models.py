"""Models and arrays as files that the engine reads and writes."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Mapping, Optional, Union

import numpy as np
import numpy.typing as npt

from .errors import UsageError

if TYPE_CHECKING:
    import onnx

#: A file, or an ``onnx.ModelProto``.
Model = Union[str, "os.PathLike[str]", "onnx.ModelProto"]

Array = npt.NDArray[Any]

#: Protocol buffers hold no more than this in one message.
_LARGEST_MESSAGE = 2**31 - 1


def usage(message: str, hint: Optional[str] = None) -> UsageError:
    return UsageError(message, kind="usage", code=2, hint=hint)


def is_path(model: object) -> bool:
    return isinstance(model, (str, os.PathLike))


class Workspace:
    """A folder for the files of one call; gone when the call is over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0

    def fresh(self, suffix: str) -> Path:
        """A path for a file of its own, in a folder of its own so that side files cannot meet."""
        self._count += 1
        folder = self.folder / str(self._count)
        folder.mkdir()
        return folder / f"model{suffix}" if suffix == ".onnx" else folder / f"data{suffix}"

    def model(self, model: Model, base_dir: Union[str, os.PathLike[str], None] = None) -> str:
        """The absolute path of a model; a ``ModelProto`` is written out first."""
        if isinstance(model, (str, os.PathLike)):
            return os.path.abspath(os.fspath(model))
        if type(model).__name__ != "ModelProto" or not hasattr(model, "SerializeToString"):
            raise usage(f"a model is a path or an onnx.ModelProto, not {type(model).__name__}")
        path = self.fresh(".onnx")
        self._side_files(model, path.parent, base_dir)
        if model.ByteSize() > _LARGEST_MESSAGE:
            _onnx().save_model(model, str(path), save_as_external_data=True, location="model.onnx.data")
        else:
            path.write_bytes(model.SerializeToString())
        return str(path)

    @staticmethod
    def _side_files(model: onnx.ModelProto, folder: Path, base_dir: Union[str, os.PathLike[str], None]) -> None:
        """What tensors of the model refer to, copied beside it: a link that leads out of its folder would be refused."""
        for location in sorted(_locations(model)):
            if base_dir is None:
                raise usage(
                    f'the model keeps numbers in the file "{location}", and where that is only its path would tell',
                    "Give the path of the model, or base_dir=, or load it with its external data.",
                )
            base = Path(base_dir).resolve()
            source = (base / location).resolve()
            if base not in source.parents:
                raise usage(f'the side file "{location}" lies outside of {base}')
            target = folder / location
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def arrays(self, arrays: Mapping[str, npt.ArrayLike]) -> str:
        """A .npz of the arrays."""
        path = self.fresh(".npz")
        # Keyword arguments of numpy.savez would clash with its own.
        with _archive(path) as write:
            for name, array in arrays.items():
                write(name, np.asarray(array))
        return str(path)

    @staticmethod
    def load(path: Path) -> onnx.ModelProto:
        """The model in a file, its external data included."""
        loaded: onnx.ModelProto = _onnx().load(str(path))
        return loaded


@contextmanager
def workspace() -> Iterator[Workspace]:
    with tempfile.TemporaryDirectory(prefix="bnfold-") as folder:
        yield Workspace(Path(folder))


@contextmanager
def _archive(path: Path) -> Iterator[Any]:
    import zipfile

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:

        def write(name: str, array: Array) -> None:
            if array.dtype.hasobject:
                raise usage(f'input "{name}" is an array of Python objects')
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                # An archive's file takes any bytes; typeshed knows files only.
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)

        yield write


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise usage(
            "models in memory need the package onnx", "`pip install onnx`, or give output= to get a file."
        ) from error
    return onnx


def _locations(model: onnx.ModelProto) -> set[str]:
    """Side files that tensors of the model name."""
    found: set[str] = set()

    def tensor(t: Any) -> None:
        if t.data_location == 1:
            found.update(entry.value for entry in t.external_data if entry.key == "location")

    def graph(g: Any) -> None:
        for t in g.initializer:
            tensor(t)
        for s in g.sparse_initializer:
            tensor(s.values)
            tensor(s.indices)
        nodes(g.node)

    def nodes(list_: Any) -> None:
        for node in list_:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    tensor(attribute.t)
                if attribute.HasField("g"):
                    graph(attribute.g)
                for t in attribute.tensors:
                    tensor(t)
                for g in attribute.graphs:
                    graph(g)

    graph(model.graph)
    for function in model.functions:
        nodes(function.node)
    return found
