/**
 * Ways to make a disk fail for one process only. A limit on the size of files bites whoever runs
 * it, root included, and can be lifted while the process runs; a small file system is truly full.
 */
import { join } from "node:path";

/** Resolves to what a command printed. Throws with what it said when it fails or is not there. */
export async function run(command: string, args: readonly string[]): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(command, { args: [...args] }).output();
  } catch (error) {
    throw new Error(`${command} is needed to hurt the disk, and is not here`, { cause: error });
  }
  const decoder = new TextDecoder();
  if (!output.success) throw new Error(`${command}: ${decoder.decode(output.stderr)}`);
  return decoder.decode(output.stdout);
}

/**
 * Stands in front of a server whose files must not grow beyond so many bytes: the write fails
 * with EFBIG, which SQLite tells as an I/O error. Linux with util-linux and a shell.
 */
export function underFileSizeLimit(bytes: number): string[] {
  // A signal that is ignored stays ignored over exec; by default it would end the process.
  return ["sh", "-c", `trap '' XFSZ; exec prlimit --fsize=${bytes}:unlimited "$@"`, "sh"];
}

/** Sets the limit of a running server anew: 0 makes every file read-only, undefined lifts it. */
export async function limitFileSize(pid: number, bytes: number | undefined): Promise<void> {
  await run("prlimit", ["--pid", String(pid), `--fsize=${bytes ?? "unlimited"}:unlimited`]);
}

/** A file system of so many KiB over the folder, seen by the server alone; needs root or user namespaces. */
export function onSmallFileSystem(folder: string, kib: number): string[] {
  const isRoot = Deno.uid() === 0;
  const script = `mount -t tmpfs -o size=${kib}k tmpfs '${folder}' && ` +
    `head -c ${Math.floor(kib / 2)}k /dev/zero > '${folder}/filler' && exec "$@"`;
  return ["unshare", isRoot ? "-m" : "-Urm", "sh", "-c", script, "sh"];
}

/** Gives back half of a server's small file system. */
export async function freeSmallFileSystem(pid: number, folder: string): Promise<void> {
  await Deno.remove(join(`/proc/${pid}/root`, folder, "filler"));
}

/** Stands in front of a server some of whose fsyncs fail with EIO: from one to another, counted from its start. */
export function underFailingFsync(from: number, to: number): string[] {
  const inject = `inject=fsync,fdatasync:error=EIO:when=${from}..${to}`;
  const trace = ["-e", "trace=fsync,fdatasync", "-e", inject];
  return ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", ...trace];
}
