/** Models and data in a bucket, with and without a queue, while disks are full and the bucket is away. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bnfold, convNet, folder } from "../cli/bnfold.ts";
import { modelBytes } from "../helpers/build.ts";
import { begin, contents, killGroup, type Running, run, until } from "./cluster.ts";
import { S3Double } from "./s3-double.ts";
import { loudly, redisPath, redisServer, type Server } from "./servers.ts";
import { isModel, rows } from "./zoo.ts";

const dir = folder();
const credentials = { id: "AKIDTEST", secret: "the-secret-key", region: "us-east-1" };
const double = new S3Double("zoo", credentials);
const env: Record<string, string> = { AWS_ACCESS_KEY_ID: credentials.id, AWS_SECRET_ACCESS_KEY: credentials.secret };
const STORE = ["--store", "s3://zoo/models"];
const MODELS = 8;

const local = join(dir, "local");
const reference = join(dir, "reference");
const fresh = join(dir, "fresh.onnx");

/** The same files in the bucket and in a folder. */
function put(name: string, bytes: Uint8Array): void {
  double.put(`models/${name}`, bytes);
  const path = join(local, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, bytes);
}

beforeAll(async () => {
  env.AWS_ENDPOINT_URL = await double.start();
  for (let i = 0; i < MODELS; i++) put(`zoo/m${i}.onnx`, modelBytes(convNet({ variance: [1 + i, 2, 3] })));
  put("net.onnx", modelBytes(convNet({ kept: true })));
  for (const [i, count] of [9, 1, 13].entries()) put(`data/part-${i}.npy`, rows(count, i));
  expect(bnfold(["fold", join(local, "zoo"), "-o", reference]).code).toBe(0);
  const args = ["recalibrate", join(local, "net.onnx"), "--data", join(local, "data"), "--block", "2", "-o", fresh];
  expect(bnfold(args).code).toBe(0);
}, 60_000);
afterAll(() => double.stop());

describe("without a queue", () => {
  it("folds, and brings results of the same bytes", async () => {
    const out = join(dir, "out");
    const ran = await run(["jobs", "fold", "zoo", ...STORE, "-o", out], env);
    expect(ran.code, ran.stderr).toBe(0);
    expect(contents(out, isModel)).toEqual(contents(reference, isModel));
    expect(readFileSync(join(out, "bnfold-report.jsonl"), "utf8")).not.toMatch(/the-secret-key|\/tmp\//);
    // All of it is done: nothing is folded a second time.
    const before = double.log.filter((line) => line.startsWith("PUT models/.bnfold/results")).length;
    expect((await run(["jobs", "fold", "zoo", ...STORE], env)).code).toBe(0);
    expect(double.log.filter((line) => line.startsWith("PUT models/.bnfold/results")).length).toBe(before);
  }, 60_000);

  it.each([1, 3])(
    "recalibrates in %i shards that read only their rows",
    async (shards) => {
      const out = join(dir, `fresh-${shards}.onnx`);
      const data = ["--data", "data", "--block", "2", "--shards", String(shards)];
      const ran = await run(["jobs", "recalibrate", "net.onnx", ...data, ...STORE, "-o", out], env);
      expect(ran.code, ran.stderr).toBe(0);
      expect(readFileSync(out).equals(readFileSync(fresh))).toBe(true);
    },
    60_000,
  );
});

/** A file system with room for hardly a file; undefined where none can be made. */
function tinyDisk(): string | undefined {
  const path = join(dir, "tiny");
  mkdirSync(path);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4k,nr_inodes=16", "none", path], { stdio: "ignore" });
    afterAll(() => execFileSync("umount", ["-l", path]));
    return path;
  } catch {
    process.stderr.write("\n  SKIPPED: no small file system can be mounted here\n\n");
    return undefined;
  }
}

describe("with a queue", () => {
  const there = loudly("Redis", redisPath() !== undefined);
  const tiny = there ? tinyDisk() : undefined;
  let server: Server;
  const workers: Running[] = [];
  const worker = (...more: string[]): Running => {
    const begun = begin(["worker", "--queue", server.url, ...STORE, "--jobs", "1", ...more], env);
    workers.push(begun);
    return begun;
  };
  beforeAll(async () => {
    if (there) server = await redisServer();
  });
  afterAll(async () => {
    for (const begun of workers) killGroup(begun);
    await server?.stop();
  });

  it.skipIf(tiny === undefined)(
    "a worker whose disk is full rests, and another one does its jobs",
    async () => {
      const out = join(dir, "full-out");
      const full = worker("--scratch", tiny as string);
      const command = begin(["jobs", "fold", "zoo", "--no-run", ...STORE, "--queue", server.url, "-o", out], env);
      await until(() => full.stderr().includes("the disk is full"), 30);
      worker();
      const ran = await command.ended;
      expect(ran.code, ran.stderr).toBe(0);
      expect(contents(out, isModel)).toEqual(contents(reference, isModel));
      expect(existsSync(join(tiny as string, "m0.onnx"))).toBe(false);
      killGroup(full);
    },
    90_000,
  );

  it.skipIf(!there)(
    "goes on when the bucket was away for a while",
    async () => {
      const out = join(dir, "away-out");
      worker();
      const command = begin(["jobs", "fold", "zoo", "--seed", "7", ...STORE, "--queue", server.url, "-o", out], env);
      const done = () => [...double.objects.keys()].filter((key) => /runs\/.*\/done\//.test(key)).length;
      const before = done();
      await until(() => done() >= before + 2, 30);
      double.trouble = "silent";
      await wait(4000);
      double.trouble = "busy";
      await wait(1000);
      double.trouble = "none";
      const ran = await command.ended;
      expect(ran.code, ran.stderr).toBe(0);
      expect(contents(out, isModel)).toEqual(contents(reference, isModel));
      for (const begun of workers) expect(begun.stderr()).not.toContain("the-secret-key");
    },
    90_000,
  );
});
