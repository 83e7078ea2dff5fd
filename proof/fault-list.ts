/**
 * The faults that need the machine itself: a file system that is truly full, fsyncs that fail in
 * the kernel, a lock held by another process, a server that swallows everything, idle clients.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { mustBeSound } from "./crash-rounds.ts";
import {
  freeSmallFileSystem,
  limitFileSize,
  onSmallFileSystem,
  underFailingFsync,
  underFileSizeLimit,
} from "./disk.ts";
import { openLibsqlServer } from "./libsql-server.ts";
import { type AskServer, MixedLoad, seeded } from "./mixed-load.ts";
import { openIdle } from "./raw-http.ts";
import { type ServerProcess, startServer } from "./server.ts";
import { openProxy } from "./tcp-proxy.ts";

/** One way to hurt the server; answers lines of what happened, or throws. */
export interface Fault {
  readonly name: string;
  readonly what: string;
  run(seed: number): Promise<readonly string[]>;
}

const CLIENTS = 8;
const IDLE = 10_000;
const REFUSED = 5_000;
const BUSY_MS = 3_000;
const HELD_MS = 8_000;

interface Patient {
  readonly server: ServerProcess;
  readonly folder: string;
  readonly load: MixedLoad;
  readonly ask: AskServer;
}

interface Setting {
  readonly under?: (folder: string) => readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Is the database a file that can be looked into and served again? */
  readonly isFile: boolean;
}

