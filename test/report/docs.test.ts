import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { REASONS, type RefusalCode } from "../../src/diag/codes.ts";
import { definitions } from "./schema.ts";

const folder = new URL("../../docs/reasons/", import.meta.url);
const codes = Object.keys(REASONS) as RefusalCode[];
const page = (code: string) => readFileSync(new URL(`${code}.md`, folder), "utf8");

describe("docs/reasons", () => {
  it("has one page for each code and no other", () => {
    const pages = readdirSync(folder).map((file) => file.replace(/\.md$/, ""));
    expect(pages.sort()).toEqual([...codes].sort());
  });

  it.each(codes)("%s says what it means, gives an example and tells what to do", (code) => {
    const text = page(code);
    expect(text.startsWith(`# ${code}\n`)).toBe(true);
    expect(text).toContain(`\n**${REASONS[code].title}.**\n`);
    expect(text.split("## Example")[1]).toMatch(/^```\n[\s\S]*?^```$/m);
    const sections = text.split(/^## /m).slice(1);
    expect(sections.map((section) => section.split("\n")[0])).toEqual(["What it means", "Example", "What to do"]);
    for (const section of sections) expect(section.split("\n").slice(1).join(" ").trim().length).toBeGreaterThan(8);
  });

  it("links only to pages that exist", () => {
    for (const code of codes) {
      for (const [, target] of page(code).matchAll(/\]\(([a-z-]+)\.md\)/g)) expect(codes).toContain(target);
    }
  });
});

describe("docs/report.md", () => {
  const text = readFileSync(new URL("../../docs/report.md", import.meta.url), "utf8");
  const reports = Object.keys(definitions).filter((name) => /(Report|batchLine)$/.test(name));

  it.each(reports)("says what is in %s", (name) => {
    expect(text).toMatch(new RegExp(`\\b${name}\\b|the root`));
    const section = text.split(new RegExp(`^###? ${name}$`, "m"))[1]?.split(/^##/m)[0] ?? text.split("## Many models")[1];
    const fields = Object.keys(definitions[name].properties ?? {});
    const written = new Set([...section.matchAll(/`([A-Za-z]+)`/g)].map(([, field]) => field));
    expect(fields.filter((field) => !written.has(field) && !["version", "tool"].includes(field))).toEqual([]);
    const rows = [...section.matchAll(/^\| (`.*?) +\|/gm)].flatMap(([, cell]) => cell.match(/\w+/g) ?? []);
    if (!/^(batch|merge)Report$/.test(name)) expect(rows.filter((field) => !fields.includes(field))).toEqual([]);
  });
});
