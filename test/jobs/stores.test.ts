import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { queueUrl } from "../../src/jobs/engine.ts";
import { redacted, withoutSecrets } from "../../src/jobs/redact.ts";
import { openStore, type Store } from "../../src/jobs/store.ts";
import { folder } from "../cli/bnfold.ts";
import { S3Double } from "./s3-double.ts";

const dir = folder();
const credentials = { id: "AKIDTEST", secret: "a/secret+with=signs", token: "session token", region: "eu-test-1" };
const double = new S3Double("zoo", credentials);
const env: Record<string, string> = {
  AWS_ACCESS_KEY_ID: credentials.id,
  AWS_SECRET_ACCESS_KEY: credentials.secret,
  AWS_SESSION_TOKEN: credentials.token,
  AWS_REGION: credentials.region,
};

beforeAll(async () => {
  env.AWS_ENDPOINT_URL_S3 = await double.start();
});
afterAll(() => double.stop());

const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);
const bytes = (said: string): Uint8Array => new TextEncoder().encode(said);

describe.each(["folder", "bucket"])("a %s", (kind) => {
  let store: Store;
  beforeAll(async () => {
    mkdirSync(join(dir, "store"), { recursive: true });
    store = await (kind === "folder" ? openStore(join(dir, "store")) : openStore("s3://zoo/a prefix/deep", env));
  });

  it("lists, reads by ranges, writes and removes", async () => {
    const names = ["m/a b+c.onnx", "m/ä&<ü>.onnx", "m/deep/x=1'(2)*!.onnx", "n.txt", ".hidden/x"];
    for (const name of names) await store.put(name, bytes(`content of ${name}`));
    expect((await store.list("m/")).map(({ key }) => key)).toEqual(names.slice(0, 3).sort());
    expect((await store.list("")).map(({ key }) => key)).toEqual(names.slice(0, 4).sort());
    expect((await store.list(".hidden/")).map(({ key }) => key)).toEqual([".hidden/x"]);
    const entry = await store.stat("m/a b+c.onnx");
    expect(entry?.size).toBe(bytes("content of m/a b+c.onnx").length);
    expect(text(await store.read(entry as NonNullable<typeof entry>, 3, 10))).toBe("tent of");
    expect(await store.stat("m/nothing")).toBeUndefined();
    expect(await store.get("m/nothing", 10)).toBeUndefined();
    await expect(store.get("n.txt", 5)).rejects.toThrow("5");
    await store.put("empty", new Uint8Array(0));
    expect(await store.get("empty", 5)).toEqual(new Uint8Array(0));
    await store.remove("n.txt");
    await store.remove("n.txt");
    expect(await store.stat("n.txt")).toBeUndefined();
  });

  it("takes a name once", async () => {
    expect(await store.putNew("once", bytes("first"))).toBe(true);
    expect(await store.putNew("once", bytes("second"))).toBe(false);
    expect(text(await store.get("once", 100))).toBe("first");
  });

  it("commits a large file whole, and fetches it as it was", async () => {
    const content = randomBytes(20_000_003);
    const made = await store.place("results/large", join(dir, `large-${kind}`));
    writeFileSync(made, content);
    await store.commit("results/large", made);
    const entry = await store.stat("results/large");
    expect(entry?.size).toBe(content.length);
    const path = await store.fetch(entry as NonNullable<typeof entry>, join(dir, `fetched-${kind}`));
    expect(createHash("sha256").update(readFileSync(path)).digest("hex")).toBe(
      createHash("sha256").update(content).digest("hex"),
    );
    expect(double.uploads.size).toBe(0);
  });

  it("does not take one version for another", async () => {
    await store.put("changing", bytes("one"));
    const entry = (await store.stat("changing")) as NonNullable<Awaited<ReturnType<Store["stat"]>>>;
    await store.put("changing", bytes("two!"));
    await expect(store.fetch(entry, join(dir, "changed"))).rejects.toThrow(/chang/);
  });

  it.each(["../x", "/etc/passwd", "a/../../x", "a\\..\\x", "C:/x", "a//b", "a/./b", "", "a\nb", "a\0b", "x".repeat(1025)])(
    "refuses the key %j",
    async (key) => {
      const refusal = { kind: "usage" };
      await expect(store.put(key, bytes("x"))).rejects.toMatchObject(refusal);
      await expect(store.stat(key)).rejects.toMatchObject(refusal);
      await expect(store.get(key, 10)).rejects.toMatchObject(refusal);
      await expect(store.place(key, join(dir, "p"))).rejects.toMatchObject(refusal);
    },
  );
});

