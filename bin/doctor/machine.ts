/** The machine below a database in a file: who holds it, what the disk costs, what is left of it. */
import { randomUUID } from "node:crypto";
import { open, readdir, readFile, realpath, rm, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Config } from "../../config.ts";
import { pathOf } from "../../store/file.ts";
import { type Check, inBytes, inMs, Notes, spreadOf } from "./report.ts";

const SYNCS = 20;
/** A disk that syncs slower than this is felt by everybody; slower than the second, it is ill. */
const SYNC_MS = { warn: 10, fail: 100 };
/** A log beside the database that has grown so large is not being folded in. */
const WAL_BYTES = { warn: 64 * 2 ** 20, fail: 1024 * 2 ** 20 };
const FREE_SHARE_MIN = 0.1;
const FREE_BYTES_MIN = 1024 * 2 ** 20;
/** Each wait and each stream holds a connection open, and each of those a file. */
const OPEN_FILES_MIN = 4_096;
const BACKUP_HOURS = { warn: 26, fail: 24 * 7 };

/** File systems that forget, or whose locks and syncs are not to be relied on. */
const ODD_SYSTEMS: Readonly<Record<string, string>> = {
  tmpfs: "is memory: everything is lost with the machine",
  ramfs: "is memory: everything is lost with the machine",
  overlay: "may belong to a container and be lost with it",
  nfs: "is a network: SQLite's locks and syncs cannot be relied on",
  nfs4: "is a network: SQLite's locks and syncs cannot be relied on",
  cifs: "is a network: SQLite's locks and syncs cannot be relied on",
};

/** What the command line says of the machine. */
export interface MachineOrder {
  /** Where backups are kept. */
  readonly backups?: string | undefined;
}

/** Looks at the machine; `pid` is the process that holds the database, where one does. */
export async function checkMachine(
  config: Config | undefined,
  order: MachineOrder,
): Promise<{ pid: number | undefined; checks: Check[] }> {
  const notes = new Notes("machine");
  let pid: number | undefined;
  if (config?.db.startsWith("file:")) {
    const path = pathOf(config.db);
    pid = await lock(path, notes);
    await disk(dirname(path), notes);
    await files(path, notes);
  }
  await openFiles(pid, notes);
  await backups(order.backups, config, notes);
  return { pid, checks: notes.checks };
}

/** Text of a file that may not be there or not be allowed. */
async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return "";
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch {
    return undefined;
  }
}

/** The process that holds a lock on a file, as the kernel lists it. */
async function holderOf(path: string): Promise<number | undefined> {
  const inode = await stat(path).then(({ ino }) => ino, () => undefined);
  if (inode === undefined) return undefined;
  for (const line of (await textOf("/proc/locks")).split("\n")) {
    const [, pid, at] = /^\d+: FLOCK\s+ADVISORY\s+WRITE (\d+) \S+:(\d+) /.exec(line) ?? [];
    if (Number(at) === inode) return Number(pid);
  }
  return undefined;
}

async function lock(database: string, notes: Notes): Promise<number | undefined> {
  const path = `${database}.lock`;
  const pid = await holderOf(path);
  if (pid !== undefined) {
    const command = (await textOf(`/proc/${pid}/cmdline`)).split("\0").join(" ").trim();
    notes.ok("lock", `held by process ${pid}${command === "" ? "" : `: ${command.slice(0, 160)}`}`);
  } else if (await isTaken(path)) notes.ok("lock", "held by a process that cannot be named here");
  else notes.note("lock", "held by nobody: no server uses this database now");
  return pid;
}

async function isTaken(path: string): Promise<boolean> {
  if (await sizeOf(path) === undefined) return false;
  const file = await Deno.open(path, { write: true });
  try {
    return !file.tryLockSync(true);
  } finally {
    file.close();
  }
}

async function disk(folder: string, notes: Notes): Promise<void> {
  const there = await realpath(folder).catch(() => undefined);
  if (there === undefined) {
    notes.note("folder", `${folder} is not there yet; the first start makes it`);
    return;
  }
  await syncs(there, notes);
  const system = await fileSystemOf(there);
  const oddity = system === undefined ? undefined : ODD_SYSTEMS[system];
  if (oddity === undefined) notes.ok("file system", system ?? "unknown");
  else notes.warn("file system", `${system} ${oddity}`, "Put the database on a disk of its own.");
  await space(there, notes);
}

