/** Real servers for tests: each in a folder of its own, on loopback, on a port nobody uses, ended with the tests. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

export interface Server {
  readonly url: string;
  start(): Promise<void>;
  /** Ends it at once, as a machine that loses power does; its files stay. */
  kill(): Promise<void>;
  /** Forgets everything. */
  wipe(): Promise<void>;
  stop(): Promise<void>;
}

/** Files of a certificate and its key. */
export interface Tls {
  readonly key: string;
  readonly certificate: string;
}

export interface Locks {
  readonly tls?: Tls;
  readonly password?: string;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

const found = (program: string, folders: readonly string[]): string | undefined =>
  folders.map((folder) => join(folder, program)).find((path) => existsSync(path));

const PATHS = (process.env.PATH ?? "").split(":");

export const redisPath = (): string | undefined => found("redis-server", PATHS) ?? found("valkey-server", PATHS);

export const opensslPath = (): string | undefined => found("openssl", PATHS);

/** Where PostgreSQL's programs are: Debian keeps them off the PATH. */
export function postgresFolder(): string | undefined {
  const home = "/usr/lib/postgresql";
  const versions = existsSync(home) ? readdirSync(home).sort().reverse() : [];
  const folders = [...versions.map((version) => join(home, version, "bin")), ...PATHS];
  return folders.find((folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "postgres")));
}

/** Says so where a server is not there: tests that are left out must be seen. */
export function loudly(name: string, there: boolean): boolean {
  if (!there) process.stderr.write(`\n  SKIPPED: ${name} is not installed (apt-get install redis-server postgresql)\n\n`);
  return there;
}

function ended(child: ChildProcess): Promise<void> {
  return child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once("exit", () => resolve()));
}

async function untilPort(port: number, child: ChildProcess): Promise<void> {
  const { connect } = await import("node:net");
  for (let i = 0; i < 400; i++) {
    if (child.exitCode !== null) throw new Error(`the server ended with code ${child.exitCode}`);
    const there = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.on("connect", () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (there) return;
    await wait(50);
  }
  throw new Error("the server does not listen");
}

abstract class Base implements Server {
  abstract readonly url: string;
  protected child: ChildProcess | undefined;

  constructor(
    protected readonly home: string,
    protected readonly port: number,
    protected readonly locks: Locks = {},
  ) {}

  protected abstract spawned(): ChildProcess;
  abstract wipe(): Promise<void>;

  async start(): Promise<void> {
    this.child = this.spawned();
    await untilPort(this.port, this.child);
  }

  async kill(): Promise<void> {
    if (this.child === undefined) return;
    this.child.kill("SIGKILL");
    await ended(this.child);
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.home, { recursive: true, force: true });
  }
}

class RedisServer extends Base {
  get url(): string {
    const { tls, password } = this.locks;
    const user = password === undefined ? "" : `:${encodeURIComponent(password)}@`;
    return `${tls === undefined ? "redis" : "rediss"}://${user}127.0.0.1:${this.port}`;
  }

  private get lockOptions(): string[] {
    const { tls, password } = this.locks;
    const files = (of: Tls) => [
      "--tls-cert-file",
      of.certificate,
      "--tls-key-file",
      of.key,
      "--tls-ca-cert-file",
      of.certificate,
    ];
    return [
      ...(tls === undefined
        ? ["--port", String(this.port)]
        : ["--port", "0", "--tls-port", String(this.port), ...files(tls), "--tls-auth-clients", "no"]),
      ...(password === undefined ? [] : ["--requirepass", password]),
    ];
  }

  protected spawned(): ChildProcess {
    const options = ["--bind", "127.0.0.1", ...this.lockOptions, "--dir", this.home, "--save", "", "--appendonly", "yes"];
    // It is the server that is killed, not the machine: what was written stays, be it on the disk or on its way there.
    return spawn(redisPath() as string, [...options, "--appendfsync", "no", "--maxmemory-policy", "noeviction"], {
      stdio: "ignore",
    });
  }

