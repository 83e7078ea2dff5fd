/** A form made from an action's parameter schema: tries first, then invokes, and shows what came of it. */
import { useSignal } from "@preact/signals";
import { Refused } from "./api.ts";
import { preview } from "./format.ts";
import type { Action, Json, JsonObject, Param } from "./model.ts";
import { Refusal, Tag } from "./parts.tsx";
import { useRoom } from "./room.ts";
import { Tree } from "./tree.tsx";

/** What a form holds: the text of each field; an empty one is not sent. */
export type FieldTexts = Readonly<Record<string, string>>;

/** The texts of a form's fields as parameters. Throws `Refused` for text that is no JSON where JSON is wanted. Pure. */
export function paramsOf(schema: Readonly<Record<string, Param>>, texts: FieldTexts): JsonObject {
  const params: JsonObject = {};
  for (const [name, param] of Object.entries(schema)) {
    const text = texts[name] ?? "";
    if (text === "" && !(param.required && param.type === "string")) continue;
    params[name] = valueOf(name, param, text);
  }
  return params;
}

function valueOf(name: string, param: Param, text: string): Json {
  if (param.enum) return param.enum.find((option) => String(option) === text) ?? text;
  switch (param.type) {
    case "string":
      return text;
    case "number":
    case "integer":
      return Number(text);
    case "boolean":
      return text === "true";
    case "array":
    case "object":
      return parsed(name, text);
    default:
      return looseJson(text);
  }
}

function parsed(name: string, text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    throw new Refused(400, "invalid_json", `"${name}" is not JSON.`, {
      hint: 'Write it as JSON, for example {"a": 1} or [1, 2].',
    });
  }
}

/** Text that may be JSON and need not be. */
function looseJson(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    // Anything is allowed here, so text that is no JSON is meant as text.
    return text;
  }
}

function initial(schema: Readonly<Record<string, Param>>): FieldTexts {
  const texts: Record<string, string> = {};
  for (const [name, { default: value }] of Object.entries(schema)) {
    if (value !== undefined) {
      texts[name] = typeof value === "string" ? value : JSON.stringify(value);
    }
  }
  return texts;
}

/** The form of an action. `label` is what its button says. */
export function ActionForm({ id, action, label = "Invoke", rehearse = true }: {
  readonly id: string;
  readonly action: Action;
  readonly label?: string;
  readonly rehearse?: boolean;
}) {
  const { api, refresh } = useRoom();
  const schema = action.value.params ?? {};
  const texts = useSignal<FieldTexts>(initial(schema));
  const outcome = useSignal<{ reply?: JsonObject; error?: unknown; isDry?: boolean } | undefined>(
    undefined,
  );
  const isBusy = useSignal(false);
  const run = async (isDry: boolean): Promise<void> => {
    isBusy.value = true;
    try {
      const reply = await api.invoke(
        id,
        paramsOf(schema, texts.value),
        isDry ? { dry_run: true } : {},
      );
      outcome.value = { reply, isDry };
      if (!isDry) refresh();
    } catch (error) {
      outcome.value = { error };
    } finally {
      isBusy.value = false;
    }
  };
  const onSubmit = (event: Event): void => {
    event.preventDefault();
    void run(false);
  };
  return (
    <form class="action-form" onSubmit={onSubmit} aria-label={`Invoke ${id}`}>
      {Object.entries(schema).map(([name, param]) => (
        <Field
          key={name}
          id={`${id}-${name}`}
          name={name}
          param={param}
          text={texts.value[name] ?? ""}
          onText={(text) => (texts.value = { ...texts.value, [name]: text })}
        />
      ))}
      <div class="row">
        <button type="submit" class="primary" disabled={isBusy.value}>{label}</button>
        {rehearse && !action.value.builtin && (
          <button
            type="button"
            disabled={isBusy.value}
            onClick={() => void run(true)}
          >
            Dry run
          </button>
        )}
      </div>
      {outcome.value?.error !== undefined && <Refusal error={outcome.value.error} />}
      {outcome.value?.reply && (
        <Outcome reply={outcome.value.reply} isDry={outcome.value.isDry ?? false} />
      )}
    </form>
  );
}

