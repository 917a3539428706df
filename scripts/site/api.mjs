/**
 * The API reference: what types.mjs reads, laid out as pages of the documentation. A page for each entry point, which lists what it
 * exports; the exports of the large one stand on a page for each subject, with the types they name.
 */
import { ReflectionKind } from "typedoc";
import { escaped, printer } from "./printed.mjs";
import { publicTypes, sourceOf } from "./types.mjs";

/** Subjects of the library entry, by the folder of src/ a thing is in. */
const SUBJECTS = [
  ["folding", "Folding", ["engine", "fold", "affine", "laws", "rules"]],
  ["models", "Models and bytes", ["onnx", "graph"]],
  ["comparing", "Comparing", ["verify", "diff"]],
  ["certificates", "Certificates", ["certify"]],
  ["running", "Running", ["run", "ops", "kernels"]],
  ["training", "The training side", ["train"]],
  ["reports", "Reports", ["report"]],
  ["errors", "Reasons and errors", ["diag"]],
];
const NODE = "bnfold-node";

const KINDS = new Map([
  [ReflectionKind.Class, "class"],
  [ReflectionKind.Interface, "interface"],
  [ReflectionKind.TypeAlias, "type"],
  [ReflectionKind.Variable, "constant"],
  [ReflectionKind.Function, "function"],
]);

/** Every thing with a place: its page, its anchor there (names may come twice), whether the package exports it. */
function placesOf({ entries, hidden }) {
  const taken = new Set();
  const place = (reflection, page, exported) => {
    let id = reflection.name;
    for (let k = 2; taken.has(`${page} ${id}`); k++) id = `${reflection.name}-${k}`;
    taken.add(`${page} ${id}`);
    return [reflection, { reflection, page, id, exported }];
  };
  const subject = (reflection) => {
    const folder = sourceOf(reflection).split("/")[1];
    const found = folder === "node" ? NODE : SUBJECTS.find(([, , folders]) => folders.includes(folder))?.[0];
    if (found === undefined)
      throw new Error(`src/${folder} has no subject in the API reference: scripts/site/api.mjs lists them`);
    return found;
  };
  return new Map([
    ...entries.flatMap(({ exports }) => exports.map((one) => place(one, subject(one), true))),
    ...hidden.map((one) => place(one, subject(one), false)),
  ]);
}

const hrefOf = ({ page, id }) => `${page}.html#${id}`;

