import type { Millis } from '#src/runtime/units.ts'

const TIMEOUT_MS: Millis = 2_000

/**
 * Queries a service with the interface of OpenAI's moderations for text that is not acceptable.
 *
 * @param token its bearer token; null for none
 * @throws on an error status, on an unreadable response, and after two seconds without a response
 */
export async function isFlagged(url: string, token: string | null, text: string): Promise<boolean> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token !== null && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ input: text }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  if (!response.ok) throw new Error(`The moderation service responded with ${response.status}.`)
  const { results } = (await response.json()) as { results: [{ flagged: boolean }] }
  return results[0].flagged === true
}
