/** The registry of rules: one line a family. An operator without a rule passes nothing. */
import { operatorNames, readsNumbers, traitsOf } from "../graph/operators.ts";
import { activation } from "./activation.ts";
import { arithmetic } from "./arithmetic.ts";
import { batchNormalization } from "./batchnorm.ts";
import { bounds } from "./bounds.ts";
import { conv, deformConv } from "./conv.ts";
import { convTranspose } from "./convtranspose.ts";
import { determinant } from "./determinant.ts";
import { einsum } from "./einsum.ts";
import { gemm } from "./gemm.ts";
import { layout } from "./layout.ts";
import { leakyRelus } from "./leaky.ts";
import { matmul } from "./matmul.ts";
import { norms } from "./norms.ts";
import { powers } from "./powers.ts";
import { integerProducts } from "./products.ts";
import { dequantizeLinear } from "./quantized.ts";
import { quantizing } from "./quantizing.ts";
import { ranking } from "./ranking.ts";
import { recurrent } from "./recurrent.ts";
import { sampling } from "./sampling.ts";
import { scattering } from "./scatter.ts";
import { select } from "./select.ts";
import { signs } from "./signs.ts";
import type { Rule } from "./types.ts";
import { window } from "./window.ts";

/** Operators that see nothing of their input but its shape. */
const shapeReaders: readonly Rule[] = operatorNames
  .filter((opType) => traitsOf({ domain: "", opType })?.sees?.[0] === "shape" && !readsNumbers({ domain: "", opType }, 0))
  .map((type) => ({ type, ignores: () => true }));

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
  quantizing,
  integerProducts,
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
  signs,
  determinant,
  ...shapeReaders,
];

const keyOf = (opType: string, domain: string): string => (domain === "" ? opType : `${domain}.${opType}`);

const byType = new Map<string, Rule>(families.flat().map((rule) => [keyOf(rule.type, rule.domain ?? ""), rule]));

/** The rule of an operator, of the default domain where none is given. */
export const ruleOf = (opType: string, domain = ""): Rule | undefined => byType.get(keyOf(opType, domain));
