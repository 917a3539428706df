/** The backend in use: WebAssembly SIMD where it exists, else plain TypeScript; both give the same bits. */
import { plain } from "./plain.ts";
import type { Backend } from "./types.ts";
import { createWasm } from "./wasm.ts";

let current: Backend | undefined;

export function backend(): Backend {
  current ??= createWasm() ?? plain;
  return current;
}

/** Chooses a backend (comparisons, threads); undefined restores the default choice. */
export function useBackend(choice: Backend | undefined): void {
  current = choice;
}
