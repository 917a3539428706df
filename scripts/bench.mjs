// Runs bench/<name>.ts with the arguments that follow the name.
import { runBundled } from "./bundled.mjs";

const name = process.argv[2];
if (name === undefined || !/^[a-z-]+$/.test(name)) {
  process.stderr.write("usage: npm run bench -- <name> [arguments]\n");
  process.exit(2);
}
await runBundled(new URL(`../bench/${name}.ts`, import.meta.url));
