// One WebSocket for all subscriptions: it reconnects, and resumes its session, so that nothing is missed or doubled.
import type { Connection } from "./connection";

export const BACKOFF_MS = [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000] as const;
/** Until the gateway says how often it sends something at least. */
const SILENCE_MS = 40_000;

/** Between two requests for a subscription that is refused for now. */
export const RETRY_MS = 5_000;
/** Why the gateway refuses for now: a service does not answer, or no slot became free in time. */
const TEMPORARY: readonly unknown[] = ["Unavailable", "TooManyRequests"];
/** Subscriptions of a socket, until the gateway says its limit. */
const SUBSCRIPTIONS = 32;

/** A subscription as docs/guides/websocket.md describes it: the channel, and what names its series, run or replay. */
export interface Request {
  channel: "bars" | "trades" | "tickers" | "points" | "run" | "fills" | "equity" | "replay";
  symbol?: string;
  interval?: string;
  series?: string;
  run?: string;
  replay?: string;
  snapshot?: number;
}

export type SocketState = "connecting" | "live" | "lost";

/** ``keepOpen``: the socket opens at once, and stays open without a subscription. */
export interface SocketOptions {
  keepOpen?: boolean;
  onState?: (state: SocketState) => void;
  /** Messages that belong to no subscription, such as ``services``. */
  onMessage?: (message: Message) => void;
  /** A subscription that the gateway refuses for good, unless it says itself who is told. */
  onRefused?: OnRefused;
}

/** A message of the gateway, see docs/guides/websocket.md. */
export interface Message {
  type: string;
  seq: number;
  id?: string;
  [name: string]: unknown;
}

export type Handler = (message: Message) => void;
export type OnRefused = (request: Request, message: Message) => void;

interface Subscription {
  request: Request;
  handler: Handler;
  onRefused: OnRefused;
  retry?: ReturnType<typeof setTimeout>;
}

export class Socket {
  private readonly subscriptions = new Map<string, Subscription>();
  private socket: WebSocket | null = null;
  private session = "";
  /** From a resume until its answer, which says what must be subscribed to. */
  private isResuming = false;
  private limit = SUBSCRIPTIONS;
  private seq = 0;
  private count = 0;
  private failures = 0;
  private silenceMs = SILENCE_MS;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly connection: Connection,
    private readonly options: SocketOptions = {},
  ) {
    if (options.keepOpen === true) this.open();
  }

  /** How many more subscriptions the gateway takes. */
  get room(): number {
    return this.limit - this.subscriptions.size;
  }

  /** Returns the id of the subscription. The socket opens with the first one. */
  subscribe(request: Request, handler: Handler, onRefused = this.options.onRefused ?? logRefused): string {
    const id = `s${(this.count += 1)}`;
    const added = { request, handler, onRefused };
    this.subscriptions.set(id, added);
    if (this.socket === null && this.retry === undefined) this.open();
    else if (!this.isResuming) this.ask(id, added);
    return id;
  }

  /** The socket closes with the last subscription. */
  unsubscribe(id: string): void {
    clearTimeout(this.subscriptions.get(id)?.retry);
    if (!this.subscriptions.delete(id)) return;
    if (this.subscriptions.size === 0 && this.options.keepOpen !== true) this.close();
    else if (!this.isResuming) this.send({ type: "unsubscribe", id });
  }

  close(): void {
    for (const each of this.subscriptions.values()) clearTimeout(each.retry);
    this.subscriptions.clear();
    this.stopTimers();
    const socket = this.socket;
    this.socket = null;
    this.session = "";
    socket?.close(1000);
  }

  private open(): void {
    this.retry = undefined;
    this.options.onState?.(this.failures === 0 ? "connecting" : "lost");
    const socket = this.connection.openSocket();
    this.socket = socket;
    socket.onopen = () => {
      this.isResuming = this.session !== "";
      if (this.isResuming) this.send({ type: "resume", session: this.session, seq: this.seq });
      else for (const [id, each] of this.subscriptions) this.ask(id, each);
    };
    socket.onmessage = (event: MessageEvent<unknown>) => {
      if (this.socket !== socket || typeof event.data !== "string") return;
      this.receive(JSON.parse(event.data) as Message);
      this.hear(socket);
    };
    socket.onclose = () => {
      if (this.socket === socket) this.reconnect();
    };
    this.hear(socket);
  }

  private ask(id: string, { request, retry }: Subscription): void {
    clearTimeout(retry); // a request that waited for its time would be a second one
    this.send({ type: "subscribe", id, ...request });
  }

  private receive(message: Message): void {
    if (message.type === "welcome") {
      this.welcome(message);
      return;
    }
    // Until a resume is answered, what the new socket says of itself has numbers of its own.
    this.seq = message.type === "resumed" ? message.seq : Math.max(this.seq, message.seq);
    if (message.type === "resumed") this.resumed(message);
    else if (message.type === "error") this.refused(message);
    else if (message.id === undefined) this.options.onMessage?.(message);
    else this.subscriptions.get(message.id)?.handler(message);
  }

  private welcome(message: Message): void {
    this.failures = 0;
    this.options.onState?.("live");
    const limits = message["limits"] as { ping_seconds?: number; subscriptions?: number } | undefined;
    if (limits?.ping_seconds !== undefined) this.silenceMs = limits.ping_seconds * 2_500;
    this.limit = limits?.subscriptions ?? this.limit;
    // A resume, which was sent before this arrives, continues the old session and its numbers.
    if (this.session !== "") return;
    this.session = String(message["session"]);
    this.seq = message.seq;
  }

  /** What the gateway still had of the session is repeated by it; the rest is subscribed to again. */
  private resumed(message: Message): void {
    this.session = String(message["session"]);
    this.isResuming = false;
    const kept = new Set(message["subscriptions"] as string[]);
    for (const [id, each] of this.subscriptions) if (!kept.has(id)) this.ask(id, each);
    for (const id of kept) if (!this.subscriptions.has(id)) this.send({ type: "unsubscribe", id });
  }

  private refused(message: Message): void {
    const id = message.id ?? "";
    const refused = this.subscriptions.get(id);
    if (refused === undefined) return;
    if (TEMPORARY.includes(message["reason"])) refused.retry = setTimeout(() => this.ask(id, refused), RETRY_MS);
    else refused.onRefused(refused.request, message);
  }

  private hear(socket: WebSocket): void {
    clearTimeout(this.silence);
    if (this.socket !== socket) return;
    this.silence = setTimeout(() => {
      if (this.socket !== socket) return;
      socket.close();
      this.reconnect();
    }, this.silenceMs);
  }

  /** Connect after a delay that doubles with each failure; its random half spreads the clients of a gateway. */
  private reconnect(): void {
    this.socket = null;
    this.stopTimers();
    const longest = BACKOFF_MS[Math.min(this.failures, BACKOFF_MS.length - 1)] ?? 15_000;
    this.failures += 1;
    this.options.onState?.("lost");
    this.retry = setTimeout(() => this.open(), longest * (0.5 + Math.random() / 2));
  }

  private stopTimers(): void {
    clearTimeout(this.silence);
    clearTimeout(this.retry);
    this.retry = undefined;
  }

  private send(message: object): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}

function logRefused(request: Request, message: Message): void {
  console.error(`Tapedeck datafeed: ${request.symbol ?? request.channel}: ${String(message["detail"])}`);
}
