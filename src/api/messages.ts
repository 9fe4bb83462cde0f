/** Every sentence that an answer can carry, in Laravel's and AnimeThemes' words. */
export const MESSAGES = {
  badRequest: 'Bad request.',
  malformedJson: 'The request body is not valid JSON.',
  unauthenticated: 'Unauthenticated.',
  unauthorized: 'This action is unauthorized.',
  prohibited: 'You have been banned from performing this action. Please check your email for more details.',
  routeNotFound: (path: string) => `The route ${path} could not be found.`,
  methodNotAllowed: (method: string, path: string, allowed: readonly string[]) =>
    `The ${method} method is not supported for route ${path}. Supported methods: ${allowed.join(', ')}.`,
  bodyTooLarge: (bytes: number) => `The request body is larger than ${bytes} bytes.`,
  unsupportedMediaType: (type: string | undefined) =>
    type === undefined ? 'The request body has no Content-Type.' : `The media type ${type} is not supported.`,
  tooManyAttempts: 'Too Many Attempts.',
  serverError: 'Server Error',
  serviceUnavailable: 'Service Unavailable',
  andMoreErrors: (count: number) => `(and ${count} more error${count === 1 ? '' : 's'})`,
  rules: {
    required: (field: string) => `The ${field} field is required.`,
    string: (field: string) => `The ${field} must be a string.`,
    integer: (field: string) => `The ${field} must be an integer.`,
    number: (field: string) => `The ${field} must be a number.`,
    boolean: (field: string) => `The ${field} field must be true or false.`,
    array: (field: string) => `The ${field} must be an array.`,
    email: (field: string) => `The ${field} must be a valid email address.`,
    minString: (field: string, least: number) => `The ${field} must be at least ${least} characters.`,
    maxString: (field: string, most: number) => `The ${field} must not be greater than ${most} characters.`,
    minNumber: (field: string, least: number) => `The ${field} must be at least ${least}.`,
    maxNumber: (field: string, most: number) => `The ${field} must not be greater than ${most}.`,
    selected: (field: string) => `The selected ${field} is invalid.`,
  },
} as const
