import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { isPanelPath, TOKENS_PATH } from './paths.ts'

/** The schema of `to`, the page to open after login. */
export const To = Type.Optional(Type.Unknown())

/** Returns the page in `to`; null unless it is a page of the panel. */
export const destinationOf = (to: unknown): string | null => (isPanelPath(to) ? to : null)

/** Whether the caller is logged in, so that login pages redirect. */
export const isLoggedIn = ({ identity }: FastifyRequest): boolean => identity !== null

/** Redirects a logged-in user to the page in `to`, or else to the start page. */
export const redirectToDestination = (reply: FastifyReply, to: unknown = null): FastifyReply =>
  reply.redirect(destinationOf(to) ?? TOKENS_PATH, 303)
