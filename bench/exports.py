"""
Small networks of many kinds, each exported in several ways, for bench/others.py:

    python bench/exports.py <folder> [name ...]

Each is written by torch.onnx.export's TorchScript path (operator sets 13 and 17, and 17 without constants folded) and by its dynamo path, trained-like
statistics in every BatchNormalization. <folder>/pairs.json lists pairs of exports that are one function: what bench/others.py --pairs takes.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")


class Residual(nn.Module):
    def __init__(self, body, after=None):
        super().__init__()
        self.body, self.after = body, after or nn.Identity()

    def forward(self, x):
        return self.after(x + self.body(x))


class Of(nn.Module):
    """A function with layers of its own."""

    def __init__(self, f, **layers):
        super().__init__()
        self.f = f
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *x):
        return self.f(self, *x)


def conv(a, b, k=3, dims=2, **how):
    return getattr(nn, f"Conv{dims}d")(a, b, k, padding=how.pop("padding", k // 2), **how)


def unit(a, b, k=3, act=nn.ReLU, dims=2, **how):
    return nn.Sequential(conv(a, b, k, dims, bias=False, **how), getattr(nn, f"BatchNorm{dims}d")(b), act())


def attention(self, x):
    n, t, c = x.shape
    q, k, v = self.qkv(self.norm(x.transpose(1, 2)).transpose(1, 2)).reshape(n, t, 3, 4, c // 4).permute(2, 0, 3, 1, 4)
    y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, c)
    return x + self.out(y)


def unet(self, x):
    a = self.a(x)
    b = self.b(F.max_pool2d(a, 2))
    return self.c(torch.cat([a, self.up(b)], 1))


def squeeze(self, x):
    y = self.body(x)
    return y * torch.sigmoid(self.b(F.relu(self.a(y.mean((2, 3), keepdim=True)))))


def gated(self, x):
    a, b = self.body(x).chunk(2, 1)
    return self.norm(a * torch.sigmoid(b))


def shuffled(self, x):
    a, b = x.chunk(2, 1)
    y = torch.cat([a, self.body(b)], 1)
    n, c, h, w = y.shape
    return y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def pyramid(self, x):
    y = self.a(x)
    z = self.b(y)
    return self.c(y + F.interpolate(z, scale_factor=2, mode="nearest")) + F.interpolate(z, scale_factor=2.0, mode="bilinear", align_corners=False)


def recurrent(self, x):
    y, _ = self.cell(self.norm(x.transpose(1, 2)).transpose(1, 2))
    return self.head(y[:, -1])


def masked(self, x, mask):
    y = self.a(x)
    y = y.masked_fill(mask[:, None, None, :] > 0, 0.0)
    return self.b(y).mean(-1)


def tokens(self, i):
    y = self.norm(self.table(i).transpose(1, 2)).transpose(1, 2)
    return self.head(F.gelu(y).mean(1))


def windows(self, x):
    n, c, h, w = x.shape
    y = self.a(x).view(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(-1, 16, c)
    y = y @ self.w + self.bias
    return self.b(y.view(n, h // 4, w // 4, 4, 4, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w))


IMAGE, TOKENS, LINE = (torch.randn(2, 3, 16, 16),), (torch.randn(2, 10, 16),), (torch.randn(2, 4, 32),)

NETS = {
    "residual": lambda: (nn.Sequential(unit(3, 8), Residual(nn.Sequential(unit(8, 8), conv(8, 8), nn.BatchNorm2d(8)), nn.ReLU()), conv(8, 4, 1)), IMAGE),
    "preact": lambda: (nn.Sequential(conv(3, 8), Residual(nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), conv(8, 8))), nn.BatchNorm2d(8), nn.ReLU(), conv(8, 4, 1)), IMAGE),
    "depthwise": lambda: (nn.Sequential(unit(3, 8, 3, nn.ReLU6, stride=2), unit(8, 8, 3, nn.ReLU6, groups=8), unit(8, 4, 1, nn.Identity)), IMAGE),
    "swish": lambda: (nn.Sequential(unit(3, 8, 3, nn.Hardswish, stride=2), unit(8, 8, 5, nn.SiLU, groups=8), unit(8, 4, 1, nn.Mish)), IMAGE),
    "leaky": lambda: (nn.Sequential(unit(3, 8, 3, lambda: nn.LeakyReLU(0.1)), unit(8, 8, 3, nn.ELU), unit(8, 4, 1, lambda: nn.PReLU(4))), IMAGE),
    "dilated": lambda: (nn.Sequential(unit(3, 8, 3, dilation=2, padding=2), nn.ZeroPad2d(1), nn.AvgPool2d(2), unit(8, 4, 1)), IMAGE),
    "unet": lambda: (Of(unet, a=unit(3, 8), b=unit(8, 16), up=nn.Sequential(nn.ConvTranspose2d(16, 8, 2, 2), nn.BatchNorm2d(8)), c=conv(16, 2, 1)), IMAGE),
    "generator": lambda: (nn.Sequential(nn.ConvTranspose2d(6, 8, 4, 1, 0, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 4, 4, 2, 1, bias=False), nn.BatchNorm2d(4), nn.Tanh()), (torch.randn(2, 6, 1, 1),)),
    "squeeze": lambda: (Of(squeeze, body=unit(3, 8), a=nn.Conv2d(8, 2, 1), b=nn.Conv2d(2, 8, 1)), IMAGE),
    "gated": lambda: (Of(gated, body=nn.Sequential(conv(3, 16), nn.BatchNorm2d(16)), norm=nn.BatchNorm2d(8)), IMAGE),
    "shuffle": lambda: (nn.Sequential(unit(3, 8), Of(shuffled, body=unit(4, 4)), conv(8, 4, 1)), IMAGE),
    "pyramid": lambda: (Of(pyramid, a=unit(3, 8), b=unit(8, 8, stride=2), c=unit(8, 8)), IMAGE),
    "pixels": lambda: (nn.Sequential(unit(3, 16), nn.PixelShuffle(2), nn.BatchNorm2d(4), nn.PixelUnshuffle(2), conv(16, 4, 1)), IMAGE),
    "norms": lambda: (nn.Sequential(conv(3, 8), nn.GroupNorm(2, 8), nn.ReLU(), conv(8, 8), nn.InstanceNorm2d(8, affine=True), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.LayerNorm(2048), nn.Linear(2048, 4)), IMAGE),
    "volume": lambda: (nn.Sequential(unit(1, 4, 3, nn.ReLU, 3), nn.MaxPool3d(2), unit(4, 4, 3, nn.ReLU, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 3)), (torch.randn(2, 1, 8, 8, 8),)),
    "line": lambda: (nn.Sequential(unit(4, 8, 3, nn.ReLU, 1), nn.ConstantPad1d((2, 0), 0.0), conv(8, 8, 3, 1, padding=0), nn.BatchNorm1d(8), nn.GELU(), conv(8, 2, 1, 1)), LINE),
    "dense": lambda: (nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 16, bias=False), nn.BatchNorm1d(16), nn.Softplus(), nn.Linear(16, 4), nn.LogSoftmax(1)), (torch.randn(3, 12),)),
    "attention": lambda: (Of(attention, norm=nn.BatchNorm1d(16), qkv=nn.Linear(16, 48), out=nn.Linear(16, 16)), TOKENS),
    "encoder": lambda: (nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True), TOKENS),
    "lstm": lambda: (Of(recurrent, norm=nn.BatchNorm1d(16), cell=nn.LSTM(16, 8, 2, batch_first=True, bidirectional=True), head=nn.Linear(16, 3)), TOKENS),
    "gru": lambda: (Of(recurrent, norm=nn.BatchNorm1d(16), cell=nn.GRU(16, 8, batch_first=True), head=nn.Linear(8, 3)), TOKENS),
    "masked": lambda: (Of(masked, a=unit(3, 8), b=nn.BatchNorm2d(8)), (torch.randn(2, 3, 8, 16), torch.randint(0, 2, (2, 16)))),
    "tokens": lambda: (Of(tokens, table=nn.Embedding(20, 16), norm=nn.BatchNorm1d(16), head=nn.Linear(16, 3)), (torch.randint(0, 20, (2, 10)),)),
    "windows": lambda: (Of(windows, a=unit(3, 3), b=nn.BatchNorm2d(3), w=nn.Parameter(torch.randn(3, 3)), bias=nn.Parameter(torch.randn(3))), IMAGE),
    "spectral": lambda: (nn.Sequential(nn.utils.parametrizations.weight_norm(conv(3, 8)), nn.BatchNorm2d(8), nn.ReLU(), conv(8, 4, 1)), IMAGE),
    "grouped": lambda: (nn.Sequential(unit(4, 8, 3, groups=2), nn.ChannelShuffle(2), unit(8, 8, 3, groups=4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)), (torch.randn(2, 4, 12, 12),)),
}


def trained(net):
    """Statistics and affine parameters as training leaves them."""
    torch.manual_seed(1)
    for layer in net.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.running_mean.normal_(0, 0.5)
            layer.running_var.uniform_(0.3, 2)
            layer.weight.data.uniform_(-1, 1.5)
            layer.bias.data.normal_(0, 0.3)
    return net.eval()


def export(net, args, path, **how):
    names = [f"x{i}" for i in range(len(args))]
    torch.onnx.export(net, args, str(path), input_names=names, output_names=["y"], **how)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    ways = {
        "ts13": {"dynamo": False, "opset_version": 13},
        "ts17": {"dynamo": False, "opset_version": 17},
        "raw17": {"dynamo": False, "opset_version": 17, "do_constant_folding": False},
        "dynamo": {"dynamo": True, "opset_version": 18, "external_data": False, "verbose": False},
        "dynraw": {"dynamo": True, "opset_version": 18, "external_data": False, "verbose": False, "optimize": False},
    }
    pairs = []
    for name, make in NETS.items():
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        torch.manual_seed(0)
        net, args = make()
        net, made = trained(net), []
        for way, how in ways.items():
            path = folder / f"{name}-{way}.onnx"
            try:
                export(net, args, path, **how)
                made.append(path)
            except BaseException as error:
                print(name, way, type(error).__name__, str(error)[:120].replace("\n", " "))
        pairs += [[str(a), str(b)] for a, b in zip(made, made[1:])]
        print(name, len(made), flush=True)
    (folder / "pairs.json").write_text(json.dumps(pairs, indent=1))
