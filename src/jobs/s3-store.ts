/**
 * A store that is a bucket behind S3's protocol: `s3://bucket/prefix`. Objects are read by ranges of the version that was listed
 * (`If-Match`), and written whole or in parts that become an object with the last request: nothing half written is ever seen.
 *
 * Credentials, region and endpoint come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION (or
 * AWS_DEFAULT_REGION) and AWS_ENDPOINT_URL_S3 (or AWS_ENDPOINT_URL).
 */
import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { AwsClient } from "aws4fetch";
import { BnfoldError } from "../diag/error.ts";
import { fileError } from "../node/files.ts";
import { requireKey, tidyKey } from "./keys.ts";
import type { Entry, Store } from "./store.ts";
import { textOf, textsOf } from "./xml.ts";

/** Bytes of one request. */
const PART = 1 << 23;
/** Requests of one file at the same time. */
const LANES = 4;
/** An upload may have 10,000 parts. */
const MOST_PARTS = 9_000;
/** Tries of a request, and the milliseconds before the second; each later wait is twice as long. */
const TRIES = 6;
const FIRST_WAIT_MS = 200;
/** A request that moves at least its bytes in this time goes on; a hanging one is tried again. */
const TIMEOUT_MS = 120_000;

interface Ask {
  readonly method?: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Statuses that are an answer, not a failure. */
  readonly allowed?: readonly number[];
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** As the signature wants path segments: every byte but the unreserved ones. */
const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

const isTransient = (status: number): boolean => status === 408 || status === 429 || status >= 500;

/** Does `work` for each of `items`, a few at a time; stops at the first failure. */
async function inLanes<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  let failed = false;
  const lane = async (): Promise<void> => {
    while (next < items.length && !failed) {
      try {
        await work(items[next++]);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: Math.min(LANES, items.length) }, lane));
  for (const result of lanes) if (result.status === "rejected") throw result.reason;
}

interface Range {
  readonly start: number;
  readonly end: number;
}

const ranges = (size: number, part: number): Range[] =>
  Array.from({ length: Math.max(1, Math.ceil(size / part)) }, (_, i) => ({
    start: i * part,
    end: Math.min(size, (i + 1) * part),
  }));

class S3Store implements Store {
  readonly remote = true;

  constructor(
    readonly label: string,
    private readonly client: AwsClient,
    /** Endpoint and bucket. */
    private readonly base: string,
    private readonly prefix: string,
  ) {}

  private name(key: string): string {
    requireKey(key);
    return this.prefix === "" ? key : `${this.prefix}/${key}`;
  }

  private url(name: string, query: Readonly<Record<string, string>> = {}): string {
    const path = name.split("/").map(encoded).join("/");
    const search = Object.entries(query)
      .map(([key, value]) => `${encoded(key)}=${encoded(value)}`)
      .join("&");
    return `${this.base}/${path}${search === "" ? "" : `?${search}`}`;
  }

  /** One request, tried again while the failure is one that passes. */
  private async ask(name: string, what: Ask = {}): Promise<Answer> {
    const { method = "GET", query, headers = {}, body, allowed = [] } = what;
    let last = "";
    for (let i = 0; i < TRIES; i++) {
      if (i > 0) await wait(FIRST_WAIT_MS * 2 ** (i - 1) * (0.5 + Math.random()));
      try {
        const request = await this.client.sign(this.url(name, query), {
          method,
          headers: { ...headers, "X-Amz-Content-Sha256": sha256(body ?? new Uint8Array(0)) },
          ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
        });
        const answer = await fetch(request, { signal: AbortSignal.timeout(TIMEOUT_MS) });
        const bytes = new Uint8Array(await answer.arrayBuffer());
        if (answer.ok || allowed.includes(answer.status)) return { status: answer.status, headers: answer.headers, bytes };
        last = this.complaint(answer.status, bytes);
        if (!isTransient(answer.status)) throw this.refused(name, method, answer.status, last);
      } catch (error) {
        if (error instanceof BnfoldError) throw error;
        const { message, cause } = error as Error;
        last = cause instanceof Error && cause.message !== "" ? cause.message : message;
      }
    }
    throw new BnfoldError(
      "temporary",
      `the store ${this.label} does not answer: ${last}`,
      { file: this.label },
      "Try again when it is there.",
    );
  }

