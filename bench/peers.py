"""
BatchNormalization nodes, and nodes in all, that are left by bnfold and by other programs that optimize ONNX files:

    python bench/peers.py <folder> [network ...]

Networks are exported into the folder from timm with their normalizations in, random weights, statistics as after training, every fourth gain negative; a file that
is there is used as it is. Needs torch, timm, onnx, onnxruntime, onnxsim, onnxslim, and a built dist/. Everything is counted in the files that were written.
"""

import json
import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import onnx
import onnxruntime
import onnxsim
import onnxslim

warnings.filterwarnings("ignore")

NETWORKS = (
    ["resnet18", "mobilenetv2_100", "efficientnet_b0", "repvgg_a0", "mobileone_s0", "fastvit_t8"]
    + ["repghostnet_100", "levit_128s", "nf_regnet_b0", "densenet121", "resnetv2_50"]
)
PROGRAM = Path(__file__).parents[1] / "bin" / "bnfold.js"


def export(name: str, path: Path) -> None:
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            with torch.no_grad():
                module.weight[::4] *= -1
            torch.nn.init.normal_(module.bias, 0, 0.1)
    names = {"input_names": ["x"], "output_names": ["y"], "opset_version": 17, "dynamo": False}
    kept = {"do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE}
    torch.onnx.export(model, torch.randn(1, 3, 224, 224), str(path), **names, **kept)


def with_onnxsim(source: Path, target: Path) -> None:
    model, _ = onnxsim.simplify(onnx.load(source))
    onnx.save(model, target)


def with_onnxslim(source: Path, target: Path) -> None:
    onnx.save(onnxslim.slim(str(source)), target)


def with_onnxruntime(source: Path, target: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def with_bnfold(source: Path, target: Path) -> None:
    made = subprocess.run(["node", PROGRAM, "fold", source, "-o", target, "--no-run", "--json"], capture_output=True, text=True)
    verdict = json.loads(made.stdout)["verdict"]
    assert verdict["outcome"] == "equivalent" and verdict["proof"]["outcome"] == "equal", verdict["summary"]


PROGRAMS = {
    f"onnxsim {version('onnxsim')}": with_onnxsim,
    f"onnxslim {version('onnxslim')}": with_onnxslim,
    f"ONNX Runtime {version('onnxruntime')}, basic": with_onnxruntime,
    "bnfold": with_bnfold,
}


def counted(path: Path) -> str:
    nodes = onnx.load(path, load_external_data=False).graph.node
    return f"{sum(node.op_type == 'BatchNormalization' for node in nodes)} / {len(nodes)}"


folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
print("BatchNormalization / all nodes")
print(f"| {' | '.join(['network', 'exported', *PROGRAMS])} |")
print(f"| :-- | {' | '.join(['--:'] * (len(PROGRAMS) + 1))} |")
for network in sys.argv[2:] or NETWORKS:
    exported = folder / f"{network}.onnx"
    if not exported.exists():
        export(network, exported)
    cells = [counted(exported)]
    for number, program in enumerate(PROGRAMS.values()):
        target = folder / f"{network}.{number}.onnx"
        try:
            program(exported, target)
            cells.append(counted(target))
        except Exception as error:
            cells.append(f"fails: {type(error).__name__}")
        target.unlink(missing_ok=True)
    print(f"| {' | '.join([network, *cells])} |", flush=True)
