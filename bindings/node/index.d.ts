/// <reference types="node" />
// HTTP, WebSocket, MQTT, TLS, timers, and servers that end without losing an answer.

export type Data = string | Uint8Array;
export type Headers = Record<string, string | number>;

/** Event numbers: MG_EV_* without the prefix. */
export const EV: Readonly<Record<
  'ERROR' | 'OPEN' | 'POLL' | 'RESOLVE' | 'CONNECT' | 'ACCEPT' | 'TLS_HS' | 'READ' | 'WRITE' | 'CLOSE' | 'HTTP_HDRS' | 'HTTP_MSG' |
  'WS_OPEN' | 'WS_MSG' | 'WS_CTL' | 'MQTT_CMD' | 'MQTT_MSG' | 'MQTT_OPEN' | 'SNTP_TIME' | 'WAKEUP', number>>;

/** A constant of the C API, by its name. */
export function constant(name: string): number;
/** What the library logs, 0 (nothing) to 4. */
export function logLevel(level: number): void;

/** A request or response; valid in the handler. Its properties are copies. */
export interface HttpMessage {
  readonly method: string;
  readonly uri: string;
  readonly query: string;
  readonly proto: string;
  readonly status: number;
  /** In HTTP_MSG. Elsewhere empty: it has not arrived. */
  readonly body: Buffer;
  readonly text: string;
  header(name: string): string | undefined;
}
export interface WsMessage { readonly data: Buffer; readonly op: number }
export interface MqttMessage { readonly topic: string; readonly data: Buffer; readonly qos: number }
/** PEM texts. A client checks the server against `ca`; a server needs `cert` and `key`. */
export interface TlsOptions { ca?: Data; cert?: Data; key?: Data; name?: string; skipVerification?: boolean }
/** 0 or absent: the default; -1: no limit. */
export interface DrainOptions {
  idleGraceMs?: number; responseTimeoutMs?: number; flushTimeoutMs?: number; lingerTotalMs?: number; lingerIdleMs?: number;
  lingerBytes?: number; wsCloseCode?: number; wsCloseReason?: string; wsCloseTimeoutMs?: number;
}
export interface ManagerDrainOptions { lameDuckMs?: number; idleGraceMs?: number; deadlineMs?: number; spreadMs?: number; conn?: DrainOptions }

/** `data` by event: HttpMessage, WsMessage, MqttMessage, the text of ERROR, the Buffer of WAKEUP. MG_EV_POLL is not delivered. */
export type Handler = (conn: Connection, ev: number, data: any) => void;

/** A listener, an accepted or a client connection. After CLOSE its methods throw. */
export interface Connection {
  readonly id: number;
  userData: unknown;
  readonly isClosed: boolean;
  readonly isDraining: boolean;
  readonly local: string;
  readonly remote: string;
  readonly port: number;
  readonly recv: Buffer;
  /** In CLOSE: an MGX_REASON_* value. */
  readonly closeReason: number;
  /** A bit field, e.g. `flag('ACCEPTED')`. */
  flag(name: string): boolean;
  send(data: Data): boolean;
  reply(status: number, body?: Data, headers?: Headers): void;
  /** Begins an answer in chunks. */
  begin(status?: number, headers?: Headers): void;
  chunk(data: Data): void;
  end(): void;
  /** Queues an HTTP request, on a client. */
  request(method: string, uri: string, headers?: Headers, body?: Data): boolean;
  wsUpgrade(message: HttpMessage, headers?: Headers): void;
  wsSend(data: Data, op?: number): number;
  wsClose(code?: number, reason?: string): void;
  mqttSubscribe(topic: string, qos?: number): void;
  mqttPublish(topic: string, message: Data, options?: { qos?: number; retain?: boolean }): number;
  tlsInit(options: TlsOptions): void;
  consume(n?: number): number;
  /** Ends it in order: answers what was asked, sends what is queued, closes. */
  drain(options?: DrainOptions): boolean;
  close(): void;
  error(text: string): void;
}

export interface MqttConnectOptions { clientId?: string; username?: string; password?: string; keepalive?: number; clean?: boolean; version?: number }

export class Manager {
  listen(url: string, handler: Handler): Connection;
  connect(url: string, handler: Handler): Connection;
  wsConnect(url: string, handler: Handler, headers?: Headers): Connection;
  mqttConnect(url: string, handler: Handler, options?: MqttConnectOptions): Connection;
  timer(ms: number, fn: () => void, options?: { repeat?: boolean }): { cancel(): void };
  /** The connection with this id. */
  connection(id: number): Connection | undefined;
  /** One round; `ms` blocks Node that long. What a handler throws comes out. */
  poll(ms?: number): void;
  /** Polls beside Node's own work until a drain is done. Rejects with what a handler throws. */
  run(): Promise<void>;
  /** MGX_MGR_* value. */
  readonly phase: number;
  /** Starts the graceful shutdown; `run` ends with it. */
  drain(options?: ManagerDrainOptions): boolean;
  drainOnSignal(signal: NodeJS.Signals, options?: ManagerDrainOptions): void;
  /** Closes everything at once. Not in a handler. */
  close(): void;
}
