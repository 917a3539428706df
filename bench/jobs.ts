/**
 * Jobs on a queue against the same jobs on this machine alone: what one job costs more, what throughput is left of larger models, and
 * whether anything is lost or done twice while workers and the server are killed. Servers are started on loopback, in folders of their own.
 *
 *   npm run build && npm run bench -- jobs [overhead|throughput|kills] [--models n] [--megabytes n] [--kills n] [--server redis|postgres]
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { f, float32, modelBytes, node } from "../test/helpers/build.ts";
import { postgresServer, redisServer, type Server } from "../test/jobs/servers.ts";

const { values, positionals } = parseArgs({
  args: process.argv.slice(3),
  allowPositionals: true,
  options: {
    models: { type: "string" },
    megabytes: { type: "string", default: "50" },
    kills: { type: "string", default: "50" },
    server: { type: "string", default: "redis" },
  },
});
const [what = "overhead"] = positionals;
const home = mkdtempSync(join(tmpdir(), "bnfold-bench-"));
const bin = join(process.cwd(), "bin", "bnfold.js");

/** A convolution with its normalization: `width` in and out channels, 3×3. */
function model(width: number, seed: number): Uint8Array {
  const parameters = ["scale", "shift", "mean", "var"];
  const vector = (k: number) =>
    float32(
      [width],
      Array.from({ length: width }, (_, i) => 1 + ((i * 7 + k + seed) % 13) / 13),
    );
  return modelBytes({
    nodes: [
      node("Conv", ["x", "w"], ["c"], { kernel_shape: [3, 3] }, { name: "conv" }),
      node("BatchNormalization", ["c", ...parameters], ["y"], { epsilon: f(1e-5) }, { name: "norm" }),
    ],
    initializers: {
      w: float32(
        [width, width, 3, 3],
        Array.from({ length: width * width * 9 }, (_, i) => Math.sin(i + seed)),
      ),
      ...Object.fromEntries(parameters.map((name, k) => [name, vector(k)])),
    },
    inputs: [{ name: "x", dims: ["N", width, 5, 5] }],
    outputs: [{ name: "y", dims: ["N", width, 3, 3] }],
  });
}

function store(name: string, count: number, width: number): string {
  const folder = join(home, name);
  mkdirSync(join(folder, "zoo"), { recursive: true });
  const base = width > 64 ? model(width, 0) : undefined;
  for (let i = 0; i < count; i++) {
    const bytes = base === undefined ? model(width, i) : Buffer.from(base);
    // Another number in the weights: another model, without making all of it anew.
    if (base !== undefined) (bytes as Buffer).writeUInt8(i & 0x7f, Math.floor(bytes.length / 2) & ~3);
    writeFileSync(join(folder, "zoo", `m${String(i).padStart(5, "0")}.onnx`), bytes);
  }
  return folder;
}

const live = new Set<ChildProcess>();
function begin(args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [bin, ...args], { stdio: ["ignore", "ignore", "inherit"], detached: true });
  live.add(child);
  child.once("exit", () => live.delete(child));
  return child;
}

const ended = (child: ChildProcess): Promise<number> =>
  new Promise((resolve) => child.once("exit", (code) => resolve(code ?? -1)));
const killGroup = (child: ChildProcess): void => {
  try {
    process.kill(-(child.pid as number), "SIGKILL");
  } catch {
    // It has ended.
  }
};

async function timed(args: readonly string[]): Promise<number> {
  const start = performance.now();
  const code = await ended(begin(args));
  if (code !== 0) throw new Error(`code ${code} of ${args.join(" ")}`);
  return performance.now() - start;
}

const worker = (folder: string, url: string, ...more: string[]): ChildProcess =>
  begin(["worker", "--queue", url, "--store", folder, "--jobs", "1", ...more]);

const results = (folder: string): Map<string, string> => {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".onnx"));
  return new Map(
    names.sort().map((name) => [
      name,
      createHash("sha256")
        .update(readFileSync(join(folder, name)))
        .digest("hex"),
    ]),
  );
};
const same = (a: Map<string, string>, b: Map<string, string>): boolean =>
  a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);

