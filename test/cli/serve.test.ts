import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, expect, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "bnfold-serve-"));
afterAll(() => rmSync(folder, { recursive: true }));
const model = "fixtures/models/repvgg-ts17/model.onnx";

interface Said {
  readonly id?: number | null;
  readonly ready?: { readonly version: string };
  readonly progress?: { readonly stage: string };
  readonly code?: number;
  readonly out?: string;
  readonly error?: { readonly kind: string; readonly message: string; readonly hint: string | null; readonly place: object };
}

/** What a serving process says to lines of requests, in order. */
async function served(requests: readonly (object | string)[]): Promise<Said[]> {
  const child = spawn(process.execPath, ["bin/bnfold.js", "--serve"], { stdio: ["pipe", "pipe", "inherit"] });
  const said: Said[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => said.push(JSON.parse(line)));
  for (const request of requests) child.stdin.write(`${typeof request === "string" ? request : JSON.stringify(request)}\n`);
  child.stdin.end();
  const [code] = await once(child, "close");
  expect(code).toBe(0);
  return said;
}

test("answers in order, with progress, exit codes and errors as data, and ends with its input", async () => {
  const out = join(folder, "folded.onnx");
  const said = await served([
    { id: 1, args: ["momentum", "0.1", "--from", "pytorch", "--to", "keras", "--json"] },
    { id: 2, args: ["fold", model, "-o", out, "--json"] },
    { id: 3, args: ["inspect", join(folder, "missing.onnx"), "--json"] },
    { id: 4, args: ["fold", model, "-o", out, "--jso"] },
    { id: 5, args: ["verify", model, out, "--json"] },
  ]);
  expect(said[0].ready?.version).toBe(JSON.parse(readFileSync("package.json", "utf8")).version);
  const answers = said.filter((line) => line.code !== undefined);
  expect(answers.map(({ id, code }) => [id, code])).toEqual([
    [1, 0],
    [2, 0],
    [3, 4],
    [4, 2],
    [5, 0],
  ]);
  const report = JSON.parse(answers[1].out as string);
  expect(report.batchNormalization).toEqual({ before: 8, folded: 8, kept: 0 });
  expect(answers[2].error).toMatchObject({ kind: "file", place: { file: join(folder, "missing.onnx") } });
  expect(answers[3].error?.message).toContain("did you mean --json");
  const stages = said.filter(({ id, progress }) => id === 2 && progress !== undefined).map(({ progress }) => progress?.stage);
  expect(stages).toEqual(expect.arrayContaining(["planning", "writing", "proof"]));
});

test("paths begin where the request says, and only there", async () => {
  const said = await served([
    { id: 1, args: ["fold", resolve(model), "-o", "beside.onnx", "--no-check", "--json"], cwd: folder },
    { id: 2, args: ["inspect", "beside.onnx", "--json"], cwd: folder },
    { id: 3, args: ["inspect", "beside.onnx", "--json"] },
    { id: 4, args: ["inspect", "beside.onnx", "--json"], cwd: join(folder, "missing") },
    { id: 5, args: ["inspect", model, "--json"] },
  ]);
  expect(said.filter(({ code }) => code !== undefined).map(({ code }) => code)).toEqual([0, 0, 4, 4, 0]);
  expect(existsSync(join(folder, "beside.onnx"))).toBe(true);
});

test("a request that is none is answered, and the next one too", async () => {
  const said = await served(["nonsense", { id: 1 }, { id: 2, args: ["--serve"] }, { id: 3, args: ["--version"] }]);
  expect(said.slice(1).map(({ code }) => code)).toEqual([2, 2, 2, 0]);
  expect(said[4].out?.trim()).toBe(said[0].ready?.version);
});
