/** One process per database file: an exclusive lock beside it, held until the process ends. */

/** Takes the lock of a `file:` database; "taken" when another process holds it. */
export async function takeLock(url: string): Promise<Deno.FsFile | "taken"> {
  const path = `${url.slice("file:".length)}.lock`;
  const folder = path.replace(/[^/]*$/, "");
  // What agents keep private is nobody else's on this machine.
  if (folder !== "") await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  const file = await Deno.open(path, { create: true, write: true });
  if (file.tryLockSync(true)) return file;
  file.close();
  return "taken";
}
