"""The command line: hands everything to the engine."""

from __future__ import annotations

import os
import subprocess
import sys

from .errors import EngineError
from .node import engine_script, find_node


def main() -> int:
    try:
        command = [find_node(), engine_script(), *sys.argv[1:]]
    except EngineError as error:
        print(f"bnfold: {error}", file=sys.stderr)
        return error.code
    if os.name == "nt":
        return subprocess.run(command).returncode
    # The engine takes this process's place, so that signals and the terminal are its own.
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
