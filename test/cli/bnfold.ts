/** The built command line, as a person runs it. Needs dist/, which `npm test` builds first. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";
import { f, float32, type ModelSpec, modelBytes, node } from "../helpers/build.ts";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const bin = join(root, "bin", "bnfold.js");

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a slow machine is told about a stage: no complaint. */
const PROGRESS = /^bnfold: [a-z0-9 ]+, [\d.]+ m?s\n/gm;

/** `at`: another folder with a copy of the program, to be called from there. */
export function bnfold(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  { at }: { readonly at?: string } = {},
): Ran {
  const { NO_COLOR: _a, FORCE_COLOR: _b, BNFOLD_DEBUG: _c, ...rest } = process.env;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [at === undefined ? bin : join(at, "bin", "bnfold.js"), ...args],
    {
      cwd: at,
      encoding: "utf8",
      env: { ...rest, ...env },
      maxBuffer: 1 << 28,
    },
  );
  return { code: status, stdout, stderr: stderr.replace(PROGRESS, "") };
}

/** A folder that goes away after the file's tests. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "bnfold-test-"));
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const range = (n: number, of: (i: number) => number): number[] => Array.from({ length: n }, (_, i) => of(i));
const bn = (name: string, x: string, y: string) =>
  node("BatchNormalization", [x, "scale", "shift", "mean", "var"], [y], { epsilon: f(1e-5) }, { name });

interface Options {
  readonly variance?: readonly number[];
  /** Adds a second norm after a Relu that is a graph output: it cannot fold. */
  readonly kept?: boolean;
}

/** x [N, 2, 5, 5] → Conv → BatchNormalization → Relu, and what `options` add. */
export function convNet(options: Options = {}): ModelSpec {
  const { variance = [0.5, 1, 2], kept = false } = options;
  return {
    nodes: [
      node("Conv", ["x", "w"], ["c"], { kernel_shape: [3, 3] }, { name: "conv" }),
      bn("norm", "c", "n"),
      node("Relu", ["n"], ["y"], {}, { name: "relu" }),
      ...(kept ? [node("Sigmoid", ["y"], ["s"], {}, { name: "sigmoid" }), bn("late", "s", "z")] : []),
    ],
    initializers: {
      w: float32(
        [3, 2, 3, 3],
        range(54, (i) => Math.sin(i)),
      ),
      scale: float32([3], [1, -0.5, 1.5]),
      shift: float32([3], [0.1, 0.2, -0.3]),
      mean: float32([3], [0.5, -0.25, 0]),
      var: float32([3], variance),
    },
    inputs: [{ name: "x", dims: ["N", 2, 5, 5] }],
    outputs: kept
      ? [
          { name: "y", dims: ["N", 3, 3, 3] },
          { name: "z", dims: ["N", 3, 3, 3] },
        ]
      : [{ name: "y", dims: ["N", 3, 3, 3] }],
  };
}

export function writeModel(path: string, spec: ModelSpec): string {
  writeFileSync(path, modelBytes(spec));
  return path;
}
