/** One row for every operator the executor knows, and none for others. */
import { describe, expect, it } from "vitest";
import { operatorNames, traitsOf } from "../../src/graph/operators.ts";
import { operators } from "../../src/ops/index.ts";

const nameOf = ({ domain, type }: { domain: string; type: string }) => (domain === "" ? type : `${domain}.${type}`);

describe("the table of operators", () => {
  it("has a row for each that runs", () => {
    const missing = operators().filter(({ domain, type }) => traitsOf({ domain, opType: type }) === undefined);
    expect(missing.map(nameOf)).toEqual([]);
  });

  it("has no row for one that does not", () => {
    const known = new Set(operators().map(nameOf));
    expect(operatorNames.filter((name) => !known.has(name))).toEqual([]);
  });

  it("lists them in order, those of the standard domain first", () => {
    const order = (name: string) => `${name.includes(".") ? 1 : 0}${name}`;
    expect(operatorNames).toEqual(operatorNames.toSorted((a, b) => (order(a) < order(b) ? -1 : 1)));
  });
});
