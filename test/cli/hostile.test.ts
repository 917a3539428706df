/** Files nobody should have written: one clear message and the documented exit code, or a fold like any other. */
import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { BnfoldError } from "../../src/diag/error.ts";
import { LateRefusal } from "../../src/fold/index.ts";
import { read } from "../../src/onnx/read.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { verifyModels } from "../../src/verify/index.ts";
import { prove } from "../../src/verify/proof.ts";
import { modelBytes } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";
import { type Bytes, bytesOf, group, len, num, vi } from "../onnx/bytes.ts";
import { bnfold, convNet, folder, writeModel } from "./bnfold.ts";

const dir = folder();
const plain = writeModel(join(dir, "plain.onnx"), convNet());

/** Reads, folds, writes, reads back and checks; an error of the input is an answer, anything else comes through. */
function exercise(bytes: Uint8Array): string {
  try {
    const before = read(memorySource(bytes));
    const after = folded(before);
    return verifyModels(before, after.model, { prove, samples: 1, shapes: new Map() }).outcome;
  } catch (error) {
    if (error instanceof BnfoldError || error instanceof LateRefusal) return "refused";
    throw error;
  }
}

describe("a model that was damaged", () => {
  const small = modelBytes(convNet({ kept: true }));

  it("starts as one that is fine", () => expect(exercise(small)).toBe("equivalent"));

  it("at its end is never taken for a whole one", () => {
    for (let n = 0; n < small.length; n += 3) expect(exercise(small.subarray(0, n)), `${n} bytes`).toBe("refused");
  });

  it("anywhere is folded right or refused", { timeout: 60_000 }, () => {
    let x = 12345;
    const random = (n: number): number => {
      x = (Math.imul(x, 1664525) + 1013904223) | 0;
      return (x >>> 8) % n;
    };
    for (let i = 0; i < 600; i++) {
      const bytes = small.slice();
      for (let k = random(3); k >= 0; k--)
        bytes[random(bytes.length)] = random(2) === 0 ? random(256) : [0, 1, 0x7f, 0x80, 0xff][random(5)];
      expect(exercise(bytes), `case ${i}`).not.toBe("different");
    }
  });
});

const floats = (...values: number[]): number[] => bytesOf(Float32Array.from(values));
const strange = [...num(500, 1), ...len(501, "kept"), ...vi((502 << 3) | 5), 1, 2, 3, 4, ...group(503, num(1, 5), group(504))];
const node = (op: string, inputs: readonly string[], output: string, more: Bytes = []): number[] =>
  len(1, [...more, ...inputs.flatMap((name) => len(1, name)), ...len(2, output), ...len(4, op), ...more]);
const face = (field: number, name: string, dims: readonly number[]): number[] => {
  const shape = dims.flatMap((d) => len(1, num(1, d)));
  return len(field, [...len(1, name), ...len(2, len(1, [...num(1, 1), ...len(2, shape)]))]);
};
const tensor = (name: string, dims: Bytes, payload: Bytes): number[] =>
  len(5, [...dims, ...num(2, 1), ...payload, ...len(8, name)]);

/** Conv 1 → 2 channels, 1×1, then BatchNormalization. */
function encoded({
  weight = tensor(
    "w",
    [2, 1, 1, 1].flatMap((d) => num(1, d)),
    len(9, floats(1, 2)),
  ),
  more = [] as Bytes,
  wrap = (graph: Bytes): number[] => [...num(1, 8), ...len(7, graph), ...len(8, [...len(1, ""), ...num(2, 17)])],
}): Uint8Array {
  const vector = (name: string, ...values: number[]) => tensor(name, num(1, 2), len(9, floats(...values)));
  const nodes = [...node("Conv", ["x", "w"], "c", more), ...node("BatchNormalization", ["c", "s", "b", "m", "v"], "y", more)];
  const vectors = [...vector("s", 1, -2), ...vector("b", 0.5, 1), ...vector("m", 0, 1), ...vector("v", 1, 2)];
  const faces = [...face(11, "x", [1, 1, 2, 2]), ...face(12, "y", [1, 2, 2, 2])];
  return Uint8Array.from(wrap([...more, ...nodes, ...weight, ...vectors, ...faces, ...more]));
}

