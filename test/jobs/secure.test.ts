/** Servers behind TLS and passwords, secrets that must be seen nowhere, programs that must not mix, packages that are not there. */
import { execFileSync } from "node:child_process";
import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bnfold, folder, root } from "../cli/bnfold.ts";
import { begin, contents, doneIn, killGroup, type Running, run, until } from "./cluster.ts";
import { loudly, opensslPath, postgresFolder, postgresServer, redisPath, redisServer, type Server, type Tls } from "./servers.ts";
import { isModel, makeZoo } from "./zoo.ts";

const dir = folder();
const MODELS = 6;
const PASSWORD = "p4ss/with+signs";
const reference = join(dir, "reference");
const tools = opensslPath() !== undefined;
let tls: Tls;

/** A certificate for this machine that nobody but its file vouches for. */
function selfSigned(): Tls {
  const [key, certificate] = ["key.pem", "certificate.pem"].map((name) => join(dir, name));
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const how = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  execFileSync(opensslPath() as string, [...how, "-keyout", key, "-out", certificate, ...subject], { stdio: "ignore" });
  return { key, certificate };
}

beforeAll(() => {
  const store = makeZoo(join(dir, "alone"), MODELS);
  expect(bnfold(["fold", join(store, "zoo"), "-o", reference]).code).toBe(0);
  if (tools) tls = selfSigned();
});

/** What every user of this machine sees of our processes. */
function commandLines(): string {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map((pid) => readSafely(`/proc/${pid}/cmdline`)).join("\n");
}
const readSafely = (path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
};
const everything = (store: string): string =>
  [...contents(store).keys()].map((name) => readFileSync(join(store, name), "latin1")).join("\n");

const KINDS = [
  {
    name: "Redis",
    there: tools && redisPath() !== undefined,
    make: () => redisServer({ tls, password: PASSWORD }),
    // Certificates that Node is told to believe.
    trusted: (url: string) => ({ BNFOLD_QUEUE: url, NODE_EXTRA_CA_CERTS: tls.certificate }),
    untrusted: (url: string) => ({ BNFOLD_QUEUE: url }),
  },
  {
    name: "PostgreSQL",
    there: tools && postgresFolder() !== undefined,
    make: () => postgresServer({ tls, password: PASSWORD }),
    trusted: (url: string) => ({ BNFOLD_QUEUE: `${url}?sslmode=verify-full&sslrootcert=${tls.certificate}` }),
    untrusted: (url: string) => ({ BNFOLD_QUEUE: `${url}?sslmode=verify-full` }),
  },
];

describe.each(KINDS)("$name behind TLS", ({ name, there, make, trusted, untrusted }) => {
  const test = it.skipIf(!loudly(`${name} or openssl`, there));
  let server: Server;
  const workers: Running[] = [];
  beforeAll(async () => {
    if (there) server = await make();
  });
  afterAll(async () => {
    for (const begun of workers) killGroup(begun);
    await server?.stop();
  });

  test("takes jobs by a URL with a password, which stands nowhere else", async () => {
    const store = makeZoo(join(dir, `store-${name}`), MODELS);
    const out = join(dir, `out-${name}`);
    const env = trusted(server.url);
    const worker = begin(["worker", "--store", store, "--verbose"], env);
    workers.push(worker);
    const command = begin(["jobs", "fold", "zoo", "--store", store, "-o", out], env);
    let seen = "";
    await until(() => {
      seen += commandLines();
      return doneIn(store).length === MODELS;
    });
    const ran = await command.ended;
    expect(ran.code, ran.stderr).toBe(0);
    expect(contents(out, isModel)).toEqual(contents(reference, isModel));
    worker.child.kill("SIGTERM");
    const left = await worker.ended;
    const status = await run(["jobs", "status", "--store", store, "--json"], env);
    const shown = await run(["jobs", "status", "--store", store, "--print-config"], env);
    expect(shown.stdout).toContain("from a BNFOLD_ variable");
    expect(seen).toContain("--worker");
    const said = [ran.stdout, ran.stderr, left.stdout, left.stderr, status.stdout, status.stderr, shown.stdout];
    for (const text of [seen, ...said, everything(store), everything(out)])
      for (const secret of [PASSWORD, encodeURIComponent(PASSWORD)]) expect(text).not.toContain(secret);
  });

  test("refuses a certificate that nobody vouches for, and a wrong password, at once", async () => {
    const store = makeZoo(join(dir, `refused-${name}`), 1);
    const stranger = await run(["jobs", "fold", "zoo", "--store", store], untrusted(server.url));
    expect(stranger.stderr).toMatch(/self.signed certificate/);
    expect(stranger.stderr).toContain("NODE_EXTRA_CA_CERTS");
    const wrong = server.url.replace(encodeURIComponent(PASSWORD), "another-password");
    const denied = await run(["jobs", "fold", "zoo", "--store", store], trusted(wrong));
    expect(denied.stderr).toMatch(/WRONGPASS|password authentication failed/);
    expect(denied.stderr).not.toContain("another-password");
    expect([stranger.code, denied.code]).toEqual([2, 2]);
    expect(readdirSync(join(store, ".bnfold"))).not.toContain("runs");
  });
});

