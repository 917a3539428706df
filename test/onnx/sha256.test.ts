import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Sha256 } from "../../src/onnx/sha256.ts";

it("is Node's, whatever parts the bytes come in", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 6 }), (parts) => {
      const [ours, theirs] = [new Sha256(), createHash("sha256")];
      for (const part of parts) {
        ours.update(part);
        theirs.update(part);
      }
      expect(ours.hex()).toBe(theirs.digest("hex"));
    }),
  );
  for (const length of [0, 55, 56, 63, 64, 65, 119, 120, 1 << 20]) {
    const bytes = new Uint8Array(length).fill(7);
    expect(new Sha256().update(bytes).hex()).toBe(createHash("sha256").update(bytes).digest("hex"));
  }
  const twice = new Sha256().update(Uint8Array.of(1));
  expect(twice.hex()).toBe(twice.hex());
  expect(() => {
    const hash = new Sha256();
    hash.hex();
    hash.update(new Uint8Array(1));
  }).toThrow(/no more/);
});
