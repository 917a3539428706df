/**
 * Sizes for inputs whose shape the file leaves open. In order: what the user said; what the file says; what the readers of
 * the input need (hints.ts); one value per symbol name; a small default by the role of the axis. When a run fails, the next of
 * a short fixed list of defaults is tried.
 */
import { BnfoldError } from "../diag/error.ts";
import type { GraphValue, GraphView } from "../graph/view.ts";
import type { Model, TypeInfo, ValueInfoRecord } from "../onnx/records.ts";
import { type Hint, hintOf, totalStride } from "./hints.ts";

/** User sizes per input name; -1 leaves an axis to the defaults. */
export type UserShapes = ReadonlyMap<string, readonly number[]>;

/** Sizes by role of an axis. */
interface Defaults {
  readonly batch: number;
  readonly spatial: number;
  /** Time steps, tokens. */
  readonly length: number;
  readonly channels: number;
  readonly other: number;
}

export interface ShapePlan {
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** True when a default was used anywhere: another list entry could give another shape. */
  readonly guessed: boolean;
}

/** The inputs that must be given: declared, and without an initializer of the same name. */
export function requiredInputs(model: Model): ValueInfoRecord[] {
  const defaults = new Set(model.graph.initializers.map((t) => t.name));
  for (const sparse of model.graph.sparseInitializers) defaults.add(sparse.values.name);
  return model.graph.inputs.filter((input) => !defaults.has(input.name));
}

/** The lists of defaults to try, in order. `stride` is the total stride of the network, `batches` what inputs declare of their first axis. */
function defaultLists(stride: number, batches: readonly number[]): Defaults[] {
  let spatial = 32;
  while (spatial < 2 * stride && spatial < 512) spatial *= 2;
  // A multiple of the stride keeps the branches of a U-net equal.
  if (spatial % stride !== 0) spatial = Math.ceil(spatial / stride) * stride;
  const first = { batch: 2, spatial, length: 8, channels: 3, other: 4 };
  const one = { ...first, batch: 1 };
  return [
    first,
    one,
    // Exporters leave the batch of one input open, and fix it in another.
    ...batches.map((batch) => ({ ...first, batch })),
    { ...one, spatial: 224, length: 16 },
    { ...one, spatial: 64, length: 32, other: 8 },
    { ...one, spatial: 28, channels: 1, length: 4, other: 2 },
    { ...one, spatial: 256, length: 64, other: 16 },
    { ...one, spatial: 299, length: 128, other: 32 },
    { batch: 1, spatial: 1, length: 1, channels: 1, other: 1 },
  ];
}

const BATCH = /batch|^bs$|^n$|^b$|unk__0$|num_?(samples|images)/i;
const SPATIAL = /height|width|depth|^h$|^w$|^d$|spatial|rows|cols|image_?size|^x$|^y$/i;
const LENGTH = /seq|len|time|step|token|frame|past|^t$|^s$|^l$/i;
const CHANNELS = /chan|^c$/i;

function role(name: string | undefined, axis: number, rank: number, hint: Hint): keyof Defaults {
  if (name !== undefined) {
    if (BATCH.test(name)) return "batch";
    if (LENGTH.test(name)) return "length";
    if (SPATIAL.test(name)) return "spatial";
    if (CHANNELS.test(name)) return "channels";
  }
  const { spatial } = hint;
  if (spatial !== undefined && axis >= spatial.first && axis < spatial.first + spatial.count) return "spatial";
  if (axis === 0 && rank > 1) return "batch";
  if (spatial === undefined && rank >= 4 && axis >= rank - 2) return "spatial";
  if (rank >= 4 && axis === 1) return "channels";
  if (rank <= 3 && axis === 1) return "length";
  return "other";
}

const tensorType = (type: TypeInfo): TypeInfo | undefined =>
  type.kind === "tensor" || type.kind === "sparse" ? type : type.of === undefined ? undefined : tensorType(type.of);

/** One way to fill every open axis of every required input; `undefined` when the list has no entry `attempt`. */
export function resolveShapes(model: Model, view: GraphView, user: UserShapes = new Map(), attempt = 0): ShapePlan | undefined {
  const inputs = requiredInputs(model);
  checkUser(inputs, user);
  const batches = inputs.map(({ type }) => tensorType(type)?.shape?.[0]);
  const fixed = new Set(batches.filter((d): d is number => typeof d === "number" && d > 2));
  const defaults = defaultLists(totalStride(view), [...fixed])[attempt];
  if (defaults === undefined) return undefined;
  const open = inputs.map((input) => {
    const declared = tensorType(input.type)?.shape;
    const given = user.get(input.name);
    const rank = given?.length ?? declared?.length;
    const hint = hintOf(view.main.values.get(input.name) as GraphValue, rank);
    return { name: input.name, declared, given, hint, rank: rank ?? hint.rank ?? 2 };
  });
  // Symbols are bound before any default: a size another input fixes holds for all that share the name.
  const bound = new Map<string, number>();
  for (const { declared, given, hint } of open) {
    declared?.forEach((d, axis) => {
      const size = given?.[axis] ?? -1;
      if (typeof d === "string" && size >= 0) bound.set(d, size);
      else if (typeof d === "string" && !bound.has(d) && hint.sizes.has(axis)) bound.set(d, hint.sizes.get(axis) as number);
    });
  }
  let guessed = false;
  const shapes = new Map<string, number[]>();
  for (const { name, declared, given, hint, rank } of open) {
    const shape: number[] = [];
    for (let axis = 0; axis < rank; axis++) {
      const d = declared?.[axis];
      const known = given?.[axis] ?? -1;
      let size = known >= 0 ? known : typeof d === "number" && d >= 0 && !unknownZero(d, axis) ? d : hint.sizes.get(axis);
      if (size === undefined && typeof d === "string") size = bound.get(d);
      if (size === undefined) {
        guessed = true;
        size = defaults[role(typeof d === "string" ? d : undefined, axis, rank, hint)];
        if (typeof d === "string") bound.set(d, size);
      }
      shape.push(size);
    }
    shapes.set(name, shape);
  }
  return { shapes, guessed };
}

/** Old exporters write 0 for an unknown batch; an input that is truly empty would show nothing anyway. */
const unknownZero = (d: number, axis: number): boolean => d === 0 && axis === 0;

function checkUser(inputs: readonly ValueInfoRecord[], user: UserShapes): void {
  for (const [name, shape] of user) {
    const input = inputs.find((i) => i.name === name);
    if (input === undefined) {
      throw new BnfoldError(
        "usage",
        `a shape is given for "${name}", which is no input of the model`,
        { tensor: name },
        `Inputs: ${inputs.map((i) => i.name).join(", ") || "none"}.`,
      );
    }
    const declared = tensorType(input.type)?.shape;
    if (declared === undefined) continue;
    const wrong =
      declared.length !== shape.length ||
      declared.some((d, i) => typeof d === "number" && d > 0 && shape[i] >= 0 && shape[i] !== d);
    if (wrong) {
      const text = declared.map((d) => d ?? "?").join(", ");
      throw new BnfoldError(
        "usage",
        `the shape [${shape.join(", ")}] given for input "${name}" contradicts the declared one, [${text}]`,
        { tensor: name },
        "Change only axes that are symbols or unknown.",
      );
    }
  }
}
