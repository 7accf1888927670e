// Reconnecting, over a fake WebSocket and fake timers.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BACKOFF_MS, connectionStatus, ReconnectingSocket, SILENCE_MS } from "../src/socket";
import type { PushMessage } from "../src/types";

class FakeWebSocket {
  static readonly OPEN = 1;
  static opened: FakeWebSocket[] = [];
  readyState = 0;
  sent: unknown[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FakeWebSocket.opened.push(this);
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {
    this.readyState = 3;
  }
  open(): void {
    this.readyState = FakeWebSocket.OPEN;
    this.onopen?.();
  }
  receive(message: PushMessage): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  drop(): void {
    this.readyState = 3;
    this.onclose?.();
  }
}

const newest = (): FakeWebSocket => {
  const socket = FakeWebSocket.opened.at(-1);
  if (socket === undefined) throw new Error("no WebSocket was opened");
  return socket;
};

beforeEach(() => {
  FakeWebSocket.opened = [];
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeWebSocket);
  vi.stubGlobal("location", { protocol: "https:", host: "deck.example" });
  vi.stubGlobal("sessionStorage", { getItem: () => "a-token" });
  vi.spyOn(Math, "random").mockReturnValue(1); // the longest delay
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function connected() {
  const messages: PushMessage[] = [];
  const states: string[] = [];
  const socket = new ReconnectingSocket(
    (message) => void messages.push(message),
    (state) => void states.push(state),
  );
  return { socket, messages, states };
}

const RUN = { run: "r1" };
const SERIES = { symbol: "a:B/C", resolution: "5" };

describe("ReconnectingSocket", () => {
  it("connects to its own host, and sends subscriptions once it is open", () => {
    const { socket, states } = connected();
    socket.subscribe(SERIES);
    expect(newest().url).toBe("wss://deck.example/ws");
    expect(newest().protocols).toEqual(["tapedeck.v1", "bearer.a-token"]);
    expect(newest().sent).toEqual([]);
    newest().open();
    expect(newest().sent).toEqual([{ type: "subscribe", ...SERIES }]);
    expect(states).toEqual(["connecting", "live"]);
  });

  it("repeats the subscriptions that are still wanted after a reconnect", () => {
    const { socket, states } = connected();
    newest().open();
    socket.subscribe(SERIES);
    socket.subscribe(RUN);
    socket.unsubscribe(SERIES);
    expect(newest().sent.at(-1)).toEqual({ type: "unsubscribe", ...SERIES });
    newest().drop();
    vi.advanceTimersByTime(BACKOFF_MS[0]);
    newest().open();
    expect(FakeWebSocket.opened).toHaveLength(2);
    expect(newest().sent).toEqual([{ type: "subscribe", ...RUN }]);
    expect(states).toEqual(["connecting", "live", "lost", "lost", "live"]);
  });

  it("sends nothing for a subscription that it does not have", () => {
    const { socket } = connected();
    newest().open();
    socket.unsubscribe(RUN);
    expect(newest().sent).toEqual([]);
  });

  it("waits longer after each failure, and starts over after a success", () => {
    connected();
    const waits = [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000];
    for (const [failure, wait] of waits.entries()) {
      newest().drop();
      vi.advanceTimersByTime(wait - 1);
      expect(FakeWebSocket.opened).toHaveLength(failure + 1);
      vi.advanceTimersByTime(1);
      expect(FakeWebSocket.opened).toHaveLength(failure + 2);
    }
    newest().open();
    newest().drop();
    vi.advanceTimersByTime(250);
    expect(FakeWebSocket.opened).toHaveLength(waits.length + 2);
  });

  it("reconnects after a silence, which every message ends", () => {
    const { messages } = connected();
    const first = newest();
    first.open();
    vi.advanceTimersByTime(SILENCE_MS - 1);
    first.receive({ type: "ping", at: 5 });
    vi.advanceTimersByTime(SILENCE_MS - 1);
    expect(first.readyState).toBe(FakeWebSocket.OPEN);
    vi.advanceTimersByTime(1);
    expect(first.readyState).toBe(3);
    first.drop(); // the browser reports it later, which must not connect twice
    vi.advanceTimersByTime(BACKOFF_MS[0]);
    expect(FakeWebSocket.opened).toHaveLength(2);
    expect(messages).toEqual([{ type: "ping", at: 5 }]);
  });
});

describe("the status of the connection", () => {
  const services = (broker: boolean, database: boolean) => ({ type: "services" as const, broker, database });
  it.each([
    ["live", services(true, true), { state: "live", text: "live" }],
    ["live", services(false, true), { state: "partial", text: "no broker" }],
    ["live", services(true, false), { state: "partial", text: "no database" }],
    ["live", services(false, false), { state: "partial", text: "no broker, no database" }],
    ["live", null, { state: "connecting", text: "connecting" }],
    ["connecting", null, { state: "connecting", text: "connecting" }],
    ["lost", services(true, true), { state: "lost", text: "reconnecting" }],
  ] as const)("%s with %o", (connection, known, status) => expect(connectionStatus(connection, known)).toEqual(status));
});

it("repeats its subscriptions when a service answers again", () => {
  const { socket } = connected();
  socket.subscribe({ run: "1" });
  newest().open();
  newest().sent = [];
  socket.repeatSubscriptions();
  expect(newest().sent).toEqual([{ type: "subscribe", run: "1" }]);
});
