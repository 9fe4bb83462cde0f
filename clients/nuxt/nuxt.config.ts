// One build serves every mode: `make test-clients` sets the rest by NUXT_SANCTUM_… and NUXT_PUBLIC_SANCTUM_….
export default defineNuxtConfig({
  modules: ['nuxt-auth-sanctum'],
  compatibilityDate: '2026-03-24',
  telemetry: false,
  sanctum: {
    baseUrl: 'http://localhost:8000',
    mode: 'cookie',
    // Without this login() goes to the first page, also if a second factor is still to be entered.
    redirect: { onLogin: false, onLogout: '/login', onAuthOnly: '/login', onGuestOnly: '/' },
    serverProxy: { enabled: true, route: '/api/sanctum', baseUrl: 'http://localhost:8000' },
  },
})
