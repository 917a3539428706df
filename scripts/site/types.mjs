/**
 * The public types and their comments, as TypeDoc reads them: every export of the package's entry points, and the types those
 * name without the package exporting them, so that no name on the pages is a dead end.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Application, Converter, makeRecursiveVisitor, ReflectionKind } from "typedoc";
import ts from "typescript";

/** Entry points with types, as the manifest names them: name → source. */
function entryPoints(root) {
  const { name, exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return new Map(
    Object.entries(exports).flatMap(([path, { types }]) =>
      types === undefined ? [] : [[name + path.slice(1), types.replace("./dist/", "src/").replace(/\.d\.ts$/, ".ts")]],
    ),
  );
}

/** What types of this package are referred to without being known, by place. */
function unknownTypes(project, root) {
  const found = new Map();
  const visitor = makeRecursiveVisitor({
    reference(type) {
      const id = type.reflection === undefined && !type.refersToTypeParameter ? type.symbolId : undefined;
      if (id?.packageName === project.packageName) found.set(`${id.packagePath} ${id.qualifiedName}`, id);
    },
  });
  for (const { type, extendedTypes } of Object.values(project.reflections))
    for (const one of [type, ...(extendedTypes ?? [])]) one?.visit?.(visitor);
  return [...found].map(([key, id]) => ({ key, name: id.qualifiedName, file: join(root, id.packagePath) }));
}

/** A type or a value of a module, whether other modules see it or not. */
function symbolOf(program, file, name) {
  const [source, checker] = [program.getSourceFile(file), program.getTypeChecker()];
  const seen = checker.getSymbolAtLocation(source)?.exports?.get(name);
  return seen ?? checker.getSymbolsInScope(source, ts.SymbolFlags.Type | ts.SymbolFlags.Value).find((one) => one.name === name);
}

/** Takes in the types that are named, and those they name, until there is nothing new. */
function takeInUnknown(context, root, hidden) {
  const tried = new Set();
  for (;;) {
    const fresh = unknownTypes(context.project, root).filter(({ key }) => !tried.has(key));
    if (fresh.length === 0) return;
    for (const { key, name, file } of fresh) {
      tried.add(key);
      const program = context.programs.find((one) => one.getSourceFile(file) !== undefined);
      const symbol = program === undefined ? undefined : symbolOf(program, file, name);
      if (symbol === undefined) continue;
      context.setActiveProgram(program);
      const scope = context.withScope(context.project.children[0]);
      const before = new Set(context.project.children[0].children);
      context.converter.convertSymbol(scope, symbol);
      for (const child of context.project.children[0].children) if (!before.has(child)) hidden.add(child);
    }
  }
}

const DOCUMENTED = ReflectionKind.Method | ReflectionKind.Accessor;

/** The source a reflection is of, from the root on. */
export const sourceOf = (reflection) => reflection.sources[0].fileName.replace(/^.*?(?=src\/)/, "");

/** Exports, and what can be called on them, of which no comment says what they are. */
function undocumented(exports) {
  const says = (reflection) =>
    [reflection, reflection.getSignature, reflection.setSignature, ...(reflection.signatures ?? [])].some((one) =>
      one?.hasComment(),
    );
  return exports.flatMap((reflection) =>
    [reflection, ...(reflection.children ?? []).filter(({ kind, inheritedFrom }) => kind & DOCUMENTED && !inheritedFrom)]
      .filter((one) => !says(one))
      .map((one) => `${one.getFullName()} (${sourceOf(one)})`),
  );
}

/** Each entry point with what it exports, and the types that are named and not exported. */
export async function publicTypes(root) {
  const entries = entryPoints(root);
  const app = await Application.bootstrap({
    entryPoints: [...entries.values()].map((file) => join(root, file)),
    tsconfig: join(root, "tsconfig.build.json"),
    basePath: root,
    // The compiler has its own run; here the types are only read.
    skipErrorChecking: true,
    excludeInternal: true,
    excludePrivate: true,
    excludeExternals: true,
    disableGit: true,
    sourceLinkTemplate: "{path}",
    readme: "none",
    logLevel: "Error",
    sort: ["source-order"],
    // A module for each entry point, in the order they were given.
    sortEntryPoints: false,
    alwaysCreateEntryPointModule: true,
  });
  const hidden = new Set();
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, (context) => takeInUnknown(context, root, hidden));
  const project = await app.convert();
  if (project === undefined) throw new Error("TypeDoc could not read the entry points");
  const made = [...entries.keys()].map((name, i) => ({
    name,
    comment: project.children[i].comment,
    exports: project.children[i].children.filter((child) => !hidden.has(child)),
  }));
  const silent = made.flatMap(({ exports }) => undocumented(exports));
  if (silent.length > 0)
    throw new Error(`${silent.length} exports without a comment that says what they are:\n  ${silent.join("\n  ")}`);
  return { entries: made, hidden: [...hidden] };
}
