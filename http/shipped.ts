/**
 * What is served as it lies in the repository. Imported, so that a host without a file system has
 * it too. Written by `deno task build`.
 */
import skill from "../README.md" with { type: "text" };
import actors from "../reference/actors.md" with { type: "text" };
import api from "../reference/api.md" with { type: "text" };
import architecture from "../reference/architecture.md" with { type: "text" };
import cel from "../reference/cel.md" with { type: "text" };
import consistency from "../reference/consistency.md" with { type: "text" };
import dashboard from "../reference/dashboard.md" with { type: "text" };
import dependencies from "../reference/dependencies.md" with { type: "text" };
import deploy from "../reference/deploy.md" with { type: "text" };
import errors from "../reference/errors.md" with { type: "text" };
import examples from "../reference/examples.md" with { type: "text" };
import faults from "../reference/faults.md" with { type: "text" };
import help from "../reference/help.md" with { type: "text" };
import limits from "../reference/limits.md" with { type: "text" };
import mcp from "../reference/mcp.md" with { type: "text" };
import memory from "../reference/memory.md" with { type: "text" };
import migrating from "../reference/migrating.md" with { type: "text" };
import operations from "../reference/operations.md" with { type: "text" };
import performance from "../reference/performance.md" with { type: "text" };
import policy from "../reference/policy.md" with { type: "text" };
import scaling from "../reference/scaling.md" with { type: "text" };
import security from "../reference/security.md" with { type: "text" };
import simulation from "../reference/simulation.md" with { type: "text" };
import soak from "../reference/soak.md" with { type: "text" };
import surfaces from "../reference/surfaces.md" with { type: "text" };
import tokens from "../reference/tokens.md" with { type: "text" };
import v6 from "../reference/v6.md" with { type: "text" };
import v8 from "../reference/v8.md" with { type: "text" };
import views from "../reference/views.md" with { type: "text" };
import dashboardDarkPng from "../reference/pictures/dashboard-dark.png" with { type: "bytes" };
import dashboardPng from "../reference/pictures/dashboard.png" with { type: "bytes" };
import phonePng from "../reference/pictures/phone.png" with { type: "bytes" };
import statePng from "../reference/pictures/state.png" with { type: "bytes" };
import timelinePng from "../reference/pictures/timeline.png" with { type: "bytes" };

/** The documents by the name under which they are served. */
export const DOCUMENTS: Readonly<Record<string, string>> = {
  "SKILL.md": skill,
  "actors.md": actors,
  "api.md": api,
  "architecture.md": architecture,
  "cel.md": cel,
  "consistency.md": consistency,
  "dashboard.md": dashboard,
  "dependencies.md": dependencies,
  "deploy.md": deploy,
  "errors.md": errors,
  "examples.md": examples,
  "faults.md": faults,
  "help.md": help,
  "limits.md": limits,
  "mcp.md": mcp,
  "memory.md": memory,
  "migrating.md": migrating,
  "operations.md": operations,
  "performance.md": performance,
  "policy.md": policy,
  "scaling.md": scaling,
  "security.md": security,
  "simulation.md": simulation,
  "soak.md": soak,
  "surfaces.md": surfaces,
  "tokens.md": tokens,
  "v6.md": v6,
  "v8.md": v8,
  "views.md": views,
};

/** The pictures of the documents. */
export const PICTURES: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
  "dashboard-dark.png": dashboardDarkPng,
  "dashboard.png": dashboardPng,
  "phone.png": phonePng,
  "state.png": statePng,
  "timeline.png": timelinePng,
};

/** The digest of the browser's sources that belong to this version. */
export const FRONTEND_DIGEST = "4b796fbb80734f5a942dd0b35809c2a3c6d45c2090139781613858de00587b8b";
