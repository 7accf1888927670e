// Where the gateway is, and how one is let in.

/** A browser's WebSocket can send no header: it offers the token beside this subprotocol. */
const SUBPROTOCOL = "tapedeck.v1";
const REQUEST_MS = 30_000;

export interface ConnectionOptions {
  /** The gateway's address, such as ``https://deck.example``; the page's own by default. */
  url?: string;
  /** A token of the gateway, where it asks for one. */
  token?: string;
}

export class DatafeedError extends Error {
  override name = "DatafeedError";
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export class Connection {
  private readonly url: string;
  private readonly token: string;

  constructor(options: ConnectionOptions = {}) {
    this.url = (options.url ?? globalThis.location.origin).replace(/\/+$/, "");
    this.token = options.token ?? "";
  }

  /** The answer of a UDF route. Throws DatafeedError for an answer that is an error, or none. */
  async get(path: string, parameters: Record<string, string | number | undefined> = {}): Promise<unknown> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(parameters)) if (value !== undefined) query.set(name, String(value));
    const address = `${this.url}${path}${query.size === 0 ? "" : `?${query.toString()}`}`;
    const headers: Record<string, string> = this.token === "" ? {} : { authorization: `Bearer ${this.token}` };
    let body: unknown;
    let status: number;
    try {
      const answer = await fetch(address, { headers, signal: AbortSignal.timeout(REQUEST_MS) });
      status = answer.status;
      body = await answer.json();
    } catch (error) {
      throw new DatafeedError(`${path}: the gateway does not answer (${String(error)})`);
    }
    const message = errorOf(body);
    if (message !== null || status !== 200) throw new DatafeedError(`${path}: ${message ?? `status ${status}`}`);
    return body;
  }

  openSocket(): WebSocket {
    const protocols = this.token === "" ? [SUBPROTOCOL] : [SUBPROTOCOL, `bearer.${this.token}`];
    return new WebSocket(`${this.url.replace(/^http/, "ws")}/api/v1/ws`, protocols);
  }
}

/** What an answer says is wrong; null if it is none of an error. */
function errorOf(body: unknown): string | null {
  if (typeof body !== "object" || body === null) return null;
  const answer = body as { s?: unknown; errmsg?: unknown; error?: unknown; detail?: unknown };
  const told = [answer.errmsg, answer.error, answer.detail].find((each) => typeof each === "string");
  return told ?? (answer.s === "error" ? "the gateway says that it is an error, and not which" : null);
}
