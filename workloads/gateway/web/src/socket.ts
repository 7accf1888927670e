// A WebSocket that reconnects, and then repeats its subscriptions.
import { subprotocols } from "./token";
import type { PushMessage, Services, Subscription } from "./types";

export type ConnectionState = "connecting" | "live" | "lost";

/** The gateway sends something every 15 s, so a longer silence means that the connection is dead. */
export const SILENCE_MS = 40_000;
export const BACKOFF_MS = [250, 500, 1_000, 2_000, 4_000, 8_000] as const;

export class ReconnectingSocket {
  private socket: WebSocket | null = null;
  private readonly subscriptions = new Map<string, Subscription>();
  private failures = 0;
  private silence: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly onMessage: (message: PushMessage) => void,
    private readonly onState: (state: ConnectionState) => void,
  ) {
    this.connect();
  }

  subscribe(subscription: Subscription): void {
    this.subscriptions.set(JSON.stringify(subscription), subscription);
    this.send({ type: "subscribe", ...subscription });
  }

  unsubscribe(subscription: Subscription): void {
    if (this.subscriptions.delete(JSON.stringify(subscription))) this.send({ type: "unsubscribe", ...subscription });
  }

  /** Subscribe again to everything: after a reconnect, or when a service of the gateway answers again. */
  repeatSubscriptions(): void {
    for (const subscription of this.subscriptions.values()) this.send({ type: "subscribe", ...subscription });
  }

  private connect(): void {
    this.onState(this.failures === 0 ? "connecting" : "lost");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws`, subprotocols());
    this.socket = socket;
    socket.onopen = () => {
      this.failures = 0;
      this.onState("live");
      this.repeatSubscriptions();
    };
    socket.onmessage = (event: MessageEvent<string>) => {
      this.restartSilenceTimer(socket);
      this.onMessage(JSON.parse(event.data) as PushMessage);
    };
    socket.onclose = () => {
      if (this.socket === socket) this.reconnect();
    };
    this.restartSilenceTimer(socket);
  }

  private restartSilenceTimer(socket: WebSocket): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      if (this.socket === socket) {
        socket.close();
        this.reconnect();
      }
    }, SILENCE_MS);
  }

  /** Connect after a delay that doubles with each failure; its random half spreads the clients of a gateway. */
  private reconnect(): void {
    this.socket = null;
    clearTimeout(this.silence);
    const longest = BACKOFF_MS[Math.min(this.failures, BACKOFF_MS.length - 1)] ?? 8_000;
    this.failures += 1;
    this.onState("lost");
    setTimeout(() => this.connect(), longest * (0.5 + Math.random() / 2));
  }

  private send(message: object): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}

/** What the page says about its connection: live only if the socket is open and broker and database answer. */
export function connectionStatus(
  connection: ConnectionState,
  services: Services | null,
): { state: ConnectionState | "partial"; text: string } {
  if (connection === "lost") return { state: connection, text: "reconnecting" };
  if (connection !== "live" || services === null) return { state: "connecting", text: "connecting" };
  const away = (["broker", "database"] as const).filter((service) => !services[service]);
  if (away.length === 0) return { state: "live", text: "live" };
  return { state: "partial", text: `no ${away.join(", no ")}` };
}
