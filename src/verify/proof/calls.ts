/**
 * Two files that do not call the same functions at the same places, as two files that do: a call that one of them has and the
 * other has not is written out, again for the calls in its body, until the calls are the same (by graph, function and first
 * output, and the defaults of the function's attributes) or cannot be written out. Functions that nothing calls compute nothing and are left out.
 */
import { allNodes, expandedSize, Functions, functionLabel, graphsOf, reachable } from "../../graph/functions.ts";
import { inline, type Site } from "../../graph/inline.ts";
import { objections } from "../../graph/objections.ts";
import { innerPath } from "../../graph/view.ts";
import type { FunctionRecord, Model, NodeRecord } from "../../onnx/records.ts";
import { attributeText } from "./meaning.ts";

/** A model that would be larger is compared call by call, as it is. */
const MAX_NODES = 2 ** 19;

/** Functions may call functions; each round writes out one level. */
const MAX_ROUNDS = 64;

export function alignCalls(a: Model, b: Model): [Model, Model] {
  if (a.functions.length === 0 && b.functions.length === 0) return [a, b];
  let [x, y] = [a, b];
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const [inX, inY] = [callsOf(x), callsOf(y)];
    const [nextX, nextY] = [written(x, inY), written(y, inX)];
    if (nextX === x && nextY === y) break;
    [x, y] = [nextX, nextY];
  }
  return [onlyCalled(x), onlyCalled(y)];
}

/** A function with the defaults of its attributes: with others it is another one, whatever its body. */
const calleeOf = (callee: FunctionRecord): string =>
  [
    functionLabel(callee),
    ...[...callee.attributeDefaults.values()].map((one) => `${one.name}=${attributeText(one)}`).sort(),
  ].join("\u0001");

const keyOf = (home: string, call: NodeRecord, callee: FunctionRecord): string =>
  `${home}\0${calleeOf(callee)}\0${call.outputs.find((name) => name !== "") ?? ""}`;

/** Every call, by graph, function and first output. */
function callsOf(model: Model): Set<string> {
  const functions = new Functions(model.functions);
  const calls = new Set<string>();
  const visit = (nodes: readonly NodeRecord[], home: string): void => {
    for (const node of nodes) {
      const callee = functions.called(node);
      if (callee !== undefined) calls.add(keyOf(home, node, callee));
      for (const attribute of node.attributes.values())
        for (const [i, graph] of graphsOf(attribute).entries())
          visit(graph.nodes, innerPath(home, node, nodes, attribute.name, i));
    }
  };
  visit(model.graph.nodes, "");
  for (const fn of reachable(model, functions)) visit(fn.nodes, functionLabel(fn));
  return calls;
}

/**
 * The model with the calls written out that are not among `others`, in the copies those of functions that nothing calls there;
 * the model itself when there are none.
 */
function written(model: Model, others: ReadonlySet<string>): Model {
  const functions = new Functions(model.functions);
  const objection = objections(model, functions);
  const called = new Set([...others].map((key) => key.split("\0")[1]));
  const isAlone = ({ home, call, callee }: Site) => !others.has(keyOf(home, call, callee));
  if (![...callsOf(model)].some((key) => !others.has(key))) return model;
  const size = expandedSize(model, functions)(model.graph.nodes);
  if (size > MAX_NODES) return model;
  const { model: made, sites } = inline(
    model,
    functions,
    (site, root) =>
      (site.within === undefined ? isAlone(site) : !called.has(calleeOf(site.callee))) && objection(site, root) === undefined,
  );
  return sites.length === 0 ? model : made;
}

function onlyCalled(model: Model): Model {
  const functions = new Functions(model.functions);
  const called = reachable(model, functions);
  // A function of the name of an operator may be meant by any node of that name.
  const ambiguous = [...allNodes(model.graph.nodes), ...model.functions.flatMap((fn) => [...allNodes(fn.nodes)])].some((node) =>
    functions.isAmbiguous(node),
  );
  if (ambiguous || called.size === model.functions.length) return model;
  return { ...model, functions: model.functions.filter((fn) => called.has(fn)) };
}
