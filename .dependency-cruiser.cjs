/**
 * The order of imports: rooms of src/ import from lower layers only, nothing is circular, and the core of
 * src/graph and src/models stays free of `node:` so that it runs in a browser.
 * A new room is a new name in `layers`.
 */

/** From the ground up. A room may import every room of an earlier row. */
const layers = [
  ["graph"],
  ["models"],
  ["data", "optim"],
  ["generate"],
  ["reward"],
  ["evaluate"],
  ["runs"],
  ["train", "safety"],
  ["recipe", "apps", "store"],
  ["lab"],
  ["server"],
  ["cli"],
];

/** Files of the browser-safe rooms whose job is IO; only these may import `node:` modules and node-only packages. */
const ioFile = "/(node|worker|hub|checkpoint|folder)[^/]*[.]ts$";
const testFile = "[.](test|fixture)[.]ts$";
const browserSafe = "^src/(graph|models|data|optim|generate|reward)/";

const roomOrder = layers.flatMap((row, level) =>
  row.map((room) => {
    const notBelow = layers
      .slice(level)
      .flat()
      .filter((other) => other !== room);
    return {
      name: `room-${room}`,
      severity: "error",
      comment: `src/${room} may import only ${layers.slice(0, level).flat().join(", ") || "no other room"}`,
      from: { path: `^src/${room}/` },
      to: { path: `^src/(${notBelow.join("|") || "$none"})/` },
    };
  }),
);

module.exports = {
  forbidden: [
    ...roomOrder,
    {
      name: "room-unknown",
      severity: "error",
      comment: "a room of src/ must stand in the table `layers` of .dependency-cruiser.cjs",
      from: {},
      to: { path: "^src/[^/]+/", pathNot: `^src/(${layers.flat().join("|")})/` },
    },
    {
      name: "no-circular",
      severity: "error",
      comment: "two files that import each other are one concept: move what they share into a third",
      from: {},
      to: { circular: true },
    },
    {
      name: "browser-safe",
      severity: "error",
      comment:
        "browser-safe rooms import node: only in IO files (node-*.ts, worker*.ts, hub*.ts, checkpoint*.ts, folder*.ts)",
      from: { path: browserSafe, pathNot: [ioFile, testFile] },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "browser-safe-packages",
      severity: "error",
      comment: "onnxruntime-node only in IO files of the browser-safe rooms",
      from: { path: browserSafe, pathNot: [ioFile, testFile] },
      to: { path: "node_modules/onnxruntime-node/", dependencyTypesNot: ["type-only"] },
    },
    {
      name: "src-only",
      severity: "error",
      comment: "src/ is what is published: it imports nothing from bench/, test/, scripts/",
      from: { path: "^src/", pathNot: testFile },
      to: { path: "^(bench|test|scripts)/" },
    },
    {
      name: "no-dev-dependency",
      severity: "error",
      comment: "what src/ imports must be under `dependencies` in package.json",
      from: { path: "^src/", pathNot: testFile },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"], dependencyTypesNot: ["type-only"] },
    },
    {
      name: "not-resolvable",
      severity: "error",
      comment: "no such file or package (imports of own files end in .ts)",
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(bench/peers|dist)/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "types", "default"],
    },
  },
};