  async wipe(): Promise<void> {
    const { Redis } = await import("ioredis");
    const redis = new Redis(this.url);
    await redis.flushall();
    redis.disconnect();
  }
}

/** PostgreSQL refuses to be root. */
const NOBODY = 65534;

class PostgresServer extends Base {
  private readonly asRoot = process.getuid?.() === 0;

  get url(): string {
    const { password } = this.locks;
    return `postgres://bnfold${password === undefined ? "" : `:${encodeURIComponent(password)}`}@127.0.0.1:${this.port}/postgres`;
  }

  private get as(): { uid?: number; gid?: number } {
    return this.asRoot ? { uid: NOBODY, gid: NOBODY } : {};
  }

  private get data(): string {
    return join(this.home, "data");
  }

  /** A file the server reads: its own, and closed to others, as it wants them. */
  private given(name: string, bytes: string | Uint8Array): string {
    const path = join(this.home, name);
    writeFileSync(path, bytes, { mode: 0o600 });
    if (this.asRoot) chownSync(path, NOBODY, NOBODY);
    return path;
  }

  init(): void {
    mkdirSync(this.data);
    if (this.asRoot) for (const path of [this.home, this.data]) chownSync(path, NOBODY, NOBODY);
    chmodSync(this.data, 0o700);
    const { password } = this.locks;
    const auth =
      password === undefined ? ["-A", "trust"] : ["-A", "scram-sha-256", "--pwfile", this.given("password", `${password}\n`)];
    const initdb = join(postgresFolder() as string, "initdb");
    execFileSync(initdb, ["-D", this.data, "-U", "bnfold", ...auth, "-E", "UTF8", "--no-sync"], {
      stdio: "ignore",
      ...this.as,
      cwd: this.home,
    });
  }

  private get tlsOptions(): string[] {
    const { tls } = this.locks;
    if (tls === undefined) return [];
    const [key, certificate] = [
      this.given("key.pem", readFileSync(tls.key)),
      this.given("cert.pem", readFileSync(tls.certificate)),
    ];
    return ["ssl=on", `ssl_key_file=${key}`, `ssl_cert_file=${certificate}`].flatMap((setting) => ["-c", setting]);
  }

  protected spawned(): ChildProcess {
    rmSync(join(this.data, "postmaster.pid"), { force: true });
    const options = [
      "-D",
      this.data,
      "-p",
      String(this.port),
      "-h",
      "127.0.0.1",
      "-k",
      this.home,
      ...["-c", "max_connections=200"],
      // As above.
      ...["-c", "fsync=off"],
      ...this.tlsOptions,
    ];
    return spawn(join(postgresFolder() as string, "postgres"), options, { stdio: "ignore", ...this.as, cwd: this.home });
  }

  private sql(text: string): void {
    const psql = join(postgresFolder() as string, "psql");
    execFileSync(psql, ["-X", "-q", "-d", this.url, "-c", text], { stdio: "ignore" });
  }

  override async start(): Promise<void> {
    await super.start();
    // It listens before it takes queries.
    for (let i = 0; i < 200; i++) {
      try {
        this.sql("select 1");
        return;
      } catch {
        await wait(50);
      }
    }
    throw new Error("PostgreSQL takes no queries");
  }

  async wipe(): Promise<void> {
    this.sql("truncate bullmq.job cascade");
  }
}

const folder = (): string => mkdtempSync(join(tmpdir(), "bnfold-server-"));

export async function redisServer(locks: Locks = {}): Promise<Server> {
  const server = new RedisServer(folder(), await freePort(), locks);
  await server.start();
  return server;
}

export async function postgresServer(locks: Locks = {}): Promise<Server> {
  const server = new PostgresServer(folder(), await freePort(), locks);
  server.init();
  await server.start();
  return server;
}

/** What tests run on, one after the other. */
export const SERVERS: readonly { readonly name: string; readonly there: boolean; readonly make: () => Promise<Server> }[] = [
  { name: "Redis", there: redisPath() !== undefined, make: () => redisServer() },
  { name: "PostgreSQL", there: postgresFolder() !== undefined, make: () => postgresServer() },
];
