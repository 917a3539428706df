/** Attributes and types as text: short for people, whole where two are compared. */
import { dtypeOf } from "../onnx/dtype.ts";
import type { AttributeRecord, TensorRecord, TypeInfo } from "../onnx/records.ts";
import { shortestFloat32 } from "../train/momentum.ts";

const utf8 = new TextDecoder();

/** Elements of a list that are shown. */
const SHOWN = 12;

export const dtypeName = (code: number | undefined): string => (code === undefined ? "?" : (dtypeOf(code) ?? `type ${code}`));

export const tensorText = ({ dataType, dims }: Pick<TensorRecord, "dataType" | "dims">): string =>
  `${dtypeName(dataType)}[${dims.join(", ")}]`;

export function typeText(type: TypeInfo): string {
  const inner = type.of === undefined ? "?" : typeText(type.of);
  switch (type.kind) {
    case "tensor":
    case "sparse": {
      const shape = type.shape === undefined ? "" : `[${type.shape.map((dim) => dim ?? "?").join(", ")}]`;
      return `${type.kind === "sparse" ? "sparse " : ""}${dtypeName(type.elemType)}${shape}`;
    }
    case "map":
      return `map(${dtypeName(type.elemType)}, ${inner})`;
    case "sequence":
    case "optional":
      return `${type.kind}(${inner})`;
    default:
      return type.kind;
  }
}

const list = (values: readonly unknown[]): string =>
  `[${values.slice(0, SHOWN).join(", ")}${values.length > SHOWN ? `, … ${values.length}` : ""}]`;

const quoted = (bytes: Uint8Array): string => JSON.stringify(utf8.decode(bytes));

/** An attribute for a person. */
export function attributeText(attribute: AttributeRecord): string {
  const { refAttrName, f, i, s, t, g, sparseTensor, typeProto, floats, ints, strings, tensors, graphs } = attribute;
  if (refAttrName !== "") return `the call's ${refAttrName}`;
  if (t !== undefined) return tensorText(t);
  if (sparseTensor !== undefined)
    return `sparse ${tensorText({ dataType: sparseTensor.values.dataType, dims: sparseTensor.dims })}`;
  if (g !== undefined) return `a graph of ${g.nodes.length} nodes`;
  if (f !== undefined) return shortestFloat32(f);
  if (i !== undefined) return String(i);
  if (s !== undefined) return quoted(s);
  if (typeProto !== undefined) return typeText(typeProto);
  if (strings.length > 0) return list(strings.map(quoted));
  if (tensors.length > 0) return `${tensors.length} tensors`;
  if (graphs.length > 0) return `${graphs.length} graphs`;
  return list(ints.length > 0 ? ints.map(String) : floats.map((value) => shortestFloat32(value)));
}

/** What tells two attributes apart, tensors and graphs excepted: those are compared by themselves. */
export function attributeKey(attribute: AttributeRecord): string {
  const { type, refAttrName, f, i, s, t, g, sparseTensor, typeProto, floats, ints, strings, tensors, graphs } = attribute;
  const texts = [s === undefined ? "" : quoted(s), ...strings.map(quoted)];
  const shapes = [t, ...tensors].map((tensor) => (tensor === undefined ? "" : tensorText(tensor)));
  const sparse = sparseTensor === undefined ? "" : String(sparseTensor.dims);
  const counts = [g === undefined ? 0 : 1, graphs.length, sparse, typeProto === undefined ? "" : typeText(typeProto)];
  return [type === 0 ? "" : type, refAttrName, f, i, ...texts, list2(floats), list2(ints), ...shapes, ...counts].join("\u0001");
}

const list2 = (values: readonly (number | bigint)[]): string => `${values.length}:${values.join(",")}`;
