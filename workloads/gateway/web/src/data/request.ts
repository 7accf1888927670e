// Requests to the gateway, each with a timeout. An answer that is none, or an error, becomes a RequestError.
import { signal } from "@preact/signals";
import { requestHeaders } from "../token";

const TIMEOUT_MS = 20_000;
const BYTES_TIMEOUT_MS = 60_000;

/** What the gateway has refused without a token that it knows; null for nothing. Where it reads, nothing can be shown. */
export const tokenRequired = signal<"reading" | "changes" | null>(null);

/** `status` is 0 where the gateway did not answer. `field` is the parameter or the field that is wrong. */
export class RequestError extends Error {
  override name = "RequestError";
  constructor(
    message: string,
    readonly status: number,
    readonly reason = "",
    readonly field = "",
  ) {
    super(message);
  }
}

export type Query = Record<string, string | number | boolean | undefined | readonly string[]>;

export function addressOf(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const each of Array.isArray(value) ? (value as string[]) : [value as string | number | boolean])
      parameters.append(name, typeof each === "boolean" ? (each ? "1" : "0") : String(each));
  }
  const text = parameters.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** The JSON of an answer. */
export const get = <T>(path: string, query: Query = {}): Promise<T> => exchange<T>("GET", addressOf(path, query));

/** Change something: a JSON body, or a text of another type. */
export function send<T>(
  method: "POST" | "PATCH" | "DELETE", path: string, body?: unknown, type?: string, timeoutMs?: number,
): Promise<T> {
  const contentType = type ?? (method === "PATCH" ? "application/merge-patch+json" : "application/json");
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return exchange<T>(method, path, body === undefined ? {} : { body: text, type: contentType, timeoutMs });
}

/** Send bytes of a file. */
export const sendBytes = <T>(address: string, body: Blob): Promise<T> =>
  exchange<T>("POST", address, { body, type: "application/octet-stream", timeoutMs: BYTES_TIMEOUT_MS });

interface Sent {
  body?: string | Blob;
  type?: string;
  timeoutMs?: number | undefined;
}

async function exchange<T>(method: string, address: string, sent: Sent = {}): Promise<T> {
  const headers = requestHeaders();
  if (sent.type !== undefined) headers["content-type"] = sent.type;
  let response: Response;
  let text: string;
  try {
    const signal = AbortSignal.timeout(sent.timeoutMs ?? TIMEOUT_MS);
    response = await fetch(address, { method, headers, signal, ...(sent.body === undefined ? {} : { body: sent.body }) });
    text = await response.text();
  } catch {
    throw new RequestError("The gateway does not answer.", 0, "Unreachable");
  }
  return answerOf(method, response, text) as T;
}

function answerOf(method: string, response: Response, text: string): unknown {
  const body = parsed(text);
  const told = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  if (response.ok && typeof told["errmsg"] !== "string") return body; // UDF's errors have the status 200
  if (response.status === 401) tokenRequired.value = method === "GET" ? "reading" : "changes";
  const messages = [told["detail"], told["errmsg"], told["error"], told["message"], response.statusText];
  const message = messages.find((each): each is string => typeof each === "string" && each !== "");
  throw new RequestError(
    message ?? `The gateway answers with status ${response.status}.`,
    response.status,
    typeof told["reason"] === "string" ? told["reason"] : "",
    typeof told["field"] === "string" ? told["field"] : "",
  );
}

function parsed(text: string): unknown {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/** Whether the same request may be answered later: there was no answer, or it was not refused for what it asks. */
export const mayAnswerLater = (error: unknown): boolean =>
  !(error instanceof RequestError) || error.status < 400 || error.status >= 500 || error.status === 429;

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
