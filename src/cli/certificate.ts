/** The certificate of a fold as a file. */
import { paced } from "../diag/steps.ts";
import { certificateSteps } from "../engine/certificate.ts";
import type { PlanData } from "../fold/index.ts";
import { writePieces } from "../node/atomic.ts";
import type { Model } from "../onnx/records.ts";
import type { CertificateFacts } from "../report/report.ts";

/** Writes the certificate of a plan; undefined where there is none. */
export async function writeCertificate(
  file: string,
  model: Model,
  plan: PlanData,
  options: { readonly assumeConstant?: boolean; readonly sha256?: string },
): Promise<CertificateFacts | undefined> {
  const made = await paced(certificateSteps(model, plan, options));
  if (made === undefined) return undefined;
  await writePieces(file, [{ bytes: made.bytes }], { replaceExisting: true });
  return { file, ...made.facts };
}