const doneIn = (folder: string): number => {
  const runs = join(folder, ".bnfold/runs");
  return existsSync(runs)
    ? readdirSync(runs).reduce(
        (n, run) => n + (existsSync(join(runs, run, "done")) ? readdirSync(join(runs, run, "done")).length : 0),
        0,
      )
    : 0;
};

/** The same models by a local batch, by jobs without a server, and by two workers. */
async function compare(server: Server, count: number, width: number): Promise<void> {
  const [a, b] = [store("alone", count, width), store("queue", count, width)];
  const bytes = readFileSync(join(a, "zoo/m00000.onnx")).length;
  const batch = await timed(["fold", join(a, "zoo"), "-o", join(home, "batch"), "--jobs", "2", "-q"]);
  const alone = await timed(["jobs", "fold", "zoo", "--store", a, "--jobs", "2", "-q"]);
  const workers = [worker(b, server.url), worker(b, server.url)];
  await wait(2500);
  const queued = await timed(["jobs", "fold", "zoo", "--store", b, "--queue", server.url, "-q"]);
  workers.forEach(killGroup);
  const each = (ms: number) => (ms / count).toFixed(1);
  process.stdout.write(
    [
      `${count} models of ${(bytes / 1e6).toFixed(2)} MB, two at a time, ${values.server}`,
      `  fold <folder>        ${(batch / 1000).toFixed(1)} s, ${each(batch)} ms a model`,
      `  jobs, no server      ${(alone / 1000).toFixed(1)} s, ${each(alone)} ms`,
      `  jobs, two workers    ${(queued / 1000).toFixed(1)} s, ${each(queued)} ms: ${each(queued - alone)} ms more than without a server, throughput ${(alone / queued).toFixed(2)} of it`,
      "",
    ].join("\n"),
  );
}

/** Workers killed at random moments, the server a tenth as often, the queue wiped once. */
async function kills(server: Server, count: number, many: number): Promise<void> {
  const [a, b] = [store("alone", count, 16), store("queue", count, 16)];
  await timed(["fold", join(a, "zoo"), "-o", join(home, "reference"), "--jobs", "2", "-q"]);
  const out = join(home, "out");
  const args = ["jobs", "fold", "zoo", "--store", b, "--queue", server.url, "--attempts", "1000", "-o", out, "-q"];
  const commands = [begin(args), begin(args)].map(ended);
  let [killed, servers] = [0, 0];
  let finished = false;
  void Promise.all(commands).then(() => {
    finished = true;
  });
  const hire = () => worker(b, server.url, "--lock", "1");
  const crew = [hire(), hire()];
  while (killed < many && !finished) {
    await wait(600 + Math.random() * 900);
    const at = killed % 2;
    killGroup(crew[at]);
    crew[at] = hire();
    killed++;
    if (killed % Math.ceil(many / 5) === 0) {
      await server.kill();
      await wait(200);
      await server.start();
      servers++;
    }
    if (killed === Math.ceil(many / 2)) await server.wipe();
  }
  const codes = await Promise.all(commands);
  crew.forEach(killGroup);
  const equal = same(results(out), results(join(home, "reference")));
  process.stdout.write(
    `${killed} kills of workers, ${servers} of the server, queue wiped ${killed >= many / 2 ? "once" : "not"}, two commands: codes ${codes.join(" ")}, ` +
      `${doneIn(b)} of ${count} done, ${equal ? "the same bytes as one process" : "OTHER BYTES"} (${values.server})\n`,
  );
  if (!equal || doneIn(b) !== count) process.exitCode = 1;
}

const server = await (values.server === "postgres" ? postgresServer() : redisServer());
try {
  if (what === "overhead") await compare(server, Number(values.models ?? 1000), 3);
  else if (what === "throughput") {
    const width = Math.round(Math.sqrt((Number(values.megabytes) * 1e6) / 36));
    await compare(server, Number(values.models ?? 30), width);
  } else await kills(server, Number(values.models ?? 400), Number(values.kills));
} finally {
  live.forEach(killGroup);
  await server.stop();
  rmSync(home, { recursive: true, force: true });
}
