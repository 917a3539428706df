/**
 * Builds the page: site/dist/ for any static host, and site/dist/bnfold.html, the same in one file that works from a disk.
 *
 *   node scripts/site.mjs            everything
 *   node scripts/site.mjs --serve    and serve it on http://localhost:8080
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, extname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { Marked } from "marked";
import { licenses } from "./licenses.mjs";
import { apiPages } from "./site/api.mjs";
import { escaped } from "./site/printed.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const site = join(root, "site");
const dist = join(site, "dist");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });

const common = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  target: "es2022",
  platform: "browser",
  loader: { ".wasm": "binary", ".onnx": "binary" },
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
};

const style = (await build({ ...common, entryPoints: ["site/style.css"], write: false })).outputFiles[0].text;
const icon = `data:image/svg+xml,${encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="M2 3h5v4H2zM2 9h5v4H2zM9 6h5v4H9z" fill="#0b57b0"/></svg>')}`;
const template = readFileSync(join(site, "index.html"), "utf8");

/** What the policy of every page has in common. Nothing may be asked of any server with a model in hand. */
const policy = (scripts, styles, workers) =>
  [
    "default-src 'none'",
    `script-src ${scripts} 'wasm-unsafe-eval'`,
    `style-src ${styles}`,
    `worker-src ${workers}`,
    "connect-src 'none'",
    "img-src 'self' data: blob:",
    "form-action 'none'",
    "base-uri 'none'",
  ].join("; ");

const filled = (text, values) => text.replaceAll(/%([A-Z]+)%/g, (whole, name) => values[name] ?? whole);

// --- The documentation --------------------------------------------------------------------------------------------------------

const slug = (text) =>
  text
    .toLowerCase()
    .replace(/<[^>]*>/g, "")
    .replace(/&\w+;/g, "")
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s/g, "-");

