// One websocket that comes back by itself and then subscribes anew to what was subscribed.
import type { Pushed, Subscription } from "./types";

export type Link = "connecting" | "live" | "lost";

const SILENCE_MS = 40_000; // the gateway says something every 15 s
const BACKOFF_MS = [250, 500, 1_000, 2_000, 4_000, 8_000] as const;

export class Socket {
  private socket: WebSocket | null = null;
  private readonly wanted = new Map<string, Subscription>();
  private failures = 0;
  private silence: number | undefined;

  constructor(
    private readonly heard: (message: Pushed) => void,
    private readonly linked: (state: Link) => void,
  ) {
    this.connect();
  }

  subscribe(subscription: Subscription): void {
    this.wanted.set(JSON.stringify(subscription), subscription);
    this.send({ type: "subscribe", ...subscription });
  }

  unsubscribe(subscription: Subscription): void {
    if (this.wanted.delete(JSON.stringify(subscription))) this.send({ type: "unsubscribe", ...subscription });
  }

  private connect(): void {
    this.linked(this.failures === 0 ? "connecting" : "lost");
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    this.socket = socket;
    socket.onopen = () => {
      this.failures = 0;
      this.linked("live");
      for (const subscription of this.wanted.values()) this.send({ type: "subscribe", ...subscription });
    };
    socket.onmessage = (event: MessageEvent<string>) => {
      this.listen(socket);
      this.heard(JSON.parse(event.data) as Pushed);
    };
    socket.onclose = () => {
      if (this.socket === socket) this.again();
    };
    this.listen(socket);
  }

  private listen(socket: WebSocket): void {
    clearTimeout(this.silence);
    this.silence = window.setTimeout(() => {
      if (this.socket === socket) {
        socket.close();
        this.again();
      }
    }, SILENCE_MS);
  }

  private again(): void {
    this.socket = null;
    clearTimeout(this.silence);
    const longest = BACKOFF_MS[Math.min(this.failures, BACKOFF_MS.length - 1)] ?? 8_000;
    this.failures += 1;
    this.linked("lost");
    window.setTimeout(() => this.connect(), longest * (0.5 + Math.random() / 2));
  }

  private send(message: object): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
