/** A moment in ISO 8601, in UTC and whole seconds; `millis` since the epoch. */
export const iso = (millis: number): string => `${new Date(millis).toISOString().slice(0, 19)}Z`