/** `markdown` turns a comment into HTML. */
export async function apiPages(root, markdown) {
  const { entries, hidden } = await publicTypes(root);
  const places = placesOf({ entries, hidden });
  const link = (reflection, text) => {
    const place = places.get(reflection);
    return place === undefined ? text : `<a href="${hrefOf(place)}">${text}</a>`;
  };
  const { print, call, given, member, typeParameters } = printer(link);

  const written = (parts) => parts.map(({ text }) => text).join("");
  const commentOf = (reflection) =>
    [reflection, reflection.getSignature, ...(reflection.signatures ?? [])].find((one) => one?.comment !== undefined)?.comment;
  const summary = (reflection) => written(commentOf(reflection)?.summary ?? []);
  const TAGS = { "@throws": "Throws", "@returns": "Returns" };
  function told(reflection) {
    const tags = commentOf(reflection)?.blockTags ?? [];
    const block = ({ tag, content }) => markdown.parse(`**${TAGS[tag] ?? tag.slice(1)}** ${written(content)}`);
    return `${markdown.parse(summary(reflection))}${tags.map(block).join("")}`;
  }

  /** The line that declares it; members follow in a list. */
  function declaration(reflection) {
    const { name, kind, type, typeParameters: parameters, extendedTypes = [], implementedTypes = [] } = reflection;
    const head = `${name}${typeParameters(parameters)}`;
    const from = (word, types) => (types.length === 0 ? "" : ` ${word} ${types.map(print).join(", ")}`);
    const above = `${from("extends", extendedTypes)}${from("implements", implementedTypes)}`;
    if (kind === ReflectionKind.Function) return reflection.signatures.map((one) => `function ${name}${call(one)}`).join("\n");
    if (kind === ReflectionKind.Variable) return `const ${name}: ${print(type)}`;
    if (kind === ReflectionKind.TypeAlias) return `type ${head} = ${print(type)}`;
    return `${kind === ReflectionKind.Class ? "class" : "interface"} ${head}${above}`;
  }

  /** Nothing where it would only say the heading again. */
  function declared(reflection) {
    const text = declaration(reflection);
    return text === `${KINDS.get(reflection.kind)} ${reflection.name}` ? "" : `<pre><code>${text}</code></pre>\n`;
  }

  function membersOf({ name, children = [], kind, signatures = [] }) {
    const own = kind === ReflectionKind.Class || kind === ReflectionKind.Interface;
    const parameters = signatures.flatMap((one) => one.parameters ?? []).filter(({ comment }) => comment !== undefined);
    const shown = (one) =>
      one.kind === ReflectionKind.Constructor
        ? one.signatures.map((made) => `new ${name}${given(made)}`).join("\n")
        : member(one);
    const items = [
      ...parameters.map((one) => [escaped(one.name), told(one)]),
      // What JavaScript's own classes give is told elsewhere.
      ...(own ? children.filter(({ flags }) => !flags.isExternal) : []).map((one) => [shown(one), told(one)]),
    ];
    return items.length === 0
      ? ""
      : `<dl>${items.map(([code, text]) => `<dt><code>${code}</code></dt><dd>${text}</dd>`).join("")}</dl>`;
  }

  const section = ({ reflection, id, exported }) =>
    `<section class="api"><h3 id="${id}">${reflection.name} <small>${KINDS.get(reflection.kind)}${exported ? "" : ", not exported"}</small></h3>
${declared(reflection)}${told(reflection)}${membersOf(reflection)}<p class="advice">${sourceOf(reflection)}</p></section>`;

  const all = [...places.values()];
  const byName = (list) => list.sort((a, b) => (a.id.toLowerCase() < b.id.toLowerCase() ? -1 : 1));
  const of = (page, exported) => byName(all.filter((one) => one.page === page && one.exported === exported));
  const first = (reflection) => markdown.parseInline(/^[\s\S]*?\.(?=\s|$)|^[\s\S]*/.exec(summary(reflection))[0]);
  const contents = (list) =>
    `<ul class="lines">${list.map((place) => `<li><a href="${hrefOf(place)}"><code>${place.reflection.name}</code></a> ${first(place.reflection)}</li>`).join("")}</ul>`;
  function details(page) {
    const inner = of(page, false);
    const named = inner.length === 0 ? "" : `<h2>Named by these types</h2>${inner.map(section).join("\n")}`;
    return `<h2>Exports</h2>${of(page, true).map(section).join("\n")}${named}`;
  }

  const library = SUBJECTS.map(([page, title]) => {
    const list = of(page, true);
    return `<h2><a href="${page}.html">${title}</a></h2>${contents(list)}`;
  }).join("");
  const more = `<p>How to use it, with examples: <a href="../library.html">Library</a>.</p>`;
  const schema = `<p>Beside it, <code>bnfold/report.schema.json</code> is the JSON Schema of <a href="../report.html">reports</a>.</p>`;
  const pages = [
    { file: "api/bnfold.html", title: "bnfold", body: `<h1>bnfold</h1>${more}${schema}${library}` },
    {
      file: `api/${NODE}.html`,
      title: "bnfold/node",
      body: `<h1>bnfold/node</h1>${more}${contents(of(NODE, true))}${details(NODE)}`,
    },
    ...SUBJECTS.map(([page, title]) => ({
      file: `api/${page}.html`,
      title: `API: ${title}`,
      body: `<h1>${title}</h1><p>Part of <a href="bnfold.html">bnfold</a>.</p>${details(page)}`,
    })),
  ];

  const plain = (html) =>
    html
      .replace(/<[^>]*>/g, " ")
      .replaceAll("&lt;", "<")
      .replaceAll("&gt;", ">")
      .replaceAll("&quot;", '"')
      .replaceAll("&amp;", "&")
      .replace(/\s+/g, " ");
  const words = all.map((place) => ({
    file: `api/${hrefOf(place)}`,
    title: `${place.reflection.name} (${KINDS.get(place.reflection.kind)})`,
    text: plain(section(place)),
  }));
  const exported = new Map(all.filter((one) => one.exported).map((one) => [one.reflection.name, `api/${hrefOf(one)}`]));
  return { pages, words, exported };
}
