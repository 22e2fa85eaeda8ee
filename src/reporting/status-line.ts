/** What `systemctl status` shows of a running daemon, in one line. */
export interface DaemonStatus {
  readonly uploading: number;
  /** Files that wait for their upload, those that come to rest included. */
  readonly queued: number;
  /** Why uploads are paused; undefined while they go on. */
  readonly paused: string | undefined;
  readonly ledgerIsUp: boolean;
  /** Rows that wait for the ledger. */
  readonly rowsWaiting: number;
  /** When the credentials end; undefined where they renew themselves. */
  readonly credentialsUntil: Date | undefined;
}

/** Such as `3 uploading, 120 queued, ledger ok, credentials until 14:05` (local time). */
export function statusLine(status: DaemonStatus): string {
  const { paused, ledgerIsUp, rowsWaiting, credentialsUntil } = status;
  const parts = [
    paused === undefined ? `${status.uploading} uploading` : `paused: ${paused}`,
    `${status.queued} queued`,
    ledgerIsUp ? 'ledger ok' : `ledger down, ${rowsWaiting} rows wait`,
    ...(credentialsUntil === undefined ? [] : [`credentials until ${clock(credentialsUntil)}`]),
  ];
  return parts.join(', ');
}

const clock = (time: Date): string =>
  `${String(time.getHours()).padStart(2, '0')}:${String(time.getMinutes()).padStart(2, '0')}`;
