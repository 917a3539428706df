/**
 * What ONNX's own schemas say of each operator in each version: attributes with types and defaults, inputs and outputs
 * (schema-data.ts), and the same of a few operators of ONNX Runtime.
 */
import { SCHEMAS } from "./schema-data.ts";

/** As AttributeProto.AttributeType names them. */
export type AttributeKind =
  | "float"
  | "int"
  | "string"
  | "tensor"
  | "graph"
  | "floats"
  | "ints"
  | "strings"
  | "tensors"
  | "graphs"
  | "sparse_tensor"
  | "type_proto";

/** A default: floats are float32 numbers. */
export type Default = number | string | readonly number[] | readonly string[];

export interface AttributeSchema {
  readonly name: string;
  readonly kind: AttributeKind;
  readonly required: boolean;
  readonly default: Default | undefined;
}

export interface ParameterSchema {
  readonly name: string;
  readonly option: "single" | "optional" | "variadic";
  /** Fewest of a variadic parameter; 1 for a single one, 0 for an optional one. */
  readonly least: number;
}

export interface OperatorSchema {
  readonly domain: string;
  readonly type: string;
  /** The operator set that defines it so. */
  readonly since: number;
  /** True where each input and output takes at least the element types of the version before. */
  readonly wider: boolean;
  readonly deprecated: boolean;
  readonly inputs: readonly ParameterSchema[];
  readonly outputs: readonly ParameterSchema[];
  readonly attributes: ReadonlyMap<string, AttributeSchema>;
}

/** Operators that ONNX Runtime's optimizer and quantizer write and that are understood here (its docs/ContribOperators.md, 1.31). */
const CONTRIB = `
#com.microsoft
DequantizeLinear 1;x x_scale x_zero_point?;y;axis:i=1 block_size:i=0
DynamicQuantizeMatMul 1;A B b_scale b_zero_point? bias?;Y;
FastGelu 1;X bias?;Y;
FusedConv 1;X W B? Z?;Y;activation:s activation_params:fs auto_pad:s=NOTSET dilations:is group:i=1 kernel_shape:is pads:is strides:is
FusedGemm 1;A B C?;Y;activation:s activation_alpha:f activation_beta:f activation_gamma:f alpha:f=1 beta:f=1 transA:i=0 transB:i=0
FusedMatMul 1;A B;Y;alpha:f=1 transA:i=0 transB:i=0 transBatchA:i=0 transBatchB:i=0
Gelu 1;X;Y;
MatMulIntegerToFloat 1;A B a_scale b_scale a_zero_point? b_zero_point? bias?;Y;
QGemm 1;A a_scale a_zero_point B b_scale b_zero_point C? y_scale? y_zero_point?;Y;alpha:f=1 transA:i=0 transB:i=0
QLinearAdd 1;A A_scale A_zero_point? B B_scale B_zero_point? C_scale C_zero_point?;C;
QLinearAveragePool 1;X x_scale x_zero_point? y_scale y_zero_point?;Y;auto_pad:s=NOTSET ceil_mode:i=0 channels_last:i=0 count_include_pad:i=0 kernel_shape:is! pads:is strides:is
QLinearConcat 1;Y_scale Y_zero_point inputs*1;Y;axis:i!
QLinearGlobalAveragePool 1;X x_scale x_zero_point y_scale y_zero_point;Y;channels_last:i=0
QLinearLeakyRelu 1;X X_scale X_zero_point? Y_scale Y_zero_point?;Y;alpha:f=0.01
QLinearMul 1;A A_scale A_zero_point? B B_scale B_zero_point? C_scale C_zero_point?;C;
QLinearSigmoid 1;X X_scale X_zero_point? Y_scale Y_zero_point?;Y;
QLinearSoftmax 1;X X_scale x_zero_point? y_scale y_zero_point;Y;axis:i=-1 opset:i!
QLinearWhere 1;condition X x_scale x_zero_point Y y_scale y_zero_point z_scale z_zero_point;Z;
QuantizeLinear 1;x y_scale y_zero_point?;y;axis:i=1 block_size:i=0 output_dtype:i=0 saturate:i=1
QuickGelu 1;X;Y;alpha:f=1.702
`;

