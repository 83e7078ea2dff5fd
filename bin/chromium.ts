/** A headless Chromium: the one `CHROMIUM` names or the system has, else the one inside npm. */
import { existsSync } from "node:fs";
import process from "node:process";
import { type Browser, chromium as playwright } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Starts it. */
export async function launchChromium(): Promise<Browser> {
  const named = process.env["CHROMIUM"] ?? PLACES.find((path) => existsSync(path));
  // The packed one's own arguments are left out: they turn web security off.
  const executablePath = named ??
    await (await import("@sparticuz/chromium")).default.executablePath();
  return await playwright.launch({ executablePath, args: ["--no-sandbox"] });
}
