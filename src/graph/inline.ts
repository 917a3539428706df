/**
 * Calls of model-local functions → the nodes of their bodies, as a model that can be read.
 *
 *   call: y = F(a, b; k)      F(p, q; k) = { t = Op1(p; k), r = Op2(t, q) } → r      becomes      t' = Op1(a; k), y = Op2(t', b)
 *
 * Formal inputs become the values given ("" where none is), outputs the values the call makes, all other names fresh ones; a
 * reference to an attribute of the function becomes the attribute given, its default, or goes. Every node is a copy of its
 * bytes with these names in it: documentation, metadata and unknown fields stay. A call may be replaced when each operator of
 * the body means the same in the operator set of the graph around the call. A function that nobody calls any more goes.
 */

import { insertAt, newNode } from "../onnx/edit.ts";
import { concat, header, intField, lengthDelimited, textField } from "../onnx/put.ts";
import { read } from "../onnx/read.ts";
import type { AttributeRecord, FunctionRecord, GraphRecord, Model, NodeRecord } from "../onnx/records.ts";
import { FIELD } from "../onnx/schema.ts";
import { type Edit, type Piece, piecesLength, splice } from "../onnx/splice.ts";
import { compacted, splicedSource } from "../onnx/spliced.ts";
import { FreshNames } from "./fresh-names.ts";
import { type Functions, functionLabel, graphsOf, reachable } from "./functions.ts";
import { importsOf } from "./objections.ts";
import { isSizeless, Names, nodeEdits, renamedGraph, renamedInfo } from "./rename.ts";
import { innerPath } from "./view.ts";

/** One call, as seen from the graph or function it is written out into. */
export interface Site {
  readonly call: NodeRecord;
  readonly callee: FunctionRecord;
  /** The call in whose copy this one stands; undefined for one that the file has there. */
  readonly within: Site | undefined;
  /** Path, in the file, of the graph that holds the call. */
  readonly home: string;
  /** Path of the copy: "" for none, then the calls on the way, by name. */
  readonly path: string;
  /** Calls on the way, this one last, each as its graph's path and its place there. */
  readonly chain: readonly string[];
}

/** Where a node comes from. */
export interface Origin {
  /** Path of its graph, through the calls that were written out. */
  readonly scope: string;
  /** Its place in the graph or function body the file has. */
  readonly index: number;
  readonly name: string;
  readonly site: Site | undefined;
  /** The calls on the way and the node, each as its graph's path in the file and its place there. */
  readonly chain: readonly string[];
}

export interface Inlined {
  readonly model: Model;
  readonly sites: readonly Site[];
  /** By path of the graph in `model` and place there: "path#index". */
  readonly origins: ReadonlyMap<string, Origin>;
  /** Names in `model` of nodes that were copied (or of their first outputs) → those they have in the file. */
  readonly names: ReadonlyMap<string, string>;
  /** Functions that lost their last call, by label. */
  readonly dropped: readonly string[];
}

type Holder = GraphRecord | FunctionRecord;

/** A node of the new model, with those of its inner graphs. */
interface Emitted {
  readonly origin: Origin;
  readonly bodies: readonly (readonly Emitted[])[];
}

/** Where nodes are written to: names and attributes of the copy they are part of, if any. */
interface Place {
  readonly root: Root;
  readonly site: Site | undefined;
  /** Path of the graph in the file. */
  readonly home: string;
  readonly names: Names | undefined;
  readonly attributes: ReadonlyMap<string, AttributeRecord> | undefined;
}

/** The model's graph, or a function that stays. */
export interface Root {
  readonly opsets: ReadonlyMap<string, number>;
  readonly isFunction: boolean;
  /** Domains it will have to import. */
  readonly missing: Set<string>;
}

const isGraph = (record: Holder): record is GraphRecord => "initializers" in record;

/**
 * The model with the calls that `choose` picks written out; those in a copy are asked about in their turn. Only calls without
 * an objection may be chosen.
 */
