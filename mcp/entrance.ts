/**
 * The MCP door's place on the app. What stands behind it, the protocol's own library above all, is
 * loaded when somebody first comes: a service that nobody asks over MCP never holds it.
 */
import type { Hono } from "hono";
import type { McpDoor, McpParts } from "./mount.ts";

/** Puts the door on the app. */
export function mountMcp(app: Hono, parts: McpParts): Pick<McpDoor, "open" | "close"> {
  let opening: Promise<McpDoor> | undefined;
  const open = async (): Promise<McpDoor> => {
    try {
      return (await import("./mount.ts")).openMcp(parts);
    } catch (error) {
      // Whoever comes next tries again.
      opening = undefined;
      throw error;
    }
  };
  // Some clients add a slash, and follow no redirect of a POST.
  for (const path of ["/mcp", "/mcp/"]) {
    app.all(path, async (c, next) => {
      if (c.req.method === "OPTIONS") return await next();
      return await (await (opening ??= open())).answer(c.req.raw);
    });
  }
  return {
    open: () => parts.meters.open(),
    close: async () => await (await opening)?.close(),
  };
}
