/** The documentation of the command line is what the program says of itself, and its examples do what they show. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { covered, examplesOf, PAGES, readPage, shell } from "../helpers/pages.ts";
import { bnfold, root } from "./bnfold.ts";

const commands = [...bnfold(["--help"]).stdout.matchAll(/^ {2}bnfold ([a-z]+(?: [a-z]+)?) {2}/gm)].map(([, name]) => name);
const COMMON = ["help", "version", "config", "print-config"];

/** Options a command's help lists: name → letter. */
function shownOptions(command: string): Map<string, string> {
  const { stdout } = bnfold([...command.split(" "), "--help"]);
  const [options] = stdout.split("\nOptions:")[1].split("\nExamples:");
  const found = [...options.matchAll(/^ +(?:-([a-z]), )?--([a-z][a-z-]*)/gm)];
  return new Map(found.filter(([, , name]) => !COMMON.includes(name)).map(([, letter = "", name]) => [name, letter]));
}

const page = readPage("docs/cli.md");
const sections = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((text) => [text.split("\n")[0].trim(), text]),
);
const sectionOf = (command: string) => sections.get(command) ?? sections.get(`${command} merge`) ?? "";

describe("docs/cli.md", () => {
  it("has a section for each command", () => {
    expect(commands.length).toBeGreaterThan(8);
    expect(commands.filter((command) => sectionOf(command) === "")).toEqual([]);
    const overview = [...page.split("## ")[0].matchAll(/^bnfold ((?:jobs )?[a-z]+) /gm)].map(([, name]) => name);
    expect([...new Set(overview)].sort()).toEqual([...commands].sort());
  });

  it.each(commands)("lists every option of %s, and no other", (command) => {
    const rows = [...sectionOf(command).matchAll(/^\| (`-.*?) +\|/gm)].map(([, cell]) => cell);
    const written = new Map(
      rows.map((cell) => {
        const [, letter = "", name] = /^(?:`-([a-z])`, )?`--([a-z][a-z-]*)(?: .*)?`$/.exec(cell) ?? [];
        return [name, letter];
      }),
    );
    expect([...written].sort()).toEqual([...shownOptions(command)].sort());
  });

  it.each(commands)("says how %s is called, with which exit codes, and shows it", (command) => {
    const text = sectionOf(command);
    expect(text).toMatch(new RegExp(`^\`\`\`\nbnfold ${command} `, "m"));
    expect(text).toMatch(/^```console\n\$ bnfold /m);
    const help = bnfold([...command.split(" "), "--help"]).stdout.split("Exit codes:")[1];
    const shown = [...help.matchAll(/^ {2}(\d+) /gm)].map(([, code]) => code);
    const [, codes] = /^Exit codes: (.*?)\.$/m.exec(text) ?? [];
    expect(codes?.match(/\d+/g)).toEqual(shown);
  });
});

describe("every page", () => {
  const known = new Set([...commands.flatMap((command) => [...shownOptions(command).keys()]), ...COMMON]);
  /** Of other programs: npm, cp, the benchmarks. */
  const FOREIGN = ["global", "sparse", "certify", "serve"];

  it.each(PAGES)("%s names no option that does not exist", (name) => {
    const written = [...readPage(name).matchAll(/(?<![-\w])--([a-z][a-z-]*[a-z])\b(?!-)/g)].map(([, option]) => option);
    expect(written.filter((option) => !known.has(option) && !FOREIGN.includes(option))).toEqual([]);
  });

  const shown = PAGES.filter((name) => examplesOf(name).length > 0);

  // With BNFOLD_UPDATE=1 the examples that are shown whole are written anew.
  it.each(shown)("%s shows what its commands print", (name) => {
    const run = shell();
    let text = readFileSync(join(root, name), "utf8");
    const wrong: unknown[] = [];
    for (const { command, printed } of examplesOf(name)) {
      const now = run(command);
      const found = covered(printed, now);
      if (found === printed) continue;
      if (process.env.BNFOLD_UPDATE === "1" && !/^\s*\.\.\.$/m.test(printed))
        text = text.replace(`$ ${command}\n${printed}`, () => `$ ${command}\n${now}${printed === "" ? "\n" : ""}`);
      else wrong.push({ command, printed, found });
    }
    if (process.env.BNFOLD_UPDATE === "1") writeFileSync(join(root, name), text);
    expect(wrong.map((one) => (one as { found: string }).found)).toEqual(
      wrong.map((one) => (one as { printed: string }).printed),
    );
  });
});