export function inline(model: Model, functions: Functions, choose: (site: Site, root: Root) => boolean): Inlined {
  return new Inliner(model, functions, choose).run();
}

class Inliner {
  private readonly sites: Site[] = [];
  private readonly taken = new FreshNames();
  private readonly edits: Edit[] = [];
  /** Functions still called, in the order they were met. */
  private readonly wanted: FunctionRecord[] = [];
  private readonly seen = new Set<FunctionRecord>();
  private readonly repeated = new Map<readonly NodeRecord[], ReadonlySet<string>>();
  private readonly imports: ReadonlyMap<string, number>;

  constructor(
    private readonly model: Model,
    private readonly functions: Functions,
    private readonly choose: (site: Site, root: Root) => boolean,
  ) {
    this.imports = importsOf(model);
    this.takeNames(model.graph);
    for (const fn of model.functions) this.takeNames(fn);
  }

  run(): Inlined {
    const { model } = this;
    const before = reachable(model, this.functions);
    const emitted = new Map<Holder, readonly Emitted[]>();
    const missing = this.root(model.graph, "", model.opsets, emitted);
    if (missing.size > 0) this.importInto(model, missing);
    // Functions that were not called before keep what they call.
    for (const fn of model.functions) if (!before.has(fn)) this.want(fn);
    for (let i = 0; i < this.wanted.length; i++) {
      const fn = this.wanted[i];
      const lacking = this.root(fn, functionLabel(fn), fn.opsets, emitted);
      if (lacking.size > 0) this.importInto(fn, lacking);
    }
    const dropped = model.functions.filter((fn) => !this.seen.has(fn));
    for (const { frame } of dropped)
      this.edits.push({ frame: model.frame, at: { start: frame.tagAt, end: frame.end }, pieces: [] });
    const { main, external } = model.files;
    const made = read(splicedSource(splice(main, model.frame, this.edits), main.name), { external });
    const origins = new Map<string, Origin>();
    const names = new Map<string, string>();
    note(made.graph.nodes, emitted.get(model.graph) as readonly Emitted[], "", origins, names);
    const kept = model.functions.filter((fn) => this.seen.has(fn));
    for (const [i, fn] of made.functions.entries())
      note(fn.nodes, emitted.get(kept[i]) as readonly Emitted[], functionLabel(fn), origins, names);
    return { model: made, sites: this.sites, origins, names, dropped: dropped.map(functionLabel) };
  }

  private takeNames(holder: Holder): void {
    const { taken } = this;
    if (isGraph(holder)) {
      for (const { name } of holder.initializers) taken.add(name);
      for (const { values } of holder.sparseInitializers) taken.add(values.name);
      for (const { name } of [...holder.inputs, ...holder.outputs]) taken.add(name);
    } else for (const name of [...holder.inputs, ...holder.outputs]) taken.add(name);
    for (const node of holder.nodes) {
      taken.add(node.name);
      for (const name of [...node.inputs, ...node.outputs]) taken.add(name);
      for (const attribute of node.attributes.values()) for (const graph of graphsOf(attribute)) this.takeNames(graph);
    }
  }

  private want(fn: FunctionRecord): void {
    if (this.seen.has(fn)) return;
    this.seen.add(fn);
    this.wanted.push(fn);
  }

  /** Adds imports for domains that only a written-out body needs. */
  private importInto(owner: Model | FunctionRecord, domains: ReadonlySet<string>): void {
    const field = "graph" in owner ? FIELD.model.opsetImport : FIELD.function.opsetImport;
    for (const domain of domains) {
      const version = this.imports.get(domain);
      if (version === undefined) continue;
      const entry = concat([textField(1, domain), intField(2, version)]);
      this.edits.push(insertAt(owner.frame, owner.frame.end, lengthDelimited(field, entry)));
    }
  }

