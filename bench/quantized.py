"""
Folds what quantisers and converters make of four small networks and compares before and after: python bench/quantized.py <folder> [bnfold.js].
Writes <folder>/<network>-<form>.onnx and prints a table: batch normalizations before and after, codes that changed (integer by integer, each channel up
to its mirror image about the zero point), the largest distance of the outputs in ONNX Runtime as a part of the largest output, and of the original's
from float32. Needs torch, onnx, onnxruntime (its quantiser) and Node.js. Weights are random, statistics as after training.
"""

import json
import subprocess
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from torch import nn

ort.set_default_logger_severity(4)
torch.manual_seed(0)
folder = Path(sys.argv[1])
program = sys.argv[2] if len(sys.argv) > 2 else "bin/bnfold.js"
folder.mkdir(parents=True, exist_ok=True)


def bn(norm, signs=False):
    norm.weight.data.uniform_(0.5, 1.5)
    if signs:
        norm.weight.data[::3] *= -1
    norm.bias.data.normal_()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    return norm


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1, bias=False), bn(nn.BatchNorm2d(8))
        self.c, self.d = nn.Conv2d(8, 8, 3, padding=1), bn(nn.BatchNorm2d(8))
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = torch.relu(self.b(self.a(x)))
        return self.head(torch.relu(x + self.d(self.c(x))).mean((2, 3)))


def plain():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), bn(nn.BatchNorm2d(8)), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), bn(nn.BatchNorm2d(16)), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))


def mobile():
    block = [nn.Conv2d(3, 8, 3, 2, 1, bias=False), bn(nn.BatchNorm2d(8)), nn.ReLU6()]
    block += [nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), bn(nn.BatchNorm2d(8)), nn.ReLU6(), nn.Conv2d(8, 16, 1, bias=False), bn(nn.BatchNorm2d(16))]
    return nn.Sequential(*block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4))


def perceptron():
    return nn.Sequential(nn.Linear(12, 16), bn(nn.BatchNorm1d(16)), nn.ReLU(), nn.Linear(16, 16, bias=False), bn(nn.BatchNorm1d(16)), nn.LeakyReLU(0.1), nn.Linear(16, 3))


IMAGE = (4, 3, 12, 12)
NETWORKS = {"plain": (plain, IMAGE), "residual": (Residual, IMAGE), "depthwise": (mobile, IMAGE), "perceptron": (perceptron, (4, 12))}


class Fake(nn.Module):
    """A layer whose weight is quantised and dequantised as training with fake quantisation does: symmetric int8, no −128."""

    def __init__(self, layer, channels):
        super().__init__()
        self.layer = layer
        most = layer.weight.detach().abs()
        most = most.amax(tuple(range(1, most.dim()))) if channels else most.max().reshape(1)
        self.register_buffer("scale", most / 127)
        self.register_buffer("zero", torch.zeros_like(most, dtype=torch.int32))
        self.channels = channels

    def forward(self, x):
        w, layer = self.layer.weight, self.layer
        if self.channels:
            w = torch.fake_quantize_per_channel_affine(w, self.scale, self.zero, 0, -128, 127)
        else:
            w = torch.fake_quantize_per_tensor_affine(w, self.scale, self.zero, -128, 127)
        if isinstance(layer, nn.Linear):
            return nn.functional.linear(x, w, layer.bias)
        return nn.functional.conv2d(x, w, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups)


def faked(model, channels, signs=False):
    for name, child in list(model.named_children()):
        if isinstance(child, (nn.Conv2d, nn.Linear)):
            setattr(model, name, Fake(child, channels))
        elif signs and isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d)):
            child.weight.data[::3] *= -1
        else:
            faked(child, channels, signs)
    return model


def export(model, x, path):
    torch.onnx.export(model.eval(), x, str(path), opset_version=17, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False, input_names=["x"], output_names=["y"], dynamo=False)


class Samples(CalibrationDataReader):
    def __init__(self, shape):
        r = np.random.default_rng(0)
        self.left = iter([{"x": r.standard_normal(shape, dtype=np.float32)} for _ in range(8)])

    def get_next(self):
        return next(self.left, None)


S8, U8 = QuantType.QInt8, QuantType.QUInt8
FORMS = {
    "QDQ": lambda a, b, s: quantize_static(a, b, Samples(s), quant_format=QuantFormat.QDQ),
    "QDQ, per channel": lambda a, b, s: quantize_static(a, b, Samples(s), quant_format=QuantFormat.QDQ, per_channel=True, weight_type=S8, activation_type=U8),
    "QOperator": lambda a, b, s: quantize_static(a, b, Samples(s), quant_format=QuantFormat.QOperator),
    "QOperator, per channel": lambda a, b, s: quantize_static(a, b, Samples(s), quant_format=QuantFormat.QOperator, per_channel=True, weight_type=S8, activation_type=U8),
    "dynamic": lambda a, b, s: quantize_dynamic(a, b, op_types_to_quantize=["Conv", "MatMul", "Gemm"], weight_type=S8),
    "dynamic, per channel": lambda a, b, s: quantize_dynamic(a, b, op_types_to_quantize=["Conv", "MatMul", "Gemm"], weight_type=S8, per_channel=True),
}


