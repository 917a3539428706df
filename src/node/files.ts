/** Files as byte sources. Reads are positional and synchronous; positions may exceed 4 GiB. */
import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { BnfoldError } from "../diag/error.ts";
import { read } from "../onnx/read.ts";
import type { Model } from "../onnx/records.ts";
import type { ByteSource, ExternalResolver } from "../onnx/source.ts";
import { fileError, locationParts, requireRegular, resolveLocation } from "./locations.ts";

export { fileError, isBelow, locationParts, requireRegular, resolveLocation } from "./locations.ts";

export interface FileSource extends ByteSource {
  /** Where the file is; its name, for messages, may be another. */
  readonly path: string;
  readInto(target: Uint8Array, position: number): void;
  /** Closes the file; it cannot be read afterwards. */
  close(): void;
}

/** The system takes fewer than 2^31 bytes at a time. */
const MAX_READ = 2 ** 30;

/** Opens a file for reading. @throws BnfoldError of kind "file" when it is missing, unreadable or no regular file. */
export function fileSource(path: string, name = path): FileSource {
  let fd: number | undefined;
  let size: number;
  try {
    requireRegular(path, statSync(path));
    fd = openSync(path, "r");
    const stats = fstatSync(fd);
    requireRegular(path, stats);
    size = stats.size;
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw fileError(path, error);
  }
  const readInto = (target: Uint8Array, position: number): void => {
    if (fd === undefined) throw new BnfoldError("file", `"${path}" was closed and is read again`, { file: path });
    for (let done = 0; done < target.length; ) {
      const length = Math.min(MAX_READ, target.length - done);
      let got: number;
      try {
        got = readSync(fd, target, done, length, position + done);
      } catch (error) {
        throw fileError(path, error);
      }
      if (got === 0)
        throw new BnfoldError("file", `"${path}" became shorter while it was read`, { file: path, byte: position + done });
      done += got;
    }
  };
  return {
    name,
    path,
    size,
    readInto,
    read(start, end) {
      if (start < 0 || end > size || start > end) {
        throw new BnfoldError("format", `read of bytes ${start} to ${end} outside the file (${size} bytes)`, {
          file: path,
          byte: start,
        });
      }
      // Not zeroed first; a plain Uint8Array, because a Buffer's slice() does not copy.
      const bytes = new Uint8Array(Buffer.allocUnsafeSlow(end - start).buffer);
      readInto(bytes, start);
      return bytes;
    },
    close() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}

/** Told while a side file is compared with its checksum. */
export type ChecksumProgress = (doneBytes: number, totalBytes: number, location: string) => void;

/** Finds the side files of the model at `modelPath`. Each is opened once and stays open until `close`. */
export function externalResolver(modelPath: string): ExternalResolver & {
  close(): void;
  /** SHA-1 that the file at a location must have; looked at when it is opened. */
  expect(location: string, checksum: string): void;
  /** Looks at those that nothing has opened yet. */
  verifyRest(onProgress?: ChecksumProgress): void;
} {
  const open = new Map<string, FileSource>();
  const expected = new Map<string, string>();
  const find = (location: string, onProgress?: ChecksumProgress): FileSource => {
    // One file may be spelt in several ways.
    const key = locationParts(location).join("/");
    let source = open.get(key);
    if (source === undefined) {
      source = fileSource(resolveLocation(modelPath, location), join(dirname(modelPath), location));
      const checksum = expected.get(key);
      if (checksum !== undefined) verify(source, location, checksum, onProgress);
      open.set(key, source);
    }
    return source;
  };
  return Object.assign((location: string) => find(location), {
    close() {
      for (const source of open.values()) source.close();
      open.clear();
    },
    expect: (location: string, checksum: string) => void expected.set(locationParts(location).join("/"), checksum),
    verifyRest(onProgress?: ChecksumProgress) {
      for (const location of expected.keys()) find(location, onProgress);
    },
  });
}

/** Compares the SHA-1 of a whole file, read a few bytes at a time, with the one the model gives. */
function verify(source: FileSource, location: string, checksum: string, onProgress?: ChecksumProgress): void {
  const hash = createHash("sha1");
  const buffer = new Uint8Array(Math.min(source.size, 1 << 20));
  for (let at = 0; at < source.size; at += buffer.length) {
    const part = buffer.subarray(0, Math.min(buffer.length, source.size - at));
    source.readInto(part, at);
    hash.update(part);
    onProgress?.(at + part.length, source.size, location);
  }
  const found = hash.digest("hex");
  if (found === checksum.trim().toLowerCase()) return;
  source.close();
  throw new BnfoldError(
    "model",
    `external data "${location}" has SHA-1 ${found}, the model says ${checksum}`,
    { file: source.name },
    "The side file was damaged or belongs to another model; copy it again.",
  );
}

/** Tells the resolver what the model says of its side files. */
function expectChecksums({ externalTensors }: Model, path: string, external: ReturnType<typeof externalResolver>): void {
  const said = new Map<string, string>();
  for (const { external: data } of externalTensors) {
    if (data?.checksum === undefined || data.checksum === "") continue;
    const before = said.get(data.location);
    if (before !== undefined && before !== data.checksum) {
      throw new BnfoldError("model", `the model gives two checksums for external data "${data.location}"`, { file: path });
    }
    said.set(data.location, data.checksum);
    external.expect(data.location, data.checksum);
  }
}

/** A model whose file is open. */
export interface OpenModel {
  readonly model: Model;
  readonly path: string;
  /**
   * Compares side files with the checksums the model gives of them, also those that nothing has read yet.
   * @throws BnfoldError of kind "model" when one differs, "file" when it cannot be read.
   */
  verifyChecksums(onProgress?: ChecksumProgress): void;
  /** Closes the file and its side files. The model's payloads cannot be read afterwards. */
  close(): void;
}

/** Opens and reads a model. @throws BnfoldError of kind "file" or "format". */
export function openModel(path: string): OpenModel {
  const source = fileSource(path);
  const external = externalResolver(path);
  const close = () => {
    source.close();
    external.close();
  };
  try {
    const model = read(source, { external });
    expectChecksums(model, path, external);
    return { model, path, verifyChecksums: external.verifyRest, close };
  } catch (error) {
    close();
    throw error;
  }
}
