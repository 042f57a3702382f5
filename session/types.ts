/**
 * Types of what crosses a connection: what of a value arrives, what may be given in its place, and the faces of proxies, paths and results. Types
 * only; what they promise is kept by `faces.ts` and the codec.
 *
 * Limits: overloads are carried up to four deep, and `call(fn)` uses the last; type parameters become their constraints; assignment through a
 * mapped type cannot be typed, hence `set()`.
 *
 * @module
 */

/** Marks proxies with the type of what they stand for. It exists in types only. */
export declare const target: unique symbol;
/** Marks results that are not there yet with the type of what a chain goes on from. It exists in types only. */
export declare const pending: unique symbol;
/** Marks what {@linkcode ref} makes. It exists in types only. */
export declare const referred: unique symbol;

/** Whether `T` is `any`. */
export type IsAny<T> = 0 extends 1 & T ? true : false;
/** Whether `T` is `unknown`. */
export type IsUnknown<T> = unknown extends T ? (IsAny<T> extends true ? false : true) : false;

/** Any function. */
export type AnyFunction = (...args: never[]) => unknown;
/** Any class. */
export type AnyConstructor = abstract new (...args: never[]) => object;
/** What travels by value and is not looked into. */
export type Opaque =
  | string
  | number
  | bigint
  | boolean
  | symbol
  | null
  | undefined
  | void
  | Date
  | RegExp
  | URL
  | Error
  | ArrayBuffer
  | SharedArrayBuffer
  | ArrayBufferView
  | Blob
  | Headers
  | AbortSignal
  | ReadableStream
  | WritableStream;
/** Something that is to be passed as a proxy. Only {@linkcode ref} makes one. */
export interface Reference<T> {
  /** Exists in types only. */
  readonly [referred]: T;
}
/** An unresolved result, which can be an argument of further operations on its connection. */
export interface Pending<out T> {
  /** Exists in types only. */
  readonly [pending]: T;
}
/** What all proxies have. */
export interface RemoteBase<T> extends Disposable, AsyncDisposable {
  /** Exists in types only. */
  readonly [target]: T;
}

/** What of `T` arrives on the side that receives it. */
export type Received<T> = IsAny<T> extends true ? T : IsUnknown<T> extends true ? T
: T extends { readonly [target]: unknown } ? T
: T extends Reference<infer U> ? Remote<U>
: T extends Opaque | AnyConstructor ? T
: T extends AnyFunction ? RemoteFunction<T>
: T extends PromiseLike<infer U> ? Promise<Received<U>>
: T extends AsyncGenerator<infer Y, infer R, infer N> ? AsyncGenerator<Received<Y>, Received<R>, N>
: T extends Iterable<unknown> & Iterator<infer Y, infer R, infer N> ? AsyncGenerator<Received<Y>, Received<R>, N>
: T extends Map<infer K, infer V> ? Map<Received<K>, Received<V>>
: T extends Set<infer V> ? Set<Received<V>>
: T extends readonly unknown[] ? { [K in keyof T]: Received<T[K]> }
: T extends object ? (Holds<T> extends true ? { [K in keyof T]: Received<T[K]> } : T)
: T;
/** What gives items one after the other, once. */
export type Steps = Iterable<unknown> & Iterator<unknown, unknown, never>;
/** Whether an object type has fields that are {@linkcode Reference}s, or iterators, which arrive asynchronous. */
export type Holds<T> = true extends
  { [K in keyof T]-?: T[K] extends Reference<unknown> | Steps ? true : false }[keyof T] ? true
  : false;

/** What may be given where the other side wants a `T`. */
export type Sendable<T> = IsAny<T> extends true ? T : IsUnknown<T> extends true ? T
: T extends { readonly [target]: infer U } ? T | Reference<U> | Pending<U>
:
  | Pending<T>
  | (T extends Opaque | AnyConstructor ? T
    : T extends AnyFunction ? SendableFunction<T> | RemoteBase<T>
    : T extends PromiseLike<unknown> | AsyncIterable<unknown> | Iterable<unknown> & { next: unknown } ? T
    : T extends Map<infer K, infer V> ? Map<Sendable<K>, Sendable<V>> | RemoteBase<T>
    : T extends Set<infer V> ? Set<Sendable<V>> | RemoteBase<T>
    : T extends readonly unknown[] ? { [K in keyof T]: Sendable<T[K]> } | RemoteBase<T>
    : T extends Iterable<unknown> ? T | RemoteBase<T>
    // As it is, too: an instance of a class that travels by name arrives with its methods, which nothing tells from callbacks in fields.
    : T extends object ? T | { [K in keyof T]: Sendable<T[K]> } | RemoteBase<T>
    : T);
