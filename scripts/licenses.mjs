/** The licences of what a bundle holds: a copy or a substantial part of a package carries its notice. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Packages that these esbuild metafiles took code from: folders below the root. */
export function bundledPackages(metafiles) {
  const inputs = metafiles.flatMap(({ outputs }) =>
    Object.values(outputs).flatMap((output) =>
      Object.entries(output.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0),
    ),
  );
  const folders = inputs.flatMap(([input]) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1] ?? []);
  return [...new Set(folders)].sort();
}

/** Name, version and text, once each. @throws Error when a package has no licence to be found. */
export function licenses(root, metafiles) {
  const texts = bundledPackages(metafiles).map((path) => {
    const folder = join(root, path);
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined || license === undefined) throw new Error(`${path} is bundled and has no licence to go with it`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
  });
  return texts.join(`\n${"-".repeat(72)}\n\n`);
}
