/** Samples of the engine's own profilers, summed up by function and by module. */

interface Frame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

/** Processor samples: a tree of calls, and which node each sample hit. */
export interface CpuSamples {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: Frame;
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface HeapNode {
  readonly callFrame: Frame;
  readonly selfSize: number;
  readonly children: readonly HeapNode[];
}

/** Allocation samples: a tree of calls with bytes. */
export interface HeapSamples {
  readonly head: HeapNode;
}

/** A function's or a module's part of the whole: its own, and with what it called. */
export interface Share {
  readonly name: string;
  readonly self: number;
  readonly total: number;
}

/** All parts, the largest own one first. */
export interface Shares {
  /** Microseconds or bytes. */
  readonly sum: number;
  readonly functions: readonly Share[];
  readonly modules: readonly Share[];
}

interface Node {
  readonly frame: Frame;
  readonly self: number;
  readonly children: readonly Node[];
}

/** The processor's tree without the time in which there was nothing to do, or the profiler began. */
function cpuTree({ nodes, samples, timeDeltas }: CpuSamples): Node {
  const own = new Map<number, number>();
  samples.forEach((id, i) => own.set(id, (own.get(id) ?? 0) + (timeDeltas[i] ?? 0)));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const build = (id: number): Node => {
    const { callFrame, children = [] } = byId.get(id)!;
    const { functionName, url } = callFrame;
    if (functionName === "(idle)" || (functionName === "inspect" && url.endsWith("/host.ts"))) {
      return { frame: callFrame, self: 0, children: [] };
    }
    return { frame: callFrame, self: own.get(id) ?? 0, children: children.map(build) };
  };
  return build(nodes[0]!.id);
}

function heapTree({ callFrame, selfSize, children }: HeapNode): Node {
  return { frame: callFrame, self: selfSize, children: children.map(heapTree) };
}

const ROOT = new URL("../", import.meta.url).href;

/** The file of a frame: the project's own by its path, a package by its name. */
function moduleOf({ url, functionName }: Frame): string {
  if (url.startsWith(ROOT)) return url.slice(ROOT.length);
  const inPackage = /\/((?:@[^/]+\/)?[^/]+)\/\d+\.\d+\.[^/]*\//.exec(url);
  if (inPackage) return `npm:${inPackage[1]}`;
  if (url === "") return functionName.startsWith("(") ? functionName : "(built in)";
  return url.replace(/^(ext|node):([^/]*).*$/, "$1:$2");
}

class Sums {
  readonly #parts = new Map<string, { self: number; total: number }>();

  add(name: string, own: number, isOutermost: boolean, whole: number): void {
    const part = this.#parts.get(name) ?? { self: 0, total: 0 };
    this.#parts.set(name, part);
    part.self += own;
    if (isOutermost) part.total += whole;
  }

  sorted(sum: number): Share[] {
    return [...this.#parts].map(([name, { self, total }]) => ({
      name,
      self: self / sum,
      total: total / sum,
    })).sort((a, b) => b.self - a.self);
  }
}

/** Sums up samples of either kind. */
export function shares(samples: CpuSamples | HeapSamples): Shares {
  const tree = "head" in samples ? heapTree(samples.head) : cpuTree(samples);
  const functions = new Sums(), modules = new Sums();
  const open = new Set<string>();
  const walk = (node: Node): number => {
    const module = moduleOf(node.frame);
    const { functionName, lineNumber } = node.frame;
    const name = `${functionName || "(anonymous)"} ${module}:${lineNumber + 1}`;
    const isOuter = !open.has(name), isOuterModule = !open.has(module);
    open.add(name).add(module);
    let whole = node.self;
    for (const child of node.children) whole += walk(child);
    if (isOuter) open.delete(name);
    if (isOuterModule) open.delete(module);
    functions.add(name, node.self, isOuter, whole);
    modules.add(module, node.self, isOuterModule, whole);
    return whole;
  };
  const sum = walk(tree);
  return { sum, functions: functions.sorted(sum), modules: modules.sorted(sum) };
}

/** The same with the largest whole first. */
export function hottest(found: readonly Share[]): Share[] {
  return [...found].sort((a, b) => b.total - a.total);
}
