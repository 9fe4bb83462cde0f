import type { FastifyContextConfig, RouteOptions } from 'fastify'
import { noRouteSteps, noSteps, type Phase, type RouteSteps, type Step, stepsFor, traitsOf } from './step.ts'

/** All steps of a server, and which of them each route needs. */
export interface RouteStepLists {
  /** Adds a step behind those that its phase has already. */
  add(phase: Phase, step: Step): void
  /** Gives a route its list, which is empty until {@link RouteStepLists.choose}. */
  addRoute(route: RouteOptions): void
  /** Chooses the steps of each route, once all routes have all of their options. */
  choose(): void
  /** The steps of the route with a config; those of unknown paths for all others. */
  of(config: FastifyContextConfig): RouteSteps
}

/** Makes the {@link RouteStepLists} of a server. */
export function routeStepLists(): RouteStepLists {
  const all = noSteps()
  const ofUnknown = noRouteSteps()
  const routes: RouteOptions[] = []
  return {
    add: (phase, step) => all[phase].push(step),
    addRoute(route) {
      route.config = { ...route.config, steps: noRouteSteps() }
      routes.push(route)
    },
    choose() {
      Object.assign(ofUnknown, stepsFor(all, null))
      for (const route of routes) Object.assign(route.config?.steps ?? {}, stepsFor(all, traitsOf(route)))
    },
    of: ({ steps }) => steps ?? ofUnknown,
  }
}
