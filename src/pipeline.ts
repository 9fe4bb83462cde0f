import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import access from '../plugins/access.ts'
import accounts from '../plugins/accounts.ts'
import afterResponse from '../plugins/after-response.ts'
import area from '../plugins/area.ts'
import attempts from '../plugins/attempts.ts'
import authority from '../plugins/authority.ts'
import body from '../plugins/body.ts'
import browsers from '../plugins/browsers.ts'
import ceiling from '../plugins/ceiling.ts'
import clientAddress from '../plugins/client-address.ts'
import composeSteps from '../plugins/compose-steps.ts'
import confirmation from '../plugins/confirmation.ts'
import cors from '../plugins/cors.ts'
import counters from '../plugins/counters.ts'
import credentials from '../plugins/credentials.ts'
import csrf from '../plugins/csrf.ts'
import dataExport from '../plugins/data-export.ts'
import database from '../plugins/database.ts'
import enteredPassword from '../plugins/entered-password.ts'
import errors from '../plugins/errors.ts'
import events from '../plugins/events.ts'
import firstParty from '../plugins/first-party.ts'
import host from '../plugins/host.ts'
import idempotentForms from '../plugins/idempotent-forms.ts'
import identify from '../plugins/identify.ts'
import identityChanges from '../plugins/identity-changes.ts'
import keys from '../plugins/keys.ts'
import lastUse from '../plugins/last-use.ts'
import login from '../plugins/login.ts'
import mail from '../plugins/mail.ts'
import metrics from '../plugins/metrics.ts'
import openapi from '../plugins/openapi.ts'
import overload from '../plugins/overload.ts'
import panel from '../plugins/panel.ts'
import passwords from '../plugins/passwords.ts'
import preflight from '../plugins/preflight.ts'
import rateLimit from '../plugins/rate-limit.ts'
import requestCaller from '../plugins/request-caller.ts'
import requestEnd from '../plugins/request-end.ts'
import requestLog from '../plugins/request-log.ts'
import requestTimeout from '../plugins/request-timeout.ts'
import rowWrites from '../plugins/row-writes.ts'
import screening from '../plugins/screening.ts'
import secondFactor from '../plugins/second-factor.ts'
import securityHeaders from '../plugins/security-headers.ts'
import securityMails from '../plugins/security-mails.ts'
import sessions from '../plugins/sessions.ts'
import staff from '../plugins/staff.ts'
import steps from '../plugins/steps.ts'
import tokens from '../plugins/tokens.ts'
import userKeys from '../plugins/user-keys.ts'
import userWrites from '../plugins/user-writes.ts'

/** Services that steps depend on. They are registered first, and closed last. */
const SERVICES: readonly FastifyPluginAsync[] = [
  steps, // collects the steps of the plugins below
  errors, // renders errors as Laravel's JSON
  requestEnd, // calls listeners after the response or a client disconnect
  metrics, // counts and measures requests
  overload, // publishes queued and shed requests
  database, // identities and readiness
  identityChanges, // invalidates the identity cache, before the responses to writes
  counters, // request rates in memory or Redis, attempts in the database
  keys, // APP_KEY and its previous keys
  mail, // to users; at shutdown, mails in progress get a few seconds
  events, // the audit log
]

/**
 * The steps of every request, in this order. A plugin may add steps to later phases too (src/http/step.ts), which run in the
 * same order.
 */
const STEPS: readonly FastifyPluginAsync[] = [
  // In onRequest. Steps that refuse come after those that set the headers of every response.
  requestTimeout, // 503 after REQUEST_TIMEOUT
  area, // API, website or panel
  securityHeaders, // of responses without this server's class
  clientAddress, // the address that limits count
  host, // 400 for an ambiguous or unknown host
  cors, // which other origins may read the response
  ceiling, // 429 over the ceiling of an address, before any lookup
  body, // 408 for a slow form with a method override; parses and normalizes bodies
  preflight, // 204 for CORS preflights
  firstParty, // whether the request may use a session
  attempts, // attempt limits for passwords, codes and tokens, which the next steps use
  sessions, // cookies of sessions and remembered devices
  identify, // authenticates by session, remembered device or bearer token; again after a late body
  rateLimit, // 429 for too many requests of a user or an address
  csrf, // 419 without proof of origin; may run the guards after the body is read
  userWrites, // 503 for too many concurrent writes of one user, before any row is read
  access, // 401, 403, 404, 405 as the route declares; then loads the row of the path: 404, 403
  panel, // 403 for a form of the panel from another origin
  // In preHandler, after validation.
  idempotentForms, // redirects repeated submissions of a form to the first one's target
  enteredPassword, // 422 for a missing or wrong password in a form
  confirmation, // the confirmation page, before actions that cannot be undone
  rowWrites, // 404, 403 where one statement finds, authorizes and writes a row
  requestLog, // one line per request, after it has ended
  composeSteps, // makes one hook per phase of each route's steps
]

/** Use-cases that handlers call, and background work. */
const USE_CASE_PLUGINS: readonly FastifyPluginAsync[] = [
  requestCaller, // checks of a request's caller
  authority, // reads the caller's authority again under lock, before a write
  afterResponse, // work whose duration must not be observable
  screening, // of new names, addresses and passwords
  credentials, // verifies and hashes passwords, within a queue
  passwords, // confirms, changes and resets passwords
  secondFactor,
  tokens,
  login,
  accounts, // registration, profile, e-mail address, deletion
  browsers, // the sessions and devices of a user
  dataExport, // everything that is stored about the user, as a stream
  staff, // users, roles, bans and notifications
  securityMails, // notifies users of events of their accounts
  lastUse, // last-use notes of tokens and sessions
  userKeys, // normalized keys of names and e-mail addresses
  openapi, // the OpenAPI document
]

/** Registers all plugins in the order of the lists above, not by file name. */
export const pipeline = fp(
  async app => {
    for (const plugin of [...SERVICES, ...STEPS, ...USE_CASE_PLUGINS]) await app.register(plugin)
  },
  { name: 'pipeline' },
)
