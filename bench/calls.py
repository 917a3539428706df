"""
Time per call for many tiny models, through one process and through a process each:

    python bench/calls.py [models]

Needs the Python package installed (pip install ./python after `npm run python`) and onnx.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python" / "tests"))

import bnfold  # noqa: E402
import onnx  # noqa: E402
from conftest import conv_norm  # noqa: E402


def timed(work, count: int) -> list[float]:
    found = []
    for i in range(count):
        start = time.perf_counter()
        work(i)
        found.append(1000 * (time.perf_counter() - start))
    return found


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / f"{i}.onnx") for i in range(count)]
        for i, file in enumerate(files):
            onnx.save(conv_norm(4 + i % 4), file)
        out = str(Path(folder) / "out.onnx")
        protos = [onnx.load(file) for file in files]
        bnfold.fold(files[0], out)
        rows = {
            "momentum, one process (the call alone)": lambda i: bnfold.convert_momentum(0.1, source="pytorch", target="onnx"),
            "inspect, one process": lambda i: bnfold.inspect(files[i]),
            "fold of a path, one process": lambda i: bnfold.fold(files[i], out),
            "fold of a ModelProto, one process": lambda i: bnfold.fold(protos[i]),
            "fold of a path, a process each": lambda i: subprocess.run(
                [sys.executable, "-m", "bnfold", "fold", files[i], "-o", out], check=True, capture_output=True
            ),
        }
        print("| what | median | smallest | largest |\n| :-- | --: | --: | --: |")
        for name, work in rows.items():
            times = timed(work, count)
            print(f"| {name} | {statistics.median(times):.1f} ms | {min(times):.1f} ms | {max(times):.1f} ms |")


if __name__ == "__main__":
    main()
