/** Every reason of the closed table is one that some model has; the report names the node, what blocks it and where. */
import { describe, expect, it } from "vitest";
import { REASONS } from "../../src/diag/codes.ts";
import { plan } from "../../src/fold/index.ts";
import { model } from "../helpers/build.ts";
import { provoked } from "./provoked.ts";

describe("a node that stays", () => {
  it.each(provoked)("$code: $model", ({ code, spec, options, node = "y", blocker, value, message }) => {
    const { kept } = plan(model(spec), options).data;
    const found = kept.find((k) => k.node.output === node);
    expect({ code: found?.code, blocker: found?.blocker?.output, value: found?.value, message: found?.message }).toEqual({
      code,
      blocker,
      value,
      message,
    });
  });

  it.each(provoked.filter(({ options }) => options !== undefined))("$code: folds without the option", ({ spec }) => {
    expect(plan(model(spec)).data.kept).toEqual([]);
  });

  it("has every reason of the table", () => {
    const codes = new Set(provoked.map(({ code }) => code));
    expect([...codes].sort()).toEqual(Object.keys(REASONS).sort());
  });

  it("says it in sentences about a named node", () => {
    for (const { message } of provoked) expect(message).toMatch(/^[A-Z]\w+ "\w+": .*\w.*\.$/);
  });
});
