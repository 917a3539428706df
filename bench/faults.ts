/**
 * The faults and the hard folds of test/verify/faults through bnfold and through checkers with a fixed tolerance: a table.
 * A fixed-tolerance checker runs both files in the precision they store, on three inputs, and asks whether
 * |x − y| ≤ atol + rtol·|x| everywhere.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { openModel } from "../src/node/files.ts";
import type { Model } from "../src/onnx/records.ts";
import { asFloat64, type Tensor } from "../src/onnx/tensor.ts";
import { isTensor } from "../src/ops/define.ts";
import { createSession } from "../src/run/session.ts";
import { generateInputs } from "../src/verify/inputs.ts";
import { prove } from "../src/verify/proof.ts";
import type { RegionsFound } from "../src/verify/regions.ts";
import { witness } from "../src/verify/witness.ts";
import { blindRegions } from "../test/verify/faults/blind.ts";
import { faultsOf, foldOf } from "../test/verify/faults/cases.ts";
import { hardFolds } from "../test/verify/faults/hard.ts";
import { Net, SHAPES, type Stored } from "../test/verify/faults/nets.ts";
import { structuralFaults } from "../test/verify/faults/structural.ts";

const TOLERANCES = [
  [1e-3, 1e-5],
  [1e-4, 1e-5],
  [1e-5, 1e-5],
] as const;
const COLUMNS = [
  "proof, own",
  "proof, any tool",
  "float64, regions",
  "float64, whole",
  ...TOLERANCES.map(([r, a]) => `${r.toExponential(0)} / ${a.toExponential(0)}`),
];

type Outputs = ReadonlyMap<string, Tensor>[];

function outputs(model: Model, reference: Model): Outputs {
  const session = createSession(model, { mode: "storage", seed: 1 });
  return generateInputs(reference, { samples: 3, seed: 1 }).map(
    ({ feeds }) => new Map([...session.run(feeds)].filter((entry): entry is [string, Tensor] => isTensor(entry[1]))),
  );
}

function close(x: Outputs, y: Outputs, rtol: number, atol: number): boolean {
  return x.every((values, i) =>
    [...values].every(([name, tensor]) => {
      const [p, q] = [asFloat64(tensor), asFloat64(y[i].get(name) as Tensor)];
      return p.every((v, k) => Object.is(v, q[k]) || Math.abs(v - q[k]) <= atol + rtol * Math.abs(v));
    }),
  );
}

/** What each column says of a pair: true where it finds a difference. */
function verdicts(original: Model, other: Model, before: Outputs, regions: RegionsFound): boolean[] {
  const after = outputs(other, original);
  return [
    prove(original, other, { foreign: false }).outcome === "different",
    prove(original, other).outcome === "different",
    regions.outcome === "different",
    witness(original, other, { samples: 3 }).outcome === "different",
    ...TOLERANCES.map(([rtol, atol]) => !close(before, after, rtol, atol)),
  ];
}

interface Row {
  readonly label: string;
  cases: number;
  readonly found: number[];
}
const rows = new Map<string, Row>();
function count(label: string, found: readonly boolean[]): void {
  const row = rows.get(label) ?? { label, cases: 0, found: COLUMNS.map(() => 0) };
  rows.set(label, row);
  row.cases++;
  found.forEach((yes, i) => {
    row.found[i] += yes ? 1 : 0;
  });
}

const folder = join(process.cwd(), "fixtures", "models");
const fixtures = readdirSync(folder).map((name): [string, Model] => [name, openModel(join(folder, name, "model.onnx")).model]);
const nets = (dtype: Stored) =>
  Object.values(SHAPES).flatMap((make) => [1, 2].map((seed): [string, Model] => ["", make(new Net(dtype, seed))]));
const groups: [string, [string, Model][]][] = [
  ["fixtures", fixtures],
  ["generated, float32", nets("float32")],
  ["generated, float16", nets("float16")],
];
const kinds = new Map<string, Row>();
for (const [label, list] of groups) {
  for (const [, original] of list) {
    const faults = faultsOf(original);
    if (faults.length === 0) continue;
    const before = outputs(original, original);
    const right = foldOf(original).model;
    for (const fault of faults) {
      const inside = fault.weightUlps <= 1 && fault.biasUlps <= 1;
      const found = verdicts(original, fault.wrong, before, blindRegions(original, fault.wrong, right));
      count(inside ? `${label}: inside one ulp` : label, found);
      if (inside) continue;
      const row = kinds.get(fault.kind) ?? { label: fault.kind, cases: 0, found: COLUMNS.map(() => 0) };
      kinds.set(fault.kind, row);
      row.cases++;
      found.forEach((yes, i) => {
        row.found[i] += yes ? 1 : 0;
      });
    }
  }
}
for (const dtype of ["float32", "float16"] as const) {
  for (const { original, wrong } of structuralFaults(dtype))
    count(`structure, ${dtype}`, verdicts(original, wrong, outputs(original, original), blindRegions(original, wrong)));
  for (const { original, folded, foreign } of hardFolds(dtype)) {
    const found = verdicts(original, folded, outputs(original, original), blindRegions(original, folded, folded));
    // A file of another tool is not held to one rounding.
    count(`good but hard, ${dtype}: false alarms`, foreign ? found.with(0, found[1]) : found);
  }
}

const line = ({ label, cases, found }: Row) =>
  `| ${label} | ${cases} | ${found.map((n) => (n === cases ? "all" : String(n))).join(" | ")} |`;
const table = (title: string, list: Iterable<Row>) =>
  [`| ${title} | cases | ${COLUMNS.join(" | ")} |`, `|${" --- |".repeat(COLUMNS.length + 2)}`, ...[...list].map(line)].join("\n");
process.stdout.write(`${table("found", rows.values())}\n\n${table("kind", kinds.values())}\n`);
