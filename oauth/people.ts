/** Usernames, labels and the other names that people choose: one schema each. Pure. */
import { z } from "zod";
import { invalid } from "../errors.ts";

const FORBIDDEN = new Set(["self", "admin", "system", "constructor", "prototype", "__proto__"]);

/** A username: kept in lower case, so that no two look alike by case alone. */
export const Username = z.string("a name is wanted").trim().toLowerCase()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,63}$/,
    "1 to 64 letters, digits, dots, dashes or underscores are wanted",
  )
  .refine((name) => !FORBIDDEN.has(name), "the name is reserved");

/** A label or another name for people to read. */
export const Label = z.string("text is wanted").trim().min(1, "text is wanted")
  .max(200, "at most 200 characters are wanted")
  .regex(
    /^[^\p{Cc}\u202a-\u202e\u2066-\u2069]*$/u,
    "text without control characters is wanted",
  );

/** A username, checked. Throws `invalid_argument`. */
export function parseUsername(text: string): string {
  const result = Username.safeParse(text);
  if (result.success) return result.data;
  throw invalid("username", result.error.issues[0]?.message ?? "a name is wanted", "alice");
}
