/** Keys that the stages on preferences share. */
import type { pairDefaults } from "../../../train/preference/pair-data.ts";
import {
  adapterKeys,
  courseKeys,
  evalKeys,
  modelKey,
  optimizerKeys,
  pairRowKeys,
  runKeys,
} from "../../keys.ts";

/** How fixed rows of preferences are trained on; a method's own keys stand between these two. */
export const preferenceKeys = {
  before: { model: modelKey(), ...pairRowKeys },
  after: (d: { readonly [K in keyof typeof pairDefaults]: string | number | boolean }) => ({
    ...evalKeys(d),
    ...courseKeys(d),
    ...optimizerKeys(d),
    ...runKeys(d),
    ...adapterKeys,
  }),
};

/** What a stage that leaves a better model says at its end. */
export const nextOf = (output: string): string =>
  `the model is in ${output}/model; try: attune generate --model ${output} --prompt "..."`;
