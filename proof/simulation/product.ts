/**
 * The service's own modules, loaded with three doors exchanged: chance comes from `chance.ts`,
 * databases are opened by `libsql.ts`, and rooms leave memory after seconds (`limits.ts`).
 * Everything else is what runs in earnest. Whoever simulates must not have imported it before.
 */
import { registerHooks } from "node:module";

const OWN = new URL(".", import.meta.url).href;
const SERVICE = new URL("../../", import.meta.url).href;

const STANDINS: Readonly<Record<string, string>> = {
  "node:crypto": `${OWN}chance.ts`,
  [`${SERVICE}store/remote.ts`]: `${OWN}libsql.ts`,
  [`${SERVICE}store/file.ts`]: `${OWN}libsql.ts`,
  [`${SERVICE}limits.ts`]: `${OWN}limits.ts`,
};

/** What a module of the service gets instead of what it asks for. */
function standinFor(specifier: string, from: string): string | undefined {
  if (!from.startsWith(SERVICE) || from.startsWith(OWN)) return undefined;
  return STANDINS[specifier.startsWith(".") ? new URL(specifier, from).href : specifier];
}

registerHooks({
  resolve: (specifier, context, next) => {
    const url = standinFor(specifier, context.parentURL ?? "");
    return url === undefined ? next(specifier, context) : { url, shortCircuit: true };
  },
});

const [main, config, audit, rows, hot, committer, store, db, wait, index, follower, wheel, auth] =
  await Promise.all([
    import("../../main.ts"),
    import("../../config.ts"),
    import("../../audit.ts"),
    import("../../engine/rows.ts"),
    import("../../engine/hot.ts"),
    import("../../engine/committer.ts"),
    import("../../store.ts"),
    import("../../store/db.ts"),
    import("../../wait.ts"),
    import("../../wait/index.ts"),
    import("../../engine/follower.ts"),
    import("../../engine/wheel.ts"),
    import("../../auth.ts"),
  ]);

export const { createService } = main;
export const { readConfig } = config;
export const { firstDifference } = audit;
export const { hotFromRows } = rows;
/** Classes of the service that `plants.ts` puts faults into. */
export const CLASSES = {
  HotRoom: hot.HotRoom,
  Committer: committer.Committer,
  Store: store.Store,
  Db: db.Db,
  TailDropped: hot.TailDropped,
  Waits: wait.Waits,
  WaitIndex: index.WaitIndex,
  Follower: follower.Follower,
  Wheel: wheel.Wheel,
  Auth: auth.Auth,
};
