"""
What equalisation does for networks: python bench/equalized.py <folder of .onnx> <folder of images> [bnfold.js].
Each network is folded and equalised, without and with measured activations. Three things are shown. The outputs of ONNX Runtime before and after, bit by
bit, on random inputs. Weights: their signal-to-noise ratio as int8 with one scale, and how far the ranges of channels lie apart. Outputs: their
signal-to-noise ratio after ONNX Runtime's quantize_static (QDQ, int8 weights, uint8 activations), one scale a tensor or one a channel, on crops of images that
were not calibrated with. Needs onnx, onnxruntime (its quantiser), numpy, Pillow and Node.js. Where the networks and images of docs/quantization.md come from is
said there; they are no part of this repository.
"""

import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import version_converter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from PIL import Image

ort.set_default_logger_severity(4)
logging.disable(logging.WARNING)
nets, images = Path(sys.argv[1]), Path(sys.argv[2])
program = sys.argv[3] if len(sys.argv) > 3 else "bin/bnfold.js"
CALIBRATION, HELD = 48, 24
SIZE = 192


def bnfold(*words):
    ran = subprocess.run(["node", program, *map(str, words), "--json"], capture_output=True, text=True)
    if ran.returncode != 0:
        raise SystemExit(f"bnfold {' '.join(map(str, words))}: {ran.stdout[-400:]}{ran.stderr}")
    return json.loads(ran.stdout)


def prepared(path, out):
    """Opset 13, which the quantiser needs for one scale a channel; initializers that are no inputs; one image of a size it is made for."""
    model = onnx.load(path)
    names = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in names]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    sides = model.graph.input[0].type.tensor_type.shape.dim
    for dim, size in zip(sides, (1, 3, SIZE, SIZE)):
        if size == 1 or dim.dim_value < 48:
            dim.Clear()
            dim.dim_value = size
    for value in model.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            dim.Clear()
            dim.dim_param = ""
    del model.graph.value_info[:]
    if max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")) < 13:
        model = version_converter.convert_version(model, 13)
    model.ir_version = max(model.ir_version, 8)
    onnx.save(model, out)
    return model


def crops(count, shape, seed):
    """Crops of the images at all sizes, as numbers of deviation near 1 about 0; a network that takes bytes gets them (raw)."""
    rng = np.random.default_rng(seed)
    files = sorted(path for path in images.iterdir() if path.suffix in (".png", ".jpg"))
    pictures = [Image.open(path).convert("RGB") for path in files]
    out = []
    for _ in range(count):
        picture = pictures[rng.integers(len(pictures))]
        side = int(rng.uniform(0.3, 1) * min(picture.size))
        x, y = (rng.integers(0, edge - side + 1) for edge in picture.size)
        crop = picture.crop((x, y, x + side, y + side)).resize((shape[3], shape[2]), Image.BILINEAR)
        out.append(np.asarray(crop, np.float32).transpose(2, 0, 1)[None])
    return out


def scaled(samples, raw):
    return samples if raw else [(sample / 255 - 0.45) / 0.225 for sample in samples]


def session(path, level=ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 2
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Reader(CalibrationDataReader):
    def __init__(self, name, samples):
        self.feeds = iter([{name: sample} for sample in samples])

    def get_next(self):
        return next(self.feeds, None)


def quantised(path, name, samples, per_channel, out):
    quantize_static(
        str(path), str(out), Reader(name, samples), quant_format=QuantFormat.QDQ, per_channel=per_channel,
        weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8, extra_options={"WeightSymmetric": True},
    )
    return out


def outputs(path, name, samples, level=ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
    run = session(path, level)
    return [run.run(None, {name: sample}) for sample in samples]


def decibels(exact, noisy):
    """Signal over noise of all outputs, each relative to its own size: the mean over outputs, of sums over samples."""
    each = []
    for k in range(len(exact[0])):
        signal = sum(float((a[k].astype(float) ** 2).sum()) for a in exact)
        noise = sum(float(((a[k].astype(float) - b[k]) ** 2).sum()) for a, b in zip(exact, noisy))
        each.append(10 * np.log10(signal / noise))
    return float(np.mean(each))


def spread(ranges):
    there = [r for r in ranges if r > 0]
    return max(there) / min(there) if there else 1


def main():
    print("| network | same bits | verify | weights changed | their signal to noise, dB | ranges apart, median |")
    print("| :-- | :-- | :-- | --: | --: | --: |")
    rows = []
    for path in sorted(nets.glob("*.onnx")):
        with tempfile.TemporaryDirectory() as scratch:
            at = Path(scratch)
            prepared(path, at / "model.onnx")
            bnfold("fold", at / "model.onnx", "-o", at / "folded.onnx", "--assume-constant")
            run = session(at / "folded.onnx")
            entry = run.get_inputs()[0]
            shape = entry.shape
            raw = "centerface" in path.name
            calibration, held = (scaled(crops(n, shape, seed), raw) for n, seed in ((CALIBRATION, 1), (HELD, 2)))
            np.save(at / "samples.npy", np.concatenate(calibration))
            files = {"folded": at / "folded.onnx"}
            told = {}
            for form, words in (("equalized", []), ("measured", ["--activations", at / "samples.npy"])):
                files[form] = at / f"{form}.onnx"
                told[form] = bnfold("equalize", at / "folded.onnx", "-o", files[form], *words)["equalized"]
            verdict = bnfold("verify", files["folded"], files["equalized"])["verdict"]
            rng = np.random.default_rng(0)
            noise = [rng.standard_normal(shape, dtype=np.float32) * (64 if raw else 1) for _ in range(4)] + held
            extended = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
            pairs = [zip(*(outputs(files[form], entry.name, noise, extended) for form in ("folded", other))) for other in ("equalized", "measured")]
            same = all(np.array_equal(a, b) for pair in pairs for one, two in pair for a, b in zip(one, two))
            weights = told["equalized"]["weights"]
            changed = [w for w in weights if w["changed"]]
            snr = [float(np.mean([w["snr"][k] for w in changed])) if changed else 0 for k in (0, 1)]
            apart = [float(np.median([spread(w["ranges"][k]) for w in changed])) if changed else 1 for k in (0, 1)]
            print(
                f"| {path.stem} | {'yes' if same else 'NO'} | {verdict['outcome']}, {verdict['proof']['outcome']} | {len(changed)} of {len(weights)} "
                f"| {snr[0]:.1f} to {snr[1]:.1f} | {apart[0]:.3g} to {apart[1]:.3g} |", flush=True,
            )
            exact = outputs(files["folded"], entry.name, held)
            row = []
            for per_channel in (False, True):
                for form in ("folded", "equalized", "measured"):
                    made = quantised(files[form], entry.name, calibration, per_channel, at / "quantised.onnx")
                    row.append(decibels(exact, outputs(made, entry.name, held)))
            rows.append((path.stem, row))
    print("\n| network | per tensor: folded | equalized | with `--activations` | per channel: folded | equalized | with `--activations` |")
    print("| :-- | --: | --: | --: | --: | --: | --: |")
    for name, row in rows:
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in row)} |")


main()
