// Runs scripts/mutants.ts with the arguments given.
import { runBundled } from "./bundled.mjs";

await runBundled(new URL("mutants.ts", import.meta.url));
