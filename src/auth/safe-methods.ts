const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Whether a method is safe (RFC 9110 §9.2.1). */
export const isSafe = (method: string): boolean => SAFE_METHODS.has(method)