describe("a model in an odd but valid encoding folds like any other", () => {
  const dims = [2, 1, 1, 1].flatMap((d) => num(1, d));
  const single = (x: number) => [...vi((4 << 3) | 5), ...floats(x)];
  const opset = len(8, [...len(1, ""), ...num(2, 17)]);
  const cases: Record<string, Uint8Array> = {
    "as usual": encoded({}),
    "unknown fields and groups everywhere": encoded({
      more: strange,
      wrap: (graph) => [...strange, ...num(1, 8), ...strange, ...len(7, graph), ...opset, ...strange],
    }),
    "lengths and tags wider than need be": encoded({
      wrap: (graph) => [...vi(8, 3), ...vi(8, 9), ...vi((7 << 3) | 2, 4), ...vi(graph.length, 7), ...graph, ...opset],
    }),
    "the graph first, the version twice": encoded({ wrap: (graph) => [...len(7, graph), ...opset, ...num(1, 3), ...num(1, 8)] }),
    "packed dims": encoded({ weight: tensor("w", len(1, [...vi(2, 3), 1, 1, 1]), len(9, floats(1, 2))) }),
    "float_data, packed": encoded({ weight: tensor("w", dims, len(4, floats(1, 2))) }),
    "float_data, one by one": encoded({ weight: tensor("w", dims, [...single(1), ...single(2)]) }),
    "float_data, both ways": encoded({ weight: tensor("w", dims, [...len(4, floats(1)), ...single(2), ...len(4, [])]) }),
    "raw_data twice: the last counts": encoded({ weight: tensor("w", dims, [...len(9, floats(7)), ...len(9, floats(1, 2))]) }),
  };
  for (const [name, bytes] of Object.entries(cases)) {
    it(name, () => {
      const before = read(memorySource(bytes));
      const after = folded(before);
      expect(after.model.graph.nodes.map(({ opType }) => opType)).toEqual(["Conv"]);
      expect(verifyModels(before, after.model, { prove, samples: 1 }).outcome).toBe("equivalent");
      const count = (all: Uint8Array) => Buffer.from(all).toString("latin1").split("kept").length;
      // What stood in the removed node went with it.
      const gone = name.startsWith("unknown") ? 2 : 0;
      expect(count(after.bytes)).toBe(count(bytes) - gone);
    });
  }

  it("two payloads at once are not valid", () => {
    const both = encoded({ weight: tensor("w", dims, [...len(9, floats(1, 2)), ...len(4, floats(1, 2))]) });
    expect(exercise(both)).toBe("refused");
  });
});

describe.skipIf(process.platform === "win32")("what is no file, or has an odd name", () => {
  it("is refused without being opened", () => {
    const pipe = join(dir, "pipe.onnx");
    execFileSync("mkfifo", [pipe]);
    symlinkSync("/dev/zero", join(dir, "zero.onnx"));
    symlinkSync("nowhere", join(dir, "dangling.onnx"));
    for (const name of ["pipe.onnx", "zero.onnx", "dangling.onnx"]) {
      for (const args of [
        ["fold", join(dir, name), "-o", join(dir, "never.onnx")],
        ["inspect", join(dir, name)],
        ["fold", plain, "-o", join(dir, name), "--no-check"],
      ]) {
        const { code, stderr } = bnfold(args);
        expect([code, stderr.split("\n").length <= 3], `${args}: ${stderr}`).toEqual([4, true]);
      }
    }
    expect(readdirSync(dir)).not.toContain("never.onnx");
  });

  it("is read and written under the longest names, in linked folders and through links", () => {
    const place = join(dir, "real");
    mkdirSync(join(place, "out"), { recursive: true });
    symlinkSync(place, join(dir, "linked"));
    const names = ["ネット ü\u{1f99c}.onnx", `${"n".repeat(250)}.onnx`, "line\nbreak.onnx", "-o.onnx"];
    for (const name of names) {
      writeFileSync(join(place, name), readFileSync(plain));
      const out = join(dir, "linked", "out", name);
      expect(bnfold(["fold", join(dir, "linked", name), "-o", out, "--no-check"]).code, name).toBe(0);
    }
    expect(bnfold(["fold", plain, "-o", join(place, `${"n".repeat(251)}.onnx`), "--no-check"]).code).toBe(4);
    writeFileSync(join(place, "old.onnx"), "old");
    symlinkSync("old.onnx", join(place, "link.onnx"));
    expect(bnfold(["fold", plain, "-o", join(place, "link.onnx"), "--no-check"]).code).toBe(0);
    expect(lstatSync(join(place, "link.onnx")).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(place, "old.onnx")).length).toBeGreaterThan(100);
    expect(readdirSync(place).filter((name) => name.startsWith(".bnfold"))).toEqual([]);
  });
});
