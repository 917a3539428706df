/** What a caller feeds, checked against what the graph declares: every complaint in one message. */
import { BnfoldError } from "../diag/error.ts";
import { dtypeOf } from "../onnx/dtype.ts";
import type { TypeInfo, ValueInfoRecord } from "../onnx/records.ts";
import { isTensor, type Value } from "../ops/define.ts";
import { describe } from "./context.ts";

export function describeType(type: TypeInfo): string {
  switch (type.kind) {
    case "tensor":
    case "sparse": {
      const dtype = dtypeOf(type.elemType ?? 0) ?? "any type";
      return type.shape === undefined ? dtype : `${dtype} [${type.shape.map((d) => d ?? "?").join(", ")}]`;
    }
    case "sequence":
    case "optional":
      return `${type.kind}(${type.of === undefined ? "?" : describeType(type.of)})`;
    default:
      return type.kind;
  }
}

/** A dimension of 0 may be "unknown" in files of old exporters, and a name is any size. */
const agrees = (want: number | string | undefined, got: number) => typeof want !== "number" || want === 0 || want === got;

function fits(type: TypeInfo, value: Value): boolean {
  if (type.kind === "tensor" || type.kind === "sparse") {
    if (!isTensor(value)) return false;
    const { shape } = type;
    if (type.elemType && dtypeOf(type.elemType) !== value.dtype) return false;
    return shape === undefined || (shape.length === value.dims.length && shape.every((d, i) => agrees(d, value.dims[i])));
  }
  if (type.kind === "sequence") {
    if (isTensor(value) || value.kind !== "sequence") return false;
    return type.of === undefined || value.items.every((item) => fits(type.of as TypeInfo, item));
  }
  if (type.kind === "optional") {
    if (isTensor(value) || value.kind !== "optional") return type.of === undefined || fits(type.of, value);
    return type.of === undefined || value.item === undefined || fits(type.of, value.item);
  }
  return true;
}

/** @throws BnfoldError of kind "usage" naming every input that is missing, unknown or of the wrong type or shape. */
export function checkFeeds(
  feeds: ReadonlyMap<string, Value>,
  declared: readonly ValueInfoRecord[],
  mayFeed: ReadonlySet<string>,
  needed: (name: string) => boolean,
): void {
  const complaints: string[] = [];
  for (const { name, type } of declared) {
    const value = feeds.get(name);
    if (value === undefined) {
      if (!mayFeed.has(name) && needed(name) && type.kind !== "optional")
        complaints.push(`"${name}" (${describeType(type)}) is missing`);
    } else if (!fits(type, value)) {
      complaints.push(`"${name}" should be ${describeType(type)}, got ${describe(value)}`);
    }
  }
  const names = new Set(declared.map(({ name }) => name));
  for (const name of feeds.keys()) if (!names.has(name)) complaints.push(`"${name}" is no input of the graph`);
  if (complaints.length > 0) {
    throw new BnfoldError("usage", `the inputs given do not fit the model: ${complaints.join("; ")}`, {
      tensor: declared.find(({ name }) => complaints[0].includes(`"${name}"`))?.name,
    });
  }
}
