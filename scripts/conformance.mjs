// Runs scripts/conformance.ts with the arguments given.
import { runBundled } from "./bundled.mjs";

await runBundled(new URL("conformance.ts", import.meta.url));
