/**
 * Jobs on a queue against the same jobs on this machine alone: what one job costs more, what throughput is left of larger models, and
 * what one job asks of a bucket. Servers are started on loopback, in folders of their own. Jobs in trouble are test/jobs/trouble.test.ts.
 *
 *   npm run build && npm run bench -- jobs [overhead|throughput|requests] [--models n] [--megabytes n] [--server redis|postgres]
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { f, float32, modelBytes, node } from "../test/helpers/build.ts";
import { S3Double } from "../test/jobs/s3-double.ts";
import { postgresServer, redisServer, type Server } from "../test/jobs/servers.ts";

const { values, positionals } = parseArgs({
  args: process.argv.slice(3),
  allowPositionals: true,
  options: {
    models: { type: "string" },
    megabytes: { type: "string", default: "50" },
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

/** What one job asks of a bucket and puts into a queue: requests by kind, bytes of its line and of the job itself. */
async function requests(count: number, width: number): Promise<void> {
  const credentials = { id: "AKIDBENCH", secret: "secret", region: "us-east-1" };
  const bucket = new S3Double("zoo", credentials);
  const url = await bucket.start();
  for (let i = 0; i < count; i++) bucket.put(`bench/zoo/m${i}.onnx`, model(width, i));
  const env = { AWS_ENDPOINT_URL: url, AWS_ACCESS_KEY_ID: credentials.id, AWS_SECRET_ACCESS_KEY: credentials.secret };
  Object.assign(process.env, env);
  await timed(["jobs", "fold", "zoo", "--store", "s3://zoo/bench", "--jobs", "1", "-q"]);
  const kinds = new Map<string, number>();
  for (const line of bucket.log) {
    const [method, key = ""] = line.split(" ");
    const what = /\/(done|results|zoo)\//.exec(key)?.[1] ?? "the run and the store";
    kinds.set(`${method} ${what}`, (kinds.get(`${method} ${what}`) ?? 0) + 1);
  }
  const sizes = (kind: RegExp) => [...bucket.objects].filter(([key]) => kind.test(key)).map(([, { bytes }]) => bytes.length);
  const mean = (all: readonly number[]) => Math.round(all.reduce((n, one) => n + one, 0) / Math.max(1, all.length));
  process.stdout.write(
    [
      `requests of ${count} jobs at a bucket, each`,
      ...[...kinds].sort().map(([kind, n]) => `  ${kind}: ${(n / count).toFixed(2)}`),
      `  bytes of a line: ${mean(sizes(/\/done\//))}, of the run for each job: ${Math.round(mean(sizes(/run\.json$/)) / count)}`,
      "",
    ].join("\n"),
  );
  await bucket.stop();
}

const server = what === "requests" ? undefined : await (values.server === "postgres" ? postgresServer() : redisServer());
try {
  if (server === undefined) await requests(Number(values.models ?? 50), 3);
  else if (what === "overhead") await compare(server, Number(values.models ?? 1000), 3);
  else if (what === "throughput") {
    const width = Math.round(Math.sqrt((Number(values.megabytes) * 1e6) / 36));
    await compare(server, Number(values.models ?? 30), width);
  } else throw new Error(`no benchmark "${what}"`);
} finally {
  live.forEach(killGroup);
  await server?.stop();
  rmSync(home, { recursive: true, force: true });
}
