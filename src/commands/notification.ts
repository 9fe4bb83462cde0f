import { randomUUID } from 'node:crypto'
import { Command, InvalidArgumentError } from 'commander'
import { createNotifications } from '#src/accounts/notifications.ts'
import { createStaffActions } from '#src/accounts/staff-actions.ts'
import { isJsonObject, isVisibleType, NOTIFICATION_LIMITS } from '#src/input/notification.ts'
import { type CommandContext, withOperator } from './context.ts'
import { requireUserByEmail } from './options.ts'

/** `notification send`: sends a notification to a user. */
export const notificationCommand = (context: CommandContext) =>
  new Command('notification').description('send notifications to users').addCommand(
    new Command('send')
      .description('send a notification to a user')
      .requiredOption('--email <email>', "the user's e-mail address")
      .requiredOption(
        '--type <class>',
        'its class, such as App\\Notifications\\ExternalProfileSyncedNotification',
        parseType,
      )
      .requiredOption('--data <json>', 'its content, a JSON object', parseData)
      .action((options: SendOptions) => send(context, options)),
  )

interface SendOptions {
  email: string
  type: string
  data: string
}

function parseType(text: string): string {
  if (!isVisibleType(text))
    throw new InvalidArgumentError('expected the class name of a notification that users can see')
  return text
}

function parseData(text: string): string {
  if (!isJsonObject(text)) throw new InvalidArgumentError('expected a JSON object such as {"profileId":3}')
  if (text.length > NOTIFICATION_LIMITS.data) {
    throw new InvalidArgumentError(`expected at most ${NOTIFICATION_LIMITS.data} characters`)
  }
  return text
}

async function send(context: CommandContext, { email, type, data }: SendOptions) {
  await withOperator(context, 'notification send', async ({ operator, ...accounts }) => {
    const { userId } = await requireUserByEmail(accounts, accounts.config, email)
    const staffActions = createStaffActions(accounts)
    const notifications = createNotifications({ ...accounts, uuid: randomUUID, staffActions })
    const id = await notifications.send(operator.actAs(userId), userId, { type, data })
    context.print(`Notified ${email}: ${id}.`)
  })
}
