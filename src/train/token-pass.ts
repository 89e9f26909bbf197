/** Passes over response tokens serve measures as well as trainers: see src/evaluate/token-pass.ts. */
export * from "../evaluate/token-pass.ts";
