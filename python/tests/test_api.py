"""Every function on real models, judged by ONNX Runtime and numpy."""

import logging
from pathlib import Path

import bnfold
import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import EXTERNAL, conv_norm


def outputs_of(model: onnx.ModelProto | Path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    given = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"]).run(None, feeds)


def test_fold_of_a_model_in_memory(model: onnx.ModelProto, x: np.ndarray) -> None:
    before = model.SerializeToString()
    folded, report = bnfold.fold(model)
    assert model.SerializeToString() == before
    assert [node.op_type for node in folded.graph.node] == ["Conv"]
    counts = report.batch_normalization
    assert (counts.before, counts.folded, counts.kept) == (1, 1, 0)
    assert report.verdict.outcome == "equivalent"
    assert report.folds[0].into[0].node.name == "conv"
    onnx.checker.check_model(folded)
    # Two float32 runs of 27 products and a normalization.
    np.testing.assert_allclose(outputs_of(folded, {"x": x})[0], outputs_of(model, {"x": x})[0], rtol=0, atol=1e-4)


def test_external_data(tmp_path: Path) -> None:
    path, report = bnfold.fold(EXTERNAL, tmp_path / "folded.onnx")
    assert report.verdict.outcome == "equivalent"
    assert all(Path(side.file).exists() for side in report.output.side_files)
    loaded, again = bnfold.fold(onnx.load(EXTERNAL))
    assert again.batch_normalization == report.batch_normalization
    assert bnfold.verify(path, loaded).outcome == "equivalent"


def test_a_proto_that_refers_to_a_side_file_needs_its_folder() -> None:
    bare = onnx.load(EXTERNAL, load_external_data=False)
    with pytest.raises(bnfold.UsageError, match="base_dir"):
        bnfold.fold(bare)
    folded, report = bnfold.fold(bare, base_dir=EXTERNAL.parent)
    assert report.batch_normalization.kept == 0
    assert bnfold.verify(EXTERNAL, folded).outcome == "equivalent"


def test_verify(model: onnx.ModelProto) -> None:
    folded, _ = bnfold.fold(model)
    assert bnfold.verify(model, folded).outcome == "equivalent"
    weight = folded.graph.initializer[0]
    array = onnx.numpy_helper.to_array(weight).copy()
    array.flat[0] += 0.01
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    verdict = bnfold.verify(model, folded)
    assert verdict.outcome == "different"
    assert verdict.proof is not None and verdict.proof.outcome == "different"


def test_inspect(model: onnx.ModelProto) -> None:
    found = bnfold.inspect(model)
    assert found.operators == {"Conv": 1, "BatchNormalization": 1}
    assert found.batch_normalizations[0].fold.action == "fold"
    assert bnfold.inspect(conv_norm(training=True)).batch_normalizations[0].fold.action == "keep"


def test_run_gives_what_numpy_gives(model: onnx.ModelProto, x: np.ndarray) -> None:
    results = bnfold.run(model, {"x": x}, dump="c")
    scale, shift, mean, var = (onnx.numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer[1:])
    column = (slice(None), None, None)
    wanted = (results["c"] - mean[column]) / np.sqrt(var[column] + float(np.float32(1e-5))) * scale[column] + shift[column]
    assert results["y"].dtype == np.float64
    np.testing.assert_allclose(results["y"], wanted, rtol=1e-12, atol=1e-12)
    assert bnfold.run(model, {"x": x}, storage=True)["y"].dtype == np.float32


def test_freeze_and_recalibrate(x: np.ndarray) -> None:
    trained = conv_norm(training=True)
    frozen, report = bnfold.freeze(trained)
    assert [entry.node.name for entry in report.frozen] == ["norm"]
    fresh, statistics = bnfold.recalibrate(frozen, {"x": np.concatenate([x] * 4)})
    inner = bnfold.run(frozen, {"x": x}, dump="c")["c"]
    mean = onnx.numpy_helper.to_array(next(t for t in fresh.graph.initializer if t.name == "mean"))
    # Stored in float32.
    np.testing.assert_allclose(mean, inner.mean(axis=(0, 2, 3)), rtol=1e-6, atol=1e-7)
    assert statistics.output is not None


def test_convert_momentum() -> None:
    assert bnfold.convert_momentum(0.1, source="pytorch", target="keras") == 0.9
    assert bnfold.convert_momentum(0.99, source="keras", target="pytorch") == 0.01
    assert bnfold.convert_momentum(None, source="pytorch", target="onnx") is None
    assert bnfold.momentum_report(0.1, source="pytorch", target="onnx").half_life is not None


def test_options_reach_the_command(model: onnx.ModelProto) -> None:
    kept, report = bnfold.fold(model, skip=["no*"])
    assert report.kept[0].code == "excluded-by-user"
    assert [node.op_type for node in kept.graph.node] == ["Conv", "BatchNormalization"]
    assert bnfold.fold(model, check=False).report.verdict.outcome == "not-checked"
    assert bnfold.fold(model, max_memory="1GB").report.batch_normalization.kept == 0
    with pytest.raises(bnfold.UsageError, match="did you mean --samples"):
        bnfold.fold(model, sampels=3)
    with pytest.raises(bnfold.KeptError) as caught:
        bnfold.fold(model, skip="norm", strict=True)
    assert caught.value.report.batch_normalization.kept == 1 and caught.value.code == 5


def test_shapes_and_inputs(model: onnx.ModelProto, x: np.ndarray) -> None:
    run = bnfold.fold(model, inputs={"x": x}).report.verdict.run
    assert run is not None and run.outcome == "equal"
    assert bnfold.verify(model, model, shapes={"x": (5, 3, 8, 8)}).outcome == "equivalent"


def test_errors_say_where(tmp_path: Path) -> None:
    with pytest.raises(bnfold.FileError, match="missing.onnx") as missing:
        bnfold.fold(tmp_path / "missing.onnx")
    assert missing.value.code == 4 and missing.value.file is not None
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(bnfold.ModelError) as broken:
        bnfold.inspect(tmp_path / "text.onnx")
    assert broken.value.code == 3
    with pytest.raises(bnfold.UsageError, match="ModelProto"):
        bnfold.fold(3)  # type: ignore[arg-type]


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: onnx.ModelProto) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    bnfold.fold(model)
    with pytest.raises(bnfold.UsageError):
        bnfold.fold(model, nonsense=1)
    assert list(tmp_path.iterdir()) == []


def test_progress_and_logging(model: onnx.ModelProto, caplog: pytest.LogCaptureFixture) -> None:
    stages: list[str] = []
    with caplog.at_level(logging.DEBUG, "bnfold"):
        bnfold.fold(model, progress=lambda stage, done, total: stages.append(stage))
    assert {"planning", "writing", "proof"} <= set(stages)
    assert any("proof" in record.message for record in caplog.records)


def test_a_real_export(tmp_path: Path, x: np.ndarray) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its exports in fixtures are tested all the same")
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 1), torch.nn.BatchNorm2d(4)
    )
    layers(torch.from_numpy(x))
    layers.eval()
    path = tmp_path / "export.onnx"
    keep = torch.onnx.TrainingMode.PRESERVE
    torch.onnx.export(layers, torch.from_numpy(x), str(path), dynamo=False, training=keep, do_constant_folding=False)
    folded, report = bnfold.fold(path)
    assert report.batch_normalization.kept == 0
    wanted = layers(torch.from_numpy(x)).detach().numpy()
    name = folded.graph.input[0].name
    np.testing.assert_allclose(outputs_of(folded, {name: x})[0], wanted, rtol=0, atol=1e-4)
