"""Models for the tests: small ones made here, and those of the project's fixtures, which PyTorch and Keras exported."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "models"
EXTERNAL = FIXTURES / "token-mlp-dynamo-external" / "model.onnx"


def conv_norm(channels: int = 4, training: bool = False, external: bool = False) -> onnx.ModelProto:
    """x [N, 3, 8, 8] → Conv → BatchNormalization → y."""
    random = np.random.default_rng(0)

    def tensor(name: str, array: np.ndarray) -> onnx.TensorProto:
        return numpy_helper.from_array(array.astype(np.float32), name)

    weights = [
        tensor("w", random.standard_normal((channels, 3, 3, 3))),
        tensor("scale", random.uniform(0.5, 1.5, channels)),
        tensor("shift", random.standard_normal(channels)),
        tensor("mean", random.standard_normal(channels)),
        tensor("var", random.uniform(0.5, 1.5, channels)),
    ]
    norm = ["c", "scale", "shift", "mean", "var"]
    outputs = ["y", "new_mean", "new_var"] if training else ["y"]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", norm, outputs, name="norm", training_mode=int(training)),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", channels, 8, 8])
    graph = helper.make_graph(nodes, "net", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


@pytest.fixture
def model() -> onnx.ModelProto:
    return conv_norm()


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((2, 3, 8, 8)).astype(np.float32)
