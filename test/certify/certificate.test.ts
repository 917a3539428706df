/**
 * Certificates that no fewer nodes can stay: on small networks their bound is what trying every set gives (test/laws/oracle.ts), never
 * above it; and what is not right of a certificate is seen. `BNFOLD_RANDOM` networks are tried (default 300), from seed `BNFOLD_SEED` on.
 */
import { describe, expect, it } from "vitest";
import { type Certificate, type Conflict, checkCertificate, parseCertificate } from "../../src/certify/index.ts";
import { minimality, plan } from "../../src/fold/index.ts";
import type { Model } from "../../src/onnx/records.ts";
import { type ModelSpec, model, node } from "../helpers/build.ts";
import { fewest, networkOf } from "../laws/oracle.ts";
import { batchNorm, whole } from "../rules/check.ts";

const count = Number(process.env.BNFOLD_RANDOM ?? 300);
const first = Number(process.env.BNFOLD_SEED ?? 1);

const made = (of: Model): Certificate => minimality(of, plan(of, { merge: false, maxGrowth: Number.POSITIVE_INFINITY }).data);
const reread = (certificate: Certificate): Certificate => parseCertificate(JSON.parse(JSON.stringify(certificate)));

describe("a certificate", () => {
  it("shows how many nodes have to stay, and never more", { timeout: 120_000 + count * 200 }, () => {
    const systems = new Set<string>();
    let loose = 0;
    for (let seed = first; seed < first + count; seed++) {
      const network = networkOf(seed);
      const before = model(network.spec);
      const certificate = reread(made(before));
      const checked = checkCertificate(before, certificate);
      expect(checked.problems, `seed ${seed}`).toEqual([]);
      const { kept } = fewest(network);
      expect(checked.least, `seed ${seed}`).toBeLessThanOrEqual(kept);
      if (checked.least < kept) loose++;
      for (const { conflicts } of certificate.sets) for (const { system } of conflicts) systems.add(system);
    }
    // Conflicts of many that overlap may be more than is worth showing.
    expect(loose).toBeLessThanOrEqual(count / 100);
    expect([...systems].sort()).toEqual(["gain", "name", "shift", "sign"]);
  });

  it("counts cliques of a value's readers, of any size", () => {
    for (const readers of [2, 5, 9]) {
      const before = model(star(readers));
      const certificate = made(before);
      expect(certificate.sets.map(({ nodes, least }) => [nodes.length, least])).toEqual([[readers, readers - 1]]);
      expect(checkCertificate(before, certificate)).toEqual({ holds: true, least: readers - 1, problems: [] });
      expect(certificate.kept.length).toBe(readers - 1);
    }
  });
});

/** One layer read by normalizations that ask for different gains, each before a Relu that is an output. */
function star(readers: number): ModelSpec {
  const nodes = [node("Conv", ["x", "w"], ["c"])];
  const initializers: Record<string, ReturnType<typeof whole>> = { w: whole([2, 2, 1, 1], 3) };
  const outputs: { name: string }[] = [];
  for (let i = 0; i < readers; i++) {
    const norm = batchNorm("c", `n${i}`, 2, { gain: [1 + i, 2], shift: [i, 1] });
    nodes.push(norm.node, node("Relu", [`n${i}`], [`y${i}`]));
    Object.assign(initializers, norm.initializers);
    outputs.push({ name: `y${i}` });
  }
  return { nodes, initializers, inputs: [{ name: "x", dims: [1, 2, 3, 3] }], outputs };
}

describe("what is not right of a certificate", () => {
  const before = model(star(4));
  const right = made(before);
  const [set] = right.sets;
  const withSet = (change: Partial<typeof set>): Certificate => ({ ...right, sets: [{ ...set, ...change }] });
  const withConflict = (change: (conflict: Conflict) => Conflict): Certificate =>
    withSet({ conflicts: [change(set.conflicts[0]), ...set.conflicts.slice(1)] });

  it.each<[string, Certificate, RegExp]>([
    ["a multiplier", withConflict((c) => ({ ...c, goes: [[c.goes[0][0], c.goes[0][1], 3], ...c.goes.slice(1)] })), /add up/],
    ["an equation left out", withConflict((c) => ({ ...c, goes: c.goes.slice(1) })), /add up/],
    ["what is left", withConflict((c) => ({ ...c, sum: c.sum * 2 })), /add up/],
    ["an equation that is not there", withConflict((c) => ({ ...c, goes: [[c.goes[0][0], 9999, 1]] })), /asks for no such thing/],
    ["a law that is not there", withConflict((c) => ({ ...c, laws: [[c.nodes[0], 9999, 1]] })), /has no such equation/],
    ["another system", withConflict((c) => ({ ...c, system: "name" })), /no two names/],
    ["a conflict too few", withSet({ conflicts: set.conflicts.slice(1) }), /do not show that 3 of 4/],
    ["a conflict of another node", withConflict((c) => ({ ...c, nodes: [c.nodes[0]] })), /another node asks for/],
    ["one more that stays", withSet({ least: 4 }), /do not show that 4 of 4/],
    ["a set twice", { ...right, sets: [set, set], least: 6 }, /in another set/],
    ["the sum", { ...right, least: 4 }, /says that 4 nodes stay, and shows it of 3/],
    ["the candidates", { ...right, candidates: 5 }, /counts 5 candidates/],
    ["a node of the file", { ...right, nodes: right.nodes.map((n) => ({ ...n, name: "other" })) }, /no candidate/],
  ])("%s", (_what, certificate, because) => {
    const checked = checkCertificate(before, reread(certificate));
    expect(checked.holds).toBe(false);
    expect(checked.problems.join("\n")).toMatch(because);
    expect(checked.least).toBeLessThanOrEqual(3);
  });

  it("numbers of another file", () => {
    const other = star(4);
    const same = other.initializers?.n0_scale as ReturnType<typeof whole>;
    const spec = {
      ...other,
      initializers: { ...other.initializers, n1_scale: same, n1_var: other.initializers?.n0_var as typeof same },
    };
    expect(checkCertificate(model(spec), right).holds).toBe(false);
  });

  it("its form", () => {
    const broken: [unknown, RegExp][] = [
      [null, /it is not an object/],
      [{}, /format is not a whole number/],
      [{ ...right, format: 2 }, /format is 2, and this version of bnfold knows 1/],
      [{ ...right, laws: 7 }, /laws is 7/],
      [{ ...right, nodes: 3 }, /nodes is not a list/],
      [{ ...right, kept: [[99, "x"]] }, /kept\[0\] is not one of the \d+ nodes|kept\[0\]\[0\]/],
      [{ ...right, sets: [{ ...set, least: -1 }] }, /sets\[0\]\.least is not a whole number/],
      [withConflict((c) => ({ ...c, goes: [[0, 0, Number.NaN]] })), /goes\[0\]\[2\] is not a number/],
      [withConflict((c) => ({ ...c, system: "luck" as "gain" })), /system is not gain, sign, shift, name/],
    ];
    for (const [value, because] of broken) expect(() => parseCertificate(value)).toThrow(because);
  });
});
