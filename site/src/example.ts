/** A model to try the page with: a small RepVGG as PyTorch's exporter writes it. */
import bytes from "../../fixtures/models/repvgg-ts17/model.onnx";
import type { Given } from "./files.ts";

export const example = (): Given => ({ path: "repvgg-example.onnx", file: new Blob([bytes]) });
