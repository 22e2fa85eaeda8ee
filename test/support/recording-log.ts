import type { EventFields, EventLog, EventName } from '../../src/model.ts';

interface LoggedEvent {
  readonly level: 'info' | 'warning' | 'error' | 'debug';
  readonly event: EventName | 'debug';
  readonly fields: EventFields;
  readonly message: string | undefined;
}

export interface RecordingLog extends EventLog {
  readonly events: readonly LoggedEvent[];
  named(event: EventName): LoggedEvent[];
  /** The first event of that name, now or later. */
  first(event: EventName): Promise<LoggedEvent>;
}

/** Keeps what was logged, and lets a test wait for an event. */
export function recordingLog(): RecordingLog {
  const events: LoggedEvent[] = [];
  const waiting = new Map<string, PromiseWithResolvers<LoggedEvent>>();
  const add = (logged: LoggedEvent) => {
    events.push(logged);
    waiting.get(logged.event)?.resolve(logged);
  };
  const level = (name: 'info' | 'warning' | 'error') => (event: EventName, fields: EventFields, message?: string) =>
    add({ level: name, event, fields, message });
  const named = (event: EventName) => events.filter((logged) => logged.event === event);
  return {
    events,
    named,
    first(event) {
      const [found] = named(event);
      if (found !== undefined) return Promise.resolve(found);
      const wait = waiting.get(event) ?? Promise.withResolvers<LoggedEvent>();
      waiting.set(event, wait);
      return wait.promise;
    },
    info: level('info'),
    warning: level('warning'),
    error: level('error'),
    debug: (message, fields = {}) => add({ level: 'debug', event: 'debug', fields, message }),
  };
}
