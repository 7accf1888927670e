// What a panel shows: a value that is loaded, and loaded again while somebody looks.
import { type ReadonlySignal, signal } from "@preact/signals";
import { messageOf } from "./request";

/** Both null: it is being loaded. Both set: the value is what was known before the error. */
export interface Loadable<T> {
  value: T | null;
  error: string | null;
}

export const LOADING: Loadable<never> = { value: null, error: null };
export const loaded = <T>(value: T): Loadable<T> => ({ value, error: null });

/** Whether a panel has nothing but an error. */
export const isUnreachable = (each: Loadable<unknown>): boolean => each.value === null && each.error !== null;

/** After an error a value is loaded again so soon, whatever its interval. */
const RETRY_MS = 3_000;

/** A value that is loaded now and after every interval, but not while the page is hidden. An error keeps the value. */
export class Polled<T> {
  private readonly state = signal<Loadable<T>>(LOADING);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private users = 0;
  private current: Promise<void> = Promise.resolve();
  private next: Promise<void> | null = null;

  constructor(
    private readonly load: () => Promise<T>,
    private readonly intervalMs: number,
  ) {}

  get signal(): ReadonlySignal<Loadable<T>> {
    return this.state;
  }

  get value(): T | null {
    return this.state.value.value;
  }

  /** Load while somebody watches; what is returned ends that. */
  watch(): () => void {
    this.users += 1;
    if (this.users === 1) void this.repeat();
    let watching = true;
    return () => {
      if (!watching) return;
      watching = false;
      this.users -= 1;
      if (this.users === 0) clearTimeout(this.timer);
    };
  }

  /** Load once more: a load that is under way may have been answered before a change. One load waits at most. */
  refresh(): Promise<void> {
    this.next ??= this.current.then(() => {
      this.next = null;
      this.current = this.loadOnce();
      return this.current;
    });
    return this.next;
  }

  private async loadOnce(): Promise<void> {
    try {
      const value = await this.load();
      if (this.isNew(value)) this.state.value = loaded(value);
    } catch (error) {
      this.state.value = { value: this.state.value.value, error: messageOf(error) };
    }
  }

  /** An answer that says the same again must not draw anything. */
  private isNew(value: T): boolean {
    const { value: before, error } = this.state.value;
    if (error !== null || before === null) return true;
    return before !== value && JSON.stringify(before) !== JSON.stringify(value);
  }

  private async repeat(): Promise<void> {
    if (typeof document === "undefined" || !document.hidden) await this.refresh();
    clearTimeout(this.timer);
    const wait = this.state.peek().error === null ? this.intervalMs : Math.min(this.intervalMs, RETRY_MS);
    if (this.users > 0) this.timer = setTimeout(() => void this.repeat(), wait);
  }
}
