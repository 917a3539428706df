/** Where two files meet: what their graphs, subgraphs and functions take in and give out. */
import { outputNames } from "../../graph/branches.ts";
import type { GraphValue, Scope } from "../../graph/view.ts";
import type { AffineMap, Classes, Side } from "./classes.ts";
import type { Claim } from "./effect.ts";
import type { Findings } from "./findings.ts";
import { sameConstant } from "./match.ts";
import { exact, type Relation, relative } from "./relation.ts";

const inputNames = ({ record }: Scope): string[] => record.inputs.map((item) => (typeof item === "string" ? item : item.name));

/** What has no producer is related by scope and name; formal inputs of inner graphs and functions by position. */
export function relatedInputs(a: Side, b: Side, classes: Classes): Map<GraphValue, Relation> {
  const scopes = new Map(a.view.scopes.map((scope) => [scope.path, scope]));
  const related = new Map<GraphValue, Relation>();
  for (const scope of b.view.scopes) {
    const other = scopes.get(scope.path);
    const twins =
      scope.kind === "main" ? new Map() : new Map(inputNames(scope).map((name, i) => [name, other && inputNames(other)[i]]));
    for (const value of scope.values.values()) {
      if (value.producer !== undefined || b.constants.has(value)) continue;
      const twin = other?.values.get(twins.get(value.name) ?? value.name);
      const known = twin && classes.of(twin);
      if (known !== undefined) related.set(value, exact(known.core, known));
    }
  }
  return related;
}

/** What a walk knows at its end. */
export interface Walked {
  readonly a: Side;
  readonly b: Side;
  readonly classes: Classes;
  readonly related: ReadonlyMap<GraphValue, Relation>;
  /** True of a value that is taken for the first file's although that could not be shown. */
  readonly isDoubtful: (value: GraphValue) => boolean;
  /** Results of branches that were compared where they are chosen from. */
  readonly settled: ReadonlySet<GraphValue>;
}

/** Outputs of the model are compared by name, those of inner graphs and functions by position. */
export function compareOutputs(walked: Walked, findings: Findings): void {
  const scopes = new Map(walked.a.view.scopes.map((scope) => [scope.path, scope]));
  for (const scope of walked.b.view.scopes) {
    const other = scopes.get(scope.path);
    const [mine, theirs] = [outputNames(scope), other === undefined ? [] : outputNames(other)];
    const isMain = scope.kind === "main";
    const missing = isMain ? theirs.filter((name) => !mine.includes(name)) : theirs.slice(mine.length);
    for (const [i, name] of [...mine, ...missing].entries()) {
      if (other === undefined) {
        face(findings, name, "not-decided", `"${scope.path}" is a graph that the first file has not`);
        continue;
      }
      const twin = isMain ? theirs.find((its) => its === name) : theirs[i];
      const x = twin === undefined ? undefined : other.resolve(twin);
      const y = i < mine.length ? scope.resolve(name) : undefined;
      if (x === undefined || y === undefined)
        // What an inner graph gives out may have no reader: its holder's readers say whether it is missed.
        face(findings, name, isMain ? "different" : "not-decided", `output "${name}" is missing in one of the files`);
      else if (!walked.settled.has(y)) compareOutput(name, x, y, walked, findings);
    }
  }
}

function face(findings: Findings, name: string, outcome: "not-decided" | "different", reason: string, claim?: Claim): void {
  findings.face({ outcome, nodes: [name], value: name, worstHalfUlps: 0, coefficients: 0, reason }, claim);
}

function compareOutput(name: string, x: GraphValue, y: GraphValue, walked: Walked, findings: Findings): void {
  const { a, b, classes, related } = walked;
  if (a.constants.has(x) && b.constants.has(y)) {
    if (!sameConstant(a, x, b, y)) face(findings, name, "different", `output "${name}" is another constant`);
    return;
  }
  const [beta, alpha] = [related.get(y), classes.of(x)];
  if (beta === undefined || alpha === undefined) {
    if (!findings.isOpen) face(findings, name, "not-decided", `output "${name}" could not be traced to the first file`);
  } else if (beta.core !== alpha.core) face(findings, name, "not-decided", `output "${name}" is computed from another value`);
  else if (relative(beta, alpha)?.identity === true) return;
  else if (walked.isDoubtful(y))
    face(findings, name, "not-decided", `output "${name}" differs by a gain or shift, after a place that is not decided`);
  else offset(name, { value: y, actual: beta, target: exact(alpha.core, alpha) }, alpha, findings);
}

/** An output that is another map of the right value: the operator that made it so is named. */
function offset(name: string, claim: Claim & { readonly actual: Relation }, alpha: AffineMap, findings: Findings): void {
  const { node, suspicions } = claim.actual.blame ?? {};
  const suspicion = suspicions?.find(({ member }) => member.scale === alpha.scale && member.shift === alpha.shift);
  if (node === undefined || suspicion === undefined)
    face(findings, name, "different", `output "${name}" differs from the first file's by a gain or shift beyond rounding`, claim);
  else
    findings.note(node, "different", {
      reason: `output "${name}" is off because of ${node.label}`,
      misfit: suspicion.misfit,
      claim,
    });
}
