import { hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type CompressedDocument, createCompressedDocument } from '#src/http/compressed-document.ts'

/** The files that `make build` writes, each also compressed (`.br`, `.gz`): see tools/swagger-ui-assets.ts. */
const ASSETS = new URL('../../assets/', import.meta.url)

/** Swagger UI uses inline styles and data: URLs for icons; scripts are only its files. */
export const SWAGGER_UI_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
  "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

/**
 * Starts Swagger UI. `BaseLayout` is the one without the box that opens other documents. The CSRF token is added to
 * changes for browsers without Fetch Metadata (over HTTP).
 */
const initializerOf = (csrfCookie: string) => `SwaggerUIBundle({
  url: 'json',
  dom_id: '#swagger-ui',
  presets: [SwaggerUIBundle.presets.apis],
  layout: 'BaseLayout',
  deepLinking: true,
  validatorUrl: null,
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  requestInterceptor(request) {
    const token = /(?:^|; )${csrfCookie.replaceAll('.', '\\.')}=([^;]+)/.exec(document.cookie)?.[1]
    if (token !== undefined && request.method !== 'GET') request.headers['X-XSRF-TOKEN'] = token
    return request
  },
})
`

/** A file that the page loads. */
interface SwaggerUiFile {
  /** A digest of the content, which is part of the URL: browsers may cache the file for ever. */
  version: string
  document: CompressedDocument
}

/** The names of the files under `/docs/static/`. */
export const SWAGGER_UI_FILES = ['swagger-ui.css', 'swagger-ui-bundle.js', 'initializer.js'] as const

/** The page under `/docs/` and the files that it loads. */
export interface SwaggerUi {
  html: string
  files: Record<(typeof SWAGGER_UI_FILES)[number], SwaggerUiFile>
}

/**
 * Reads Swagger UI's files.
 *
 * @param csrfCookie the name of the cookie with the CSRF token
 * @throws Error if the project was not built with `make build`
 */
export async function loadSwaggerUi(csrfCookie: string): Promise<SwaggerUi> {
  const initializer = initializerOf(csrfCookie)
  const [css, bundle] = await Promise.all([
    fromAssets('swagger-ui.css', 'text/css; charset=utf-8'),
    fromAssets('swagger-ui-bundle.js', JAVASCRIPT),
  ])
  const files = {
    'swagger-ui.css': css,
    'swagger-ui-bundle.js': bundle,
    'initializer.js': {
      version: versionOf(initializer),
      document: createCompressedDocument({ type: JAVASCRIPT, render: () => initializer }),
    },
  }
  return { html: renderPage(files), files }
}

const JAVASCRIPT = 'text/javascript; charset=utf-8'

const versionOf = (content: string | Buffer): string => hash('sha256', content, 'hex').slice(0, 12)

async function fromAssets(name: string, type: string): Promise<SwaggerUiFile> {
  const read = (suffix: string) => readFile(new URL(`${name}${suffix}`, ASSETS))
  try {
    const [content, br, gzip] = await Promise.all([read(''), read('.br'), read('.gz')])
    return {
      version: versionOf(content),
      document: createCompressedDocument({
        type,
        render: () => content,
        compress: async () => ({ br, gzip }),
      }),
    }
  } catch (cause) {
    throw new Error(`The files of Swagger UI are not in ${ASSETS.pathname}: run "make build".`, { cause })
  }
}

/** URLs are relative: a proxy may publish the server under a path. */
const renderPage = (files: SwaggerUi['files']): string => {
  const [css, bundle, initializer] = SWAGGER_UI_FILES.map(name => `static/${name}?v=${files[name].version}`)
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>AnimeThemes user API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${css}">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript. The document itself is here: <a href="json">JSON</a>, <a href="yaml">YAML</a>.</noscript>
<script src="${bundle}"></script>
<script src="${initializer}"></script>
</body>
</html>
`
}
