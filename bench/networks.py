"""The networks of models.py as onnx graphs, written without torch: the same layers and shapes, random weights."""

import numpy
from onnx import TensorProto, helper, numpy_helper, save


class Net:
    """A graph under construction; every method adds nodes after the value `x` of `c` channels and gives the new value."""

    def __init__(self, rank):
        self.nodes, self.weights, self.rank = [], [], rank
        self.random = numpy.random.default_rng(0)

    def add(self, op, inputs, **attributes):
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def weight(self, *shape, scale=1.0, shift=0.0):
        name = f"w{len(self.weights)}"
        values = shift + scale * self.random.standard_normal(shape)
        self.weights.append(numpy_helper.from_array(values.astype(numpy.float32), name))
        return name

    def conv(self, x, a, b, k, stride=1, group=1, pad=None):
        k, stride = ([v] * self.rank if isinstance(v, int) else v for v in (k, stride))
        pad = [v // 2 for v in k] if pad is None else [pad] * self.rank
        w = self.weight(b, a // group, *k, scale=(2 / (a // group * numpy.prod(k))) ** 0.5)
        return self.add("Conv", [x, w], kernel_shape=k, strides=stride, pads=pad * 2, group=group)

    def norm(self, x, c):
        parameters = [self.weight(c, scale=0.1, shift=1), self.weight(c, scale=0.1), self.weight(c, scale=0.1)]
        return self.add("BatchNormalization", [x, *parameters, self.weight(c, scale=0.05, shift=1)])

    def relu(self, x):
        return self.add("Relu", [x])

    def unit(self, x, a, b, k, **how):
        return self.relu(self.norm(self.conv(x, a, b, k, **how), b))

    def stem_pool(self, x):
        return self.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])

    def head(self, x, c, classes):
        x = self.add("Flatten", [self.add("GlobalAveragePool", [x])])
        return self.add("Gemm", [x, self.weight(classes, c, scale=c**-0.5), self.weight(classes)], transB=1)

    def skip(self, x, a, b, y, stride):
        if a != b or stride != 1:
            x = self.norm(self.conv(x, a, b, 1, stride=stride), b)
        return self.relu(self.add("Add", [y, x]))


def resnet50():
    net = Net(2)
    x, a = net.stem_pool(net.unit("x", 3, 64, 7, stride=2)), 64
    for width, count, first in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]:
        for i in range(count):
            stride = first if i == 0 else 1
            y = net.unit(net.unit(x, a, width, 1), width, width, 3, stride=stride)
            y = net.norm(net.conv(y, width, 4 * width, 1), 4 * width)
            x, a = net.skip(x, a, 4 * width, y, stride), 4 * width
    return net, net.head(x, a, 1000)


def mobilenet_v2():
    net = Net(2)
    low, high = net.weight(scale=0), net.weight(scale=0, shift=6)

    def unit(x, a, b, k, **how):
        return net.add("Clip", [net.norm(net.conv(x, a, b, k, **how), b), low, high])

    x, a = unit("x", 3, 32, 3, stride=2), 32
    for t, b, count, first in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
        for i in range(count):
            stride = first if i == 0 else 1
            y = x if t == 1 else unit(x, a, t * a, 1)
            y = unit(y, t * a, t * a, 3, stride=stride, group=t * a)
            y = net.norm(net.conv(y, t * a, b, 1), b)
            x, a = (net.add("Add", [x, y]) if stride == 1 and a == b else y), b
    return net, net.head(unit(x, a, 1280, 1), 1280, 1000)


def densenet121():
    net = Net(2)
    x, a = net.stem_pool(net.unit("x", 3, 64, 7, stride=2)), 64
    for block, count in enumerate([6, 12, 24, 16]):
        for _ in range(count):
            y = net.conv(net.relu(net.norm(x, a)), a, 128, 1)
            y = net.conv(net.relu(net.norm(y, 128)), 128, 32, 3)
            x, a = net.add("Concat", [x, y], axis=1), a + 32
        if block < 3:
            x = net.conv(net.relu(net.norm(x, a)), a, a // 2, 1)
            x, a = net.add("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2]), a // 2
    return net, net.head(net.relu(net.norm(x, a)), a, 1000)


def r3d_18():
    net = Net(3)
    x, a = net.unit("x", 3, 64, [3, 7, 7], stride=[1, 2, 2]), 64
    for b, first in [(64, 1), (128, 2), (256, 2), (512, 2)]:
        for stride in (first, 1):
            y = net.norm(net.conv(net.unit(x, a, b, 3, stride=stride), b, b, 3), b)
            x, a = net.skip(x, a, b, y, stride), b
    return net, net.head(x, a, 400)


def dcgan():
    net = Net(2)
    x, widths = "x", [100, 512, 256, 128, 64, 3]
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        stride, pad = (1, 0) if i == 0 else (2, 1)
        w = net.weight(a, b, 4, 4, scale=(1 / (4 * a)) ** 0.5)
        x = net.add("ConvTranspose", [x, w], kernel_shape=[4, 4], strides=[stride] * 2, pads=[pad] * 4)
        x = net.add("Tanh", [x]) if b == 3 else net.relu(net.norm(x, b))
    return net, x


def write(name, shape, path):
    net, y = globals()[name]()
    real = TensorProto.FLOAT
    inputs, outputs = [helper.make_tensor_value_info("x", real, shape)], [helper.make_tensor_value_info(y, real, None)]
    graph = helper.make_graph(net.nodes, name, inputs, outputs, net.weights)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
