/**
 * The short way to a room's routes. A request for one is found by its segments, without the
 * framework's context around it; anything unusual goes the long way and ends at the same handler.
 */

/** Answers a request, given its path parameters. */
export type Handle = (
  request: Request,
  params: Readonly<Record<string, string>>,
) => Promise<Response>;

interface Pattern {
  readonly method: string;
  readonly segments: readonly string[];
  readonly handle: Handle;
}

const PREFIX = "/rooms/";

interface Found {
  readonly handle: Handle;
  readonly params: Readonly<Record<string, string>>;
}

/** Requests that were found are found again at once: this many, of so many characters at most. */
const FOUND_MAX = 4_096;
const FOUND_LENGTH_MAX = 256;

/** The routes below `/rooms/` by how many segments they have. */
export class Dispatch {
  readonly #byLength = new Map<number, Pattern[]>();
  readonly #found = new Map<string, Found>();

  /** Notes a route; of two that fit a path the first noted wins. */
  add(method: string, path: string, handle: Handle): void {
    if (!path.startsWith(PREFIX)) return;
    const segments = path.split("/");
    const patterns = this.#byLength.get(segments.length) ?? [];
    this.#byLength.set(segments.length, patterns);
    patterns.push({ method, segments, handle });
  }

  /** The answer of the route that fits; undefined when the long way has to find out. */
  answer(request: Request): Promise<Response> | undefined {
    const { url, method } = request;
    const from = url.indexOf("/", url.indexOf("//") + 2), query = url.indexOf("?", from);
    const path = query < 0 ? url.slice(from) : url.slice(from, query);
    if (!path.startsWith(PREFIX)) return undefined;
    const name = `${method} ${path}`;
    let found = this.#found.get(name);
    if (!found) {
      found = this.find(method, path);
      if (!found) return undefined;
      if (name.length <= FOUND_LENGTH_MAX) this.keep(name, found);
    }
    return found.handle(request, found.params);
  }

  private keep(name: string, found: Found): void {
    if (this.#found.size >= FOUND_MAX) this.#found.clear();
    this.#found.set(name, found);
  }

  private find(method: string, path: string): Found | undefined {
    if (/[%#]/.test(path)) return undefined;
    const segments = path.split("/");
    const patterns = this.#byLength.get(segments.length);
    const found = patterns?.find((pattern) => pattern.method === method && fits(pattern, segments));
    return found && { handle: found.handle, params: paramsOf(found, segments) };
  }
}

function fits({ segments }: Pattern, given: readonly string[]): boolean {
  return segments.every((segment, i) =>
    segment.startsWith(":") ? given[i] !== "" : segment === given[i]
  );
}

function paramsOf({ segments }: Pattern, given: readonly string[]): Record<string, string> {
  const params: Record<string, string> = {};
  segments.forEach((segment, i) => {
    if (segment.startsWith(":")) params[segment.slice(1)] = given[i]!;
  });
  return params;
}
