/** The one clock of the page: a signal that ticks once a second, corrected by the server's. */
import { signal } from "@preact/signals";

/** Now, in ms since the epoch, as the server has it. */
export const now = signal(Date.now());

let skew = 0;

/** Tells the clock how far the server's is ahead. */
export function setSkew(ms: number): void {
  skew = ms;
}

/** Starts ticking. */
export function startClock(): void {
  setInterval(() => {
    if (!document.hidden) now.value = Date.now() + skew;
  }, 1_000);
}
