/**
 * Whole screens, as a person or a file gets them: stdout and stderr, the exit code, at 80 and 40 columns and piped. What differs from run
 * to run (times, memory) is taken out. Needs dist/, which `npm test` builds first. `npx vitest run test/terminal -u` writes them anew.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bin, folder, root } from "../cli/bnfold.ts";
import { atTerminal, hasPty } from "./pty.ts";

const dir = folder();
const model = (name: string, as: string) => cpSync(join(root, "fixtures/models", name, "model.onnx"), join(dir, as));
model("repvgg-ts17", "branches.onnx");
model("training-ts17", "train.onnx");
model("dense-ts13", "dense.onnx");
model("mobilenet-keras", "keras.onnx");
model("fastvit-ts17", "fastvit.onnx");
mkdirSync(join(dir, "models"));
for (const name of ["dense-ts13", "repvgg-ts17", "training-ts17"]) model(name, join("models", `${name}.onnx`));
writeFileSync(join(dir, "models", "empty.onnx"), "");
writeFileSync(
  join(dir, "models", "checkpoint.onnx"),
  Buffer.from("UEsDBAAACAgAAAAAAAAAAAAAAAAAAAAAAAAAABEAKABtb2RlbC9kYXRhLnBrbA==", "base64"),
);
writeFileSync(join(dir, "models", "text.onnx"), "<html>not found</html>\n");
// What commands below compare.
for (const args of [
  ["fold", "branches.onnx", "-o", "branches-folded.onnx"],
  ["freeze", "train.onnx", "-o", "eval.onnx"],
])
  spawnSync(process.execPath, [bin, ...args], { cwd: dir });

/** Commands by the name of their screen. */
const SCREENS: Readonly<Record<string, readonly string[]>> = {
  fold: ["fold", "branches.onnx", "-o", "out.onnx"],
  "fold-many-layers": ["fold", "fastvit.onnx", "-o", "out.onnx"],
  "fold-kept": ["fold", "dense.onnx", "--dry-run", "--strict"],
  "fold-training": ["fold", "train.onnx", "-o", "out.onnx"],
  "fold-frozen": ["fold", "train.onnx", "--freeze", "-o", "out.onnx"],
  "fold-keras": ["fold", "keras.onnx", "-o", "out.onnx"],
  "fold-nothing": ["fold", "branches-folded.onnx", "-o", "out.onnx"],
  "fold-verbose": ["fold", "branches.onnx", "--dry-run", "--verbose"],
  "fold-folder": ["fold", "models", "-o", "folded"],
  inspect: ["inspect", "branches.onnx"],
  "inspect-many-layers": ["inspect", "fastvit.onnx"],
  "inspect-training": ["inspect", "train.onnx"],
  "inspect-keras": ["inspect", "keras.onnx"],
  "inspect-channels": ["inspect", "branches.onnx", "--channels"],
  "inspect-folder": ["inspect", "models"],
  verify: ["verify", "branches.onnx", "branches-folded.onnx"],
  "verify-different": ["verify", "train.onnx", "eval.onnx"],
  "verify-itself": ["verify", "train.onnx", "train.onnx"],
  explain: ["explain"],
  diff: ["diff", "branches.onnx", "branches-folded.onnx"],
  momentum: ["momentum", "0.1", "--from", "pytorch", "--to", "keras"],
  "momentum-model": ["momentum", "train.onnx"],
  freeze: ["freeze", "train.onnx", "-o", "out.onnx"],
  run: ["run", "branches.onnx"],
  equalize: ["equalize", "branches.onnx", "-o", "out.onnx"],
  "wrong-option": ["fold", "branches.onnx", "--strct"],
  "no-folder": ["fold", "branches.onnx", "-o", "nodir/x.onnx"],
};

/** Without times and memory: the lines that tell them, to their end. */
const steady = (text: string): string =>
  text
    .replace(/^bnfold: [a-z0-9 ]+, [\d.]+ m?s\n/gm, "")
    .replace(/^ {2}took {5}.*(\n {11}.*)*/gm, "  took     ...")
    .replace(/^time: .*$/gm, "time: ...")
    .replace(/(tool|version)": "[\d.]+"/g, '$1": "..."');

/** What each stream got. A stage that took long leaves a line on stderr, which tells of the machine: that alone is nothing. */
function shown(words: readonly string[], code: number | null, stdout: string, stderr = ""): string {
  const talk = steady(stderr);
  const body = `${steady(stdout)}${talk === "" ? "" : `[stderr]\n${talk}`}`;
  return `$ bnfold ${words.join(" ")}\n${body.replace(/\n*$/, "\n")}[exit code ${code}]\n`;
}

describe.each(Object.entries(SCREENS))("%s", (name, words) => {
  const at = join(import.meta.dirname, "screens", name);
  it("in a pipe: no escape byte, no block character", async () => {
    const ran = spawnSync(process.execPath, [bin, ...words], { cwd: dir, encoding: "utf8" });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
    expect(ran.stdout + ran.stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f▁-█]/);
    await expect(shown(words, ran.status, ran.stdout, ran.stderr)).toMatchFileSnapshot(`${at}.piped.txt`);
  });
  it.skipIf(!hasPty).each([80, 40])("at %i columns: no line is wider", async (columns) => {
    const { screen, raw, code } = atTerminal(words, { columns, folder: dir });
    expect(screen.split("\n").filter((line) => line.length > columns)).toEqual([]);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours, and lines drawn over
    expect(raw.replace(/\u001b\[(\d+(;\d+)*m|K)/g, "")).not.toContain("\u001b");
    await expect(shown(words, code, screen)).toMatchFileSnapshot(`${at}.${columns}.txt`);
  });
});

describe("pictures", () => {
  it.skipIf(!hasPty)("are block characters at a terminal, and ASCII where it has none or wants no dress", () => {
    const curve = (env: Readonly<Record<string, string>>) => atTerminal(SCREENS.momentum, { folder: dir, env }).screen;
    expect(curve({})).toMatch(/[▁-█]{32}/);
    for (const env of [
      ["NO_COLOR", "1"],
      ["TERM", "dumb"],
    ])
      expect(curve(Object.fromEntries([env]))).not.toMatch(/[▁-█]/);
  });
  it("files get none, whatever the terminal", () => {
    const page = join(dir, "page.md");
    spawnSync(process.execPath, [bin, "fold", "branches.onnx", "--dry-run", "--report", page], {
      cwd: dir,
      env: { ...process.env, FORCE_COLOR: "1" },
    });
    const ran = spawnSync("cat", [page], { encoding: "utf8" });
    expect(ran.stdout).not.toContain("\u001b");
    expect(ran.stdout).toContain("Equivalent.");
  });
});
