/**
 * Names from files inside other languages: what they hold may end no element, open no tag, link, mention or command, and start no formula.
 * Every text goes through one of these on its way into a format.
 */
import { printable } from "./words.ts";

/** Halves of pairs, and code points XML has no place for. */
const UNPAIRED = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]|[\ufffe\uffff]/g;

/** Half characters replaced: UTF-8 and URIs have no place for them. */
export const wellFormed = (text: string): string => text.replace(UNPAIRED, "\ufffd");

/** Without what steers a terminal and without half characters. */
const clean = (text: string): string => wellFormed(printable(text));

const MARKUP: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text of an element or of a quoted attribute, of XML and of HTML. */
export const markup = (text: string): string => clean(text).replace(/[&<>"']/g, (c) => MARKUP[c]);

/** A sentence in Markdown: what would format, link, mention or close a cell is escaped. */
export const sentence = (text: string): string =>
  clean(text)
    .replace(/[\\`*_[\]<>|~&]/g, "\\$&")
    .replaceAll("@", "&#64;")
    .replace(/:(?=\/\/)/g, "&#58;")
    .replace(/\bwww\./gi, "www&#46;");

/** A name in Markdown: a code span, whose fence is longer than any run of backticks in it. */
export function code(text: string): string {
  const safe = clean(text).replaceAll("|", "\\|");
  const runs = [...safe.matchAll(/`+/g)].map(([run]) => run.length);
  const fence = "`".repeat(1 + runs.reduce((a, b) => Math.max(a, b), 0));
  const pad = /^[` ]|[` ]$/.test(safe) || safe === "" ? " " : "";
  return `${fence}${pad}${safe}${pad}${fence}`;
}

/** The message of a GitHub workflow command. */
export const commandText = (text: string): string =>
  wellFormed(text).replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");

/** A property of a GitHub workflow command. */
export const commandProperty = (text: string): string => commandText(text).replaceAll(":", "%3A").replaceAll(",", "%2C");

/** A cell of text by RFC 4180; one that a spreadsheet would compute begins with an apostrophe. */
export function cell(text: string): string {
  const said = clean(text);
  const safe = /^[=+\-@]/.test(said) && !/^[+-]?[\d.]+(e[+-]?\d+)?$/i.test(said) ? `'${said}` : said;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export const csvLines = (rows: readonly (readonly (string | number | undefined)[])[]): string =>
  rows.map((row) => row.map((value) => (typeof value === "number" ? String(value) : cell(value ?? ""))).join(",")).join("\r\n");
