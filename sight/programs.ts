/** Stored expressions, compiled again on use; a stored one that no longer compiles is a failure, not a bug. */
import { CelError, compile, type Place, type Program } from "../cel.ts";
import { SyncError } from "../errors.ts";

/** The program of a stored expression. Throws `CelError` when it does not compile. */
export function programOf(source: string, place: Place): Program {
  try {
    return compile(source, { field: "expr", place });
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    throw new CelError("argument", error.message);
  }
}

/** The same; undefined when there is no expression, or none that compiles. */
export function knownProgram(source: string | undefined, place: Place): Program | undefined {
  if (source === undefined) return undefined;
  try {
    return programOf(source, place);
  } catch (error) {
    if (error instanceof CelError) return undefined;
    throw error;
  }
}
