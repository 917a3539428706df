"""
The other side of bench/run.ts. One line of standard input: engine, model file, tab between; one line of standard output: milliseconds of
one float32 forward pass, or "missing". The first line for a model writes its input and output beside it as .x.npy and .y.npy.
Engines: "reference" is onnx.reference, "runtime" ONNX Runtime on one thread.
"""

import os
import sys
import time

import numpy
import onnx
from onnx.reference import ReferenceEvaluator

try:
    import onnxruntime
except ImportError:
    onnxruntime = None

runs = {}


def load(engine, path):
    if engine == "reference":
        session = ReferenceEvaluator(onnx.load(path))
    elif onnxruntime is None:
        return None
    else:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    model = onnx.load(path, load_external_data=False)
    stored = {t.name for t in model.graph.initializer}
    declared = next(i for i in model.graph.input if i.name not in stored)
    shape = [d.dim_value or 1 for d in declared.type.tensor_type.shape.dim]
    file = path + ".x.npy"
    if not os.path.exists(file):
        numpy.save(file, numpy.random.default_rng(1).standard_normal(shape).astype(numpy.float32))
    feeds = {declared.name: numpy.load(file)}
    return lambda: session.run(None, feeds)


for line in sys.stdin:
    engine, path = line.rstrip("\n").split("\t")
    key = (engine, path)
    first = key not in runs
    if first:
        runs = {k: v for k, v in runs.items() if k[1] == path}
        runs[key] = load(engine, path)
    run = runs[key]
    if run is None:
        print("missing", flush=True)
        continue
    start = time.perf_counter()
    outputs = run()
    spent = 1000 * (time.perf_counter() - start)
    if first and engine == "reference":
        numpy.save(path + ".y.npy", outputs[0])
    print(f"{spent:.3f}", flush=True)
