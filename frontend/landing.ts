/** The landing page's one button: makes a demo room and goes there. */
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import { inWords, readReply, Refused } from "./api.ts";
import { type Call, makeDemo } from "./demo.ts";
import { keep } from "./session.ts";

const call: Call = async (method, path, body, token) => {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (token !== undefined) headers["Authorization"] = `Bearer ${token}`;
  return await readReply(
    await fetch(path, { method, headers, body: JSON.stringify(body), credentials: "omit" }),
  );
};

/** A token that may create rooms, for somebody who is signed in. */
async function mintCreator(): Promise<string | undefined> {
  if (document.documentElement.dataset["session"] !== "1") return undefined;
  const who = await fetch("/me", { credentials: "same-origin" });
  if (!who.ok) return undefined;
  const { csrf } = await who.json() as { csrf: string };
  const minted = await fetch("/tokens", {
    method: "POST",
    credentials: "same-origin",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    body: JSON.stringify({ scope: "create_rooms", label: "demo room" }),
  });
  return minted.ok ? ((await minted.json()) as { token: string }).token : undefined;
}

async function open(button: HTMLButtonElement, status: HTMLElement): Promise<void> {
  button.disabled = true;
  status.textContent = "Making the room…";
  try {
    const demo = await makeDemo(call, await mintCreator());
    keep(`demo:${demo.room}`, JSON.stringify(demo));
    const hash = new URLSearchParams({ token: demo.admin, view: demo.view });
    location.assign(`/?room=${encodeURIComponent(demo.room)}#${hash}`);
  } catch (error) {
    button.disabled = false;
    const isClosed = error instanceof Refused && (error.status === 401 || error.status === 403);
    status.textContent = isClosed
      ? "Here, people with an account create rooms: sign in first."
      : inWords(error);
  }
}

const button = document.querySelector<HTMLButtonElement>("#demo");
const status = document.querySelector<HTMLElement>("#demo-status");
if (button && status) {
  button.hidden = false;
  button.addEventListener("click", () => void open(button, status));
}
