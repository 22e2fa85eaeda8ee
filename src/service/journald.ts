import { existsSync } from 'node:fs';
import type { EventFields } from '../model.ts';
import { type LogRecord, priorityOf, priorityPrefix } from './log-format.ts';

/** Takes lines with their fields, for `journalctl DROPLEDGER_PATH=…`. Disposed of, it takes none any more. */
export interface Journald extends AsyncDisposable {
  /**
   * False where it cannot take the line now: then it goes the way of all lines. One that was taken and could not be sent
   * after all is given to `otherwise`, with its priority. Never throws, never waits.
   */
  take(record: LogRecord, text: string, otherwise: (line: string) => void): boolean;
  /** Gives back what was taken and is not sent yet: for the exit. */
  giveBack(): void;
}

export interface JournaldOptions {
  /** Of journald's own protocol. */
  readonly socketPath?: string;
  /** Under which the lines are filed: what the unit says by SyslogIdentifier=. */
  readonly identifier: string;
}

const journaldSocket = '/run/systemd/journal/socket';

/** systemd.journal-fields(7): daemon. */
const facility = 3;

/**
 * Speaks journald's own protocol; undefined where the optional package for such sockets is not installed, or journald
 * is not there. (Lines on stdout carry a priority, and no fields.)
 */
export async function openJournald({
  socketPath = journaldSocket,
  identifier,
}: JournaldOptions): Promise<Journald | undefined> {
  if (!existsSync(socketPath)) return undefined;
  const unixSocket = await import('node-unix-socket').catch(() => undefined);
  if (unixSocket === undefined) return undefined;

  const socket = new unixSocket.DgramSocket();
  let isOpen = true;
  let giveBackWaiting: (() => void) | undefined;
  const giveBack = (): void => {
    const give = giveBackWaiting;
    giveBackWaiting = undefined;
    give?.();
  };
  socket.on('error', () => {
    isOpen = false; // it has closed itself
    giveBack();
  });

  return {
    take(record, text, otherwise) {
      // One at a time: while journald takes none, the others wait where waiting costs nothing, in the pipe to it.
      if (!isOpen || giveBackWaiting !== undefined) return false;
      const give = () => otherwise(priorityPrefix(record) + text);
      giveBackWaiting = give;
      try {
        const entry = journalEntry(record, text, identifier);
        socket.sendTo(entry, 0, entry.length, socketPath, (error) => {
          if (giveBackWaiting !== give) return;
          giveBackWaiting = undefined;
          if (error) give();
        });
        return true;
      } catch {
        giveBackWaiting = undefined;
        return false;
      }
    },
    giveBack,
    async [Symbol.asyncDispose]() {
      giveBack();
      if (isOpen) socket.close(); // it would keep the process alive
      isOpen = false;
    },
  };
}

/** The fields of our own, by the names they have in a line. */
const fieldNames = { path: 'DROPLEDGER_PATH', key: 'DROPLEDGER_KEY', id: 'DROPLEDGER_ID', ledger_id: 'DROPLEDGER_ID' };

/** One datagram: https://systemd.io/JOURNAL_NATIVE_PROTOCOL */
export function journalEntry(record: LogRecord, text: string, identifier: string): Buffer {
  const parts = [
    field('MESSAGE', text),
    field('PRIORITY', String(priorityOf[record.level])),
    field('SYSLOG_FACILITY', String(facility)),
    field('SYSLOG_IDENTIFIER', identifier),
    field('DROPLEDGER_EVENT', record.event),
  ];
  for (const [name, journalName] of Object.entries(fieldNames)) {
    const value = (record.fields as EventFields)[name];
    if (value !== undefined && value !== null) parts.push(field(journalName, String(value)));
  }
  return Buffer.concat(parts);
}

/** A value with a line break in it is told by its length: no file name can begin a field of its own. */
function field(name: string, value: string): Buffer {
  if (!value.includes('\n')) return Buffer.from(`${name}=${value}\n`);
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n')]);
}