  /** The model's graph or a function, with the domains it has to import now. */
  private root(
    holder: Holder,
    home: string,
    opsets: ReadonlyMap<string, number>,
    emitted: Map<Holder, readonly Emitted[]>,
  ): Set<string> {
    const root: Root = { opsets, isFunction: !isGraph(holder), missing: new Set() };
    const place: Place = { root, site: undefined, home, names: undefined, attributes: undefined };
    emitted.set(holder, this.graph(holder, place, this.edits));
    return root.missing;
  }

  /** The edits of one graph or body, names and calls; what stands in it afterwards. */
  private graph(holder: Holder, place: Place, edits: Edit[]): Emitted[] {
    const source = this.model.files.main;
    const out: Emitted[] = [];
    const infos: Piece[] = [];
    const field = isGraph(holder) ? FIELD.graph.node : FIELD.function.node;
    for (const node of holder.nodes) {
      const site = this.siteOf(node, holder.nodes, place);
      const at = { start: node.frame.tagAt, end: node.frame.end };
      if (site !== undefined) {
        const pieces: Piece[] = [];
        this.expand(site, place, field, pieces, infos, out);
        edits.push({ frame: holder.frame, at, pieces: compacted(pieces) });
      } else {
        if (place.names !== undefined) edits.push(...nodeEdits(source, node, place.names, place.attributes));
        out.push(this.kept(node, holder.nodes, place, edits));
      }
    }
    if (place.names !== undefined && isGraph(holder))
      for (const edit of renamedGraph(source, holder, place.names)) edits.push(edit);
    if (infos.length > 0) {
      const end = holder.valueInfos.at(-1)?.frame.end ?? holder.frame.end;
      edits.push({ frame: holder.frame, at: { start: end, end }, pieces: infos });
    }
    return out;
  }

  /** A node that stays itself; its inner graphs may change. */
  private kept(node: NodeRecord, siblings: readonly NodeRecord[], place: Place, edits: Edit[]): Emitted {
    const fn = this.functions.called(node);
    if (fn !== undefined) this.want(fn);
    if (place.site !== undefined && !place.root.opsets.has(node.domain)) place.root.missing.add(node.domain);
    const bodies: Emitted[][] = [];
    for (const attribute of node.attributes.values()) {
      for (const [i, graph] of graphsOf(attribute).entries()) {
        const names = place.names?.inner(graph);
        const home = innerPath(place.home, node, siblings, attribute.name, i);
        bodies.push(this.graph(graph, { ...place, home, names }, edits));
      }
    }
    return { origin: originOf(node, place), bodies };
  }

  private siteOf(call: NodeRecord, siblings: readonly NodeRecord[], place: Place): Site | undefined {
    const callee = this.functions.called(call);
    if (callee === undefined) return undefined;
    const around = scopeOf(place);
    const path = `${around === "" ? "" : `${around}/`}${this.ownName(call, siblings)}`;
    const chain = [...(place.site?.chain ?? []), `${place.home}#${call.index}`];
    const site: Site = { call, callee, within: place.site, home: place.home, path, chain };
    return this.choose(site, place.root) ? site : undefined;
  }

  /** The name of a call, or its first output where it has none or shares it. */
  private ownName(call: NodeRecord, siblings: readonly NodeRecord[]): string {
    let repeated = this.repeated.get(siblings);
    if (repeated === undefined) {
      const seen = new Set<string>();
      repeated = new Set(siblings.flatMap(({ name }) => (seen.size === seen.add(name).size ? [name] : [])));
      this.repeated.set(siblings, repeated);
    }
    if (call.name !== "" && !repeated.has(call.name)) return call.name;
    return call.outputs.find((name) => name !== "") ?? `#${call.index}`;
  }

