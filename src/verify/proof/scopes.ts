/**
 * Which inner graph of the second file is which of the first. A node without a name goes by its first output, and a map that went
 * into an If or Loop leaves it another output: such holders correspond in order, by type and number of bodies, within the graphs
 * that hold them.
 */
import type { GraphNode, GraphView, Scope } from "../../graph/view.ts";

/** Which of its node's bodies a graph is, whatever order the file lists them in: the attribute that has it. */
const roleOf = ({ path }: Scope): string => path.slice(path.lastIndexOf("/") + 1);

const twinOf = (body: Scope, holder: GraphNode): Scope | undefined =>
  holder.bodies.find((other) => roleOf(other) === roleOf(body));

const holdersIn = (scope: Scope): GraphNode[] => scope.nodes.filter(({ bodies }) => bodies.length > 0);

/** Gives the inner graphs of `b` the paths of their counterparts in `a`. */
export function alignScopes(a: GraphView, b: GraphView): void {
  const rename = (from: string, to: string): void => {
    for (const scope of b.scopes) {
      if (scope.path === from) scope.path = to;
      else if (scope.path.startsWith(`${from}/`)) scope.path = to + scope.path.slice(from.length);
    }
  };
  const pair = (x: Scope, y: Scope): void => {
    const [mine, theirs] = [holdersIn(y), holdersIn(x)];
    const called = (list: readonly GraphNode[], node: GraphNode) =>
      list.find((other) => twinOf(node.bodies[0], other)?.path === node.bodies[0].path);
    const open = theirs.filter((node) => called(mine, node) === undefined);
    for (const node of mine) {
      let twin = called(theirs, node);
      if (twin === undefined) {
        twin = open.find(
          ({ opType, domain, bodies }) =>
            opType === node.opType && domain === node.domain && bodies.length === node.bodies.length,
        );
        if (twin === undefined) continue;
        open.splice(open.indexOf(twin), 1);
        const renamed = node.bodies.map((body) => [body.path, twinOf(body, twin as GraphNode)?.path] as const);
        for (const [from, to] of renamed) if (to !== undefined) rename(from, to);
      }
      for (const body of node.bodies) {
        const other = twinOf(body, twin);
        if (other !== undefined) pair(other, body);
      }
    }
  };
  pair(a.main, b.main);
  for (const scope of b.scopes) {
    const twin =
      scope.kind === "function" ? a.scopes.find(({ kind, path }) => kind === "function" && path === scope.path) : undefined;
    if (twin !== undefined) pair(twin, scope);
  }
}

/** True of nodes without inner graphs, and of two whose graphs correspond: they are compared with each other, and with no others. */
export const areAligned = ({ bodies }: GraphNode, other: GraphNode): boolean =>
  bodies.length === other.bodies.length && bodies.every(({ path }) => other.bodies.some((body) => body.path === path));