/** A server under a load, checked before it stops and, over a file, after another start. */
async function onPatient(
  seed: number,
  { under = () => [], env = {}, isFile }: Setting,
  hurt: (patient: Patient) => Promise<string[]>,
): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), "sync-fault-"));
  const server = await startServer({ folder, env, under: under(folder) });
  try {
    const ask: AskServer = (...request) => server.ask(...request);
    const load = await MixedLoad.begin(ask, "x", seeded(seed));
    const lines = await hurt({ server, folder, load, ask });
    await load.check(ask);
    assert.equal(await server.stop(), 0, server.output());
    if (isFile) {
      await mustBeSound(folder);
      const again = await startServer({ folder });
      await load.check((...request) => again.ask(...request));
      await again.stop();
    }
    return [...lines, `${load.acknowledged.length} acknowledged, 0 lost; refused: ${told(load)}`];
  } finally {
    await server.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

function told(load: MixedLoad): string {
  return [...load.refused].map(([code, n]) => `${n} ${code}`).join(", ") || "none";
}

function refusals(load: MixedLoad): number {
  return [...load.refused.values()].reduce((sum, n) => sum + n, 0);
}

async function untilRefused({ load, ask }: Patient, n: number): Promise<void> {
  const goal = refusals(load) + n;
  await load.run(ask, CLIENTS, () => refusals(load) >= goal);
}

async function untilWell({ load, ask }: Patient, n: number): Promise<void> {
  const goal = load.acknowledged.length + n;
  await load.run(ask, CLIENTS, () => load.acknowledged.length >= goal);
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** The slowest of many reads while something else goes on, in milliseconds. */
async function slowestRead(
  { ask, load }: Pick<Patient, "ask" | "load">,
  isOver: () => boolean,
): Promise<number> {
  let slowest = 0;
  while (!isOver()) {
    const started = performance.now();
    const { status, text } = await ask("GET", "/rooms/quiet", { token: load.admin });
    assert.ok(status === 200 || status === 404, text);
    slowest = Math.max(slowest, performance.now() - started);
    await pause(20);
  }
  return slowest;
}

async function fullFileSystem(seed: number): Promise<string[]> {
  // The data stays in the file system of the server alone, which ends with it.
  const under = (folder: string): string[] => onSmallFileSystem(folder, 6_000);
  return await onPatient(seed, { under, isFile: false }, async (patient) => {
    await untilRefused(patient, 50);
    const before = patient.load.acknowledged.length;
    await freeSmallFileSystem(patient.server.pid, patient.folder);
    await untilWell(patient, 100);
    return [`full after ${before} commands, and on it went when there was room`];
  });
}

async function unwritable(seed: number): Promise<string[]> {
  const under = (): string[] => underFileSizeLimit(100_000_000);
  return await onPatient(seed, { under, isFile: true }, async (patient) => {
    await untilWell(patient, 50);
    for (let times = 0; times < 10; times++) {
      await limitFileSize(patient.server.pid, 0);
      await untilRefused(patient, 20);
      await limitFileSize(patient.server.pid, undefined);
      await untilWell(patient, 20);
    }
    const before = await residentMb(patient.server.pid);
    await limitFileSize(patient.server.pid, 0);
    await untilRefused(patient, REFUSED);
    const after = await residentMb(patient.server.pid);
    await limitFileSize(patient.server.pid, undefined);
    return [
      "ten times unwritable, ten times back",
      `${REFUSED} refused in one go: ${before.toFixed(0)} to ${after.toFixed(0)} MB`,
    ];
  });
}

async function failingFsync(seed: number): Promise<string[]> {
  const under = (): string[] => underFailingFsync(80, 140);
  return await onPatient(seed, { under, isFile: true }, async (patient) => {
    await untilRefused(patient, 1);
    await untilWell(patient, 300);
    return ["fsyncs failed in the kernel for a while, and on it went"];
  });
}

async function busy(seed: number): Promise<string[]> {
  return await onPatient(seed, { isFile: true }, async (patient) => {
    await untilWell(patient, 50);
    const other = new DatabaseSync(join(patient.folder, "sync.db"), { timeout: 5_000 });
    const held = async (ms: number): Promise<string> => {
      const before = refusals(patient.load);
      other.exec("BEGIN IMMEDIATE");
      let isOver = false;
      const loading = patient.load.run(patient.ask, CLIENTS, () => isOver);
      const reading = slowestRead(patient, () => isOver);
      await pause(ms);
      other.exec("ROLLBACK");
      isOver = true;
      const slowest = await reading;
      await loading;
      const refused = refusals(patient.load) - before;
      return `locked for ${ms} ms: ${refused} refused, slowest read ${slowest.toFixed(0)} ms`;
    };
    const lines = [await held(BUSY_MS), await held(HELD_MS)];
    other.close();
    return lines;
  });
}

async function vanishedServer(seed: number): Promise<string[]> {
  const database = await openLibsqlServer();
  const way = await openProxy(Number(new URL(database.url).port));
  try {
    const env = { SYNC_DB: `http://127.0.0.1:${way.port}` };
    return await onPatient(seed, { env, isFile: false }, async (patient) => {
      await untilWell(patient, 50);
      way.set({ isBlackHole: true });
      let slowest = 0;
      const timed: AskServer = async (...request) => {
        const started = performance.now();
        const answer = await patient.ask(...request);
        slowest = Math.max(slowest, performance.now() - started);
        return answer;
      };
      await untilRefused({ ...patient, ask: timed }, CLIENTS * 2);
      way.set({});
      const started = performance.now();
      await untilWell(patient, 50);
      const back = performance.now() - started;
      return [
        `swallowed: the slowest answer came after ${(slowest / 1_000).toFixed(1)} s`,
        `50 commands acknowledged ${(back / 1_000).toFixed(1)} s after the way was good again`,
      ];
    });
  } finally {
    await way.close();
    await database.dispose();
  }
}

/** Resident memory of a process in MB. Linux. */
async function residentMb(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1_000;
}

async function idleClients(seed: number): Promise<string[]> {
  return await onPatient(seed, { isFile: true }, async (patient) => {
    const { server } = patient;
    const memory = (): Promise<number> => residentMb(server.pid);
    await untilWell(patient, 200);
    const before = await memory();
    const idle = await openIdle(server.port, IDLE);
    const started = performance.now();
    await untilWell(patient, 500);
    const took = (performance.now() - started) / 500;
    const beside = await memory();
    for (const connection of idle) await connection.vanish();
    await untilWell(patient, 200);
    return [
      `${IDLE} idle connections: ${before.toFixed(0)} to ${beside.toFixed(0)} MB`,
      `500 commands beside them, ${took.toFixed(1)} ms each over ${CLIENTS} clients`,
    ];
  });
}

/** Every fault, in the order in which they are tried. */
export const FAULTS: readonly Fault[] = [
  { name: "full", what: "a file system that fills up, and is given room", run: fullFileSystem },
  { name: "unwritable", what: "files that take no writes, ten times", run: unwritable },
  { name: "fsync", what: "fsyncs that fail in the kernel (strace)", run: failingFsync },
  { name: "busy", what: "a lock that another process holds", run: busy },
  { name: "vanished", what: "a database server that swallows everything", run: vanishedServer },
  { name: "idle", what: "ten thousand clients that say nothing", run: idleClients },
];