/** What may be given where the other side wants a callback: it arrives asynchronous. */
export type SendableFunction<F> = F extends (...args: infer A) => infer R ? IsAny<R> extends true ? F
  : IsUnknown<R> extends true ? (...args: ReceivedAll<A>) => unknown
  : [R] extends [void] ? (...args: ReceivedAll<A>) => unknown
  : Extract<R, PromiseLike<unknown>> extends never
    ? { readonly "a callback arrives asynchronous: let the parameter return a Promise": F }
  : (...args: ReceivedAll<A>) => Sendable<Awaited<R>> | PromiseLike<Sendable<Awaited<R>>>
  : never;
/** {@linkcode Received} for a list of arguments. */
export type ReceivedAll<A extends readonly unknown[]> = { [K in keyof A]: Received<A[K]> };
/** {@linkcode Sendable} for a list of arguments. */
export type SendableAll<A extends readonly unknown[]> = { [K in keyof A]: Sendable<A[K]> };

/** What awaiting a call gives, for a function that returns `R`. */
export type Returned<R> = Received<Awaited<R>>;
/** What a chain goes on from, over there, for a function that returns `R`. */
export type Origin<R> = Awaited<R> extends infer V
  ? V extends { readonly [target]: infer U } ? U : V extends Reference<infer U> ? U : V
  : never;
/** A proxy of a function of the other side. */
export interface RemoteFunction<F> extends RemoteBase<F> {
  (
    ...args: F extends (...args: infer A) => unknown ? SendableAll<A> : never
  ): F extends (...args: never[]) => infer R ? RemotePromise<Returned<R>, Origin<R>> : never;
}
/** A method of the other side. */
export type Call<A extends readonly unknown[], R> = (...args: SendableAll<A>) => RemotePromise<Returned<R>, Origin<R>>;
/** How a proxy of a `T` can be called or constructed. */
export type CallFace<T> = T extends abstract new (...a: infer A) => infer I // `infer` sees one overload: spell out four
  ? { new (...args: SendableAll<A>): RemotePromise<Remote<I>> }
  : T extends { (...a: infer A): infer R; (...a: infer B): infer S; (...a: infer C): infer U; (...a: infer D): infer V }
    ? Call<A, R> & Call<B, S> & Call<C, U> & Call<D, V>
  : T extends { (...a: infer A): infer R; (...a: infer B): infer S; (...a: infer C): infer U }
    ? Call<A, R> & Call<B, S> & Call<C, U>
  : T extends { (...a: infer A): infer R; (...a: infer B): infer S } ? Call<A, R> & Call<B, S>
  : T extends (...a: infer A) => infer R ? Call<A, R>
  : unknown;
/** How a proxy of a `T` can be iterated over. */
export type Iterates<T> = T extends AsyncIterable<infer Y> ? AsyncIterable<Received<Y>>
  : T extends string ? unknown
  : T extends Iterable<infer Y> ? AsyncIterable<Received<Y>>
  : unknown;
/** The face of `any`. */
export interface AnyFace {
  /** Calls it. */
  // deno-lint-ignore no-explicit-any -- the face of `any` is `any`
  (...args: unknown[]): RemotePromise<any>;
  /** Anything else. */
  // deno-lint-ignore no-explicit-any -- as above
  readonly [name: string]: any;
}

/** Names that are never looked up on the other side. */
export type Hidden = `_${string}` | "constructor" | "prototype" | "__proto__" | "then" | symbol;
/** The typed face of a proxy: not thenable. */
export type Remote<T> = IsAny<T> extends true ? RemoteBase<T> & AnyFace
  : RemoteBase<T> & CallFace<T> & Iterates<T> & { readonly [K in Exclude<keyof T, Hidden>]: RemotePath<T[K]> };
/** A property of something on the other side: awaiting it reads it. */
export type RemotePath<T> = RemotePromise<Received<T>, T>;
/** `V` is what awaiting gives, `T` what the chain goes on from. */
export type RemotePromise<V, T = V extends { readonly [target]: infer U } ? U : V> =
  & Promise<V>
  & Pending<T>
  & Chain<NonNullable<T>>;
/** How one goes on from a result before it is there. */
export type Chain<T> = IsAny<T> extends true ? AnyFace
  : IsUnknown<T> extends true ? unknown
  : [T] extends [never] ? unknown
  : T extends unknown
    ? CallFace<T> & Iterates<T> & { readonly [K in Exclude<keyof T, Hidden | "catch" | "finally">]: RemotePath<T[K]> }
  : never;
