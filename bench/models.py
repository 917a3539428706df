"""
Writes the models bench/run.ts measures: python bench/models.py <folder> [name ...]. Exported from torchvision with random weights; where
torch is missing, or with --plain, the same networks are written by networks.py.
"""

import sys
import warnings

sys.dont_write_bytecode = True
import networks  # noqa: E402

try:
    import torch
    import torchvision
except ImportError:
    torch = None

warnings.filterwarnings("ignore")


def dcgan_generator(latent=100, features=64):
    """Radford, Metz, Chintala 2015: latent vector to a 64 x 64 image."""
    layers = []
    widths = [latent, 8 * features, 4 * features, 2 * features, features]
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        stride, pad = (1, 0) if i == 0 else (2, 1)
        layers += [torch.nn.ConvTranspose2d(a, b, 4, stride, pad, bias=False), torch.nn.BatchNorm2d(b), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.ConvTranspose2d(features, 3, 4, 2, 1, bias=False), torch.nn.Tanh())


MODELS = {
    "resnet50": (lambda: torchvision.models.resnet50(weights=None), (1, 3, 224, 224)),
    "mobilenet_v2": (lambda: torchvision.models.mobilenet_v2(weights=None), (1, 3, 224, 224)),
    "densenet121": (lambda: torchvision.models.densenet121(weights=None), (1, 3, 224, 224)),
    "r3d_18": (lambda: torchvision.models.video.r3d_18(weights=None), (1, 3, 8, 112, 112)),
    "dcgan": (dcgan_generator, (1, 100, 1, 1)),
}


def spread(model):
    """Running statistics and scales that are not all 0 and 1, as after training."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return model.eval()


folder, *names = [argument for argument in sys.argv[1:] if argument != "--plain"]
plain = torch is None or "--plain" in sys.argv
for name in names or MODELS:
    make, shape = MODELS[name]
    path = f"{folder}/{name}.onnx"
    if plain:
        networks.write(name, shape, path)
    else:
        torch.manual_seed(0)
        torch.onnx.export(
            spread(make()),
            torch.randn(shape),
            path,
            input_names=["x"],
            output_names=["y"],
            opset_version=17,
            dynamo=False,
            do_constant_folding=False,
            # Keeps BatchNormalization: the exporter's evaluation mode folds it away.
            training=torch.onnx.TrainingMode.PRESERVE,
        )
    print(f"{name}{' (without torch)' if plain else ''}", flush=True)
