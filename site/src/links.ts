/** Where the pages of documentation are: beside this page, or inside the one file. */
import { h } from "./dom.ts";

declare global {
  /** True in the one-file edition. */
  var BNFOLD_ONE_FILE: boolean | undefined;
}

export const reasonHref = (code: string): string =>
  globalThis.BNFOLD_ONE_FILE ? `#docs/reasons/${code}` : `docs/reasons/${code}.html`;

export const reasonLink = (code: string): HTMLAnchorElement =>
  /^[a-z-]+$/.test(code) ? h("a", { class: "code", href: reasonHref(code) }, code) : h("a", { class: "code" }, code);
