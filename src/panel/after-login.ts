import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { isPanelPath, TOKENS_PATH } from './paths.ts'

/** The field or parameter `to`, which names the page that a login leads to. */
export const To = Type.Optional(Type.Unknown())

/** The page that `to` names; null unless it is one of the panel. */
export const destinationOf = (to: unknown): string | null => (isPanelPath(to) ? to : null)

/** Whether somebody is logged in, for whom the pages before a login have nothing. */
export const isLoggedIn = ({ identity }: FastifyRequest): boolean => identity !== null

/** Redirects whoever is logged in to the page that `to` names, or else to the panel's first one. */
export const redirectToDestination = (reply: FastifyReply, to: unknown = null): FastifyReply =>
  reply.redirect(destinationOf(to) ?? TOKENS_PATH, 303)
