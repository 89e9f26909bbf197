/**
 * `import "attune"`: the package has an entry point for each of its rooms and none for all of them, so that nobody
 * loads what they do not use; this one says which there are.
 */
throw new Error(
  'attune: there is no entry point for everything; import from a room: "attune/models", "attune/data", ' +
    '"attune/train", "attune/generate", "attune/evaluate", "attune/graph" (all of them are in the exports of its package.json)',
);

export {};
