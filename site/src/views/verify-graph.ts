/** The graph of two files: what one of them has that the other has not. */
import type { ModelDiff } from "../../../src/diff/types.ts";
import { brief, printable } from "../../../src/report/words.ts";
import { graphKey, type Tell } from "./graph.ts";

/** Nodes whose attributes or inputs changed, or that read a constant that did. */
export function tellOf({ nodes, tensors }: ModelDiff): Tell {
  const said = new Map<string, string[]>();
  const add = (key: string, text: string) => said.set(key, [...(said.get(key) ?? []), text]);
  for (const { node, attributes, inputs, outputs } of nodes.changed) {
    for (const { name, a = "none", b = "none" } of attributes) add(graphKey(node), `attribute ${name}: ${a} \u2192 ${b}`);
    for (const { index, a, b } of inputs) add(graphKey(node), `input ${index}: ${a ?? "none"} \u2192 ${b ?? "none"}`);
    if (outputs !== undefined) add(graphKey(node), `outputs: ${outputs.join(" \u2192 ")}`);
  }
  const changed = new Map(
    tensors.changed.map(({ tensor, numbers }) => [
      `${tensor.scope}#${tensor.name}`,
      numbers === undefined
        ? `${tensor.name} has another type or shape`
        : `${tensor.name} differs in ${numbers.differing} of ${numbers.elements} elements, by up to ${brief(numbers.largest)}`,
    ]),
  );
  return (node) => {
    if (node.kind !== "node") return {};
    const own = node.constants.flatMap(({ name }) => changed.get(`${node.scope}#${name}`) ?? changed.get(`#${name}`) ?? []);
    const all = [...(said.get(graphKey(node)) ?? []), ...own];
    return all.length === 0 ? {} : { mark: "changed", said: printable(all.join("; ")) };
  };
}
