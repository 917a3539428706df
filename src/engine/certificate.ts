/** The certificate of a fold, checked like anybody else's before it is handed out. */
import { checkSteps } from "../certify/check.ts";
import type { Steps } from "../diag/steps.ts";
import { minimalitySteps } from "../fold/gauge/minimality.ts";
import type { PlanData } from "../fold/types.ts";
import type { Model } from "../onnx/records.ts";
import type { CertificateFacts } from "../report/report.ts";

export interface Certified {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly facts: Omit<CertificateFacts, "file">;
}

/** Said where there is none. */
export const UNCERTIFIED =
  "no certificate was written: calls of the model's functions were written out, and it speaks of nodes of the file";

/** In steps. Undefined where the model's calls were written out first, so that its nodes are others. */
export function* certificateSteps(
  model: Model,
  plan: PlanData,
  options: { readonly assumeConstant?: boolean; readonly sha256?: string },
): Steps<Certified | undefined> {
  if (plan.inlined !== undefined && plan.inlined.length > 0) return undefined;
  const certificate = yield* minimalitySteps(model, plan, options);
  const checked = yield* checkSteps(model, certificate, options);
  if (!checked.holds) throw new Error(`the certificate does not hold: ${checked.problems[0]}`);
  const { candidates, kept, least } = certificate;
  return {
    bytes: new TextEncoder().encode(`${JSON.stringify(certificate)}\n`),
    facts: { candidates, kept: kept.length, least },
  };
}
