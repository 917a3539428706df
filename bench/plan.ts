/**
 * Plan time against graph size: each family (test/helpers/families.ts) is planned at 10,000 and at 100,000 nodes; linear work gives
 * a ratio of 10. Processor time, so that a busy machine counts less.
 *   npm run bench -- plan [nodes] [family]      default 100000
 */
import { plan } from "../src/fold/index.ts";
import { read } from "../src/onnx/read.ts";
import { memorySource } from "../src/onnx/source.ts";
import { modelBytes } from "../test/helpers/build.ts";
import { families } from "../test/helpers/families.ts";

const most = Number(process.argv[3] ?? 100_000);
const only = process.argv[4];
for (const [name, make] of Object.entries(families)) {
  if (only !== undefined && !name.includes(only)) continue;
  const times = [most / 10, most].map((n) => {
    const model = read(memorySource(modelBytes(make(n)), "bench.onnx"));
    const start = process.cpuUsage();
    const { data } = plan(model);
    const { user, system } = process.cpuUsage(start);
    return { ms: (user + system) / 1000, folds: data.folds.length, kept: data.kept.length };
  });
  const ratio = times[1].ms / times[0].ms;
  console.log(
    `${name.padEnd(58)} ${times.map((t) => `${t.ms.toFixed(0)} ms`.padStart(9)).join(" ")}  ratio ${ratio.toFixed(1)}  (${times[1].folds} folds, ${times[1].kept} kept)`,
  );
}
