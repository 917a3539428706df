/** Certificates that no fewer nodes can stay: their format, and their check. */
export { type CertificateCheck, type CertificateCheckOptions, checkCertificate } from "./check.ts";
export { parseCertificate } from "./parse.ts";
export {
  ASSUMPTIONS,
  type Certificate,
  type Conflict,
  FORMAT,
  type KeptSet,
  LAWS,
  type Place,
  type System,
  type Taken,
} from "./types.ts";
