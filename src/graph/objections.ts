/** Which calls of functions can be written out where they stand, and what stops the others. */
import type { FunctionRecord, Model, NodeRecord } from "../onnx/records.ts";
import { allNodes, type Functions, graphsOf } from "./functions.ts";
import { meansTheSame } from "./op-versions.ts";

/** Why a call has to stay a call; undefined when it need not. */
export type Objection = (
  site: { readonly call: NodeRecord; readonly callee: FunctionRecord },
  root: { readonly opsets: ReadonlyMap<string, number> },
) => string | undefined;

/** The rules of inlining, for one model. */
export function objections(model: Model, functions: Functions): Objection {
  const imports = importsOf(model);
  const known = new Map<ReadonlyMap<string, number>, Map<FunctionRecord, string | undefined>>();
  return ({ call, callee }, { opsets }) => {
    const bad = callObjection(call, callee);
    if (bad !== undefined) return bad;
    const cache = known.get(opsets) ?? new Map<FunctionRecord, string | undefined>();
    known.set(opsets, cache);
    if (!cache.has(callee)) cache.set(callee, bodyObjection(model, functions, callee, opsets, imports));
    return cache.get(callee);
  };
}

/** What each domain is imported as where a graph does not import it itself. */
export function importsOf(model: Model): ReadonlyMap<string, number> {
  const imports = new Map<string, number>();
  for (const { opsets } of model.functions)
    for (const [domain, version] of opsets) if (!imports.has(domain)) imports.set(domain, version);
  return imports;
}

function callObjection(call: NodeRecord, callee: FunctionRecord): string | undefined {
  if (call.inputs.length > callee.inputs.length || call.outputs.length > callee.outputs.length)
    return "gives it more inputs or outputs than it has";
  for (const attribute of call.attributes.values())
    if (graphsOf(attribute).length > 0) return `gives it a graph, as attribute "${attribute.name}"`;
  for (const [k, name] of call.outputs.entries()) {
    const formal = callee.inputs.indexOf(callee.outputs[k]);
    if (name !== "" && formal >= 0 && (call.inputs[formal] ?? "") === "") return "returns an input that is not given";
  }
  return undefined;
}

function bodyObjection(
  model: Model,
  functions: Functions,
  callee: FunctionRecord,
  opsets: ReadonlyMap<string, number>,
  imports: ReadonlyMap<string, number>,
): string | undefined {
  const made = new Set(callee.nodes.flatMap(({ outputs }) => outputs));
  if (callee.inputs.some((name) => made.has(name))) return "has a body that makes one of its own inputs";
  const lost = callee.outputs.find((name) => !made.has(name) && !callee.inputs.includes(name));
  if (lost !== undefined) return `has a body that does not make its output "${lost}"`;
  for (const node of allNodes(callee.nodes)) {
    if (functions.called(node) !== undefined) continue;
    if (functions.isAmbiguous(node)) return `holds ${node.opType}, an operator and a function of the model at once`;
    const from = callee.opsets.get(node.domain) ?? model.opsets.get(node.domain);
    const to = opsets.get(node.domain) ?? imports.get(node.domain) ?? from;
    if (from === to || from === undefined || to === undefined) continue;
    if (node.domain === "" && meansTheSame(node.opType, from, to)) continue;
    const domain = node.domain === "" ? "" : `${node.domain} `;
    return `holds ${node.opType} of ${domain}opset ${from}, which is another operator in opset ${to} of the graph around the call`;
  }
  return undefined;
}