/** What a sync to disk costs, measured on a file of the doctor's own beside the database. */
async function syncs(folder: string, notes: Notes): Promise<void> {
  const path = join(folder, `.doctor-${randomUUID()}`);
  const block = new Uint8Array(4_096);
  try {
    const file = await open(path, "wx");
    try {
      const durations: number[] = [];
      for (let i = 0; i < SYNCS; i++) {
        const started = performance.now();
        await file.write(block);
        await file.datasync();
        durations.push(performance.now() - started);
      }
      const { p50, p99 } = spreadOf(durations);
      notes.against(
        "sync",
        p50,
        SYNC_MS,
        `${inMs(p50)}, at worst ${inMs(p99)}`,
        "Every write waits for one: use a faster disk, or one that fewer share.",
      );
    } finally {
      await file.close();
    }
  } catch (error) {
    notes.fail(
      "folder",
      `${folder} cannot be written: ${(error as Error).message}`,
      "Give it to the user that runs the service, and see that the disk is not full or read-only.",
    );
  } finally {
    await rm(path, { force: true });
  }
}

/** The kind of file system that a folder lies on. */
async function fileSystemOf(folder: string): Promise<string | undefined> {
  let found: { at: string; kind: string } | undefined;
  for (const line of (await textOf("/proc/self/mountinfo")).split("\n")) {
    const [, at, kind] = /^\d+ \d+ \S+ \S+ (\S+) .*? - (\S+) /.exec(line) ?? [];
    if (at === undefined || kind === undefined) continue;
    const isAbove = at === "/" || folder === at || folder.startsWith(`${at}/`);
    if (isAbove && at.length >= (found?.at.length ?? 0)) found = { at, kind };
  }
  return found?.kind;
}

async function space(folder: string, notes: Notes): Promise<void> {
  const { bsize, blocks, bavail } = await statfs(folder);
  const free = bavail * bsize, all = blocks * bsize;
  const detail = `${inBytes(free)} free of ${inBytes(all)}`;
  const todo = "Make room: without any, every write is answered with 503.";
  if (free < FREE_BYTES_MIN / 8) notes.fail("space", detail, todo);
  else if (free < FREE_BYTES_MIN || free < all * FREE_SHARE_MIN) notes.warn("space", detail, todo);
  else notes.ok("space", detail);
}

async function files(path: string, notes: Notes): Promise<void> {
  const size = await sizeOf(path);
  if (size === undefined) {
    notes.note("file", `${path} is not there yet; the first start makes it`);
    return;
  }
  const isOpen = ((await stat(path)).mode & 0o004) !== 0 &&
    ((await stat(dirname(path))).mode & 0o001) !== 0;
  if (!isOpen || Deno.build.os === "windows") notes.ok("file", inBytes(size));
  else {
    notes.warn(
      "file",
      `${inBytes(size)}, readable by every user of this machine`,
      "chmod o-rwx it and its folder: it holds what agents keep private.",
    );
  }
  const wal = await sizeOf(`${path}-wal`);
  notes.against(
    "wal",
    wal ?? 0,
    WAL_BYTES,
    wal === undefined ? "none" : inBytes(wal),
    "Something reads the database for long and keeps it from being folded in: end that reader.",
  );
}

/** How many files the server may hold open; where none runs, this shell's own limit. */
async function openFiles(pid: number | undefined, notes: Notes): Promise<void> {
  const of = pid === undefined ? "self" : String(pid);
  const text = await textOf(`/proc/${of}/limits`);
  const [, soft] = /^Max open files\s+(\S+)/m.exec(text) ?? [];
  if (soft === undefined) return;
  const whose = pid === undefined ? "for this shell" : `for process ${pid}`;
  const limit = soft === "unlimited" ? Infinity : Number(soft);
  if (limit >= OPEN_FILES_MIN) notes.ok("open files", `${soft} ${whose}`);
  else {
    notes.warn(
      "open files",
      `${soft} ${whose}`,
      "Raise it (LimitNOFILE= with systemd, ulimit -n): each wait and each stream takes one.",
    );
  }
}

async function backups(
  folder: string | undefined,
  config: Config | undefined,
  notes: Notes,
): Promise<void> {
  const isFile = config?.db.startsWith("file:") ?? true;
  if (folder === undefined) {
    notes.note(
      "backups",
      "not looked at",
      isFile
        ? "Name their folder with --backups; reference/deploy.md says how to take and try one."
        : "They are the database server's: see that it takes them, and that one can be restored.",
    );
    return;
  }
  const ages: number[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const found = await stat(join(folder, name));
    if (found.isFile() && found.size > 0) ages.push(Date.now() - found.mtimeMs);
  }
  if (ages.length === 0) {
    notes.fail("backups", `none in ${folder}`, "Take one: reference/deploy.md says how.");
    return;
  }
  const hours = Math.min(...ages) / 3_600_000;
  notes.against(
    "backups",
    hours,
    BACKUP_HOURS,
    `${ages.length}, the newest ${hours < 1 ? "less than an hour" : `${Math.round(hours)} h`} old`,
    "See why no newer one was taken.",
  );
}
