import { type Browser, chromium } from 'playwright-core'

/** Starts a Chromium without a window. Hosts that end in `.plain.test` are this machine to it. */
export const launchChromium = (executablePath: string): Promise<Browser> =>
  chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--host-resolver-rules=MAP *.plain.test 127.0.0.1',
    ],
  })
