/** Plan time grows with the number of nodes, for every family of graphs; bench/plan.ts measures the same at 100,000 nodes. */
import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { model } from "../helpers/build.ts";
import { families } from "../helpers/families.ts";

/** Processor milliseconds of one plan. */
function time(make: (n: number) => Parameters<typeof model>[0], n: number): number {
  const before = model(make(n));
  const start = process.cpuUsage();
  plan(before);
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

describe("plan time", () => {
  it.each(Object.entries(families))("%s", (_, make) => {
    time(make, 200);
    const [short, long] = [time(make, 200), time(make, 2000)];
    // Ten times the nodes: ten times the work, with room for a compiler that has not warmed up. A square would be a hundred.
    expect(long).toBeLessThan(30 * Math.max(short, 25));
  });
});
