/** The registry of rules: one line a family. An operator without a rule passes nothing. */
import { activation } from "./activation.ts";
import { arithmetic } from "./arithmetic.ts";
import { batchNormalization } from "./batchnorm.ts";
import { bounds } from "./bounds.ts";
import { conv, deformConv } from "./conv.ts";
import { convTranspose } from "./convtranspose.ts";
import { einsum } from "./einsum.ts";
import { gemm } from "./gemm.ts";
import { layout } from "./layout.ts";
import { leakyRelus } from "./leaky.ts";
import { matmul } from "./matmul.ts";
import { norms } from "./norms.ts";
import { powers } from "./powers.ts";
import { dequantizeLinear } from "./quantized.ts";
import { ranking } from "./ranking.ts";
import { recurrent } from "./recurrent.ts";
import { sampling } from "./sampling.ts";
import { scattering } from "./scatter.ts";
import { select } from "./select.ts";
import type { Rule } from "./types.ts";
import { window } from "./window.ts";

const families: readonly (Rule | readonly Rule[])[] = [
  conv,
  deformConv,
  convTranspose,
  gemm,
  matmul,
  einsum,
  recurrent,
  norms,
  dequantizeLinear,
  batchNormalization,
  arithmetic,
  activation,
  bounds,
  leakyRelus,
  powers,
  layout,
  select,
  window,
  sampling,
  scattering,
  ranking,
  { type: "Shape", ignores: () => true },
  { type: "Size", ignores: () => true },
];

const byType = new Map<string, Rule>(families.flat().map((rule) => [rule.type, rule]));

/** The rule of an operator of the default domain. */
export const ruleOf = (opType: string): Rule | undefined => byType.get(opType);
