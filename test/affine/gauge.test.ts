/** v_old = scale ⊙ v_new + shift: two changes after one another, and the way back, by the numbers they stand for. */
import { expect, it } from "vitest";
import { composeGauges, type Gauge, invertGauge, plainGauge } from "../../src/affine/gauge.ts";
import type { Spread } from "../../src/affine/spread.ts";

const per = (...data: number[]): Spread => ({ dims: [1, data.length, 1], data: Float64Array.from(data) });
const at = ({ dims, data }: Spread, channel: number): number => data[dims[1] === 1 ? 0 : channel];
const old = (gauge: Gauge, now: number, channel: number): number => at(gauge.scale, channel) * now + at(gauge.shift, channel);

const first: Gauge = { scale: per(2, -4, 0.5), shift: per(1, 0, -3) };
const second: Gauge = { scale: per(8, 0.25, -1), shift: per(-2, 5, 0.5) };

it.each([0, 1, 2])("composed, channel %i", (c) => {
  for (const v of [-3, 0, 1, 16]) expect(old(composeGauges(first, second), v, c)).toBe(old(first, old(second, v, c), c));
});

it.each([0, 1, 2])("turned round, channel %i", (c) => {
  for (const gauge of [first, second])
    for (const v of [-3, 0, 1, 16]) expect(old(invertGauge(gauge) as Gauge, old(gauge, v, c), c)).toBe(v);
});

it("nothing changed is its own way back, and a lost channel has none", () => {
  expect(invertGauge(plainGauge(3))).toEqual({ scale: plainGauge(3).scale, shift: expect.anything() });
  expect(old(invertGauge(plainGauge(3)) as Gauge, 7, 0)).toBe(7);
  expect(invertGauge({ scale: per(1, 0, 2), shift: per(0, 0, 0) })).toBeUndefined();
});
