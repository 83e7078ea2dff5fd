/** Options of the tools here, as `--name=value` on the command line. */

/** A whole number, or what it is unless given. Throws when something else is given. */
export function numberOption(args: readonly string[], name: string, fallback: number): number {
  const given = args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
  if (given === undefined) return fallback;
  const value = Number(given);
  if (given === "" || !Number.isSafeInteger(value) || value < 0) {
    throw new Error(`--${name} takes a whole number, not "${given}"`);
  }
  return value;
}
