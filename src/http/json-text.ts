/** A response body that is JSON already. */
export class JsonText {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** Serializes a response body, for Fastify's `setReplySerializer()`. */
export const serializeJson = (body: unknown): string =>
  body instanceof JsonText ? body.text : JSON.stringify(body)