def fold(before, after, *options):
    done = subprocess.run(["node", program, "fold", str(before), "-o", str(after), "--json", *options], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{before}: {done.stderr}")
    return json.loads(done.stdout)


def session(path, level=ort.GraphOptimizationLevel.ORT_DISABLE_ALL, outputs=()):
    model = onnx.load(path)
    for name in outputs:
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


WEIGHTS = {"DequantizeLinear": 0, "ConvInteger": 1, "MatMulInteger": 1, "QLinearConv": 3, "QLinearMatMul": 3, "QGemm": 3}


def codes(path):
    """The codes of every weight as a runtime sees them, by the operator that reads them."""
    model = onnx.load(path)
    stored = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    made = {o: n for n in model.graph.node for o in n.output}
    out = {}
    for n in model.graph.node:
        at = WEIGHTS.get(n.op_type)
        name = n.input[at] if at is not None else None
        if name in stored:
            out[n.output[0]] = stored[name]
        elif name in made and made[name].op_type == "QuantizeLinear" and made[name].input[0] in stored:
            out[n.output[0]] = session(path, outputs=[name]).run([name], {"x": SAMPLE})[0]
    return out


def changed(a, b):
    """Codes that are not the same, nor turned about zero with the rest of their channel."""
    p, q = codes(a), codes(b)
    lost = 0
    turned = 0
    for name, v in p.items():
        w = q.get(name)
        if w is None or w.shape != v.shape or w.dtype != v.dtype:
            lost += v.size
            continue
        for i in range(v.shape[0] if v.ndim else 1):
            x, y = (v[i], w[i]) if v.ndim else (v, w)
            if np.array_equal(x, y):
                continue
            if np.array_equal(-x.astype(int), y.astype(int)):
                turned += x.size
            elif v.ndim == 2 and any(np.array_equal(v[:, k], w[:, k]) is False for k in range(v.shape[1])):
                # A matrix of columns: channels lie on the other axis.
                columns = [k for k in range(v.shape[1]) if not np.array_equal(v[:, k], w[:, k])]
                turned += sum(1 for k in columns if v[i, k] != w[i, k] and np.array_equal(-v[:, k].astype(int), w[:, k].astype(int)))
                lost += sum(1 for k in columns if v[i, k] != w[i, k] and not np.array_equal(-v[:, k].astype(int), w[:, k].astype(int)))
            else:
                lost += int((x != y).sum())
    return sum(v.size for v in p.values()), turned, lost


def distance(a, b, level=ort.GraphOptimizationLevel.ORT_DISABLE_ALL):
    p, q = (session(path, level).run(None, {"x": SAMPLE})[0] for path in (a, b))
    return float(np.abs(p - q).max() / np.abs(p).max())


print("| network | form | BN before | after | proof | codes | turned | changed | outputs | of the original from float |")
for name, (make, shape) in NETWORKS.items():
    SAMPLE = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    torch.manual_seed(1)
    model = make().eval()
    base = folder / f"{name}.onnx"
    x = torch.randn(shape)
    export(model, x, base)
    made = {}
    for form, quantise in FORMS.items():
        path = folder / f"{name}-{form.replace(', ', '-').replace(' ', '-')}.onnx"
        quantise(str(base), str(path), shape)
        made[form] = path
    for form, channels, signs in (("fake quantisation", False, False), ("fake quantisation, per channel, gains of both signs", True, True)):
        torch.manual_seed(1)
        path = folder / f"{name}-qat{'-channels' if channels else ''}.onnx"
        export(faked(make().eval(), channels, signs), x, path)
        made[form] = path
    for form, path in made.items():
        out = path.with_name(path.stem + "-folded.onnx")
        report = fold(path, out)
        b = report["batchNormalization"]
        total, turned, lost = changed(path, out)
        same = out.read_bytes() == path.read_bytes()
        proof = "same file" if same else report["verdict"]["proof"]["outcome"]
        # The float network of the last form has gains of one sign.
        far = "" if "signs" in form else f"{distance(base, path):.1e}"
        print(f"| {name} | {form} | {b['before']} | {b['before'] - b['folded']} | {proof} | {total} | {turned} | {lost} | {distance(path, out):.1e} | {far} |", flush=True)
