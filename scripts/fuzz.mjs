// Runs scripts/fuzz.ts with the arguments given.
import { runBundled } from "./bundled.mjs";

await runBundled(new URL("fuzz.ts", import.meta.url));
