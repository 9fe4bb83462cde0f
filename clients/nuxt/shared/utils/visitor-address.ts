import { getRequestHeader, getRequestIP, type H3Event } from 'h3'

/** The visitor's address: what the reverse proxy in front of Nuxt added last, or else the connection's. */
export const visitorAddress = (event: H3Event) =>
  getRequestHeader(event, 'x-forwarded-for')?.split(',').at(-1)?.trim() ?? getRequestIP(event)
