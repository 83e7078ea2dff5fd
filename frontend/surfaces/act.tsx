/** Surfaces that do something: buttons, choices and forms of the room's own actions. */
import { useSignal } from "@preact/signals";
import { ActionForm } from "../form.tsx";
import type { Action, Json, JsonObject } from "../model.ts";
import { Availability } from "../panels/actions.tsx";
import { ShutGate } from "../panels/gate.tsx";
import { Refusal } from "../parts.tsx";
import { canWrite, useRoom } from "../room.ts";
import { textsOf } from "./infer.ts";

interface ActProps {
  readonly value: Json;
  readonly config: JsonObject;
}

/** The actions it names: in its configuration, or by its view's value. */
function useActions({ value, config }: ActProps): readonly [string, Action][] {
  const { store } = useRoom();
  const named = textsOf(config["actions"] ?? config["action"]);
  const ids = named.length > 0 ? named : textsOf(value);
  return ids.flatMap((id): [string, Action][] => {
    const action = store.actions.value.get(id);
    return action ? [[id, action]] : [];
  });
}

/** Invokes and shows a refusal in place. */
function useInvoke() {
  const { api, refresh } = useRoom();
  const error = useSignal<unknown>(undefined);
  const run = async (id: string, params: JsonObject = {}): Promise<void> => {
    try {
      await api.invoke(id, params);
      error.value = undefined;
      refresh();
    } catch (failure) {
      error.value = failure;
    }
  };
  return { error, run };
}

/** A row of buttons; an action with parameters opens its form. */
export function ActionBar(props: ActProps) {
  const room = useRoom();
  const actions = useActions(props);
  const { error, run } = useInvoke();
  const open = useSignal<string | undefined>(undefined);
  const shown = actions.find(([id]) => id === open.value);
  if (actions.length === 0) return <p class="quiet">None of its actions is there.</p>;
  return (
    <>
      <div class="row">
        {actions.map(([id, action]) => {
          const takesParams = Object.keys(action.value.params ?? {}).length > 0;
          return (
            <button
              key={id}
              type="button"
              class="primary"
              disabled={!canWrite(room)}
              aria-disabled={!action.value.available}
              title={action.value.description ?? id}
              {...(takesParams ? { "aria-expanded": open.value === id } : {})}
              onClick={() =>
                takesParams ? (open.value = open.value === id ? undefined : id) : void run(id)}
            >
              {id}
            </button>
          );
        })}
      </div>
      {shown && <ActionForm id={shown[0]} action={shown[1]} rehearse={false} />}
      {error.value !== undefined && <Refusal error={error.value} />}
    </>
  );
}

/** One of several: an action's options, or one button per action. */
export function ActionChoice(props: ActProps) {
  const room = useRoom();
  const actions = useActions(props);
  const { error, run } = useInvoke();
  if (actions.length === 0) return <p class="quiet">None of its actions is there.</p>;
  return (
    <div class="choices">
      {actions.map(([id, action]) => (
        <div key={id} class="choice" role="group" aria-label={id}>
          <p class="row">
            <strong>{action.value.description ?? id}</strong> <Availability action={action} />
          </p>
          <div class="row">
            {optionsOf(action, props.config).map(({ label, params }) => (
              <button
                key={label}
                type="button"
                disabled={!canWrite(room)}
                aria-disabled={!action.value.available}
                onClick={() => void run(id, params)}
              >
                {label === "" ? id : label}
              </button>
            ))}
          </div>
        </div>
      ))}
      {error.value !== undefined && <Refusal error={error.value} />}
    </div>
  );
}

/** One button per option of the parameter that has some; else one for the action itself. Pure. */
export function optionsOf(
  action: Action,
  config: JsonObject,
): { readonly label: string; readonly params: JsonObject }[] {
  const params = Object.entries(action.value.params ?? {});
  const named = params.find(([name]) => name === config["param"]);
  const [name, spec] = named ??
    params.find(([, param]) => param.enum || param.type === "boolean") ?? [];
  const given = Array.isArray(config["options"]) ? config["options"] : undefined;
  const options = given ?? spec?.enum ?? (spec?.type === "boolean" ? [true, false] : undefined);
  if (name === undefined || !options) return [{ label: "", params: {} }];
  return options.map((option) => ({
    label: typeof option === "string" ? option : JSON.stringify(option),
    params: { [name]: option },
  }));
}

/** The form of one action. */
export function ActionSurface(props: ActProps) {
  const room = useRoom();
  const actions = useActions(props);
  const [first] = actions;
  if (!first) return <p class="quiet">Its action is not there.</p>;
  const [id, action] = first;
  return (
    <>
      {!action.value.available && <ShutGate action={action.value} />}
      {canWrite(room)
        ? (
          <ActionForm
            id={id}
            action={action}
            label={typeof props.config["submit"] === "string" ? props.config["submit"] : id}
            rehearse={false}
          />
        )
        : <p class="quiet">This link reads only.</p>}
    </>
  );
}