/** Markdown → HTML. Links between pages lead to pages; markup inside the text is shown as text. */
const markdown = new Marked({
  renderer: {
    heading({ tokens, depth }) {
      const inner = this.parser.parseInline(tokens);
      return `<h${depth} id="${slug(inner)}">${inner}</h${depth}>\n`;
    },
    html: ({ text }) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;"),
    link({ href, tokens }) {
      // What is not in the repository: there such a link leads to the page that tells of it.
      if (href.endsWith("page.md#api-reference")) href = href.replace("page.md#api-reference", "api/bnfold.html");
      const explorer = /^((?:\.\.\/)*)page\.md(#explorer(?:\?[\w=&.-]*)?)$/.exec(href);
      if (explorer !== null)
        return `<a href="${explorer[1]}../index.html${explorer[2].replaceAll("&", "&amp;")}">${this.parser.parseInline(tokens)}</a>`;
      const to = href.replace(/^([^:]*)\.md(#|$)/, "$1.html$2").replace(/"/g, "%22");
      return `<a href="${to}">${this.parser.parseInline(tokens)}</a>`;
    },
  },
});

const api = await apiPages(root, markdown);
const docs = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => file.endsWith(".md"))
  .sort()
  .map((file) => {
    const text = readFileSync(join(root, "docs", file), "utf8");
    return { file: file.replace(/\.md$/, ".html"), text, title: /^# (.*)$/m.exec(text)?.[1] ?? file };
  });

/** Links out of docs/ lead to files that are not part of the site: only their text stays. */
const pages = new Set([...docs, ...api.pages].map(({ file }) => file));
const isThere = (from, href) => {
  if (/^(https?:|#|mailto:)/.test(href) || /^(\.\.\/)+index\.html#explorer/.test(href)) return true;
  const target = join(dirname(from), href.split("#")[0]).replaceAll("\\", "/");
  return pages.has(target) || /\.(svg|png)$/.test(target);
};
const onlyThere = (from, html) =>
  html.replace(/<a href="([^"]*)">([\s\S]*?)<\/a>/g, (whole, href, inner) => (isThere(from, href) ? whole : inner));

/** The page that tells of the library: what it names leads to the reference; a plain word may be a member of the same name. */
const withReference = (html) =>
  html.replace(/(<a [^>]*>)?<code>(\w+)(\([^<]*\))?<\/code>/g, (whole, inLink, name, called) => {
    const href = inLink === undefined && (called ?? /[A-Z]/.exec(name)) ? api.exported.get(name) : undefined;
    return href === undefined ? whole : `<a href="${href}">${whole}</a>`;
  });

const group = (file) => file.split("/").slice(0, -1).join("/");
const GROUPS = [
  ["", "Guides"],
  ["reasons", "Why a node was kept"],
  ["decisions", "Decisions"],
];

function page(file, title, body) {
  const up = "../".repeat(file.split("/").length);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy("'self'", "'self'", "'self'")}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title.replace(/[&<`]/g, "")} - bnfold</title>
<link rel="icon" href="${icon}">
<link rel="stylesheet" href="${up}style.css">
<script type="module" src="${up}docs.js"></script>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="bar"><a class="brand" href="${up}index.html">bnfold</a>
<nav aria-label="Parts of this page"><a href="${up}index.html#fold">Fold</a><a href="${up}index.html#verify">Verify</a><a href="${up}index.html#explorer">Explorer</a><a href="${up}docs/index.html"${file === "index.html" ? ' aria-current="page"' : ""}>Docs</a></nav></header>
<main id="main" class="doc" tabindex="-1">
${body}
</main>
<footer class="bar"><p>bnfold ${version}. Apache-2.0. <a href="${up}licenses.txt">Licences</a></p></footer>
</body>
</html>
`;
}

const put = (file, content) => {
  const path = join(dist, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
};

const rendered = docs.map((doc) => {
  const html = onlyThere(doc.file, markdown.parse(doc.text));
  return { ...doc, html: doc.file === "library.html" ? withReference(html) : html };
});
const scrolling = (html) => html.replaceAll("<pre>", '<pre tabindex="0">').replaceAll("<table>", '<table tabindex="0">');
for (const { file, title, html } of rendered) put(`docs/${file}`, page(file, title, scrolling(html)));
for (const { file, title, body } of api.pages) put(`docs/${file}`, page(file, title, body));
const lists = GROUPS.map(([folder, name]) => {
  const items = rendered.filter(({ file }) => group(file) === folder);
  return `<h2>${name}</h2><ul>${items.map(({ file, title }) => `<li><a href="${file}">${markdown.parseInline(title)}</a></li>`).join("")}</ul>`;
});
const reference = `<h2>API reference</h2><ul>${api.pages.map(({ file, title }) => `<li><a href="${file}">${title}</a></li>`).join("")}</ul>`;
lists.splice(1, 0, reference);
const searchBox =
  '<p><label for="search">Search</label> <input id="search" type="text" autocomplete="off" spellcheck="false"></p><div id="found" role="status" aria-live="polite"></div>';
put(
  "docs/index.html",
  page("index.html", "Documentation", `<h1>Documentation</h1>${searchBox}<div id="all">${lists.join("")}</div>`),
);
for (const file of readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" }).filter((name) =>
  /\.(svg|png)$/.test(name),
))
  put(`docs/${file}`, readFileSync(join(root, "docs", file)));
put("style.css", style);

/** What the search looks through: each page's headings and words. */
const plainText = (text) =>
  text
    .replace(/```[\s\S]*?```/g, " ")
    .replace(/[#*`|[\]()>:-]+/g, " ")
    .replace(/\s+/g, " ");
const words = rendered.map(({ file, title, text }) => ({ file, title: title.replaceAll("`", ""), text: plainText(text) }));
put("docs/words.js", `export default ${JSON.stringify([...words, ...api.words]).replaceAll("</", "<\\/")};\n`);

// --- The page -----------------------------------------------------------------------------------------------------------------

/** Operators that the executor can do without at first are left out of it, and loaded by what asks for them (site/src/worker/operators.ts). */
const rareLater = {
  name: "rare operators later",
  setup(building) {
    building.onResolve({ filter: /^\.\/rare\.ts$/ }, () => ({ path: "none", namespace: "rare" }));
    building.onLoad({ filter: /./, namespace: "rare" }, () => ({ contents: "export const rareOps = [];" }));
  },
};

const hosted = await build({
  ...common,
  plugins: [rareLater],
  splitting: true,
  format: "esm",
  entryPoints: { main: "site/src/main.ts", worker: "site/src/worker/main.ts", docs: "site/src/docs.ts" },
  outdir: "site/dist",
  chunkNames: "chunks/[name]-[hash]",
  external: ["./docs/words.js", "./words.js"],
});
put(
  "index.html",
  filled(template, {
    CSP: policy("'self'", "'self'", "'self' blob:"),
    VERSION: version,
    ICON: icon,
    STYLE: '<link rel="stylesheet" href="style.css" />',
    SCRIPT: '<script type="module" src="main.js"></script>',
    DOCS: '<a href="docs/index.html">Docs</a>',
    LICENSES: "licenses.txt",
    EDITION: 'The same in one file, for work without a network: <a href="bnfold.html" download>bnfold.html</a>.',
  }),
);

// --- One file -----------------------------------------------------------------------------------------------------------------

const inOne = (entry) => build({ ...common, format: "iife", entryPoints: [entry], write: false });
const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
/** A script that may stand between its tags. */
const inline = (text) => text.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
const [oneMain, oneWorker] = await Promise.all([inOne("site/src/main.ts"), inOne("site/src/worker/main.ts")]);
const workerText = JSON.stringify(oneWorker.outputFiles[0].text);
const program = inline(`globalThis.BNFOLD_ONE_FILE=true;globalThis.BNFOLD_WORKER=${workerText};${oneMain.outputFiles[0].text}`);
const notices = `bnfold ${version} (Apache-2.0)

${readFileSync(join(root, "LICENSE"), "utf8").trim()}

${"-".repeat(72)}

Code of these packages is part of the page.

${licenses(
  root,
  [hosted, oneMain, oneWorker].map(({ metafile }) => metafile),
)}`;
put("licenses.txt", notices);

/** Reasons are what the page links to; their links to each other stay inside the file, others lose theirs. */
const inside = (html) =>
  html.replace(/<a href="([^"]*)">([\s\S]*?)<\/a>/g, (whole, href, inner) => {
    const explorer = /^(?:\.\.\/)+index\.html(#explorer.*)$/.exec(href)?.[1];
    if (explorer !== undefined) return `<a href="${explorer}">${inner}</a>`;
    const reason = /^(?:\.\.\/reasons\/|reasons\/)?([a-z-]+)\.html/.exec(href)?.[1];
    if (/^https?:/.test(href)) return whole;
    return reason !== undefined && pages.has(`reasons/${reason}.html`) ? `<a href="#docs/reasons/${reason}">${inner}</a>` : inner;
  });
const templateOf = (name, html) => `<template data-page="${name}"><div class="doc">${html}</div></template>`;
const templates = rendered
  .filter(({ file }) => group(file) === "reasons")
  .map(({ file, html }) => templateOf(file.replace(/\.html$/, ""), inside(scrolling(html))))
  .concat(templateOf("licenses", `<h1>Licences</h1><pre tabindex="0">${escaped(notices)}</pre>`));
put(
  "bnfold.html",
  filled(template, {
    CSP: policy(hash(program), hash(style), "blob:").replace("img-src 'self' data: blob:", "img-src data: blob:"),
    VERSION: version,
    ICON: icon,
    STYLE: `<style>${style}</style>`,
    DOCS: "",
    LICENSES: "#docs/licenses",
    EDITION: "One file: it works without a network.",
    SCRIPT: `${templates.join("\n")}\n<script>%PROGRAM%</script>`,
  }).replace("%PROGRAM%", () => program),
);

// --- Without a network --------------------------------------------------------------------------------------------------------

const all = readdirSync(dist, { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => statSync(join(dist, file)).isFile() && file !== "bnfold.html" && file !== "sw.js");
const stamp = createHash("sha256");
for (const file of all.sort()) stamp.update(file).update(readFileSync(join(dist, file)));
const serviceWorker = (await build({ ...common, format: "iife", entryPoints: ["site/src/sw.ts"], write: false })).outputFiles[0]
  .text;
put("sw.js", `const FILES=${JSON.stringify(["./", ...all])},STAMP="${stamp.digest("hex").slice(0, 16)}";${serviceWorker}`);

if (process.argv.includes("--serve")) {
  const types = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
  };
  createServer((request, response) => {
    const path = join(dist, decodeURIComponent(new URL(request.url, "http://localhost").pathname));
    const file = relative(dist, path).startsWith("..")
      ? join(dist, "index.html")
      : path.endsWith("/")
        ? join(path, "index.html")
        : path;
    try {
      response.setHeader("content-type", types[extname(file)] ?? "application/octet-stream").end(readFileSync(file));
    } catch {
      response.writeHead(404).end("not found");
    }
  }).listen(8080, "localhost", () => console.log("http://localhost:8080"));
}
