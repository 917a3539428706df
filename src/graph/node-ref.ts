/** A node of the file, named so that a person finds it. */
export interface NodeRef {
  /** "" for the main graph, else the path of graphs, functions or written-out calls it lies in, e.g. "If_3/then_branch". */
  readonly scope: string;
  /** Position in the node list of its graph or function, in the file. */
  readonly index: number;
  readonly opType: string;
  /** Node name; may be "". */
  readonly name: string;
  /** First output, the best name an unnamed node has. */
  readonly output: string;
}