describe("programs", () => {
  const there = loudly("Redis", redisPath() !== undefined);
  let server: Server;
  const workers: Running[] = [];
  const other = join(dir, "other");
  beforeAll(async () => {
    if (there) server = await redisServer();
    mkdirSync(other);
    for (const part of ["bin", "dist", "package.json"]) cpSync(join(root, part), join(other, part), { recursive: true });
    appendFileSync(join(other, "dist/cli.js"), "\n// Another version.\n");
  });
  afterAll(async () => {
    for (const begun of workers) killGroup(begun);
    await server?.stop();
  });
  const linked = join(dir, "linked");

  it("say what to install when the packages of a queue are not there", () => {
    const ran = bnfold(["jobs", "fold", ".", "--store", dir, "--queue", "redis://127.0.0.1:1"], {}, { at: other });
    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain(
      "--queue redis:// needs bullmq and ioredis, which are not installed\n  npm install bullmq ioredis",
    );
  });

  it.skipIf(!there)("of two versions do not work together", async () => {
    cpSync(other, linked, { recursive: true });
    symlinkSync(join(root, "node_modules"), join(linked, "node_modules"));
    const store = makeZoo(join(dir, "mixed"), 2);
    const places = ["--store", store, "--queue", server.url];
    const theirs = (...args: string[]) => bnfold([...args, ...places], {}, { at: linked });

    // Jobs of this one wait: a worker of the other is not for them.
    expect((await run(["jobs", "fold", "zoo", ...places, "--detach"])).code).toBe(0);
    const left = () => ["runs", "tags"].map((what) => readdirSync(join(store, ".bnfold", what)));
    const before = left();
    expect(before.map((names) => names.length)).toEqual([1, 1]);
    const worker = theirs("worker", "--idle", "1");
    expect(worker.code).toBe(2);
    expect(left()).toEqual(before);
    expect(worker.stderr).toMatch(/the jobs in this queue are for bnfold (\S+), this is (?!\1)\S+: their bytes may differ/);

    const [made] = readdirSync(join(store, ".bnfold/runs"));
    // Workers of this one wait: jobs of the other are not for them.
    const mine = begin(["worker", ...places]);
    workers.push(mine);
    await until(() => doneIn(store).length === 2);
    const command = theirs("jobs", "fold", "zoo");
    expect(command.code).toBe(2);
    expect(command.stderr).toMatch(/the workers at this queue are of bnfold (\S+), this is (?!\1)\S+: their bytes may differ/);
    const retried = theirs("jobs", "retry", made);
    expect(retried.code).toBe(2);
    expect(retried.stderr).toContain("the run is of bnfold");
    // Who is refused leaves nothing behind.
    expect(left()).toEqual(before);

    // With a worker of its own, each does what is its own.
    const second = begin(["worker", ...places], {}, join(linked, "bin/bnfold.js"));
    workers.push(second);
    await until(() => second.stderr().includes("takes"));
    expect(theirs("jobs", "fold", "zoo").code).toBe(0);
    expect(mine.stderr()).not.toContain("cannot be done");
  });
});
