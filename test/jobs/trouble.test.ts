/**
 * Jobs in trouble, on real servers: workers and servers killed at random moments, queues wiped, jobs twice in the queue, locks
 * shorter than jobs, a mount that goes away. Nothing is lost, nothing is in the result twice, and the bytes are those of one process.
 *
 * BNFOLD_KILLS=50 is the long run: as many kills of workers, a tenth as many of the server.
 */
import { mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bnfold, folder } from "../cli/bnfold.ts";
import { begin, contents, doneIn, killGroup, type Running, run, until } from "./cluster.ts";
import { loudly, SERVERS, type Server } from "./servers.ts";
import { isModel, makeNet, makeZoo } from "./zoo.ts";

const dir = folder();
const KILLS = Number(process.env.BNFOLD_KILLS ?? 4);
const LONG = KILLS >= 50;
/** Jobs done between two kills. */
const APART = 3;
const MODELS = KILLS * (APART + 1);

const reference = join(dir, "reference");
const fresh = join(dir, "fresh.onnx");
const BLOCK = ["--data", "data", "--block", "2"];

beforeAll(() => {
  const store = makeNet(makeZoo(join(dir, "alone"), MODELS));
  expect(bnfold(["fold", join(store, "zoo"), "-o", reference, "--jobs", "2"]).code).toBe(0);
  const data = ["--data", join(store, "data"), "--block", "2"];
  expect(bnfold(["recalibrate", join(store, "net.onnx"), ...data, "-o", fresh]).code).toBe(0);
}, 120_000);

/** Samples on which the first model is run for about so many milliseconds, on this machine as it is now. */
function samplesFor(ms: number): number {
  const model = join(dir, "alone/zoo/deep/m0.onnx");
  const [few, many] = [1, 500].map((samples) => {
    const start = performance.now();
    expect(bnfold(["fold", model, "--dry-run", "--full-run", "--samples", String(samples)]).code).toBe(0);
    return performance.now() - start;
  });
  return Math.min(10_000, Math.max(500, Math.ceil((ms * 499) / Math.max(1, many - few))));
}

/** Ends a worker with its children, as a machine without power does; or alone. */
function killSomehow(victim: Running, how: number): void {
  if (how < 0.5) killGroup(victim);
  else victim.child.kill("SIGKILL");
}

