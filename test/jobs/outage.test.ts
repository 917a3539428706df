/**
 * A queue's server that is killed and comes back with its data, at moments that are chosen: while jobs are under way, while a worker
 * has nothing to do, while jobs are put in, while somebody begins. Nobody ends, nothing is lost; and one that stays away is given up.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Absence, backoffMs, isPassing, persist } from "../../src/jobs/absence.ts";
import { type BullEngine, bullEngine } from "../../src/jobs/bullmq-engine.ts";
import type { Outcome, Taker, Tries } from "../../src/jobs/engine.ts";
import type { FoldJob, Job } from "../../src/jobs/job.ts";
import { folder } from "../cli/bnfold.ts";
import { begin, doneIn, killGroup, type Running, run, until } from "./cluster.ts";
import { loudly, SERVERS, type Server } from "./servers.ts";
import { makeZoo } from "./zoo.ts";

const dir = folder();
const DONE: Outcome = { kind: "done", next: [] };

const job = (id: string): FoldJob => ({
  ...{ v: 1, kind: "fold", id: `fold-${id}`, run: "run-0", tag: "t", attempts: 9, retries: 9, file: `${id}.onnx` },
  ...{ model: { key: `m/${id}.onnx`, version: "1" }, options: {} },
});

/** Hands that note every try, and answer when they may. */
class Scripted {
  readonly tries = new Map<string, Tries[]>();
  private free: () => void = () => undefined;
  private readonly gate = new Promise<void>((resolve) => {
    this.free = resolve;
  });

  /** `script`: the outcome of a job's first try, which waits for `open`. All others are done at once. */
  constructor(private readonly script: Readonly<Record<string, Outcome>> = {}) {}

  open(): void {
    this.free();
  }

  async perform(data: unknown, tries: Tries): Promise<Outcome> {
    const { id } = data as Job;
    const before = this.tries.get(id) ?? [];
    this.tries.set(id, [...before, tries]);
    const outcome = this.script[id];
    if (outcome === undefined || before.length > 0) return DONE;
    await this.gate;
    return outcome;
  }
}

const runsOf = (store: string): number => readdirSync(join(store, ".bnfold/runs")).length;

describe("waiting for what is away", () => {
  it("takes twice as long each time, five seconds at most, and not the same for all", () => {
    expect([0, 1, 2, 3, 4, 5, 100].map((i) => backoffMs(i, 1))).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000]);
    expect(backoffMs(100, 0)).toBe(2500);
  });

  it("is told when it begins and when it ends, and ends after a while", async () => {
    const said: string[] = [];
    const absence = new Absence("the queue q", 100, (message) => said.push(message));
    absence.seen();
    absence.missed("it is not there");
    absence.missed("it is still not there");
    expect(absence.failure("")).toBeUndefined();
    await wait(150);
    expect(absence.failure("Wait.")).toMatchObject({ kind: "temporary", hint: "Wait." });
    absence.seen();
    expect(absence.failure("")).toBeUndefined();
    expect(said).toEqual(["it is not there; waiting for it, 0 s at most", "the queue q answers again, after 0 s"]);
  });

  it("is for what passes only", async () => {
    let tries = 0;
    const denied = persist(10_000, () => Promise.reject(new Error(`no ${++tries}`)));
    await expect(denied).rejects.toThrow("no 1");
  });
});

