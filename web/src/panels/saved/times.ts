// Times as people read them: of today the hour alone, else the day too.

const HOUR = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** milliseconds: since the epoch. */
export function timeOf(milliseconds: number, now = new Date()): string {
  const then = new Date(milliseconds);
  return (then.toDateString() === now.toDateString() ? HOUR : DAY).format(then);
}
