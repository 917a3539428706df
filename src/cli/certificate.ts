/** The certificate of a fold: made, checked like anybody else's, and written. */
import { checkCertificate } from "../certify/index.ts";
import { minimality, type PlanData } from "../fold/index.ts";
import { writePieces } from "../node/atomic.ts";
import type { Model } from "../onnx/records.ts";
import type { CertificateFacts } from "../report/report.ts";

/** Writes the certificate of a plan; undefined where the model's calls were written out first, so that its nodes are others. */
export async function writeCertificate(
  file: string,
  model: Model,
  plan: PlanData,
  options: { readonly assumeConstant?: boolean; readonly sha256?: string },
): Promise<CertificateFacts | undefined> {
  if (plan.inlined !== undefined && plan.inlined.length > 0) return undefined;
  const certificate = minimality(model, plan, options);
  const checked = checkCertificate(model, certificate, options);
  if (!checked.holds) throw new Error(`the certificate does not hold: ${checked.problems[0]}`);
  const bytes = new TextEncoder().encode(`${JSON.stringify(certificate)}\n`);
  await writePieces(file, [{ bytes }], { replaceExisting: true });
  const { candidates, kept, least } = certificate;
  return { file, candidates, kept: kept.length, least };
}
