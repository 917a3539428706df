/** Strings: StringConcat, StringSplit, RegexFullMatch, StringNormalizer. */
import { int64s, type Tensor } from "../onnx/tensor.ts";
import { broadcastDims, broadcastTo } from "./broadcast.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";

function texts(context: OpContext, tensor: Tensor): readonly string[] {
  if (tensor.dtype !== "string") throw context.fail("the input holds no strings");
  return tensor.data as readonly string[];
}

function concatenate(context: OpContext, a: Tensor, b: Tensor): Tensor {
  const dims = broadcastDims(a.dims, b.dims);
  const [x, y] = [a, b].map((t) => texts(context, broadcastTo(t, dims)));
  return { dtype: "string", dims, data: x.map((text, i) => text + y[i]) };
}

/** At most `most` cuts, the rest left whole. Without delimiter: runs of white space, none at the ends. */
function cut(text: string, delimiter: string, most: number): string[] {
  const parts: string[] = [];
  let rest = delimiter === "" ? text.trimStart() : text;
  while (parts.length < most) {
    const found = delimiter === "" ? /\s+/.exec(rest) : undefined;
    const at = found === undefined ? rest.indexOf(delimiter) : (found?.index ?? -1);
    if (at < 0) break;
    parts.push(rest.slice(0, at));
    rest = rest.slice(at + (found?.[0].length ?? delimiter.length));
  }
  if (delimiter !== "" || rest !== "") parts.push(rest);
  return parts;
}

function split(context: OpContext, input: Tensor): [Tensor, Tensor] {
  const delimiter = context.string("delimiter", "");
  const most = context.int("maxsplit", Number.POSITIVE_INFINITY);
  const all = texts(context, input).map((text) => cut(text, delimiter, most));
  const width = all.reduce((n, parts) => Math.max(n, parts.length), 0);
  const data = all.flatMap((parts) => [...parts, ...new Array<string>(width - parts.length).fill("")]);
  return [
    { dtype: "string", dims: [...input.dims, width], data },
    int64s(
      all.map((parts) => parts.length),
      input.dims,
    ),
  ];
}

/** An RE2 pattern as a JavaScript one; leading inline flags become flags. */
function pattern(context: OpContext): RegExp {
  const given = context.string("pattern", "");
  const [inline, flags = ""] = /^\(\?([ims]+)\)/.exec(given) ?? [""];
  const source = given.slice(inline.length).replaceAll("(?P<", "(?<").replaceAll("\\A", "^").replaceAll("\\z", "$");
  try {
    return new RegExp(`^(?:${source})$`, `${flags}u`);
  } catch (error) {
    throw context.fail(`the pattern ${JSON.stringify(given)} cannot be used: ${(error as Error).message}`);
  }
}

function fullMatch(context: OpContext, input: Tensor): Tensor {
  const expression = pattern(context);
  return {
    dtype: "bool",
    dims: input.dims,
    data: Uint8Array.from(texts(context, input), (text) => Number(expression.test(text))),
  };
}

/** Stop words out, then the case changed. Nothing left: one empty string. */
function normalize(context: OpContext, input: Tensor): Tensor {
  const change = context.string("case_change_action", "NONE");
  const sensitive = context.int("is_case_sensitive", 0) !== 0;
  const stop = context.strings("stopwords") ?? [];
  const locale = context.string("locale", "").replace("_", "-") || undefined;
  const same = (text: string) => (sensitive ? text : text.toLocaleLowerCase(locale));
  const stopped = new Set(stop.map(same));
  const two = input.dims.length === 2;
  if (input.dims.length > 2 || (two && input.dims[0] !== 1)) throw context.fail("the input must have shape [C] or [1, C]");
  const kept = texts(context, input)
    .filter((text) => !stopped.has(same(text)))
    .map((text) =>
      change === "LOWER" ? text.toLocaleLowerCase(locale) : change === "UPPER" ? text.toLocaleUpperCase(locale) : text,
    );
  const data = kept.length === 0 ? [""] : kept;
  return { dtype: "string", dims: two ? [1, data.length] : [data.length], data };
}

export const textOps: readonly OpDef[] = [
  tensorOp("StringConcat", 20, 2, (context, a, b) => [concatenate(context, a, b)]),
  tensorOp("StringSplit", 20, 1, (context, input) => split(context, input)),
  tensorOp("RegexFullMatch", 20, 1, (context, input) => [fullMatch(context, input)]),
  tensorOp("StringNormalizer", 10, 1, (context, input) => [normalize(context, input)]),
];
