/** The service's limits while it is simulated: rooms that nobody uses leave memory within seconds. */
export * from "../../limits.ts";

/** As in the service, but short. */
export const ROOM_IDLE_MS = 4_000;
