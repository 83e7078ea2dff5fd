/** The calls of earlier versions: gone, each answered with the call to use now. */
import { SyncError } from "../errors.ts";

const FORMER: readonly { readonly method: RegExp; readonly path: RegExp; readonly now: string }[] =
  [
    {
      method: /^(PUT|POST|PATCH)$/,
      path: /^\/rooms\/[^/]+\/state\/batch$/,
      now:
        "Register an action with several writes (_register_action) and invoke it: one atomic step.",
    },
    {
      method: /^PATCH$/,
      path: /^\/rooms\/[^/]+\/state\/timer$/,
      now: 'Invoke an action with a write {"key": "…", "renew": true}.',
    },
    {
      method: /^(PUT|POST|PATCH|DELETE)$/,
      path: /^\/rooms\/[^/]+\/state(\/.*)?$/,
      now: "POST /rooms/:id/actions/<action>/invoke, with an action that writes the key; " +
        'help {"key": "standard_library"} has "set", "increment" and "delete".',
    },
    {
      method: /^GET$/,
      path: /^\/rooms\/[^/]+\/state(\/.*)?$/,
      now: "GET /rooms/:id/context?only=state",
    },
    {
      method: /^PUT$/,
      path: /^\/rooms\/[^/]+\/actions\/[^/]+$/,
      now: "POST /rooms/:id/actions/_register_action/invoke",
    },
    {
      method: /^(PUT|POST)$/,
      path: /^\/rooms\/[^/]+\/actions$/,
      now: "POST /rooms/:id/actions/_register_action/invoke",
    },
    {
      method: /^DELETE$/,
      path: /^\/rooms\/[^/]+\/actions\/[^/]+$/,
      now: "POST /rooms/:id/actions/_delete_action/invoke",
    },
    {
      method: /^GET$/,
      path: /^\/rooms\/[^/]+\/actions(\/[^/]+)?$/,
      now: "GET /rooms/:id/context?only=actions&depth=full (and &expand_params=true)",
    },
    {
      method: /^(PUT|POST)$/,
      path: /^\/rooms\/[^/]+\/views(\/[^/]+)?$/,
      now: "POST /rooms/:id/actions/_register_view/invoke",
    },
    {
      method: /^DELETE$/,
      path: /^\/rooms\/[^/]+\/views\/[^/]+$/,
      now: "POST /rooms/:id/actions/_delete_view/invoke",
    },
    {
      method: /^POST$/,
      path: /^\/rooms\/[^/]+\/messages$/,
      now: "POST /rooms/:id/actions/_send_message/invoke",
    },
    {
      method: /^GET$/,
      path: /^\/rooms\/[^/]+\/messages$/,
      now:
        "GET /rooms/:id/context?only=messages (&messages_after=, &messages_kind=, &messages_unclaimed=true)",
    },
    {
      method: /^POST$/,
      path: /^\/rooms\/[^/]+\/messages\/[^/]+\/claim$/,
      now: 'POST /rooms/:id/actions/_claim_message/invoke {"params": {"seq": …}}',
    },
    {
      method: /^POST$/,
      path: /^\/rooms\/[^/]+\/agents\/[^/]+\/heartbeat$/,
      now:
        'Every call is a heartbeat; POST /rooms/:id/actions/_set_status/invoke {"params": {"status": "busy"}} says how you are.',
    },
    {
      method: /^GET$/,
      path: /^\/rooms\/[^/]+\/agents$/,
      now: "GET /rooms/:id/context?only=agents",
    },
    {
      method: /^GET$/,
      path: /^\/rooms\/[^/]+\/views$/,
      now: "GET /rooms/:id/context?only=views",
    },
  ];

/** The refusal of an unknown path; one of an earlier version names the call to use now. */
export function notFound(method: string, path: string): SyncError {
  const former = FORMER.find((call) => call.method.test(method) && call.path.test(path));
  if (former) {
    return new SyncError("not_found", `${method} ${path} belongs to an earlier version.`, {
      hint: `Use now: ${former.now}`,
      help: "migrating",
    });
  }
  const isHalfway = method === "POST" && /^\/rooms\/[^/]+\/actions\/[^/]+\/?$/.test(path);
  return new SyncError("not_found", `There is no ${method} ${path} here.`, {
    hint: isHalfway
      ? 'An action is invoked: POST /rooms/:id/actions/:action/invoke {"params": {…}}.'
      : "GET /openapi.json lists every call; GET /SKILL.md explains them.",
  });
}
