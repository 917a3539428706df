/**
 * Operators that go by the order of elements along an axis. A gain above zero and a shift, both constant along that axis,
 * change no order (a tie that rounding makes or breaks aside):
 *   ArgMax, ArgMin, Hardmax   what comes in may change so without anything coming out: forward, and beside other readers
 *                             gains below zero turn ArgMax into ArgMin and back, forward
 *   TopK                      back and forward, to and from the values; the indices stay as they are
 * A gain of zero makes all elements equal; only a TopK whose indices nobody reads takes it. Gains below zero stop at TopK
 * although it has an attribute `largest`: NaN comes first among the largest, and would come last among the smallest.
 * ONNX ArgMax, ArgMin 1, 11, 12, 13; Hardmax 1, 11 (from `axis` on), 13; TopK 1, 10, 11, 24.
 */
import { axesOf, every, firstFailing, type Spread } from "../affine/spread.ts";
import { mirrored } from "./mirror.ts";
import { absorb, alike, type Kind, type MoveFn, type Refused, type Rule, type RuleNode, refuse } from "./types.ts";

/** Axes along which elements are compared. */
function ranked(at: RuleNode, rank: number): number[] {
  const { opType } = at.node;
  const flat = opType === "Hardmax" && at.version < 13;
  const axis = at.int("axis", flat ? 1 : opType === "Hardmax" || opType === "TopK" ? -1 : 0);
  const first = axis < 0 ? axis + rank : axis;
  return Array.from({ length: flat ? rank - first : 1 }, (_, i) => first + i);
}

function varies(at: RuleNode, by: Spread): Refused | undefined {
  const axis = axesOf(by).find((a) => ranked(at, by.dims.length).includes(a));
  return axis === undefined
    ? undefined
    : refuse("axis-blocks", `compares elements along axis ${axis}, on which the map varies`, { facts: { axis, map: by.dims } });
}

const signed = (by: Spread, channel: number): Refused =>
  refuse("sign-blocks", `goes by the order of its elements, which a gain of ${by.data[channel]} on channel ${channel} changes`, {
    facts: { channel, gain: by.data[channel] },
  });

const keepsOrder = (kind: Kind, by: Spread): boolean => kind === "shift" || every(by, (v) => v > 0);

const vanishes = (kind: Kind): MoveFn => {
  return (at, [by]) => {
    const s = by as Spread;
    const stop = varies(at, s);
    if (stop !== undefined) return stop;
    if (keepsOrder(kind, s)) return [{ pass: [] }];
    const turned = every(s, (v) => v < 0) ? mirrored(at.state) : undefined;
    return (
      (turned && absorb(turned)) ??
      signed(
        s,
        firstFailing(s, (v) => v > 0),
      )
    );
  };
};

/** Somebody reads which elements a TopK took. */
const indicesRead = ({ node }: RuleNode): boolean => {
  const indices = node.outputs[1];
  return indices !== undefined && (indices.uses.length > 0 || indices.isOutput);
};

const picked = (kind: Kind): MoveFn => {
  return (at, by) => {
    const s = by[0];
    if (s === undefined || by[1] !== undefined) return refuse("operator-blocks", "takes the map on another value than its data");
    const stop = varies(at, s);
    if (stop !== undefined) return stop;
    const fits = kind === "shift" || every(s, indicesRead(at) ? (v) => v > 0 : (v) => v >= 0);
    return fits
      ? [{ pass: [s] }]
      : signed(
          s,
          firstFailing(s, (v) => v > 0),
        );
  };
};

export const ranking: readonly Rule[] = [
  ...alike("ArgMax ArgMin Hardmax", {
    forwardScale: vanishes("scale"),
    forwardShift: vanishes("shift"),
    ignores: (at, _index, kind, by) => keepsOrder(kind, by) && varies(at, by) === undefined,
  }),
  {
    type: "TopK",
    backScale: picked("scale"),
    backShift: picked("shift"),
    forwardScale: picked("scale"),
    forwardShift: picked("shift"),
  },
];
