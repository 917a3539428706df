/** Following a run: how often is looked, and what stops it. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { BnfoldError } from "../../src/diag/error.ts";
import type { Engine } from "../../src/jobs/engine.ts";
import { follow } from "../../src/jobs/follow.ts";
import type { FoldJob } from "../../src/jobs/job.ts";
import { doneKey } from "../../src/jobs/layout.ts";
import { bytesOf, openStore, type Store } from "../../src/jobs/store.ts";
import { folder } from "../cli/bnfold.ts";

const dir = folder();
const RUN = "run-0";
const JOB: FoldJob = {
  ...{ v: 1, kind: "fold", id: "fold-0", run: RUN, tag: "t", attempts: 1, retries: 1, file: "a.onnx" },
  ...{ model: { key: "a.onnx", version: "1" }, options: {} },
};

const storeIn = (name: string): Promise<Store> => {
  mkdirSync(join(dir, name));
  return openStore(join(dir, name));
};

const away = (): Promise<never> => Promise.reject(new BnfoldError("temporary", "the queue q cannot be used: gone"));
const engineOf = (counts: Engine["counts"]): Engine => ({
  label: "q",
  ...{ counts, add: () => Promise.resolve(), remove: () => Promise.resolve(), close: () => Promise.resolve() },
});
const busy = engineOf(() => Promise.resolve({ waiting: 0, active: 1, workers: [] }));

const followed = (store: Store, engine: Engine, patience?: number, said: string[] = []) =>
  follow<unknown>({
    ...{ store, engine, run: RUN, wanted: new Set([JOB.id]), patience, parse: (value: unknown) => value },
    next: (done) => (done.has(JOB.id) ? [] : [JOB]),
    onTrouble: (message) => said.push(message),
  });

describe("following a run", () => {
  it("is not slowed down by a store that answered late or not at all for a while", async () => {
    const store = await storeIn("late");
    let looks = 0;
    const list: Store["list"] = async (prefix) => {
      looks++;
      if (looks === 2) await wait(2_000);
      if (looks === 3) throw new BnfoldError("temporary", "the bucket does not answer");
      if (looks === 5) await store.put(doneKey(RUN, JOB.id), bytesOf({ status: "done" }));
      return store.list(prefix);
    };
    const slow = new Proxy(store, { get: (of, name) => (name === "list" ? list : Reflect.get(of, name).bind?.(of)) });
    const start = performance.now();
    const said: string[] = [];
    expect((await followed(slow, busy, undefined, said)).ended).toBe("done");
    // Ten times the two seconds it once took would be 20 s.
    expect(performance.now() - start).toBeLessThan(10_000);
    expect(said).toEqual(["the bucket does not answer"]);
  });

  it("ends by what the store says although the queue is away, and gives it up when nothing comes", async () => {
    const store = await storeIn("away");
    const said: string[] = [];
    await expect(followed(store, engineOf(away), 600, said)).rejects.toMatchObject({
      kind: "temporary",
      message: "the queue q has not answered for 1 s: given up",
    });
    expect(said).toEqual(["the queue q cannot be used: gone; waiting for it, 1 s at most"]);
    await store.put(doneKey(RUN, JOB.id), bytesOf({ status: "done" }));
    expect((await followed(store, engineOf(away), 600)).ended).toBe("done");
  });
});
