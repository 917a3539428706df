import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { plan } from "../../../src/fold/index.ts";
import { condensed } from "../../../src/report/condensed.ts";
import { detailsOf } from "../../../src/report/details.ts";
import type { Document } from "../../../src/report/document.ts";
import { htmlPage } from "../../../src/report/html/page.ts";
import { html } from "../../../src/report/html/template.ts";
import { reviveReport } from "../../../src/report/revive.ts";
import { convNet, folder } from "../../cli/bnfold.ts";
import { model } from "../../helpers/build.ts";
import { HOSTILE, hostileDocuments, hostileReport, plainReport } from "../formats/hostile.ts";

/** Elements a page has, strictly read: every tag closed, attributes quoted, nothing of a name among them. */
function elements(page: string): { names: Set<string>; attributes: Set<string> } {
  const [names, attributes] = [new Set<string>(), new Set<string>()];
  const open: string[] = [];
  const body = page.replace(/^<!doctype html>\n/, "").replace(/<style>[\s\S]*?<\/style>/, "");
  let at = 0;
  for (const match of body.matchAll(/<(\/?)([a-z0-9]+)((?:\s+[a-zA-Z0-9:-]+="[^"<>]*")*)\s*(\/?)>/g)) {
    expect(body.slice(at, match.index)).not.toMatch(/[<>]/);
    at = match.index + match[0].length;
    const [, close, name, list, self] = match;
    names.add(name);
    for (const [, attribute] of list.matchAll(/\s+([a-zA-Z0-9:-]+)="/g)) attributes.add(attribute);
    if (self === "/" || name === "meta") continue;
    if (close === "") open.push(name);
    else expect(open.pop()).toBe(name);
  }
  expect(body.slice(at)).not.toMatch(/[<>]/);
  expect(open).toEqual([]);
  return { names, attributes };
}

const spec = convNet({ kept: true });
const own = model(spec);
const details = detailsOf(own, plan(own).data.kept);
const documents: readonly Document[] = [
  ...hostileDocuments,
  { kind: "fold", report: plainReport },
  { kind: "fold", report: { ...plainReport, ...details, kept: plan(own).data.kept } },
  {
    kind: "fold",
    report: {
      ...hostileReport,
      channels: [
        {
          node: hostileReport.kept[0].node,
          producer: HOSTILE,
          channels: 3,
          gains: [1, -2, 0.5],
          before: [1, 2, 3],
          after: [1, Number.POSITIVE_INFINITY, 1],
        },
      ],
      around: [{ node: hostileReport.kept[0].node, nodes: [{ opType: HOSTILE, name: HOSTILE, layer: 0 }], edges: [] }],
    },
  },
];

describe("htmlPage", () => {
  it.each(documents.map((document, i) => [`${document.kind} ${i}`, document] as const))(
    "of %s is strict, and runs and loads nothing",
    (_name, document) => {
      const page = htmlPage(document);
      const { names, attributes } = elements(page);
      for (const bad of ["script", "iframe", "img", "object", "link", "a", "form", "b2", "x"]) expect(names).not.toContain(bad);
      expect([...attributes].filter((name) => /^on|^style$|href|src/.test(name))).toEqual([]);
      expect(page).toContain("default-src 'none'");
      expect(page).not.toMatch(/undefined|\[object|NaN<\/(?!td|code|b|p)/);
    },
  );

  it("says the answer first, then reason and advice of what stays, and which tolerance would have passed", () => {
    const page = htmlPage({ kind: "fold", report: plainReport });
    expect(page).toMatch(/<p class="answer equivalent">Equivalent\. 1 of 2 BatchNormalization folded/);
    expect(page).toContain("<b>other-reader</b>: The value that would change has another reader.");
    expect(page).toContain("None of its other readers was found to make up for the change.");
    expect(page).toContain("a limit of 1 would have passed, the limit is 3.");
    expect(page).toContain('<td class="r">1e-7 (2e-7 of its rms)</td>');
  });

  it("draws ranges and surroundings from the model", () => {
    const page = htmlPage(documents[documents.length - 2]);
    expect(page.match(/<svg /g)?.length).toBeGreaterThanOrEqual(3);
    expect(page).toContain("largest |weight| of each of 3 channels");
    expect(page).toMatch(/<title>Sigmoid sigmoid<\/title>/);
  });

  it.each(readdirSync(new URL("../old/", import.meta.url)))("shows %s, which an older version wrote", (file) => {
    const page = htmlPage(reviveReport(readFileSync(new URL(`../old/${file}`, import.meta.url), "utf8"), file));
    elements(page);
    expect(page).toContain('<p class="answer');
  });
});

describe("html", () => {
  it("escapes what is put into it, in lists too, and leaves templates as they are", () => {
    const name = '<b a="c">';
    expect(html`<p title="${name}">${[name, html`<i>${1}</i>`]}</p>${undefined}`.text).toBe(
      '<p title="&lt;b a=&quot;c&quot;&gt;">&lt;b a=&quot;c&quot;&gt;<i>1</i></p>',
    );
  });
});

describe("detailsOf", () => {
  it("has each layer's gains and its weight's ranges before and after", () => {
    const [layer] = details.channels ?? [];
    const gains = [1 / Math.sqrt(0.5 + 1e-5), -0.5 / Math.sqrt(1 + 1e-5), 1.5 / Math.sqrt(2 + 1e-5)];
    expect(layer).toMatchObject({ producer: "conv", channels: 3 });
    layer.gains.forEach((gain, c) => void expect(Math.abs(gain / gains[c] - 1)).toBeLessThan(1e-3));
    layer.after?.forEach(
      (after, c) => void expect(Math.abs(after / (Math.abs(gains[c]) * (layer.before?.[c] ?? 0)) - 1)).toBeLessThan(2e-3),
    );
  });

  it("has what lies around a node that stays, in the order it flows", () => {
    const [one] = details.around ?? [];
    expect(one.node.name).toBe("late");
    expect(one.nodes.map(({ name, layer }) => [name, layer])).toEqual([
      ["late", 0],
      ["sigmoid", -1],
      ["relu", -2],
    ]);
    expect(one.edges.map(([from, to]) => [one.nodes[from].name, one.nodes[to].name]).sort()).toEqual([
      ["relu", "sigmoid"],
      ["sigmoid", "late"],
    ]);
  });

  it("shows the extreme of channels that share a bar", () => {
    const values = Array.from({ length: 1000 }, (_, i) => (i === 500 ? -9 : 1));
    expect(condensed(values)).toHaveLength(128);
    expect(condensed(values).filter((value) => value === -9)).toHaveLength(1);
  });
});

const chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));

describe.skipIf(chromium === undefined)("a real browser", () => {
  const dir = folder();

  it("shows hostile names as text: no script runs, nothing is fetched, every section is there", { timeout: 120_000 }, () => {
    for (const [i, document] of [documents[0], documents[documents.length - 1]].entries()) {
      const file = join(dir, `page${i}.html`);
      writeFileSync(file, htmlPage(document));
      const args = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        `--user-data-dir=${join(dir, "profile")}`,
        "--dump-dom",
        pathToFileURL(file).href,
      ];
      const { stdout, status } = spawnSync(chromium as string, args, { encoding: "utf8", timeout: 90_000 });
      expect(status).toBe(0);
      expect(stdout).not.toMatch(/<script|<img|onload="|<a /i);
      expect(stdout).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
      expect(stdout.match(/<h2>/g)?.length).toBeGreaterThan(4);
    }
  });
});
