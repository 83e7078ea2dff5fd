/** Light, dark or as the system has it: kept in a cookie, so that the server's pages know it too. */
import { useSignal } from "@preact/signals";

const THEMES = ["system", "light", "dark"] as const;
const YEAR_S = 31_536_000;

/** The choice. */
export function ThemeSelect() {
  const chosen = useSignal(document.documentElement.dataset["theme"] ?? "system");
  const choose = (theme: string): void => {
    chosen.value = theme;
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
    document.cookie = `theme=${theme}; path=/; max-age=${
      theme === "system" ? 0 : YEAR_S
    }; samesite=lax`;
  };
  return (
    <label class="theme">
      <span class="sr">Theme</span>
      <select value={chosen.value} onChange={(event) => choose(event.currentTarget.value)}>
        {THEMES.map((theme) => <option key={theme} value={theme}>{theme}</option>)}
      </select>
    </label>
  );
}
