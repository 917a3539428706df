/** The same jobs on every engine: what comes out has the same bytes, whatever happens to those who do the work. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bnfold, folder } from "../cli/bnfold.ts";
import { begin, contents, doneIn, killGroup, type Running, run, until } from "./cluster.ts";
import { loudly, SERVERS, type Server } from "./servers.ts";
import { isModel, makeZoo } from "./zoo.ts";

const dir = folder();
const MODELS = 24;
const makeStore = (name: string): string => makeZoo(join(dir, name), MODELS, 7);

const reference = join(dir, "reference");

beforeAll(() => {
  const store = makeStore("alone");
  expect(bnfold(["fold", join(store, "zoo"), "-o", reference, "--jobs", "2"]).code).toBe(6);
}, 120_000);

describe("without a server", () => {
  it("gives the bytes and the lines of a local batch", async () => {
    const store = makeStore("local");
    const out = join(dir, "local-out");
    const ran = await run(["jobs", "fold", "zoo", "--store", store, "-o", out, "--jobs", "2"]);
    expect(ran.code, ran.stderr).toBe(6);
    expect(contents(out, isModel)).toEqual(contents(reference, isModel));
    expect(ran.stdout).toContain(`${MODELS - 1} of ${MODELS} models done, 1 failed`);
    const merged = bnfold(["report", "merge", join(out, "bnfold-report.jsonl"), join(reference, "bnfold-report.jsonl")]);
    expect(merged.stdout).toContain(`${MODELS - 1} of ${MODELS} models done`);
    expect(readFileSync(join(out, "bnfold-report.jsonl"), "utf8")).not.toContain(dir);
  });
});

describe.each(SERVERS)("$name", ({ name, there, make }) => {
  const test = it.skipIf(!loudly(name, there));
  let server: Server;
  const workers: Running[] = [];
  const worker = (store: string, ...more: string[]): Running => {
    const begun = begin(["worker", "--queue", server.url, "--store", store, "--lock", "2", ...more]);
    workers.push(begun);
    return begun;
  };

  beforeAll(async () => {
    if (there) server = await make();
  });
  afterAll(async () => {
    for (const begun of workers) killGroup(begun);
    await server?.stop();
  });

  test("folds with two workers, one of them killed and one told to stop; a second command attaches", async () => {
    const store = makeStore(`fold-${name}`);
    const out = join(dir, `out-${name}`);
    const args = ["jobs", "fold", "zoo", "--store", store, "--queue", server.url, "--attempts", "50", "-o", out];
    const [killed, stopped] = [worker(store, "--jobs", "1"), worker(store, "--jobs", "1")];
    const command = begin(args);
    await until(() => doneIn(store).length >= 3);
    killGroup(killed);
    command.child.kill("SIGINT");
    const left = await command.ended;
    expect(left.code, left.stderr).toBe(75);
    expect(left.stderr).toContain("The same command attaches again");
    stopped.child.kill("SIGTERM");
    expect((await stopped.ended).code).toBe(0);
    expect(doneIn(store).length).toBeLessThan(MODELS);
    worker(store, "--jobs", "2");
    const ran = await run(args);
    expect(ran.code, ran.stderr).toBe(6);
    expect(contents(out, isModel)).toEqual(contents(reference, isModel));
    expect(doneIn(store)).toHaveLength(MODELS);
  }, 120_000);

  test("goes on when the queue is wiped and when its server is killed", async () => {
    const store = makeStore(`wiped-${name}`);
    const out = join(dir, `wiped-out-${name}`);
    worker(store, "--jobs", "2");
    const command = begin(["jobs", "fold", "zoo", "--store", store, "--queue", server.url, "-o", out]);
    await until(() => doneIn(store).length >= 2);
    await server.wipe();
    await until(() => doneIn(store).length >= 6);
    await server.kill();
    await wait(500);
    await server.start();
    const ran = await command.ended;
    expect(ran.code, ran.stderr).toBe(6);
    expect(contents(out, isModel)).toEqual(contents(reference, isModel));
  }, 120_000);

  // The last one: its server does not come back.
  test("a worker that is told to stop does so although its server is gone", async () => {
    const store = makeStore(`gone-${name}`);
    const mine = worker(store, "--grace", "1");
    await until(() => mine.stderr().includes("takes"));
    await server.kill();
    mine.child.kill("SIGTERM");
    expect((await mine.ended).code).toBe(0);
  }, 60_000);
});
