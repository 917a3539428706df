/**
 * A bucket behind S3's protocol, in memory: what a store needs of it, with every request's signature computed anew from what came
 * in (AWS Signature Version 4) and compared, and every body with the hash that was signed.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");
const hmac = (key: string | Uint8Array, data: string): Buffer => createHmac("sha256", key).update(data).digest();
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
const escaped = (text: string): string =>
  text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");

export interface Credentials {
  readonly id: string;
  readonly secret: string;
  readonly token?: string;
  readonly region: string;
}

interface Request {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** Why a request is not signed by the owner of these credentials; undefined when it is. */
export function flaw(
  { method, path, query, headers, body }: Request,
  { id, secret, token, region }: Credentials,
): string | undefined {
  const said = /^AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
    headers.authorization ?? "",
  );
  if (said === null) return "AccessDenied";
  const [, credential, signed, signature] = said;
  const stamp = String(headers["x-amz-date"] ?? "");
  const day = stamp.slice(0, 8);
  if (credential !== `${id}/${day}/${region}/s3/aws4_request`) return "InvalidAccessKeyId";
  if (headers["x-amz-security-token"] !== token) return "InvalidToken";
  const names = signed.split(";");
  if (!names.includes("host") || !names.includes("x-amz-content-sha256") || !names.includes("x-amz-date")) return "AccessDenied";
  if (headers["x-amz-content-sha256"] !== sha256(body)) return "XAmzContentSHA256Mismatch";
  const pairs = [...query].map(([key, value]) => `${encode(key)}=${encode(value)}`).sort();
  const canonical = [
    ...[
      method,
      path
        .split("/")
        .map((part) => encode(decodeURIComponent(part)))
        .join("/"),
      pairs.join("&"),
    ],
    ...[...names.map((name) => `${name}:${String(headers[name] ?? "").trim()}`), "", signed, sha256(body)],
  ].join("\n");
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", stamp, scope, sha256(canonical)].join("\n");
  const key = ["s3", "aws4_request"].reduce((k, part) => hmac(k, part), hmac(hmac(`AWS4${secret}`, day), region));
  return timingSafeEqual(hmac(key, text), Buffer.from(signature, "hex")) ? undefined : "SignatureDoesNotMatch";
}

export class S3Double {
  readonly objects = new Map<string, { readonly bytes: Buffer; readonly etag: string }>();
  readonly uploads = new Map<string, Map<number, Buffer>>();
  /** Requests that were answered, as `GET key`. */
  readonly log: string[] = [];
  /** How requests fail meanwhile: not answered at all, or with a status of trouble. */
  trouble: "none" | "silent" | "busy" = "none";
  /** Keys a page of a listing has. */
  page = 1000;
  private readonly server: Server;
  private next = 1;

  constructor(
    private readonly bucket: string,
    private readonly credentials: Credentials,
  ) {
    this.server = createServer((request, response) => void this.take(request, response));
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    const address = this.server.address();
    return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  put(key: string, bytes: Uint8Array): string {
    const etag = `"${createHash("md5").update(bytes).digest("hex")}"`;
    this.objects.set(key, { bytes: Buffer.from(bytes), etag });
    return etag;
  }

  private async take(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of message) parts.push(part as Buffer);
    if (this.trouble === "silent") return void message.socket.destroy();
    const url = new URL(message.url ?? "/", "http://double");
    const [method, path] = [message.method ?? "GET", (message.url ?? "/").split("?")[0]];
    const request = { method, path, query: url.searchParams, headers: message.headers, body: Buffer.concat(parts) };
    const wrong = this.trouble === "busy" ? undefined : flaw(request, this.credentials);
    if (this.trouble === "busy") return void this.refuse(response, 503, "SlowDown");
    if (wrong !== undefined) return void this.refuse(response, 403, wrong);
    const [, bucket, ...rest] = path.split("/").map(decodeURIComponent);
    if (bucket !== this.bucket) return void this.refuse(response, 404, "NoSuchBucket");
    const key = rest.join("/");
    this.log.push(`${method} ${key}`);
    this.answer(request, key, response);
  }

