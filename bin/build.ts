/** Bundles the browser's code into `frontend/dist`, for images and hosts that cannot bundle at start. */
import { bundle, DIST, sourceDigest } from "../http/pages/bundle.ts";

await Deno.mkdir(DIST, { recursive: true });
for await (const entry of Deno.readDir(DIST)) await Deno.remove(new URL(entry.name, DIST));
for (const [name, text] of await bundle()) {
  await Deno.writeTextFile(new URL(name, DIST), text);
  console.log(`${name} ${text.length}`);
}
await Deno.writeTextFile(new URL("sources.txt", DIST), await sourceDigest());
