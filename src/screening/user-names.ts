const TIMEOUT_MS = 2_000

/**
 * Asks a service with the interface of OpenAI's moderations whether a text is unfit to be seen.
 *
 * @param token its bearer token; null for none
 * @throws when there is no answer within two seconds, or none that can be read
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
  if (!response.ok) throw new Error(`The moderation service answered ${response.status}.`)
  const { results } = (await response.json()) as { results: [{ flagged: boolean }] }
  return results[0].flagged === true
}
