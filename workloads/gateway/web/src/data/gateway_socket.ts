// The page's one WebSocket, of the client that charting libraries use: it resumes its session after a lost connection.
import { computed, signal } from "@preact/signals";
import { Connection } from "../../../../../client/js/src/connection";
import { type Message, type Request, Socket, type SocketState } from "../../../../../client/js/src/socket";
import { currentToken } from "../token";
import type { Services } from "./types";

export type { Message, Request };

export const socketState = signal<SocketState>("connecting");
/** What the gateway says of broker and database; null before it has said anything. */
export const services = signal<Services | null>(null);
/** Why the last subscription was refused for good whose reader has no place of his own to say so. */
export const refusal = signal<string | null>(null);

const refused = new Map<Request, (reason: string) => void>();
let socket: Socket | null = null;

/** Connect. Subscriptions that were made before are sent once the socket is open. */
export function connect(): Socket {
  socket ??= new Socket(new Connection({ token: currentToken() }), {
    keepOpen: true,
    onState: (state) => (socketState.value = state),
    onMessage: (message) => {
      if (message.type === "services") services.value = { broker: message["broker"] === true, database: message["database"] === true };
    },
    onRefused: (request, message) => {
      const tell = refused.get(request) ?? ((reason: string) => (refusal.value = reason));
      tell(String(message["detail"]));
    },
  });
  return socket;
}

/** Subscribe to a channel; what is returned ends the subscription. ``onRefused`` is told why it is refused for good. */
export function subscribe(
  request: Request,
  handler: (message: Message) => void,
  onRefused?: (reason: string) => void,
): () => void {
  if (onRefused !== undefined) refused.set(request, onRefused);
  const id = connect().subscribe(request, handler);
  return () => {
    refused.delete(request);
    connect().unsubscribe(id);
  };
}

export interface ConnectionStatus {
  state: SocketState | "partial";
  text: string;
}

/** Live means that the socket is open and that broker and database answer the gateway. */
export function connectionStatus(state: SocketState, known: Services | null): ConnectionStatus {
  if (state === "lost") return { state, text: "reconnecting" };
  if (state !== "live" || known === null) return { state: "connecting", text: "connecting" };
  const missing = (["broker", "database"] as const).filter((service) => !known[service]);
  if (missing.length === 0) return { state: "live", text: "live" };
  return { state: "partial", text: `no ${missing.join(", no ")}` };
}

export const connection = computed(() => connectionStatus(socketState.value, services.value));
