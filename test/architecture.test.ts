import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cruise, type IReporterOutput } from "dependency-cruiser";
import { afterEach, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const { forbidden, options } = createRequire(import.meta.url)(join(root, ".dependency-cruiser.cjs"));

/** Names of the rules broken by the files under `folder`/src. */
async function broken(folder: string): Promise<string[]> {
  const { output } = (await cruise(["src"], {
    ...options,
    tsConfig: undefined,
    baseDir: folder,
    validate: true,
    ruleSet: { forbidden },
  })) as IReporterOutput;
  if (typeof output === "string") throw new Error(output);
  expect(output.summary.totalCruised).toBeGreaterThan(0);
  return output.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`);
}

describe("the rooms of src/", () => {
  it("import only rooms before them", async () => {
    expect(await broken(root)).toEqual([]);
  });
});

describe("the check itself", () => {
  let folder = "";
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function rulesBroken(files: Readonly<Record<string, string>>): Promise<Set<string>> {
    folder = mkdtempSync(join(tmpdir(), "bnfold-rooms-"));
    for (const [file, text] of Object.entries({ "package.json": '{ "type": "module" }', ...files })) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), text);
    }
    return new Set((await broken(folder)).map((line) => line.split(":")[0]));
  }

  it.each([
    ["a room that imports a later one", "room-onnx", { "src/onnx/a.ts": 'import "../cli/b.ts";', "src/cli/b.ts": "export {};" }],
    [
      "a type import of a later room",
      "room-affine",
      {
        "src/affine/a.ts": 'import type { B } from "../fold/b.ts"; export const x: B = 1;',
        "src/fold/b.ts": "export type B = number;",
      },
    ],
    [
      "the library importing files",
      "room-index.ts",
      { "src/index.ts": 'export * from "./node/b.ts";', "src/node/b.ts": "export const b = 1;" },
    ],
    ["a room nobody knows", "room-unknown", { "src/diag/a.ts": 'import "../misc/b.ts";', "src/misc/b.ts": "export {};" }],
    [
      "a built-in before node",
      "browser-rooms",
      { "src/verify/a.ts": 'import { join } from "node:path"; export const x = join("a");' },
    ],
    ["a circle", "no-cycles", { "src/run/a.ts": 'import "./b.ts";', "src/run/b.ts": 'import "./a.ts";' }],
    ["an import of nothing", "no-unresolvable", { "src/run/a.ts": 'import "./missing.ts";' }],
  ])("sees %s", async (_what, rule, files) => {
    expect(await rulesBroken(files as unknown as Record<string, string>)).toContain(rule);
  });

  it("accepts a circle that a type import closes around files and the command line, and nowhere else", async () => {
    const files = (room: string) => ({
      [`src/${room}/a.ts`]: 'import "./b.ts"; export type A = 1;',
      [`src/${room}/b.ts`]: 'import type { A } from "./a.ts"; export const b: A = 1;',
    });
    expect([...(await rulesBroken(files("cli")))]).toEqual([]);
    expect([...(await rulesBroken(files("run")))]).toEqual(["no-type-cycles"]);
  });

  it("accepts what the table allows", async () => {
    expect([
      ...(await rulesBroken({ "src/cli/a.ts": 'import "../diag/b.ts"; import "node:fs";', "src/diag/b.ts": "export {};" })),
    ]).toEqual([]);
  });
});
