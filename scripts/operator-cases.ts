/**
 * Writes the cases of test/rules/laws as float32 models with their inputs, for fixtures/scripts/operators.py to run elsewhere:
 * <folder>/<n>.onnx and <folder>/cases.json, a list of { label, op, version, file, feeds: { name: { dims, values } } }.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { asFloat64 } from "../src/onnx/tensor.ts";
import { inFloat32, keyOf } from "../test/conformance/operators.ts";
import { modelBytes } from "../test/helpers/build.ts";
import { subjects } from "../test/rules/laws/all.ts";
import { feedsOf, specOf } from "../test/rules/laws/law.ts";
import { versionsOf } from "../test/rules/laws/subject.ts";

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  process.stderr.write("usage: node scripts/operator-cases.mjs <folder>\n");
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
const cases = subjects.flatMap((subject) =>
  subject.cases.flatMap((raw) =>
    versionsOf(subject, raw).map((version) => {
      const it = inFloat32(raw);
      const feeds = [...feedsOf(it, 1)].map(([name, t]) => [name, { dims: t.dims, values: Array.from(asFloat64(t)) }]);
      return {
        label: keyOf(subject.op, raw),
        op: subject.op,
        version,
        spec: specOf(subject.op, version, it, "float32"),
        feeds: Object.fromEntries(feeds),
      };
    }),
  ),
);
for (const [i, { spec }] of cases.entries()) writeFileSync(join(folder, `${i}.onnx`), modelBytes({ ...spec, irVersion: 9 }));
const list = cases.map(({ spec: _, ...rest }, i) => ({ ...rest, file: `${i}.onnx` }));
writeFileSync(join(folder, "cases.json"), JSON.stringify(list));
process.stdout.write(`${list.length} cases in ${folder}\n`);
