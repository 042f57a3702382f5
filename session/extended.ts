/**
 * Puts the extension together: see `extension.ts`. Whoever imports this has it; an end that was booted gets this file, and what only it needs, as a
 * second piece of code behind the kernel.
 *
 * @module
 */

import { startWatchdog } from "../runtime/watchdog.ts";
import { actions } from "./actions.ts";
import { Blobs } from "./blobs.ts";
import { Caller } from "./caller.ts";
import { Defining } from "./defining.ts";
import { Exchange } from "./exchange.ts";
import { Script } from "./execute.ts";
import { extend } from "./extension.ts";
import { Heartbeat } from "./heartbeat.ts";
import { Records } from "./records.ts";
import { Signals } from "./signals.ts";
import { Streams } from "./streams.ts";

extend({
  caller: (context) => new Caller(context),
  defining: (context) => new Defining(context),
  exchange: (context) => new Exchange(context),
  sides: (context) => ({ signals: new Signals(context), blobs: new Blobs(context) }),
  streams: (context) => new Streams(context),
  actions,
  records: (context) => new Records(context),
  script(source, variables, importer) {
    const script = new Script(source, variables, importer);
    return () => script.run();
  },
  heartbeat: (init) => new Heartbeat(init),
  watch: startWatchdog,
});
