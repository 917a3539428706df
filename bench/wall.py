"""
Wall and processor time, and peak memory, of whole processes: `bnfold fold` with its default check beside `onnxslim`, which checks nothing:

    python bench/wall.py <folder of *.onnx> [--runs 3] [--only name,...] [--other path of another bin/bnfold.js]

The two run in turn on each file, and each figure is the median of its runs. Needs onnxslim on the PATH of this Python, and a built dist/. Run it on a quiet machine.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SLIM = Path(sys.executable).parent / "onnxslim"


def timed(command: list[str]) -> tuple[float, float, float, int]:
    """Seconds of wall and processor time, peak memory in MB, exit code. In a child of its own, whose children's usage is what it used."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        start = time.perf_counter()
        code = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
        wall = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        os.write(write, f"{wall} {used.ru_utime + used.ru_stime} {used.ru_maxrss / 1000} {code}".encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        wall, cpu, memory, code = pipe.read().split()
    os.waitpid(child, 0)
    return float(wall), float(cpu), float(memory), int(code)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--other", type=Path, help="bin/bnfold.js of another checkout, timed too")
    options = parser.parse_args()
    names = [name for name in options.only.split(",") if name]
    files = [f for f in sorted(options.folder.rglob("*.onnx")) if not names or f.stem in names]
    with tempfile.TemporaryDirectory() as scratch:
        target = f"{scratch}/out.onnx"
        programs = {
            "bnfold": lambda f: ["node", str(ROOT / "bin/bnfold.js"), "fold", str(f), "-o", target],
            "onnxslim": lambda f: [str(SLIM), str(f), target],
        }
        if options.other:
            programs["other"] = lambda f: ["node", str(options.other), "fold", str(f), "-o", target]
        print(f"{'':32}" + "".join(f"{name:>10} s  cpu    MB " for name in programs) + "  ratio")
        totals = dict.fromkeys(programs, 0.0)
        for file in files:
            runs: dict[str, list[tuple[float, float, float, int]]] = {name: [] for name in programs}
            for _ in range(options.runs):
                for name, command in programs.items():
                    runs[name].append(timed(command(file)))
            line = f"{file.stem[:31]:32}"
            walls = {}
            for name, list_ in runs.items():
                wall, cpu, memory = (statistics.median(r[i] for r in list_) for i in range(3))
                walls[name] = wall
                totals[name] += wall
                code = max(r[3] for r in list_)
                line += f"{wall:10.2f} {cpu:6.2f} {memory:6.0f}" + (f"!{code}" if code else "  ")
            print(line + f"{walls['bnfold'] / walls['onnxslim']:7.2f}", flush=True)
        print(f"{'total':32}" + "".join(f"{t:10.2f}{'':15}" for t in totals.values()) + f"{totals['bnfold'] / totals['onnxslim']:7.2f}")


main()
