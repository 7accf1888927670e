// Checking a resource as `tapedeck apply` does, and making it.
import { messageOf, RequestError, send } from "../data/request";
import { KIND_NAMES, KINDS } from "./forms";
import { identityOf } from "./yaml";

export const DEFAULT_NAMESPACE = "default";

/** One thing that is wrong: the field, empty for the whole, and what is wrong with it. */
export interface Problem {
  field: string;
  message: string;
}

export interface Made {
  kind: string;
  namespace: string;
  name: string;
  uid: string;
  spec: Record<string, unknown>;
}

export type Outcome = { is: "fits" } | { is: "made"; made: Made } | { is: "refused"; problems: Problem[] };

interface Answer {
  kind: string;
  metadata: { name: string; namespace: string; uid?: string };
  spec?: Record<string, unknown>;
}

/** Ask the gateway to make the resource of a text, or only whether it could. */
export async function apply(text: string, dryRun: boolean): Promise<Outcome> {
  const { kind, namespace } = identityOf(text);
  const known = KINDS.find((each) => KIND_NAMES[each] === kind);
  if (known === undefined) {
    const message = `got ${kind === "" ? "none" : kind}, expected Feed, Replay or Backtest`;
    return { is: "refused", problems: [{ field: "kind", message }] };
  }
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace === "" ? DEFAULT_NAMESPACE : namespace)}/${known}s`;
  try {
    const { metadata, spec = {} } = await send<Answer>("POST", dryRun ? `${path}?dryRun=1` : path, text, "application/yaml");
    if (dryRun) return { is: "fits" };
    return { is: "made", made: { kind, namespace: metadata.namespace, name: metadata.name, uid: metadata.uid ?? "", spec } };
  } catch (error) {
    return { is: "refused", problems: problemsOf(error) };
  }
}

/** The lines of an error's message; one about a name that is taken is the name's. */
export function problemsOf(error: unknown): Problem[] {
  const message = messageOf(error);
  if (error instanceof RequestError && error.status === 409) return [{ field: "metadata.name", message: `${message}: choose another name` }];
  return message.split("\n").map((line) => {
    const [, field, rest] = /^([A-Za-z_][\w.[\]-]*): (.+)$/.exec(line) ?? [];
    return field === undefined || rest === undefined ? { field: "", message: line } : { field: field.replace(/\[(\d+)\]/g, ".$1"), message: rest };
  });
}

/** What is wrong with a field, or with what is in it. */
export const problemsAt = (problems: readonly Problem[], path: string): Problem[] =>
  path === "" ? [] : problems.filter(({ field }) => field === path || field.startsWith(`${path}.`));
