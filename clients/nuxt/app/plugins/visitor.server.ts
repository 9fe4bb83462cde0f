// Requests while a page is rendered name the visitor, so that the API does not take Nuxt for one.
export default defineNuxtPlugin(nuxtApp => {
  nuxtApp.hook('sanctum:request', (_app, { options }) => {
    const event = useRequestEvent(nuxtApp)
    const address = event && visitorAddress(event)
    if (address) options.headers.set('x-forwarded-ip', address)
  })
})
