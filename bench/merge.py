"""
Exports timm's mobileone_s0 for bench/merge.ts: python bench/merge.py <folder>. Writes mobileone_s0.onnx with every branch, as an exporter
that folds nothing gives it, and mobileone_s0-deployed.onnx, the framework's own reparameterised form. Needs torch and timm; weights are
random, statistics as after training.
"""

import copy
import sys
import warnings

import timm
import torch
from timm.utils.model import reparameterize_model

warnings.filterwarnings("ignore")
torch.manual_seed(0)


def export(model, path, **options):
    torch.onnx.export(
        model, torch.randn(1, 3, 224, 224), path, input_names=["x"], output_names=["y"], opset_version=17, dynamo=False, **options
    )


folder = sys.argv[1]
model = timm.create_model("mobileone_s0", pretrained=False).eval()
for module in model.modules():
    if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
        torch.nn.init.normal_(module.running_mean, 0, 0.1)
        torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
        torch.nn.init.uniform_(module.weight, 0.5, 1.0)
        torch.nn.init.normal_(module.bias, 0, 0.1)
kept = {"do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE}
export(model, f"{folder}/mobileone_s0.onnx", **kept)
export(reparameterize_model(copy.deepcopy(model)), f"{folder}/mobileone_s0-deployed.onnx")
print("done", flush=True)
