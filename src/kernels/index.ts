/** Heavy arithmetic in float64: convolutions and matrix products, in WebAssembly SIMD or plain TypeScript with the same bits. */
export { backend, useBackend } from "./backend.ts";
export { type Convolution, convolve, type Planes } from "./conv.ts";
export { convolveTransposed, type TransposedConvolution } from "./convtranspose.ts";
export { frameOf, lattice, padded, positions, ramp, repeated, type Window } from "./grid.ts";
export { type Matrix, multiply } from "./matmul.ts";
export { plain } from "./plain.ts";
export { createScaler, plainScaler, type Scaler } from "./scale.ts";
export { assemble, type Recruit, type Team, THREAD_SOURCE } from "./team.ts";
export type { Backend, Contraction, Depthwise, Frame, Part, Pointwise, Pooling, Tiling } from "./types.ts";
export { createWasm } from "./wasm.ts";
