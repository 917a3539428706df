/** ONNX's Attention of heads that stand by themselves, several of which may share keys and values. */
import { f, float32, int64, type NodeSpec, node, type TensorSpec, type ValueSpec } from "../../helpers/build.ts";
import { judge, net, type Pair } from "./pairs.ts";

const [HEADS, GROUPS, ROWS, LONG, SIZE] = [4, 2, 5, 6, 3];
const inputs = (long: number, groups: number, mask?: ValueSpec): ValueSpec[] => [
  { name: "q", dims: [2, HEADS, ROWS, SIZE] },
  { name: "k", dims: [2, groups, long, SIZE] },
  { name: "v", dims: [2, groups, long, 7] },
  ...(mask ? [mask] : []),
];
const more = { opset: 23 };
interface Form {
  readonly long?: number;
  readonly groups?: number;
  readonly mask?: "bool" | "float32";
  readonly scale?: number;
  readonly causal?: boolean;
  /** The heads of one group stand apart. */
  readonly interleaved?: boolean;
}
const maskOf = ({ mask, long = LONG }: Form): ValueSpec | undefined => mask && { name: "m", dtype: mask, dims: [ROWS, long] };

const fused = (form: Form): ReturnType<typeof net> => {
  const { long = LONG, groups = GROUPS, scale, causal } = form;
  const attributes = { ...(scale === undefined ? {} : { scale: f(scale) }), ...(causal ? { is_causal: 1 } : {}) };
  const mask = maskOf(form);
  return net(
    inputs(long, groups, mask),
    [node("Attention", ["q", "k", "v", ...(mask ? ["m"] : [])], ["y"], attributes)],
    {},
    more,
  );
};

const spelled = (form: Form): ReturnType<typeof net> => {
  const { long = LONG, groups = GROUPS, scale = 1 / Math.sqrt(SIZE), causal, interleaved } = form;
  const constants: Record<string, TensorSpec> = {
    s: float32([], [scale]),
    in: float32([], [0]),
    out: float32([], [Number.NEGATIVE_INFINITY]),
  };
  const times = HEADS / groups;
  const wide = (part: string, size: number): NodeSpec[] => {
    if (times === 1) return [node("Identity", [part], [`${part}w`])];
    const [group, by] = interleaved
      ? [
          [0, 1, groups, long, size],
          [1, times, 1, 1, 1],
        ]
      : [
          [0, groups, 1, long, size],
          [1, 1, times, 1, 1],
        ];
    Object.assign(constants, {
      [`${part}g`]: int64([5], group),
      [`${part}t`]: int64([5], by),
      [`${part}h`]: int64([4], [0, HEADS, long, size]),
    });
    return [
      node("Reshape", [part, `${part}g`], [`${part}o`]),
      node("Expand", [`${part}o`, `${part}t`], [`${part}e`]),
      node("Reshape", [`${part}e`, `${part}h`], [`${part}w`]),
    ];
  };
  const masks: NodeSpec[] = [];
  let scores = "z";
  if (causal) {
    const values = Array.from({ length: ROWS * long }, (_, i) => (i % long <= Math.floor(i / long) ? 1 : 0));
    constants.t = { dtype: "bool", dims: [ROWS, long], values };
    masks.push(node("Where", ["t", "in", "out"], ["c"]), node("Add", [scores, "c"], ["zc"]));
    scores = "zc";
  }
  if (form.mask === "bool") masks.push(node("Where", ["m", "in", "out"], ["b"]), node("Add", [scores, "b"], ["zm"]));
  if (form.mask === "float32") masks.push(node("Add", [scores, "m"], ["zm"]));
  if (form.mask !== undefined) scores = "zm";
  const nodes = [
    ...wide("k", SIZE),
    ...wide("v", 7),
    node("Transpose", ["kw"], ["turned"], { perm: [0, 1, 3, 2] }),
    node("MatMul", ["q", "turned"], ["p"]),
    node("Mul", ["p", "s"], ["z"]),
    ...masks,
    node("Softmax", [scores], ["a"], { axis: -1 }),
    node("MatMul", ["a", "vw"], ["y"]),
  ];
  return net(inputs(long, groups, maskOf(form)), nodes, constants, more);
};

const both = (form: Form): Pair => [fused(form), spelled(form)];
judge(
  "heads",
  {
    "several heads for one of keys and values": both({}),
    "several, with a mask": both({ mask: "float32" }),
    "as many of each": both({ groups: HEADS }),
    "with a scale": both({ groups: HEADS, scale: 0.25 }),
    "with a mask that is added": both({ mask: "float32", groups: HEADS }),
    "with a mask of flags": both({ mask: "bool", groups: HEADS }),
    "of which each row sees those before it": both({ causal: true, long: ROWS, groups: HEADS }),
  },
  {
    "another scale": [fused({ scale: 0.25 }), spelled({})],
    "the groups interleaved": [fused({}), spelled({ interleaved: true })],
    "no mask": [fused({ causal: true, long: ROWS }), spelled({ long: ROWS })],
  },
);
