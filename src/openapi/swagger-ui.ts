import type { FastifySwaggerUiOptions } from '@fastify/swagger-ui'

/**
 * Adds the CSRF token to changes, for browsers without Fetch Metadata (over HTTP). Runs in the browser: it is sent as
 * text, and cannot use this file's scope.
 */
function withCsrfToken(request: { method: string; headers: Record<string, string> }) {
  const { document } = globalThis as unknown as { document: { cookie: string } }
  const token = /(?:^|; )XSRF-TOKEN=([^;]+)/.exec(document.cookie)?.[1]
  if (token !== undefined && request.method !== 'GET') request.headers['X-XSRF-TOKEN'] = token
  return request
}

/** Swagger UI uses inline styles and data: URLs for icons; scripts are only its files. */
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
    // Without the box that opens other documents.
    layout: 'BaseLayout',
    defaultModelsExpandDepth: 0,
    persistAuthorization: false,
    tryItOutEnabled: true,
    displayRequestDuration: true,
    requestInterceptor: withCsrfToken as (request: object) => object,
  },
  theme: { title: 'AnimeThemes user API' },
}
