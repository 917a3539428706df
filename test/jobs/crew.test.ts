import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { Crew, type Limits, Lost } from "../../src/jobs/crew.ts";
import type { Outcome } from "../../src/jobs/engine.ts";
import { type Answer, StoreHands, type Task } from "../../src/jobs/hands.ts";
import { type FoldJob, MAX_JOB_BYTES, requireJob, requireSmall } from "../../src/jobs/job.ts";
import { doneKey } from "../../src/jobs/layout.ts";
import { doneLine } from "../../src/jobs/runs.ts";
import { bytesOf, openStore } from "../../src/jobs/store.ts";
import { folder } from "../cli/bnfold.ts";

const dir = folder();
const program = join(dir, "child.mjs");
writeFileSync(
  program,
  `process.on("message", (task) => {
    const what = task.what ?? task.job.file;
    if (what === "crash") process.exit(9);
    if (what === "spin") for (;;);
    if (what === "eat") { const held = []; for (;;) held.push(Buffer.alloc(1 << 22, 1)); }
    process.send(what === "later" ? { kind: "later", why: "the disk is full", here: true } : { kind: "done", next: [], pid: process.pid });
  });
  process.on("disconnect", () => process.exit(0));`,
);

type Said = { readonly pid: number };
const crewOf = (limits: Limits = {}) => new Crew<{ readonly what: string }, Said>([program], limits);

describe("a crew", () => {
  it("keeps a process for the next task, and replaces one that ended", async () => {
    const crew = crewOf();
    const [first, again] = [await crew.perform({ what: "fine" }), await crew.perform({ what: "fine" })];
    expect(again.pid).toBe(first.pid);
    await expect(crew.perform({ what: "crash" })).rejects.toMatchObject({ fate: "crash", message: "ended with code 9" });
    expect((await crew.perform({ what: "fine" })).pid).not.toBe(first.pid);
    crew.close();
  });

  it("ends a task that takes too long or too much memory, alone", async () => {
    const [slow, large] = [crewOf({ seconds: 1 }), crewOf({ memory: 300e6 })];
    const fine = large.perform({ what: "fine" });
    await expect(slow.perform({ what: "spin" })).rejects.toMatchObject({ fate: "time" });
    await expect(large.perform({ what: "eat" })).rejects.toMatchObject({ fate: "memory" });
    expect((await fine).pid).toBeGreaterThan(0);
    slow.close();
    large.close();
  });

  it("stops one that computes when it is told to", async () => {
    const crew = crewOf();
    const stop = new AbortController();
    const spinning = crew.perform({ what: "spin" }, stop.signal);
    await wait(300);
    stop.abort();
    await expect(spinning).rejects.toMatchObject({ fate: "stopped" });
    await expect(crew.perform({ what: "fine" }, stop.signal)).rejects.toBeInstanceOf(Lost);
    crew.close();
    expect(crew.size).toBe(0);
  });
});

const job = (file: string, more: object = {}): FoldJob => ({
  ...{ v: 1, kind: "fold", id: `fold-${file}`, run: "run-0", tag: "t", attempts: 2, retries: 3, file },
  ...{ model: { key: `m/${file}.onnx`, version: "1" }, options: {} },
  ...more,
});

