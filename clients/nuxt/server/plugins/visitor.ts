// The proxy passes all headers on: what a browser claims in this one is replaced. Requests of Nuxt itself have no address.
export default defineNitroPlugin(nitroApp => {
  nitroApp.hooks.hook('request', event => {
    const address = visitorAddress(event)
    if (address) event.node.req.headers['x-forwarded-ip'] = address
  })
})
