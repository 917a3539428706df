/** Statistics over data of several holders, by the commands of examples/data-holders.sh: moments come, data does not. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decode } from "../../src/onnx/codec.ts";
import { read } from "../../src/onnx/read.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { bin, bnfold, folder, root } from "../cli/bnfold.ts";
import { contents, killGroup, until } from "./cluster.ts";
import { loudly, redisPath, redisServer, type Server } from "./servers.ts";
import { makeNet, rows } from "./zoo.ts";

const dir = folder();
const there = loudly("Redis", redisPath() !== undefined);
const NAMES = ["north", "south", "east"];
/** Whole blocks of 8 but for the last; and parts of blocks everywhere, so that there are more blocks than samples fill. */
const AMOUNTS = { whole: [16, 8, 5], uneven: [5, 9, 3] };
type Kind = keyof typeof AMOUNTS;

let server: Server;
const live: ChildProcess[] = [];
afterAll(async () => {
  for (const child of live) killGroup({ child });
  await server?.stop();
});
beforeAll(async () => {
  mkdirSync(join(dir, "tools"));
  writeFileSync(join(dir, "tools/bnfold"), `#!/bin/sh\nexec "${process.execPath}" "${bin}" "$@"\n`);
  chmodSync(join(dir, "tools/bnfold"), 0o755);
  for (const [kind, amounts] of Object.entries(AMOUNTS)) {
    for (const [i, name] of NAMES.entries()) {
      mkdirSync(join(dir, kind, name), { recursive: true });
      writeFileSync(join(dir, kind, name, "private.npy"), rows(amounts[i], i + 10));
    }
  }
  if (there) server = await redisServer();
});

function example(
  store: string,
  ...args: string[]
): { child: ChildProcess; ended: Promise<{ code: number | null; said: string }>; said(): string } {
  const env = {
    ...process.env,
    PATH: `${join(dir, "tools")}:${process.env.PATH}`,
    BNFOLD_QUEUE: server.url,
    BNFOLD_STORE: store,
    BNFOLD_LOCK: "1",
  };
  const child = spawn("bash", [join(root, "examples/data-holders.sh"), ...args], { env, detached: true });
  live.push(child);
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (data) => {
      said += data;
    });
  const ended = new Promise<{ code: number | null; said: string }>((resolve) => {
    child.once("exit", (code) => resolve({ code, said }));
  });
  return { child, ended, said: () => said };
}

/** A store with the model only, the holders at their machines, and what is asked of them. */
async function asked(kind: Kind, name: string): Promise<{ model: Buffer; store: string }> {
  const store = join(dir, `store-${name}`);
  makeNet(store, false);
  const out = join(dir, `${name}.onnx`);
  const holders = NAMES.map((holder) => example(store, "hold", holder, join(dir, kind, holder)));
  const asking = example(store, "ask", "net.onnx", out, ...NAMES);
  // One of them goes down while it is asked, and comes back.
  await until(() => [...contents(join(store, ".bnfold/runs")).keys()].some((key) => key.includes("holders/")));
  killGroup(holders[1]);
  holders[1] = example(store, "hold", NAMES[1], join(dir, kind, NAMES[1]));
  const { code, said } = await asking.ended;
  expect(code, said).toBe(0);
  for (const holder of holders) killGroup(holder);
  return { model: readFileSync(out), store };
}

const numbersOf = (bytes: Uint8Array): Map<string, Float64Array> =>
  new Map(read(memorySource(bytes)).graph.initializers.map((tensor) => [tensor.name, asFloat64(decode(tensor))]));

const alone = (kind: Kind): Buffer => {
  const store = makeNet(join(dir, `alone-${kind}`), false);
  const out = join(dir, `alone-${kind}.onnx`);
  const data = NAMES.flatMap((holder) => ["--data", join(dir, kind, holder)]);
  const ran = bnfold(["recalibrate", join(store, "net.onnx"), ...data, "-o", out]);
  expect(ran.code, ran.stderr).toBe(0);
  return readFileSync(out);
};

describe.skipIf(!there)("holders of data", () => {
  it("give the bytes of one machine with all of it, and nothing of the data leaves them", async () => {
    const { model, store } = await asked("whole", "whole");
    expect(model.equals(alone("whole"))).toBe(true);
    const everything = [...contents(store).keys()].map((key) => readFileSync(join(store, key), "latin1")).join("\n");
    expect(everything).toContain('"format":"bnfold-moments"');
    for (const holder of NAMES) {
      const file = join(dir, "whole", holder, "private.npy");
      const raw = readFileSync(file);
      // Any four neighbouring numbers of a row.
      for (let at = 128; at + 16 <= raw.length; at += 16) expect(everything).not.toContain(raw.toString("latin1", at, at + 16));
      expect(everything).not.toContain("private.npy");
    }
  }, 120_000);

  it("may have any amount: the sums are those of all samples, but for their order", async () => {
    const { model } = await asked("uneven", "uneven");
    const [all, together] = [numbersOf(alone("uneven")), numbersOf(model)];
    expect([...together.keys()]).toEqual([...all.keys()]);
    // Sums in another order: the first level may round to a neighbour in float32, 2^-23 of numbers below 4, which the second level reads.
    for (const [name, values] of together)
      values.forEach((value, i) => {
        const other = all.get(name)?.[i] as number;
        expect(Math.abs(value - other)).toBeLessThanOrEqual(2 ** -20 * Math.max(1, Math.abs(other)));
      });
  }, 120_000);

  it("tell nobody where their data is when it cannot be read", async () => {
    const store = makeNet(join(dir, "store-broken"), false);
    const secret = join(dir, "secret-place");
    mkdirSync(secret);
    writeFileSync(join(secret, "broken.npy"), "no array");
    const holder = example(store, "hold", "north", secret);
    const { code, said } = await example(store, "ask", "net.onnx", join(dir, "none.onnx"), "north").ended;
    expect(code).not.toBe(0);
    expect(said).toContain("count 0.1 of north failed");
    const everything = [...contents(store).keys()].map((key) => readFileSync(join(store, key), "latin1")).join("\n");
    for (const text of [said, everything]) expect(text).not.toContain("secret-place");
    killGroup(holder);
  }, 60_000);
});
