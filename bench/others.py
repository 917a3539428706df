"""
Files that other tools make of ONNX models, and whether ONNX Runtime without optimizations finds them right:

    python bench/others.py <folder> <model.onnx> ...
    python bench/others.py <folder> --pairs <pairs.json>

Each model goes through onnxsim (with and without fusing BatchNormalization), onnxslim (with and without its shape inference), onnxscript's optimizer and rewriter, ONNX's
version converter (to 21), onnxoptimizer where it is there, and ONNX Runtime (basic and extended, the optimized model saved). Pairs are files of one function that
are there already (bench/exports.py). Results are
<folder>/<name>.<tool>.onnx; <folder>/others.json lists them: first file, second file, tool, the largest distance of outputs relative to the largest output on
three random inputs, and whether that is what rounding explains. `npm run bench -- others <folder>` proves them. Each tool runs in a process of its own, for
some end it.
"""

import hashlib
import json
import multiprocessing
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx

warnings.filterwarnings("ignore")

# Distance of outputs that rounding explains, relative to the largest output, by type.
CLOSE = {"float64": 1e-9, "float32": 1e-3, "float16": 5e-2, "bfloat16": 2e-1}
SIZES = {"batch": 2}
SECONDS = 120


def onnxsim(source, target):
    import onnxsim

    onnx.save(onnxsim.simplify(onnx.load(source))[0], target)


def onnxslim(source, target):
    import onnxslim

    onnx.save(onnxslim.slim(str(source)), target)


def onnxscript(source, target):
    import onnxscript.optimizer

    onnx.save(onnxscript.optimizer.optimize(onnx.load(source)), target)


def unfused(source, target):
    import onnxsim

    onnx.save(onnxsim.simplify(onnx.load(source), skip_fuse_bn=True)[0], target)


def unslimmed(source, target):
    import onnxslim

    onnx.save(onnxslim.slim(str(source), no_shape_infer=True), target)


def rewriter(source, target):
    import onnxscript.rewriter

    onnx.save(onnxscript.rewriter.rewrite(onnx.load(source)), target)


def version(source, target):
    import onnx.version_converter

    onnx.save(onnx.version_converter.convert_version(onnx.load(source), 21), target)


def optimizer(source, target):
    import onnxoptimizer

    onnx.save(onnxoptimizer.optimize(onnx.load(source), onnxoptimizer.get_fuse_and_elimination_passes()), target)


def runtime(level):
    def make(source, target):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
        options.optimized_model_filepath = str(target)
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])

    return make


TOOLS = {
    "onnxsim": onnxsim,
    "onnxsim_no_bn": unfused,
    "onnxslim": onnxslim,
    "onnxslim_no_shapes": unslimmed,
    "onnxscript": onnxscript,
    "onnxscript_rewriter": rewriter,
    "version_21": version,
    "onnxoptimizer": optimizer,
    "ort_basic": runtime("BASIC"),
    "ort_extended": runtime("EXTENDED"),
}


def session(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def feeds(inputs, seed):
    random = np.random.default_rng(seed)
    made = {}
    for value in inputs:
        shape = [d if isinstance(d, int) and d > 0 else 2 for d in value.shape]
        kind = value.type[len("tensor(") : -1]
        if kind in ("float", "double", "float16"):
            made[value.name] = random.standard_normal(shape).astype({"float": "f4", "double": "f8", "float16": "f2"}[kind])
        elif kind == "bool":
            made[value.name] = random.integers(0, 2, shape).astype(bool)
        elif kind == "string":
            made[value.name] = np.full(shape, "a", dtype=object)
        else:
            made[value.name] = random.integers(0, 3, shape).astype(kind)
    return made


def distance(source, target):
    """The largest distance of the two models' outputs, relative, and whether rounding explains it."""
    first, second = session(source), session(target)
    names = [output.name for output in first.get_outputs()]
    most, right = 0.0, True
    for seed in range(3):
        given = feeds(first.get_inputs(), seed)
        before, after = first.run(names, given), second.run(names, given)
        for x, y in zip(before, after):
            if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
                right = right and str(x) == str(y)
                continue
            if x.shape != y.shape or not np.array_equal(np.isfinite(x), np.isfinite(y)):
                return float("inf"), False
            finite = np.isfinite(x)
            p, q = x[finite].astype("f8"), y[finite].astype("f8")
            far = np.abs(p - q).max(initial=0) / max(np.abs(p).max(initial=0), 1e-30)
            most, right = max(most, far), right and far <= CLOSE[str(x.dtype)]
    return most, right


def one(source, target, tool, answers):
    try:
        TOOLS[tool](source, target)
    except BaseException as error:
        answers.put({"failed": f"makes no file: {type(error).__name__}"})
        return
    try:
        far, right = distance(source, target)
        answers.put({"distance": far, "right": bool(right)})
    except BaseException as error:
        answers.put({"failed": f"cannot be run: {type(error).__name__}"})


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    listed = folder / "others.json"
    found = json.loads(listed.read_text()) if listed.exists() else []
    done = {(entry["a"], entry["tool"]) for entry in found}
    # Loaded once, for all the processes that are forked.
    import onnxruntime, onnxscript.optimizer, onnxsim as _, onnxslim as _  # noqa: E401, F401

    if sys.argv[2:3] == ["--pairs"]:
        for a, b in json.loads(Path(sys.argv[3]).read_text()):
            try:
                far, right = distance(a, b)
                answer = {"distance": far, "right": bool(right)}
            except Exception as error:
                answer = {"failed": f"cannot be run: {type(error).__name__}"}
            found.append({"a": a, "b": b, "tool": "export", **answer})
        listed.write_text(json.dumps(found, indent=1))
        sys.exit()
    context = multiprocessing.get_context("fork")
    for path in map(Path, sys.argv[2:]):
        name = f"{path.parent.name}-{path.stem}" if path.stem == "model" else path.stem
        for tool in TOOLS:
            if (str(path.resolve()), tool) in done:
                continue
            target = folder / f"{name}-{hashlib.sha1(str(path).encode()).hexdigest()[:4]}.{tool}.onnx"
            answers = context.Queue()
            process = context.Process(target=one, args=(path, target, tool, answers))
            process.start()
            try:
                answer = answers.get(timeout=SECONDS)
            except Exception:
                answer = {"failed": "ends or hangs"}
            process.join(5)
            if process.is_alive():
                process.kill()
            found.append({"a": str(path.resolve()), "b": str(target.resolve()), "tool": tool, **answer})
        listed.write_text(json.dumps(found, indent=1))
        print(name, *[f"{entry['tool']}: {entry.get('failed', entry.get('right'))}" for entry in found[-len(TOOLS) :]], flush=True)
