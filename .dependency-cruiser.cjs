/** The order of the rooms in src/: each imports only itself and rooms before it. */
const ROOMS = [
  "diag",
  "onnx",
  "graph",
  "affine",
  "kernels",
  "ops",
  "run",
  "rules",
  "laws",
  "certify",
  "fold",
  "verify",
  "train",
  "diff",
  "report",
  "engine",
  "index.ts",
  "node",
  "jobs",
  "cli",
];

/** A room as a pattern: a folder, or the one file index.ts. */
const at = (room) => (room.endsWith(".ts") ? `${room.replace(".", "\\.")}$` : `${room}/`);
const src = (rooms) => `^src/(${rooms.map(at).join("|")})`;
const browser = ROOMS.slice(0, ROOMS.indexOf("node"));

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    ...ROOMS.slice(0, -1).map((room, i) => ({
      name: `room-${room}`,
      comment: `src/${room} may not import rooms that come after it`,
      severity: "error",
      from: { path: src([room]) },
      to: { path: src(ROOMS.slice(i + 1)) },
    })),
    {
      name: "judge-apart",
      comment: "what proves and runs knows nothing of what plans",
      severity: "error",
      from: { path: src(["verify"]) },
      to: { path: src(["fold"]) },
    },
    {
      name: "room-unknown",
      comment: "every file under src/ belongs to a room of the table",
      severity: "error",
      from: {},
      to: { path: "^src/", pathNot: src(ROOMS) },
    },
    {
      name: "browser-rooms",
      comment: "everything before src/node runs in a browser: no Node built-ins",
      severity: "error",
      from: { path: src(browser) },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "no-cycles",
      comment: "no circle of imports that exist at run time; a type import vanishes and may close one",
      severity: "error",
      from: { path: "^src/" },
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "no-type-cycles",
      comment: "what plans, runs and proves has no circle of imports at all, types included",
      severity: "error",
      from: { path: src(ROOMS.slice(0, ROOMS.indexOf("index.ts"))) },
      to: { circular: true },
    },
    {
      name: "no-unresolvable",
      severity: "error",
      from: { path: "^src/" },
      to: { couldNotResolve: true },
    },
    {
      name: "declared-dependencies",
      comment: "what ships imports only what package.json declares",
      severity: "error",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
    {
      name: "bundled-only-in-cli",
      comment: "packages are bundled: any into the command line, into the library only small ones",
      severity: "error",
      from: { path: "^src/", pathNot: src(["jobs", "cli"]) },
      to: { dependencyTypes: ["npm-dev"], pathNot: "(^|/)node_modules/(fflate|markdown-table)/" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    builtInModules: { add: ["node:module", "node:sea", "node:sqlite", "node:test"] },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
      extensions: [".ts", ".js", ".mjs", ".json"],
    },
  },
};
