/**
 * Every operator's shape rule against the executor: on the cases of the laws, on small nodes of the operators that have none there, and
 * on ONNX's node tests where they are. What the inputs say decides the shape, but for operators that count or list what they find.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { sequence } from "../../src/graph/infer-made.ts";
import { operatorNames, traitsOf } from "../../src/graph/operators.ts";
import { listCases, openCase } from "../conformance/harness.ts";
import { model } from "../helpers/build.ts";
import * as contributed from "../helpers/contributed.ts";
import { subjects } from "../rules/laws/all.ts";
import { feedsOf, specOf } from "../rules/laws/law.ts";
import { versionsOf } from "../rules/laws/subject.ts";
import { type Checked, checkShapes } from "./check-shapes.ts";
import { nodes } from "./shape-nodes.ts";

/** How much comes out of these hangs on numbers, or on what a sequence holds; of branches and rounds facts.test.ts has more. */
const OPEN =
  "Compress NonMaxSuppression NonZero OneHot OptionalGetElement StringNormalizer StringSplit Unique Resize Upsample Range If Loop Scan".split(
    " ",
  );
const WITH_GRAPHS = ["If", "Loop", "Scan", "SequenceMap"];

const rowOf = (name: string) => {
  const at = name.lastIndexOf(".");
  return traitsOf({ domain: name.slice(0, Math.max(0, at)), opType: name.slice(at + 1) });
};
const hasRule = (name: string): boolean => rowOf(name)?.shape !== sequence;

const found = (list: readonly Checked[]) => ({
  wrong: [...new Set(list.flatMap(({ wrong }) => wrong ?? []))],
  open: [...new Set(list.filter(({ whole, name }) => !whole && hasRule(name) && !OPEN.includes(name)).map(({ name }) => name))],
});

const ofLaws = (): Checked[] =>
  subjects.flatMap((subject) =>
    subject.cases.flatMap((it) =>
      versionsOf(subject, it).flatMap((version) => checkShapes(model(specOf(subject.op, version, it)), feedsOf(it, 1))),
    ),
  );

describe("shapes by rule, and as the executor makes them", () => {
  it("of every operator", () => {
    // Of channels behind their places the rule knows the rank only.
    const channelsFirst = contributed.cases.filter(({ attributes }) => attributes.channels_last !== 1);
    const checked = [
      ...ofLaws(),
      ...nodes().flatMap(({ spec, feeds }) => checkShapes(model(spec), feeds)),
      ...channelsFirst.flatMap((it) => checkShapes(model(contributed.specOf(it)), contributed.feedsOf(it))),
    ];
    expect(found(checked)).toEqual({ wrong: [], open: [] });
    const tried = new Set(checked.map(({ name }) => name));
    expect(operatorNames.filter((name) => hasRule(name) && !WITH_GRAPHS.includes(name) && !tried.has(name))).toEqual([]);
  });

  it("have a rule but where a sequence hides them", () => {
    const hidden = operatorNames.filter((name) => !hasRule(name));
    expect(hidden.join(" ")).toBe(
      "ConcatFromSequence Optional SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceMap SplitToSequence",
    );
  });

  const root = ["../../../shared/conformance/node", "../../.conformance/node"]
    .map((at) => fileURLToPath(new URL(at, import.meta.url)))
    .find((at) => existsSync(at));

  it.skipIf(root === undefined)(
    "of ONNX's node tests (skipped without their data)",
    () => {
      const checked: Checked[] = [];
      for (const path of listCases(root as string)) {
        const { model: m, sets } = openCase(root as string, path);
        for (const { feeds } of sets.slice(0, 1)) {
          try {
            checked.push(...checkShapes(m, feeds).map((one) => ({ ...one, wrong: one.wrong && `${path}: ${one.wrong}` })));
          } catch {
            // Cases the executor does not run are listed in known-failures.json.
          }
        }
      }
      expect(found(checked)).toEqual({ wrong: [], open: [] });
      expect(checked.length).toBeGreaterThan(2000);
    },
    120_000,
  );
});
