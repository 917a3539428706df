"""
bnfold's verdict beside onnxsim's translation validator (onnxsim.certify, with z3-solver) on the same pairs of files:

    python bench/validator.py <model.onnx> ... [--pairs <a.onnx> <b.onnx> ...] [--seconds <n>]

Each model is folded here (bin/bnfold.js, built before); its fold is a right file, and so that a checker that accepts everything is seen, its fold with the first
row of one weight 1 % larger is a wrong one. Further pairs are as they are. Three columns: the validator with its defaults, with its best settings (inputs between
-4 and 4, a hundred times the work in a window, minutes to solve it) and bnfold verify. Statuses of the validator that begin with "proved" count as proved; whole
files count, all outputs proved. Each runs in a process of its own and ends after --seconds (600).
"""

import argparse
import multiprocessing
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

BNFOLD = [__import__("shutil").which("node") or "node", str(Path(__file__).parent.parent / "bin" / "bnfold.js")]
BEST = {"max_work": 30_000_000, "timeout_ms": 180_000}
RANGE = (-4.0, 4.0)


def sized(model):
    """The model with sizes in the place of symbols: the validator skips what it has no sizes for."""
    for value in model.graph.input:
        for d in value.type.tensor_type.shape.dim:
            if not d.HasField("dim_value") or d.dim_value <= 0:
                d.dim_value = 1
    return model


def validate(a, b, best, answers):
    from onnxsim.certify import certify

    start = time.monotonic()
    first, second = sized(onnx.load(a)), sized(onnx.load(b))
    held = {t.name for t in first.graph.initializer}
    ranges = {v.name: RANGE for v in first.graph.input if v.name not in held and v.type.tensor_type.elem_type in (1, 10, 11)}
    try:
        report = certify(first, second, **({"input_ranges": ranges, **BEST} if best else {}))
        outcome = "proved" if report.ok else "refuted" if "refuted" in report.outputs.values() else "/".join(sorted(set(report.outputs.values())))
        reason = next((w.detail for w in report.windows if not w.status.startswith("proved") and w.detail), "")
    except Exception as error:
        outcome, reason = "error", f"{type(error).__name__}: {error}"
    answers.put((outcome, reason[:110].replace("\n", " "), time.monotonic() - start))


def validator(a, b, best, seconds):
    answers = multiprocessing.Queue()
    process = multiprocessing.Process(target=validate, args=(a, b, best, answers))
    process.start()
    try:
        return answers.get(timeout=seconds)
    except Exception:
        return "no answer", f"after {seconds} s", float(seconds)
    finally:
        process.kill()


def bnfold(a, b):
    start = time.monotonic()
    done = subprocess.run([*BNFOLD, "verify", str(a), str(b)], capture_output=True, text=True)
    said = next((line for line in done.stdout.splitlines() if line.strip()), "").split(":")[0]
    return f"{said} (exit {done.returncode})", time.monotonic() - start


def spoiled(source, target):
    model = onnx.load(source)
    weights = [t for t in model.graph.initializer if t.data_type == 1 and len(t.dims) > 1]
    tensor = max(weights, key=lambda t: np.prod(t.dims))
    values = numpy_helper.to_array(tensor).copy()
    values[0] *= 1.01
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, target)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*")
    parser.add_argument("--pairs", nargs="*", default=[])
    parser.add_argument("--seconds", type=int, default=600)
    options = parser.parse_args()
    print("| pair | validator | best settings | bnfold verify | why the validator does not |\n| :-- | :-- | :-- | :-- | :-- |")
    with tempfile.TemporaryDirectory() as folder:
        pairs = []
        for model in options.models:
            name = Path(model).parent.name if Path(model).stem == "model" else Path(model).stem
            fold, wrong = Path(folder) / f"{name}.fold.onnx", Path(folder) / f"{name}.wrong.onnx"
            subprocess.run([*BNFOLD, "fold", model, "-o", str(fold), "--no-run"], check=True, capture_output=True)
            spoiled(fold, wrong)
            pairs += [(name, model, fold), (f"{name}, one row off", model, wrong)]
        for a, b in zip(options.pairs[::2], options.pairs[1::2]):
            pairs.append((Path(b).stem, a, b))
        for name, a, b in pairs:
            plain, _, t = validator(a, b, False, options.seconds)
            best, why, u = validator(a, b, True, options.seconds)
            said, v = bnfold(a, b)
            print(f"| {name} | {plain}, {t:.1f} s | {best}, {u:.1f} s | {said}, {v:.1f} s | {why if best != 'proved' else ''} |", flush=True)