  private complaint(status: number, bytes: Uint8Array): string {
    const text = new TextDecoder().decode(bytes.subarray(0, 4096));
    const code = textOf(text, "Code");
    return code === undefined ? `status ${status}` : `${code} (status ${status})`;
  }

  private refused(name: string, method: string, status: number, what: string): BnfoldError {
    const hint =
      status === 401 || status === 403
        ? "Look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_REGION, and at what they may do."
        : status === 404
          ? "Look at the bucket and the prefix of --store."
          : status === 412
            ? "It has changed since the job was made: run the command again."
            : undefined;
    return new BnfoldError("file", `the store ${this.label} refuses ${method} of "${name}": ${what}`, { file: name }, hint);
  }

  async list(prefix: string): Promise<Entry[]> {
    const whole = this.prefix === "" ? prefix : `${this.prefix}/${prefix}`;
    const hidden = prefix.split("/").some((part) => part.startsWith("."));
    const found: Entry[] = [];
    for (let token: string | undefined = ""; token !== undefined; ) {
      const query: Record<string, string> = {
        "list-type": "2",
        prefix: whole,
        "encoding-type": "url",
        ...(token === "" ? {} : { "continuation-token": token }),
      };
      const text = new TextDecoder().decode((await this.ask("", { query })).bytes);
      for (const block of textsOf(text, "Contents")) {
        const name = decodeURIComponent((textOf(block, "Key") ?? "").replaceAll("+", "%20"));
        const key = this.prefix === "" ? name : name.slice(this.prefix.length + 1);
        if (key.endsWith("/") || (!hidden && key.split("/").some((part) => part.startsWith(".")))) continue;
        found.push({ key, size: Number(textOf(block, "Size")), version: textOf(block, "ETag") ?? "" });
      }
      token = textOf(text, "IsTruncated") === "true" ? textOf(text, "NextContinuationToken") : undefined;
    }
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async stat(key: string): Promise<Entry | undefined> {
    const { status, headers } = await this.ask(this.name(key), { method: "HEAD", allowed: [404] });
    if (status === 404) return undefined;
    return { key, size: Number(headers.get("content-length")), version: headers.get("etag") ?? "" };
  }

  async read({ key, version }: Entry, start: number, end: number): Promise<Uint8Array> {
    if (start === end) return new Uint8Array(0);
    const headers = { range: `bytes=${start}-${end - 1}`, "if-match": version };
    const { bytes } = await this.ask(this.name(key), { headers });
    if (bytes.length !== end - start)
      throw new BnfoldError("file", `the store ${this.label} gave ${bytes.length} bytes of "${key}" in place of ${end - start}`, {
        file: key,
      });
    return bytes;
  }

  async get(key: string, limit: number): Promise<Uint8Array | undefined> {
    // The range bounds what comes; of an empty object no range can be had.
    const headers = { range: `bytes=0-${limit}` };
    const { status, bytes } = await this.ask(this.name(key), { headers, allowed: [404, 416] });
    if (status === 404) return undefined;
    if (status === 416) return new Uint8Array(0);
    if (bytes.length > limit) throw new BnfoldError("format", `the file has more than ${limit} bytes`, { file: key });
    return bytes;
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.ask(this.name(key), { method: "PUT", body: bytes });
  }

  async putNew(key: string, bytes: Uint8Array): Promise<boolean> {
    const name = this.name(key);
    const taken = [409, 412, 501];
    const { status } = await this.ask(name, { method: "PUT", body: bytes, headers: { "if-none-match": "*" }, allowed: taken });
    // Some servers do not know the condition; then whoever writes last is believed by all who read after it.
    if (status === 501) await this.put(key, bytes);
    return status !== 409 && status !== 412;
  }

  async fetch(entry: Entry, scratch: string): Promise<string> {
    let file: FileHandle | undefined;
    try {
      await mkdir(dirname(scratch), { recursive: true });
      file = await open(scratch, "w");
      const target = file;
      await inLanes(ranges(entry.size, PART), async ({ start, end }) => {
        await target.write(await this.read(entry, start, end), 0, end - start, start);
      });
    } catch (error) {
      throw fileError(scratch, error);
    } finally {
      await file?.close();
    }
    return scratch;
  }

  async place(key: string, scratch: string): Promise<string> {
    requireKey(key);
    try {
      await mkdir(dirname(scratch), { recursive: true });
    } catch (error) {
      throw fileError(scratch, error);
    }
    return scratch;
  }

  async commit(key: string, path: string): Promise<void> {
    const name = this.name(key);
    const { size } = await stat(path);
    const part = Math.max(PART, Math.ceil(size / MOST_PARTS));
    const file = await open(path, "r");
    const read = async ({ start, end }: Range): Promise<Uint8Array> => {
      const bytes = new Uint8Array(end - start);
      for (let done = 0; done < bytes.length; ) {
        const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
        if (bytesRead === 0) throw new BnfoldError("file", `"${path}" became shorter while it was read`, { file: path });
        done += bytesRead;
      }
      return bytes;
    };
    try {
      if (size <= part) await this.put(key, await read({ start: 0, end: size }));
      else await this.putParts(name, ranges(size, part), read);
    } finally {
      await file.close();
    }
  }

  private async putParts(name: string, parts: readonly Range[], read: (range: Range) => Promise<Uint8Array>): Promise<void> {
    const begun = await this.ask(name, { method: "POST", query: { uploads: "" } });
    const uploadId = textOf(new TextDecoder().decode(begun.bytes), "UploadId");
    if (uploadId === undefined)
      throw new BnfoldError("file", `the store ${this.label} does not begin an upload of "${name}"`, { file: name });
    try {
      const tags = new Map<number, string>();
      await inLanes([...parts.entries()], async ([i, range]) => {
        const query = { partNumber: String(i + 1), uploadId };
        const { headers } = await this.ask(name, { method: "PUT", query, body: await read(range) });
        tags.set(i + 1, headers.get("etag") ?? "");
      });
      const list = parts.map((_, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${tags.get(i + 1)}</ETag></Part>`).join("");
      const body = new TextEncoder().encode(`<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`);
      const { bytes } = await this.ask(name, { method: "POST", query: { uploadId }, body });
      // The protocol may say 200 and an error behind it.
      const failure = textOf(new TextDecoder().decode(bytes), "Error");
      if (failure !== undefined)
        throw new BnfoldError("temporary", `the store ${this.label} did not put "${name}" together: ${textOf(failure, "Code")}`, {
          file: name,
        });
    } catch (error) {
      await this.ask(name, { method: "DELETE", query: { uploadId }, allowed: [404] }).catch(() => undefined);
      throw error;
    }
  }

  async remove(key: string): Promise<void> {
    await this.ask(this.name(key), { method: "DELETE", allowed: [404] });
  }
}

/** @throws BnfoldError of kind "usage" when the URL or the environment does not say enough. */
export async function s3Store(url: string, env: NodeJS.ProcessEnv): Promise<Store> {
  const [, bucket, rest = ""] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,62})(?:\/(.*))?$/is.exec(url) ?? [];
  if (bucket === undefined || /[?#@]/.test(rest))
    throw new BnfoldError(
      "usage",
      "--store s3:// is written s3://bucket/prefix",
      {},
      "Credentials and endpoint come from the environment: AWS_ACCESS_KEY_ID and its kin.",
    );
  const prefix = rest === "" ? "" : tidyKey(rest);
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken } = env;
  if (!accessKeyId || !secretAccessKey)
    throw new BnfoldError(
      "usage",
      "there are no credentials for the store",
      {},
      "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary ones).",
    );
  const region = env.AWS_REGION || env.AWS_DEFAULT_REGION || "us-east-1";
  const endpoint = env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || `https://s3.${region}.amazonaws.com`;
  if (!/^https?:\/\/[^@]+$/.test(endpoint)) throw new BnfoldError("usage", "AWS_ENDPOINT_URL is no http or https URL", {});
  const { AwsClient } = await import("aws4fetch");
  const client = new AwsClient({
    accessKeyId,
    secretAccessKey,
    sessionToken: sessionToken || undefined,
    region,
    service: "s3",
    retries: 0,
  });
  const label = `s3://${bucket}${prefix === "" ? "" : `/${prefix}`}`;
  return new S3Store(label, client, `${endpoint.replace(/\/+$/, "")}/${bucket}`, prefix);
}
