/**
 * The gauges that whoever made the second file gives with it: v_a = scale ⊙ v_b + shift for values of one name. Each says which map
 * of its class the second file's value should be, (v_a − shift) / scale, and joins the class as a proposal. Every operator is then
 * checked beside its counterpart with those numbers, rows recomputed from the bytes of both files: one pass, no map to be read off
 * coefficients, and no slack that grows from one to the next. A proposal that is wrong fits no row.
 */
import { applied, type Gauges, invertGauge } from "../../affine/gauge.ts";
import { map, simplify, times } from "../../affine/spread.ts";
import type { Classes } from "./classes.ts";

/** Adds to the classes of the first file what the gauges propose. */
export function certify(classes: Classes, gauges: Gauges): void {
  for (const scope of classes.side.view.scopes) {
    for (const [name, gauge] of gauges.get(scope.path) ?? []) {
      const value = scope.values.get(name);
      const known = value && classes.of(value);
      const back = invertGauge(gauge);
      if (value === undefined || known === undefined || back === undefined) continue;
      if (back.scale.dims.length !== known.scale.dims.length) continue;
      // (k·core + d − b) / a
      known.core.members.push({
        scale: simplify(times(known.scale, back.scale)),
        shift: simplify(applied(known.shift, back)),
        magnitude: applied(known.magnitude, { scale: map(back.scale, Math.abs), shift: map(back.shift, Math.abs) }),
        value,
        proposed: true,
        // What it is of the value itself is known without the cancellation of d − b.
        over: [{ from: known, scale: simplify(back.scale), shift: simplify(back.shift) }],
      });
    }
  }
}