  private refuse(response: ServerResponse, status: number, code: string): ServerResponse {
    response.writeHead(status, { "content-type": "application/xml" });
    return response.end(`<?xml version="1.0"?><Error><Code>${code}</Code></Error>`);
  }

  private answer(request: Request, key: string, response: ServerResponse): ServerResponse {
    const { method, query } = request;
    if (method === "GET" && key === "") return this.list(query, response);
    if (query.has("uploads") || query.has("uploadId")) return this.multipart(request, key, response);
    if (method === "GET" || method === "HEAD") return this.get(request, key, response);
    if (method === "DELETE") {
      this.objects.delete(key);
      return response.writeHead(204).end();
    }
    if (request.headers["if-none-match"] === "*" && this.objects.has(key))
      return this.refuse(response, 412, "PreconditionFailed");
    return response.writeHead(200, { etag: this.put(key, request.body) }).end();
  }

  private get({ method, headers }: Request, key: string, response: ServerResponse): ServerResponse {
    const found = this.objects.get(key);
    if (found === undefined) return method === "HEAD" ? response.writeHead(404).end() : this.refuse(response, 404, "NoSuchKey");
    if (headers["if-match"] !== undefined && headers["if-match"] !== found.etag)
      return this.refuse(response, 412, "PreconditionFailed");
    const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "");
    if (range !== null && Number(range[1]) >= found.bytes.length) return this.refuse(response, 416, "InvalidRange");
    const bytes = range === null ? found.bytes : found.bytes.subarray(Number(range[1]), Number(range[2]) + 1);
    response.writeHead(range === null ? 200 : 206, { etag: found.etag, "content-length": bytes.length });
    return response.end(method === "HEAD" ? undefined : bytes);
  }

  private list(query: URLSearchParams, response: ServerResponse): ServerResponse {
    const [prefix, token] = [query.get("prefix") ?? "", query.get("continuation-token") ?? ""];
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > token).sort();
    const shown = keys.slice(0, this.page);
    const written = (key: string) => (query.get("encoding-type") === "url" ? encode(key).replaceAll("%2F", "/") : key);
    const contents = shown.map((key) => {
      const { bytes, etag } = this.objects.get(key) as { bytes: Buffer; etag: string };
      return `<Contents><Key>${escaped(written(key))}</Key><Size>${bytes.length}</Size><ETag>${escaped(etag)}</ETag></Contents>`;
    });
    const more = shown.length < keys.length;
    const next = more ? `<NextContinuationToken>${escaped(shown[shown.length - 1])}</NextContinuationToken>` : "";
    return response.end(
      `<?xml version="1.0"?><ListBucketResult><IsTruncated>${more}</IsTruncated>${next}${contents.join("")}</ListBucketResult>`,
    );
  }

  private multipart({ method, query, body }: Request, key: string, response: ServerResponse): ServerResponse {
    const id = query.get("uploadId") ?? "";
    if (method === "POST" && query.has("uploads")) {
      const upload = `upload ${this.next++} of <${key}>`;
      this.uploads.set(upload, new Map());
      return response.end(
        `<InitiateMultipartUploadResult><UploadId>${escaped(upload)}</UploadId></InitiateMultipartUploadResult>`,
      );
    }
    const parts = this.uploads.get(id);
    if (parts === undefined) return this.refuse(response, 404, "NoSuchUpload");
    if (method === "PUT") {
      parts.set(Number(query.get("partNumber")), body);
      return response.writeHead(200, { etag: `"${sha256(body).slice(0, 32)}"` }).end();
    }
    this.uploads.delete(id);
    if (method === "DELETE") return response.writeHead(204).end();
    const named = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>"([0-9a-f]+)"<\/ETag>/g)];
    const bytes = named.map(([, number, etag]) => {
      const part = parts.get(Number(number)) ?? Buffer.alloc(0);
      return sha256(part).startsWith(etag) ? part : undefined;
    });
    if (named.length !== parts.size || bytes.includes(undefined)) return this.refuse(response, 400, "InvalidPart");
    this.put(key, Buffer.concat(bytes as Buffer[]));
    return response.end("<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>");
  }
}
