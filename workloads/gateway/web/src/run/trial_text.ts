// How trials and their neighbours are described.
import { plain } from "./inputs_panel";
import type { Neighbours } from "./sweep";

export const NEIGHBOURS: Record<Neighbours["are"], string> = {
  next: "their params are the same, or the next values above or below",
  nearest: "the trials whose params are nearest, as values hardly repeat",
};

export const paramsText = (params: Record<string, unknown>): string =>
  Object.entries(params).map(([name, value]) => `${name} ${plain(value)}`).join(", ");
