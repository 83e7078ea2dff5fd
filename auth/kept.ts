/** What was looked up of callers, kept so that a change finds whom it touches without asking all. */
import type { Principal } from "../policy.ts";
import { isTouched, marksOf, type Touched, touchedMarks } from "./touched.ts";

/** Whoever is known in more rooms than this is asked at each change instead of being noted in each. */
const MARKS_MAX = 100;

/** Callers by where they are kept; with too many of them, the one kept for longest goes. */
export class Kept<T extends { readonly principal: Principal }> {
  readonly #places = new Map<string, T>();
  readonly #marked = new Map<string, Set<string>>();
  readonly #widelyKnown = new Set<string>();

  constructor(private readonly max: number) {}

  /** How many there are. */
  get size(): number {
    return this.#places.size;
  }

  /** What is kept in a place. */
  get(place: string): T | undefined {
    return this.#places.get(place);
  }

  /** Keeps something in a place. */
  set(place: string, value: T): void {
    this.delete(place);
    if (this.#places.size >= this.max) this.delete(this.#places.keys().next().value!);
    this.#places.set(place, value);
    const marks = fewMarks(value.principal);
    if (!marks) this.#widelyKnown.add(place);
    else {
      for (const mark of marks) {
        const places = this.#marked.get(mark);
        if (places) places.add(place);
        else this.#marked.set(mark, new Set([place]));
      }
    }
  }

  /** Forgets everybody, or those whom a change may touch. */
  forget(touched?: Touched): void {
    if (!touched) {
      this.#places.clear();
      this.#marked.clear();
      this.#widelyKnown.clear();
      return;
    }
    const marks = touchedMarks(touched);
    for (const mark of marks) {
      for (const place of this.#marked.get(mark) ?? []) this.delete(place);
    }
    for (const place of this.#widelyKnown) {
      if (isTouched(this.#places.get(place)!.principal, marks)) this.delete(place);
    }
  }

  private delete(place: string): void {
    const value = this.#places.get(place);
    if (!value) return;
    this.#places.delete(place);
    if (this.#widelyKnown.delete(place)) return;
    for (const mark of marksOf(value.principal)) {
      const places = this.#marked.get(mark);
      places?.delete(place);
      if (places?.size === 0) this.#marked.delete(mark);
    }
  }
}

/** Its marks, unless there are too many of them to be noted. */
function fewMarks(principal: Principal): Set<string> | undefined {
  const marks = new Set<string>();
  for (const mark of marksOf(principal)) {
    marks.add(mark);
    if (marks.size > MARKS_MAX) return undefined;
  }
  return marks;
}