/** One parameter as the control that fits its type. */
function Field({ id, name, param, text, onText }: {
  readonly id: string;
  readonly name: string;
  readonly param: Param;
  readonly text: string;
  readonly onText: (text: string) => void;
}) {
  const type = param.enum ? "choice" : param.type ?? "any";
  return (
    <div class="field">
      <label for={id}>
        {name} <span class="quiet">{type}{param.required ? ", required" : ""}</span>
      </label>
      <Control id={id} param={param} text={text} onText={onText} />
      {param.description && <p class="quiet hint" id={`${id}-hint`}>{param.description}</p>}
    </div>
  );
}

function Control({ id, param, text, onText }: {
  readonly id: string;
  readonly param: Param;
  readonly text: string;
  readonly onText: (text: string) => void;
}) {
  const common = {
    id,
    value: text,
    required: param.required ?? false,
    ...(param.description ? { "aria-describedby": `${id}-hint` } : {}),
  };
  const options = param.enum?.map(String) ??
    (param.type === "boolean" ? ["true", "false"] : undefined);
  if (options) {
    return (
      <select {...common} onChange={(event) => onText(event.currentTarget.value)}>
        <option value="">{param.required ? "choose" : "not given"}</option>
        {options.map((option) => <option key={option} value={option}>{option}</option>)}
      </select>
    );
  }
  if (param.type === "number" || param.type === "integer") {
    return (
      <input
        {...common}
        type="number"
        step={param.type === "integer" ? 1 : "any"}
        {...(param.minimum === undefined ? {} : { min: param.minimum })}
        {...(param.maximum === undefined ? {} : { max: param.maximum })}
        onInput={(event) => onText(event.currentTarget.value)}
      />
    );
  }
  const isLong = param.type === "array" || param.type === "object" || param.type === undefined ||
    param.type === "any";
  return (
    <textarea
      {...common}
      rows={1}
      class={isLong ? "mono" : ""}
      spellcheck={!isLong}
      onInput={(event) => onText(event.currentTarget.value)}
    />
  );
}

/** What an invocation did, or would do. */
export function Outcome({ reply, isDry }: { readonly reply: JsonObject; readonly isDry: boolean }) {
  const writes = Array.isArray(reply["writes"]) ? reply["writes"] as JsonObject[] : [];
  const changed = reply["actions_changed"];
  const { warning, result } = reply;
  return (
    <div class={isDry ? "outcome dry" : "outcome"} role="status">
      <p>
        <Tag tone={isDry ? "info" : "good"}>{isDry ? "would do" : "done"}</Tag>
        {reply["seq"] !== undefined && !isDry && (
          <span class="quiet after">record {String(reply["seq"])}</span>
        )}
        {warning !== undefined && <Tag tone="warn">{String(warning)}</Tag>}
      </p>
      {writes.length > 0 && (
        <ul class="writes">
          {writes.map((write, i) => (
            <li key={i}>
              <code>{String(write["scope"] ?? "")}.{String(write["key"] ?? "")}</code> ={" "}
              <code>{preview(write["value"] ?? null)}</code>
            </li>
          ))}
        </ul>
      )}
      {result !== undefined && (
        <p>
          Result: <Tree value={result} />
        </p>
      )}
      {isDry && changed !== undefined && (
        <details>
          <summary>What else would change</summary>
          <Tree value={rest(reply)} open={2} />
        </details>
      )}
    </div>
  );
}

function rest(reply: JsonObject): JsonObject {
  const { actions_changed, views_changed, waits_woken } = reply;
  return {
    actions: actions_changed ?? null,
    views: views_changed ?? null,
    waits: waits_woken ?? null,
  };
}