describe("a folder with links", () => {
  it("follows those that stay inside, and no others", async () => {
    const home = join(dir, "linked");
    mkdirSync(join(home, "in"), { recursive: true });
    writeFileSync(join(home, "in/a"), "inside");
    writeFileSync(join(dir, "outside"), "secret");
    symlinkSync(join(home, "in/a"), join(home, "good"));
    symlinkSync(join(dir, "outside"), join(home, "bad"));
    symlinkSync(dir, join(home, "out"));
    symlinkSync(join(dir, "new-file"), join(home, "dangling"));
    const store = await openStore(home);
    expect(text(await store.get("good", 100))).toBe("inside");
    for (const key of ["bad", "out/outside", "out/new", "dangling"]) {
      await expect(store.get(key, 100)).rejects.toThrow("leads out of the store");
      await expect(store.put(key, bytes("x"))).rejects.toThrow("leads out of the store");
    }
    expect(readFileSync(join(dir, "outside"), "utf8")).toBe("secret");
    expect(existsSync(join(dir, "new-file"))).toBe(false);
    expect((await store.list("")).map(({ key }) => key)).toEqual(["good", "in/a"]);
    expect(readdirSync(home).sort()).toEqual(["bad", "dangling", "good", "in", "out"]);
  });
});

describe("a bucket", () => {
  it("is listed page by page", async () => {
    const store = await openStore("s3://zoo/pages", env);
    for (let i = 0; i < 7; i++) await store.put(`k${i}`, bytes("x"));
    double.page = 2;
    expect((await store.list("")).map(({ key }) => key)).toEqual(["k0", "k1", "k2", "k3", "k4", "k5", "k6"]);
    double.page = 1000;
  });

  it("is asked again while it is in trouble, and called temporary when that does not end", async () => {
    const store = await openStore("s3://zoo/pages", env);
    double.trouble = "busy";
    setTimeout(() => {
      double.trouble = "silent";
    }, 300);
    setTimeout(() => {
      double.trouble = "none";
    }, 900);
    expect((await store.stat("k0"))?.size).toBe(1);
    double.trouble = "silent";
    await expect(store.stat("k0")).rejects.toMatchObject({ kind: "temporary", exitCode: 75 });
    double.trouble = "none";
  }, 30_000);

  it("says which variables to look at when it refuses", async () => {
    const wrong = await openStore("s3://zoo/pages", { ...env, AWS_SECRET_ACCESS_KEY: "another" });
    const error = await wrong.get("k0", 10).catch((e: unknown) => e);
    expect(error).toMatchObject({ kind: "file", hint: expect.stringContaining("AWS_SECRET_ACCESS_KEY") });
    expect(String(error)).toContain("SignatureDoesNotMatch");
    expect(String(error)).not.toContain("another");
    await expect(openStore("s3://zoo/x", {})).rejects.toThrow("no credentials");
    await expect(openStore("s3://user:pw@zoo/x", env)).rejects.toMatchObject({ kind: "usage" });
    await expect(openStore("ftp://zoo/x", env)).rejects.toThrow("no store of that kind");
  });
});

describe("secrets", () => {
  it("are taken out of URLs and of what drivers say", () => {
    const url = "rediss://user:p%40ss@host:6380/1?token=abc";
    expect(redacted(url)).toBe("rediss://host:6380/1");
    expect(redacted("s3://zoo/x")).toBe("s3://zoo/x");
    const said = withoutSecrets(`cannot connect to ${url}: bad password p@ss or p%40ss`, url);
    expect(said).toBe("cannot connect to rediss://host:6380/1: bad password *** or ***");
  });

  it("are not taken from the command line", () => {
    expect(() => queueUrl("redis://:secret@host", {}, ["--queue", "redis://:secret@host"])).toThrow("holds a password");
    expect(() => queueUrl("postgres://host/db?password=x", {}, ["--queue=postgres://host/db?password=x"])).toThrow(
      "holds a password",
    );
    // What a variable or a file says is made an option, too.
    expect(queueUrl("redis://:secret@host", {}, ["worker"])).toBe("redis://:secret@host");
    expect(queueUrl(undefined, { BNFOLD_QUEUE: "redis://:secret@host" })).toBe("redis://:secret@host");
    expect(queueUrl("redis://host", { BNFOLD_QUEUE: "redis://other" })).toBe("redis://host");
  });
});
