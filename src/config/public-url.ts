/** The path of APP_URL without a trailing slash: empty unless a proxy serves other programs beside this one. */
export const basePath = ({ pathname }: URL): string => pathname.replace(/\/+$/, '')

/** The URL of a path of this server, as clients reach it: below APP_URL. */
export const publicUrl = (appUrl: URL, path: string): URL => new URL(basePath(appUrl) + path, appUrl)

/** The URL of the link that verifies an address, without its query. */
export const verificationUrl = (
  { appUrl, authPath }: { appUrl: URL; authPath: string },
  userId: number | string,
  emailHash: string,
): string => publicUrl(appUrl, `${authPath}/email/verify/${userId}/${emailHash}`).href
