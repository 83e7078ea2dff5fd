/** One seed for every generated test, so that a run can be had again; FC_SEED tries another. */
import fc from "fast-check";
import process from "node:process";

fc.configureGlobal({ seed: Number(process.env["FC_SEED"] ?? 20_261_120) });
