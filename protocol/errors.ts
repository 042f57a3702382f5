/**
 * The three errors that callers are expected to tell apart. Everything else that goes wrong is a `TypeError` or `RangeError` of the
 * caller's own making, or the error that remote code threw.
 *
 * @module
 */

/**
 * One operation failed, for a reason that lies in the operation itself; the connection lives on.
 *
 * @example
 * ```ts ignore
 * try {
 *   await conn.call(parse, new WeakMap());
 * } catch (error) {
 *   if (error instanceof OperationError) console.error(error.message);
 * }
 * ```
 */
export class OperationError extends Error {
  static {
    // On the prototype, so that identifiers may be shortened when the core is packed for the far side.
    this.prototype.name = "OperationError";
  }
}

/** The connection is gone, and with it every operation that was under way. */
export class DisconnectError extends OperationError {
  static {
    this.prototype.name = "DisconnectError";
  }
}

/** The peer broke the protocol: what it sent cannot be a message of this version of across. */
export class ProtocolError extends Error {
  static {
    this.prototype.name = "ProtocolError";
  }
}