const KINDS: Readonly<Record<string, AttributeKind>> = {
  f: "float",
  i: "int",
  s: "string",
  t: "tensor",
  g: "graph",
  fs: "floats",
  is: "ints",
  ss: "strings",
  ts: "tensors",
  gs: "graphs",
  sp: "sparse_tensor",
  tp: "type_proto",
};

const words = (text: string): string[] => text.split(" ").filter((word) => word !== "");

function parameter(text: string): ParameterSchema {
  const [, name, mark, least] = /^(\w+)([?*]?)(\d*)$/.exec(text) as RegExpExecArray;
  if (mark === "*") return { name, option: "variadic", least: Number(least) };
  return mark === "?" ? { name, option: "optional", least: 0 } : { name, option: "single", least: 1 };
}

function attribute(text: string): AttributeSchema {
  const [, name, code, mark, value] = /^(\w+):(\w+)(!?)(?:=(.*))?$/.exec(text) as RegExpExecArray;
  const kind = KINDS[code];
  return { name, kind, required: mark === "!", default: value === undefined ? undefined : parsed(kind, value) };
}

function parsed(kind: AttributeKind, text: string): Default {
  const number = (one: string) => (kind === "float" || kind === "floats" ? Math.fround(Number(one)) : Number(one));
  if (kind === "strings") return text.split(",");
  if (kind === "ints" || kind === "floats") return text.split(",").map(number);
  return kind === "string" ? text : number(text);
}

const keyOf = (domain: string, type: string): string => `${domain}:${type}`;

interface Table {
  /** Every version of each operator, the oldest first. */
  readonly operators: ReadonlyMap<string, readonly OperatorSchema[]>;
  /** The latest operator set each domain's operators were looked up in. */
  readonly newest: ReadonlyMap<string, number>;
}

let table: Table | undefined;

function read(): Table {
  const operators = new Map<string, OperatorSchema[]>();
  const newest = new Map<string, number>();
  for (const source of [SCHEMAS, CONTRIB]) {
    let [domain, type] = ["", ""];
    for (const line of source.split("\n")) {
      if (line === "") continue;
      if (line.startsWith("#")) {
        domain = line.slice(1);
        continue;
      }
      const [head, inputs, outputs, attributes] = line.split(";");
      const [first, ...rest] = head.split(" ");
      if (first !== "") type = first;
      const form = {
        ...{ domain, type },
        inputs: words(inputs).map(parameter),
        outputs: words(outputs).map(parameter),
        attributes: new Map(words(attributes).map((text) => [text.split(":")[0], attribute(text)])),
      };
      const known = operators.get(keyOf(domain, type)) ?? [];
      operators.set(keyOf(domain, type), known);
      for (const text of rest) {
        const since = Number.parseInt(text, 10);
        known.push({ ...form, since, wider: text.endsWith("+"), deprecated: text.endsWith("-") });
        newest.set(domain, Math.max(since, newest.get(domain) ?? 0));
      }
    }
  }
  return { operators, newest };
}

/** Every version of an operator, the oldest first; empty when the domain has none of this name. */
export function versionsOf(domain: string, type: string): readonly OperatorSchema[] {
  table ??= read();
  return table.operators.get(keyOf(domain, type)) ?? [];
}

/** Every operator in every version. */
export function allSchemas(): readonly OperatorSchema[] {
  table ??= read();
  return [...table.operators.values()].flat();
}

/** The definition of an operator that is in force in an operator set; undefined where there is none yet. */
export const schemaOf = (domain: string, type: string, version: number): OperatorSchema | undefined =>
  versionsOf(domain, type).findLast(({ since }) => since <= version);

/** What an attribute is where a node does not have it, in an operator set. */
export const defaultOf = (domain: string, type: string, version: number, name: string): Default | undefined =>
  schemaOf(domain, type, version)?.attributes.get(name)?.default;

/** The latest operator set of a domain that defines anything; undefined for a domain that is not known as a whole. */
export function newestOpset(domain: string): number | undefined {
  table ??= read();
  return domain === "com.microsoft" ? undefined : table.newest.get(domain);
}

/** True for an operator of the standard domain, in any operator set. */
export const isStandard = (type: string): boolean => versionsOf("", type).length > 0;
