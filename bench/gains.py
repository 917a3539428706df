"""
Networks of timm with gains of three kinds, for the table of docs/gauges.md:

    python bench/gains.py <folder> <name of timm's, as resnetv2_50> ... [--run]

Writes <name>.positive.onnx, <name>.fourth.onnx (every fourth gain negative) and <name>.random.onnx (a quarter of them, at random), with random
weights and statistics as after training. With --run each is folded by bin/bnfold.js, and how many BatchNormalization were there, stay, and
must stay (docs/certificates.md) is printed.
"""

import argparse
import json
import subprocess
import sys
import warnings
from pathlib import Path

sys.dont_write_bytecode = True
import timm  # noqa: E402
import torch  # noqa: E402
from torch.nn.modules.batchnorm import _BatchNorm  # noqa: E402

warnings.filterwarnings("ignore")
ROOT = Path(__file__).parents[1]


def every_fourth(gains: torch.Tensor) -> torch.Tensor:
    return torch.where(torch.arange(len(gains)) % 4 == 3, -gains, gains)


def a_quarter(gains: torch.Tensor) -> torch.Tensor:
    return torch.where(torch.rand(len(gains)) < 0.25, -gains, gains)


SIGNS = {"positive": lambda gains: gains, "fourth": every_fourth, "random": a_quarter}


def network(name: str, signed) -> torch.nn.Module:
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            module.weight.data = signed(torch.empty_like(module.weight).uniform_(0.5, 1.5))
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return model.eval()


def export(name: str, signs: str, file: Path) -> None:
    model = network(name, SIGNS[signs])
    size = model.default_cfg.get("input_size", (3, 224, 224))
    kept = torch.onnx.TrainingMode.PRESERVE
    torch.onnx.export(model, torch.randn(1, *size), file, opset_version=17, dynamo=False, do_constant_folding=False, training=kept)


def norms(file: Path, scratch: Path) -> str:
    report, target = scratch / "report.json", scratch / "folded.onnx"
    certificate = scratch / "certificate.json"
    command = ["node", ROOT / "bin/bnfold.js", "fold", file, "-o", target, "--report", report, "--certificate", certificate]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 5):
        return f"exit {done.returncode}: {done.stderr.strip()}"
    told = json.loads(report.read_text())
    counts = told["batchNormalization"]
    minimal = next((line.strip() for line in done.stdout.splitlines() if line.strip().startswith("minimal")), "")
    return f"{counts['before']} -> {counts['kept']} BN, {told['affine']['kept']} affine stay, {told['verdict']['outcome']}; {minimal}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--run", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        for signs in SIGNS:
            file = options.folder / f"{name}.{signs}.onnx"
            if not file.exists():
                export(name, signs, file)
            print(f"{name:24}{signs:10}" + (norms(file, options.folder) if options.run else str(file)), flush=True)


main()
