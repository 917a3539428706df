"""One Node.js process that does the work of many calls, so that starting up is paid once."""

from __future__ import annotations

import atexit
import json
import logging
import os
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from typing import IO, Any, Callable, Optional, Sequence

from .errors import KINDS, BnfoldError, EngineError
from .node import engine_script, find_node

log = logging.getLogger("bnfold")

#: Called with the stage, and how much of it is done out of how much; a total of 0 where that is not known.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Answer:
    """What a command of the command line printed, and its exit code."""

    code: int
    out: str
    notes: tuple[str, ...]


class Engine:
    """A process that answers one call after the other.

    The functions of this package share one; make another to fold in several threads at once. It starts with the first
    call, ends with ``close()`` or with Python, and is started again when it died or when Python was forked.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: Optional[subprocess.Popen[str]] = None
        self._talk: Optional[IO[bytes]] = None
        self._owner = 0
        self._last = 0
        atexit.register(self.close)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process; the next call starts another one."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        try:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(timeout=2)
        except (OSError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()
        finally:
            if process.stdout is not None:
                process.stdout.close()

    def call(self, args: Sequence[str], progress: Optional[Progress] = None) -> Answer:
        """Runs one command of the command line.

        Raises BnfoldError, as its subclasses say, when the command fails; EngineError when the process cannot be
        started or dies.
        """
        with self._lock:
            try:
                return self._ask(args, progress)
            except BaseException as error:
                # An answer that nobody waits for any more would be taken for the next one.
                if not isinstance(error, BnfoldError) or isinstance(error, EngineError):
                    self._kill()
                raise

    def _ask(self, args: Sequence[str], progress: Optional[Progress]) -> Answer:
        process = self._started()
        self._last += 1
        number = self._last
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"id": number, "args": list(args), **_place()}) + "\n")
            process.stdin.flush()
        except OSError as error:
            raise self._dead() from error
        while True:
            said = self._line(process)
            if said.get("id") != number:
                continue
            stage = said.get("progress")
            if stage is None:
                break
            log.debug("%s %s/%s", stage["stage"], stage["done"], stage["total"])
            if progress is not None:
                progress(stage["stage"], stage["done"], stage["total"])
        notes = tuple(said["notes"])
        for note in notes:
            log.info(note.removeprefix("bnfold: "))
        if "error" in said:
            raise _failure(said["code"], said["error"])
        return Answer(said["code"], said["out"], notes)

    def _started(self) -> subprocess.Popen[str]:
        process = self._process
        if process is not None and self._owner == os.getpid() and process.poll() is None:
            return process
        self._process = None
        self._talk = tempfile.TemporaryFile()
        command = [find_node(), engine_script(), "--serve"]
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._talk,
                text=True,
                encoding="utf-8",
                # An interrupt at the terminal is Python's to handle.
                start_new_session=os.name != "nt",
            )
        except OSError as error:
            raise EngineError(f"Node.js could not be started: {error}", kind="engine", code=4) from error
        self._process, self._owner = process, os.getpid()
        ready = self._line(process)
        log.debug("engine %s", ready.get("ready"))
        return process

    def _line(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if line == "":
            raise self._dead()
        said: dict[str, Any] = json.loads(line)
        return said

    def _dead(self) -> EngineError:
        """The process is gone: its last words."""
        code = self._process.wait() if self._process is not None else None
        words = ""
        if self._talk is not None:
            self._talk.seek(0)
            words = self._talk.read().decode("utf-8", "replace").strip()
        how = "was ended by signal " + str(-code) if code is not None and code < 0 else f"ended with code {code}"
        memory = "It may have run out of memory: `max_memory` bounds what a check takes." if code in (-9, -6, 134) else None
        said = f": {words[-2000:]}" if words else ""
        return EngineError(f"the engine {how}{said}", kind="engine", code=70, hint=memory)

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            # It takes away what it was writing.
            process.terminate()
            try:
                process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    try:
                        stream.close()
                    except OSError:
                        pass


def _place() -> dict[str, str]:
    """Where paths of this call begin: Python may have moved since the process was started."""
    try:
        return {"cwd": os.getcwd()}
    except FileNotFoundError:
        return {}


def _failure(code: int, error: dict[str, Any]) -> BnfoldError:
    place = error["place"]
    kind = error["kind"]
    return KINDS.get(kind, BnfoldError)(
        error["message"],
        kind=kind,
        code=code,
        hint=error["hint"],
        file=place.get("file"),
        byte=place.get("byte"),
        node=place.get("node"),
        tensor=place.get("tensor"),
    )


_shared = Engine()


def shared_engine() -> Engine:
    """The process the functions of this package use unless they are given another."""
    return _shared