describe("what becomes of a job", () => {
  const allowed = new Set(["strict"]);
  const outcomes: Outcome[] = [];
  const make = async (signal?: AbortSignal) => {
    const store = await openStore(dir);
    const crew = new Crew<Task, Answer>([program]);
    const scratch = (id: string) => join(dir, id);
    const onOutcome = (_job: unknown, outcome: Outcome) => outcomes.push(outcome);
    const hands = new StoreHands({ store, storeUrl: dir, storeId: "0", crew, tag: "t", allowed, scratch, signal, onOutcome });
    return { store, crew, hands };
  };

  it("is tried as often as it says when it takes its process with it, and then listed", async () => {
    const { store, crew, hands } = await make();
    expect(await hands.perform(job("crash"), { lost: 0, later: 5 })).toMatchObject({ kind: "lost" });
    expect(await doneLine(store, "run-0", "fold-crash")).toBeUndefined();
    expect(await hands.perform(job("crash"), { lost: 1, later: 5 })).toEqual({ kind: "done", next: [] });
    expect(await doneLine(store, "run-0", "fold-crash")).toMatchObject({ status: "failed", code: 70, file: "crash" });
    // Its workers did not survive it: it is not begun again.
    expect(await hands.perform(job("spin"), { lost: 2, later: 0 })).toEqual({ kind: "done", next: [] });
    expect(await doneLine(store, "run-0", "fold-spin")).toMatchObject({ status: "failed", error: { kind: "crash" } });
    crew.close();
  });

  it("is not listed as failed when it was done, and only the queue was not told", async () => {
    const { store, crew, hands } = await make();
    const line = { status: "done", file: "told" };
    await store.put(doneKey("run-0", "fold-told"), bytesOf(line));
    expect(await hands.perform(job("told"), { lost: 2, later: 0 })).toEqual({ kind: "done", next: [] });
    expect(await doneLine(store, "run-0", "fold-told")).toEqual(line);
    crew.close();
  });

  it("is put off while something passes, and then listed with the code that says so", async () => {
    const { store, crew, hands } = await make();
    expect(await hands.perform(job("later"), { lost: 0, later: 2 })).toEqual({
      kind: "later",
      why: "the disk is full",
      here: true,
    });
    expect(await hands.perform(job("later"), { lost: 0, later: 3 })).toEqual({ kind: "done", next: [] });
    expect(await doneLine(store, "run-0", "fold-later")).toMatchObject({ status: "failed", code: 75 });
    crew.close();
  });

  it("is handed back when the worker leaves, and counts as not tried", async () => {
    const stop = new AbortController();
    const { store, crew, hands } = await make(stop.signal);
    const spinning = hands.perform(job("spin", { id: "fold-left" }), { lost: 0, later: 0 });
    setTimeout(() => stop.abort(), 200);
    expect(await spinning).toEqual({ kind: "back" });
    expect(await doneLine(store, "run-0", "fold-left")).toBeUndefined();
    crew.close();
  });

  it("is refused when another program made it", async () => {
    const { crew, hands } = await make();
    await expect(hands.perform(job("fine", { tag: "another" }), { lost: 0, later: 0 })).rejects.toThrow("their bytes may differ");
    expect(crew.size).toBe(0);
  });
});

describe("a job's schema", () => {
  const allowed = new Set(["strict", "only"]);
  it("takes what is made by the commands", () => {
    expect(requireJob(job("a", { options: { strict: true, only: ["x*"] } }), allowed)).toMatchObject({ kind: "fold" });
    const step = {
      v: 1,
      kind: "shard",
      id: "shard-1",
      run: "run-0",
      tag: "t",
      attempts: 1,
      retries: 1,
      level: 1,
      index: 2,
      of: 3,
    };
    expect(requireJob(step, allowed)).toEqual(step);
  });

  it.each([
    ["no object", null],
    ["an array", [job("a")]],
    ["another kind", job("a", { kind: "shell" })],
    ["another version", job("a", { v: 2 })],
    ["a field nobody knows", job("a", { command: "rm" })],
    ["an option of another command", job("a", { options: { input: "x=/etc/passwd" } })],
    ["an option that is an object", job("a", { options: { strict: { toString: "x" } } })],
    ["a key that leads out", job("a", { model: { key: "../../etc/passwd", version: "1" } })],
    ["an absolute key", job("a", { model: { key: "/etc/passwd", version: "1" } })],
    ["a key with a backslash", job("a", { model: { key: "a\\..\\b", version: "1" } })],
    ["a file that leads out", job("../a", { id: "fold-1" })],
    ["an id that is a path", job("a", { id: "fold-1/../../x" })],
    ["a run that is a path", job("a", { run: "../x" })],
    ["more in a reference", job("a", { model: { key: "a", version: "1", url: "http://x" } })],
    ["counts that are none", job("a", { attempts: -1 })],
    ["too many bytes", job("a", { options: { only: ["x".repeat(MAX_JOB_BYTES)] } })],
  ])("refuses %s", (_what, data) => {
    expect(() => requireJob(data, allowed)).toThrow(expect.objectContaining({ kind: "usage" }));
  });

  it("limits what is put into a queue", () => {
    expect(() => requireSmall(job("a", { options: { only: ["x".repeat(MAX_JOB_BYTES)] } }))).toThrow(/bytes, at most/);
  });
});
