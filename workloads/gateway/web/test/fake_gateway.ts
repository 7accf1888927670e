// Answers of UDF routes, and the WebSockets of a datafeed: both are the test's.
import { vi } from "vitest";
import { FakeWebSocket } from "./fake_socket";

/** The answer to a path with parameters; an Error where there is none. */
export type Answering = (path: string, query: URLSearchParams) => unknown;

export class FakeGateway {
  /** What was asked, as path and parameters. */
  readonly asked: { path: string; query: URLSearchParams }[] = [];

  constructor(public answering: Answering) {
    FakeWebSocket.opened = [];
    vi.stubGlobal("WebSocket", FakeWebSocket);
    vi.stubGlobal("fetch", (address: string) => this.answer(new URL(address)));
  }

  of(path: string): URLSearchParams[] {
    return this.asked.filter((each) => each.path === path).map((each) => each.query);
  }

  private answer({ pathname: path, searchParams: query }: URL): Promise<object> {
    this.asked.push({ path, query });
    const body = this.answering(path, query);
    if (body instanceof Error) return Promise.reject(body);
    return Promise.resolve({ status: 200, json: () => Promise.resolve(body) });
  }
}

/** Let a socket open and be welcomed; the newest by default. */
export function welcome(socket = FakeWebSocket.newest(), session = "first", subscriptions = 32): FakeWebSocket {
  socket.open();
  socket.receive({ type: "welcome", seq: 1, session, limits: { ping_seconds: 15, subscriptions } });
  return socket;
}