const linesOf = (out: string): { file: string; status: string }[] =>
  readFileSync(join(out, "bnfold-report.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

describe.each(SERVERS)("$name", ({ name, there, make }) => {
  const test = it.skipIf(!loudly(name, there));
  let server: Server;
  const workers: Running[] = [];
  const worker = (store: string, ...more: string[]): Running => {
    const begun = begin(["worker", "--queue", server.url, "--store", store, "--jobs", "1", "--lock", "1", ...more]);
    workers.push(begun);
    return begun;
  };
  const jobs = (what: string, store: string, ...more: string[]): string[] => [
    ...["jobs", what, ...more, "--store", store, "--queue", server.url, "--attempts", "1000"],
  ];

  beforeAll(async () => {
    if (there) server = await make();
  });
  afterAll(async () => {
    for (const begun of workers) killGroup(begun);
    await server?.stop();
  });

  test(`${KILLS} kills of workers, ${Math.ceil(KILLS / 10)} of the server, a wiped queue, two commands: all is done once`, async () => {
    const store = makeZoo(join(dir, `kills-${name}`), MODELS);
    const outs = ["a", "b"].map((which) => join(dir, `kills-${name}-${which}`));
    const commands = outs.map((out) => begin(jobs("fold", store, "zoo", "-o", out)));
    const crew = [worker(store), worker(store)];
    for (let killed = 0; killed < KILLS; killed++) {
      await until(() => doneIn(store).length >= APART * (killed + 1), 60);
      await wait(200 * Math.random());
      killSomehow(crew[killed % 2], Math.random());
      crew[killed % 2] = worker(store);
      if (killed % 10 === 2) {
        await server.kill();
        await wait(200);
        await server.start();
      }
      if (killed === Math.floor(KILLS / 2)) await server.wipe();
    }
    for (const [i, command] of commands.entries()) {
      const { code, stderr } = await command.ended;
      expect(code, stderr).toBe(0);
      expect(contents(outs[i], isModel)).toEqual(contents(reference, isModel));
      const lines = linesOf(outs[i]);
      expect([lines.length, new Set(lines.map(({ file }) => file)).size]).toEqual([MODELS, MODELS]);
      expect(lines.filter(({ status }) => status !== "done")).toEqual([]);
    }
    expect(doneIn(store)).toHaveLength(MODELS);
    crew.forEach(killGroup);
  }, 600_000);

  const grid = LONG
    ? [1, 2, 7].flatMap((shards) => [1, 2, 3].map((crew) => [shards, crew] as const))
    : ([
        [1, 1],
        [2, 2],
        [7, 3],
      ] as const);
  test.each(grid)(
    "recalibrates two levels in %i shards by %i workers, one of them killed in each level, to the same bytes",
    async (shards, size) => {
      const store = makeNet(join(dir, `net-${name}-${shards}-${size}`));
      const out = join(dir, `fresh-${name}-${shards}-${size}.onnx`);
      const command = begin(jobs("recalibrate", store, "net.onnx", ...BLOCK, "--shards", String(shards), "-o", out));
      const crew = Array.from({ length: size }, () => worker(store));
      // A level is its shards and their merge.
      for (const level of [0, 1]) {
        await until(() => doneIn(store).length >= level * (shards + 1) + Math.floor(shards / 2), 60);
        killSomehow(crew[level % size], Math.random());
        crew[level % size] = worker(store);
      }
      const { code, stderr } = await command.ended;
      expect(code, stderr).toBe(0);
      expect(readFileSync(out).equals(readFileSync(fresh))).toBe(true);
      crew.forEach(killGroup);
    },
    120_000,
  );

  test("a job longer than its lock is done once; one whose worker stands still is done by another, and harms nothing when it goes on", async () => {
    const store = makeZoo(join(dir, `lock-${name}`), 1);
    const slow = ["--full-run", "--samples", String(samplesFor(3_000))];
    const timesDone = (one: Running) => one.stderr().split("m0.onnx, done").length - 1;
    const [first, second] = [worker(store, "--verbose"), worker(store, "--verbose")];
    const start = performance.now();
    const ran = await run(jobs("fold", store, "zoo", ...slow));
    expect(ran.code, ran.stderr).toBe(0);
    expect(performance.now() - start).toBeGreaterThan(2_000);
    await until(() => timesDone(first) + timesDone(second) === 1);
    const before = contents(join(store, ".bnfold/results"));
    for (const one of [first, second]) one.child.kill("SIGTERM");
    for (const one of [first, second]) expect((await one.ended).code).toBe(0);
    expect(timesDone(first) + timesDone(second)).toBe(1);

    const still = worker(store, "--verbose");
    const command = begin(jobs("fold", store, "zoo", ...slow, "--seed", "2"));
    await until(async () => (await active(store)) === 1);
    process.kill(-(still.child.pid as number), "SIGSTOP");
    const other = worker(store, "--verbose");
    expect((await command.ended).code).toBe(0);
    const after = contents(join(store, ".bnfold/results"), isModel);
    process.kill(-(still.child.pid as number), "SIGCONT");
    await until(() => timesDone(still) === 1 && timesDone(other) === 1);
    expect(contents(join(store, ".bnfold/results"), isModel)).toEqual(after);
    expect(contents(join(store, ".bnfold/results")).size).toBe(2 * before.size);
    expect(new Set(after.values()).size).toBe(1);
    expect(doneIn(store)).toHaveLength(2);
    for (const one of [still, other]) killGroup(one);
  }, 120_000);

  const active = async (store: string): Promise<number> =>
    JSON.parse((await run(["jobs", "status", "--store", store, "--queue", server.url, "--json"])).stdout).queue.active;

  test("goes on when its mount was gone for a while, and believes nothing of what lies in its place", async () => {
    const store = makeZoo(join(dir, `mount-${name}`), 12);
    const out = join(dir, `mount-out-${name}`);
    const mine = worker(store);
    const command = begin(jobs("fold", store, "zoo", "-o", out));
    await until(() => doneIn(store).length >= 2, 60);
    renameSync(store, `${store}-away`);
    mkdirSync(store);
    await until(() => mine.stderr().includes("is it mounted?"), 30);
    rmSync(store, { recursive: true });
    renameSync(`${store}-away`, store);
    const { code, stderr } = await command.ended;
    expect(linesOf(out).filter(({ status }) => status !== "done")).toEqual([]);
    expect(code, stderr).toBe(0);
    expect(contents(out, isModel).size).toBe(12);
    for (const [file, hash] of contents(out, isModel)) expect(contents(reference, isModel).get(file)).toBe(hash);
    killGroup(mine);
  }, 120_000);
});