describe.each(SERVERS)("$name", ({ name, there, make }) => {
  const test = it.skipIf(!loudly(name, there));
  let server: Server;
  let queue: BullEngine;
  const takers: Taker[] = [];
  const said: string[] = [];
  const onError = ({ message }: Error): number => said.push(message);
  const opened = (queueName: string, patience = 15_000): Promise<BullEngine> =>
    bullEngine(server.url, { name: () => queueName, onError, patience });
  const take = async (hands: Scripted, jobs: number): Promise<Taker> => {
    const taker = await queue.take(hands, { ...{ name: "w", jobs, lock: 30, patience: 60_000 }, onError });
    takers.push(taker);
    return taker;
  };
  const left = async (): Promise<number> => {
    const { waiting, active } = await persist(15_000, () => queue.counts());
    return waiting + active;
  };

  beforeAll(async () => {
    if (there) server = await make();
  });
  afterAll(async () => {
    for (const taker of takers) await taker.close();
    await queue?.close();
    await server?.stop();
  });

  test("jobs under way end when it is back, as they would have; a worker without a job takes the next one", async () => {
    queue = await opened(`active-${name}`, 1_000);
    const hands = new Scripted({
      "fold-done": { kind: "done", next: [job("next")] },
      "fold-later": { kind: "later", why: "full", here: false },
      "fold-lost": { kind: "lost", why: "crash" },
      "fold-back": { kind: "back" },
    });
    const taker = await take(hands, 5);
    await queue.add(["done", "later", "lost", "back"].map(job));
    await until(() => hands.tries.size === 4);
    await server.kill();
    await until(() => taker.absence.isNow);
    hands.open();
    expect(taker.idleMs()).toBe(0);
    await server.start();
    await until(async () => (await left()) === 0);
    const first = { lost: 0, later: 0 };
    expect(Object.fromEntries(hands.tries)).toEqual({
      ...{ "fold-done": [first], "fold-next": [first] },
      ...{ "fold-later": [first, { lost: 0, later: 1 }], "fold-lost": [first, { lost: 1, later: 0 }] },
      "fold-back": [first, { lost: 0, later: 1 }],
    });

    // Nothing is to do, and nobody says anything while it goes and comes.
    await server.kill();
    await server.start();
    await persist(15_000, () => queue.add([job("idle")]));
    await until(() => hands.tries.has("fold-idle"));
    expect(taker.absence.failure("")).toBeUndefined();
    expect(said.filter((text) => /answers again/.test(text)).length).toBeGreaterThan(0);
    await until(async () => (await left()) === 0);
    await taker.close();
    await queue.close();
  });

  test("jobs that were being put in are there once, and who begins meanwhile waits", async () => {
    queue = await opened(`adding-${name}`);
    const jobs = Array.from({ length: 3000 }, (_, i) => job(`n${i}`));
    const adding = queue.add(jobs).catch((error: unknown) => expect(isPassing(error), String(error)).toBe(true));
    await wait(30);
    await server.kill();
    const late = opened(`adding-${name}`);
    await wait(300);
    await server.start();
    await adding;
    await (await late).close();
    await persist(15_000, () => queue.add(jobs));
    expect(await left()).toBe(3000);
    await persist(15_000, () => queue.remove(jobs.slice(100)));
    const hands = new Scripted();
    const taker = await take(hands, 50);
    await until(async () => (await left()) === 0);
    expect([...hands.tries.values()].map((tries) => tries.length)).toEqual(Array(100).fill(1));
    await taker.close();
    await queue.close();
  });

  // The last one: it does not come back.
  test("who waits for longer than --queue-timeout ends with the code that says so, and leaves no run behind", async () => {
    const store = makeZoo(join(dir, `away-${name}`), 2);
    const places = ["--store", store, "--queue", server.url, "--queue-timeout", "2"];
    const running: Running[] = [];
    const started = (...args: string[]): Running => {
      const one = begin([...args, ...places]);
      running.push(one);
      return one;
    };
    const sent = await run(["jobs", "fold", "zoo/m1.onnx", "--detach", ...places]);
    expect(sent.code, sent.stderr).toBe(0);
    const runOf = /run (run-[\w-]+)/.exec(sent.stderr)?.[1] as string;
    const follower = started("jobs", "fold", "zoo/deep");
    // Its run is written when it has reached the queue.
    await until(() => runsOf(store) === 2);
    const worker = started("worker", "--holder", "north", "--data", dir);
    await until(() => worker.stderr().includes("takes"));
    await server.kill();
    const once = [
      started("jobs", "fold", "zoo"),
      started("jobs", "status"),
      started("jobs", "cancel", runOf),
      started("jobs", "retry", runOf),
      started("worker"),
    ];
    for (const one of [follower, worker]) {
      const { code, stderr } = await one.ended;
      expect(stderr).toMatch(/waiting for it, 2 s at most/);
      expect(stderr).toMatch(/has not answered for 2 s: given up/);
      expect(code).toBe(75);
    }
    for (const one of once) {
      const { code, stderr, stdout } = await one.ended;
      expect(stderr).toMatch(/the queue \S+ (cannot be used|does not answer)/);
      expect(code, `${stdout}${stderr}`).toBe(75);
    }
    // What the store knows is told without the queue.
    expect((await once[1].ended).stdout).toContain(`${runOf}  0 of 1`);
    expect((await once[2].ended).stderr).toContain("cancel it again");
    expect(existsSync(join(store, ".bnfold/runs", runOf, "cancelled.json"))).toBe(true);
    expect(runsOf(store)).toBe(2);
    expect(doneIn(store)).toEqual([]);
    running.forEach(killGroup);
  });
});
