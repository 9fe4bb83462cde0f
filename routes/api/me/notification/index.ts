import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { createNotificationMarks } from '#src/accounts/notification-marks.ts'
import { myNotifications as endpoint } from '#src/api/endpoints.ts'
import { messageResponse, successResponse } from '#src/api/responses.ts'
import { UPDATE_METHODS } from '#src/http/update-methods.ts'
import { notificationsScope, ownPageHandler } from '#src/lists/own-list.ts'
import { pageSchema } from '#src/query/openapi.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const Params = Type.Object({
  notification: Type.String({
    description: "The notification's id, a UUID.",
    examples: ['5b0e6f3c-0f0e-4f7a-9d0b-0a8f4a4d7c11'],
  }),
})

const notifications: FastifyPluginAsyncTypebox = async app => {
  const { config, clock, database } = app
  const marks = createNotificationMarks({ kysely: database.kysely, config, clock })

  app.get(
    '',
    {
      config: {
        access: { auth: 'required', ability: 'read:notification', permission: 'view notification' },
        endpoint,
      },
      schema: {
        operationId: 'me.notification.index',
        tags: ['me'],
        summary: "List the user's notifications",
        description: 'Returns the notifications of the authenticated user, newest first.',
        response: { 200: successResponse(pageSchema(endpoint, 'A page of notifications.')) },
      },
    },
    ownPageHandler(app, endpoint, notificationsScope),
  )

  for (const method of UPDATE_METHODS) {
    app.route({
      method,
      url: '/readall',
      config: {
        access: { auth: 'required', ability: 'write:notification', permission: 'update notification' },
      },
      schema: {
        operationId: `me.notification.readall.${method.toLowerCase()}`,
        tags: ['me'],
        summary: "Mark all of the user's notifications as read",
        description: 'Marks the unread notifications. The others keep the date on which they were read.',
        response: { 200: messageResponse() },
      },
      handler: async request => {
        await marks.markAllRead(request.caller())
        return { message: MESSAGES.allNotificationsRead }
      },
    })

    for (const [verb, isRead, message] of [
      ['read', true, MESSAGES.notificationRead],
      ['unread', false, MESSAGES.notificationUnread],
    ] as const) {
      app.route({
        method,
        url: `/:notification/${verb}`,
        config: {
          access: {
            auth: 'required',
            ability: 'write:notification',
            permission: 'update notification',
            load: marks.markingLoader(isRead),
          },
        },
        schema: {
          operationId: `me.notification.${verb}.${method.toLowerCase()}`,
          tags: ['me'],
          summary: `Mark a notification as ${verb}`,
          description: `Marks one of the user's notifications as ${verb}. This is idempotent.`,
          params: Params,
          response: {
            200: messageResponse(),
          },
        },
        handler: async () => ({ message }),
      })
    }
  }
}

export default notifications
