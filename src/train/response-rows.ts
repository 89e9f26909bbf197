/** Rows of tokens are read by measures as well as by trainers: see src/models/response-rows.ts. */
export * from "../models/response-rows.ts";