  /** Appends a call's body: its nodes to `pieces`, the types it declares to `infos`. */
  private expand(site: Site, around: Place, field: number, pieces: Piece[], infos: Piece[], out: Emitted[]): void {
    const { call, callee } = site;
    this.sites.push(site);
    const source = this.model.files.main;
    const given = (name: string): string => (around.names === undefined ? name : around.names.of(name));
    const prefix = `${around.names?.prefix ?? ""}${site.path.slice(scopeOf(around) === "" ? 0 : scopeOf(around).length + 1)}/`;
    const names = new Names(prefix, (base) => this.taken.fresh(base));
    for (const [i, formal] of callee.inputs.entries()) names.set(formal, given(call.inputs[i] ?? ""));
    const copies: [from: string, to: string][] = [];
    const bound = new Set<string>();
    for (const [k, output] of call.outputs.entries()) {
      if (output === "") continue;
      const formal = callee.outputs[k];
      if (bound.has(formal) || callee.inputs.includes(formal)) copies.push([formal, given(output)]);
      else names.set(formal, given(output));
      bound.add(formal);
    }
    const place: Place = { ...around, site, home: functionLabel(callee), names, attributes: attributesOf(site, around) };
    for (const node of callee.nodes) {
      const inner = this.siteOf(node, callee.nodes, place);
      if (inner !== undefined) {
        this.expand(inner, place, field, pieces, infos, out);
        continue;
      }
      const edits = nodeEdits(source, node, names, place.attributes);
      out.push(this.kept(node, callee.nodes, place, edits));
      const content = splice(source, node.frame, edits);
      pieces.push({ bytes: header(field, piecesLength(content)) });
      for (const piece of content) pieces.push(piece);
    }
    for (const [from, to] of copies) {
      pieces.push({ bytes: newNode(field, { opType: "Identity", inputs: [names.of(from)], outputs: [to] }) });
      if (!around.root.opsets.has("")) around.root.missing.add("");
      out.push({ origin: originOf(call, around), bodies: [] });
    }
    const infoField = field === FIELD.graph.node ? FIELD.graph.valueInfo : FIELD.function.valueInfo;
    for (const info of callee.valueInfos) {
      if (callee.inputs.includes(info.name) || bound.has(info.name) || !isSizeless(info.type)) continue;
      const content = renamedInfo(source, info.frame, names.of(info.name));
      infos.push({ bytes: header(infoField, piecesLength(content)) }, ...content);
    }
  }
}

/** The attributes a body sees: given by the call, those of the function around it followed; else the defaults. */
function attributesOf({ call, callee }: Site, around: Place): Map<string, AttributeRecord> {
  const attributes = new Map(callee.attributeDefaults);
  for (const [name, record] of call.attributes) {
    // A call in a function that stays hands on a reference, which means that function's attribute.
    const given = record.refAttrName === "" || around.site === undefined ? record : around.attributes?.get(record.refAttrName);
    if (given !== undefined) attributes.set(name, given);
  }
  return attributes;
}

/** Path of a place as a person reads it: through the calls on the way. */
function scopeOf({ site, home }: Place): string {
  if (site === undefined) return home;
  return `${site.path}${home.slice(functionLabel(site.callee).length)}`;
}

function originOf(node: NodeRecord, place: Place): Origin {
  const { index } = node;
  const name = node.name || node.outputs[0] || "";
  const chain = [...(place.site?.chain ?? []), `${place.home}#${index}`];
  return { scope: scopeOf(place), index, name, site: place.site, chain };
}

/** Notes where each node of a graph, as it was read again, comes from. */
function note(
  nodes: readonly NodeRecord[],
  emitted: readonly Emitted[],
  path: string,
  origins: Map<string, Origin>,
  names: Map<string, string>,
): void {
  if (nodes.length !== emitted.length) throw new Error("internal: a body was not written out as it was planned");
  for (const [i, node] of nodes.entries()) {
    const { origin, bodies } = emitted[i];
    origins.set(`${path}#${i}`, origin);
    if (origin.site !== undefined) names.set(node.name || node.outputs[0], origin.name);
    let k = 0;
    for (const attribute of node.attributes.values())
      for (const [j, graph] of graphsOf(attribute).entries())
        note(graph.nodes, bodies[k++], innerPath(path, node, nodes, attribute.name, j), origins, names);
  }
}
