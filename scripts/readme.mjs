/**
 * README.md as npm's page shows it. There a relative link leads somewhere only where the package says which repository it is from: then
 * links become absolute, to the files of this version's tag. Without one, a page of docs/ is named by the command that shows it
 * (`bnfold explain gauges`; docs/ is in the package), other links keep their words, and pictures go.
 */

/** How hosts of repositories call a file, and its bytes, at a tag. */
const HOSTS = {
  "github.com": (at, tag) => ({ file: `${at}/blob/${tag}/`, bytes: `${at}/raw/${tag}/` }),
  "gitlab.com": (at, tag) => ({ file: `${at}/-/blob/${tag}/`, bytes: `${at}/-/raw/${tag}/` }),
  "codeberg.org": (at, tag) => ({ file: `${at}/src/tag/${tag}/`, bytes: `${at}/raw/tag/${tag}/` }),
};

/** What links of a package begin with; undefined when it names no repository, or one whose addresses are not known. */
function addresses({ repository, version }) {
  const written = typeof repository === "string" ? repository : (repository?.url ?? "");
  const short = /^(?:(github|gitlab):)?([\w.-]+\/[\w.-]+)$/.exec(written);
  const whole = short === null ? written : `https://${short[1] ?? "github"}.com/${short[2]}`;
  const [, host, path] = /^(?:git\+)?(?:https?|ssh|git):\/\/(?:git@)?([^/]+)\/(.+?)(?:\.git)?$/.exec(whole) ?? [];
  const folder = repository?.directory === undefined ? "" : `${repository.directory}/`;
  const found = HOSTS[host]?.(`https://${host}/${path}`, `v${version}`);
  return found === undefined ? undefined : { file: found.file + folder, bytes: found.bytes + folder };
}

const LINK = /(!?)\[([^\]]*)\]\(([^)\s]+)\)/g;
const isRelative = (target) => !/^([a-z]+:|#)/.test(target);

/** The command that shows a page. */
function command(target) {
  const [, name] = /^docs\/(?:reasons\/)?([a-z0-9-]+)\.md(?:#.*)?$/.exec(target) ?? [];
  if (name !== undefined) return `\`bnfold explain ${name}\``;
  return target === "docs/reasons/" ? "`bnfold explain`" : undefined;
}

function link(whole, picture, said, target, at) {
  if (!isRelative(target)) return whole;
  if (at !== undefined) return `${picture}[${said}](${picture === "" ? at.file : at.bytes}${target})`;
  if (picture !== "") return "";
  const shown = command(target);
  if (shown === undefined) return said;
  return target.startsWith(said) ? shown : `${said} (${shown})`;
}

/** Relative targets of links and pictures in Markdown, outside blocks of code. */
export const relativeTargets = (markdown) =>
  proseOf(markdown).flatMap((part) => [...part.matchAll(LINK)].map(([, , , target]) => target).filter(isRelative));

/** What stands between blocks of code. */
const proseOf = (markdown) => markdown.split(/^```[\s\S]*?^```$/m);

/** `markdown`, a README, for the package that `manifest` describes. */
export function readmeFor(manifest, markdown) {
  const at = addresses(manifest);
  return markdown
    .split(/(^```[\s\S]*?^```$)/m)
    .map((part, i) => (i % 2 === 1 ? part : part.replace(LINK, (...found) => link(...found.slice(0, 4), at))))
    .join("")
    .replace(/\n{3,}/g, "\n\n");
}
