// Runs scripts/operator-cases.ts with the arguments given.
import { runBundled } from "./bundled.mjs";

await runBundled(new URL("operator-cases.ts", import.meta.url));
