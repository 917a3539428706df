/** Packages that are loaded only where they are wanted: beside this program, or in the folder it is called from. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { BnfoldError } from "../diag/error.ts";

/** The module, or undefined when it is not installed. @throws BnfoldError of kind "usage" when it does not load. */
export async function optional<T>(name: string): Promise<T | undefined> {
  for (const from of [import.meta.url, pathToFileURL(join(process.cwd(), "package.json")).href]) {
    let path: string;
    try {
      path = createRequire(from).resolve(name);
    } catch {
      continue;
    }
    try {
      const module = (await import(pathToFileURL(path).href)) as { default?: T } & T;
      return module.default ?? module;
    } catch (error) {
      throw new BnfoldError("usage", `${name} is installed but does not load: ${(error as Error).message}`);
    }
  }
  return undefined;
}

/** All of some packages, or one message that says what to install. @throws BnfoldError of kind "usage". */
export async function required(names: readonly string[], what: string): Promise<unknown[]> {
  const modules = await Promise.all(names.map((name) => optional<unknown>(name)));
  const missing = names.filter((_, i) => modules[i] === undefined);
  if (missing.length > 0)
    throw new BnfoldError(
      "usage",
      `${what} needs ${missing.join(" and ")}, which ${missing.length === 1 ? "is" : "are"} not installed`,
      {},
      `npm install ${names.join(" ")}`,
    );
  return modules;
}
