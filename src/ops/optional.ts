/** Optional, OptionalHasElement, OptionalGetElement. */
import { isTensor, type OpDef } from "./define.ts";

export const optionalOps: readonly OpDef[] = [
  {
    type: "Optional",
    since: 15,
    run: (context, [item]) => [{ kind: "optional", item, of: context.attribute("type")?.typeProto }],
  },
  {
    type: "OptionalHasElement",
    since: 15,
    run(_, [value]) {
      const has = value !== undefined && (isTensor(value) || value.kind !== "optional" || value.item !== undefined);
      return [{ dtype: "bool", dims: [], data: Uint8Array.of(Number(has)) }];
    },
  },
  {
    type: "OptionalGetElement",
    since: 15,
    run(context, [value]) {
      if (value === undefined) throw context.fail("the optional is missing");
      if (isTensor(value) || value.kind !== "optional") return [value];
      if (value.item === undefined) throw context.fail("the optional is empty");
      return [value.item];
    },
  },
];
