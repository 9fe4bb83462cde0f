import type { FastifySwaggerUiOptions } from '@fastify/swagger-ui'

/**
 * Proves that a change comes from this page, where the browser itself does not (Fetch Metadata, HTTPS alone). Runs in
 * the browser: it is sent there as text, and knows nothing of this file.
 */
function withCsrfToken(request: { method: string; headers: Record<string, string> }) {
  const { document } = globalThis as unknown as { document: { cookie: string } }
  const token = /(?:^|; )XSRF-TOKEN=([^;]+)/.exec(document.cookie)?.[1]
  if (token !== undefined && request.method !== 'GET') request.headers['X-XSRF-TOKEN'] = token
  return request
}

/** Swagger UI writes styles into the page and draws its icons from data: URLs; scripts are its files alone. */
const CSP = {
  'default-src': "'none'",
  'script-src': "'self'",
  'style-src': ["'self'", "'unsafe-inline'"],
  'img-src': ["'self'", 'data:'],
  'connect-src': "'self'",
  'form-action': "'none'",
  'base-uri': "'none'",
  'frame-ancestors': "'none'",
}

/** How Swagger UI is served under /docs. */
export const SWAGGER_UI: FastifySwaggerUiOptions = {
  routePrefix: '/docs',
  staticCSP: CSP,
  uiConfig: {
    persistAuthorization: false,
    tryItOutEnabled: true,
    displayRequestDuration: true,
    requestInterceptor: withCsrfToken as (request: object) => object,
  },
  theme: { title: 'AnimeThemes user API' },
}
