import type { FastifyContextConfig, RouteOptions } from 'fastify'
import {
  emptyPhases,
  emptyRouteSteps,
  type Phase,
  type RouteSteps,
  type Step,
  stepsFor,
  traitsOf,
} from './step.ts'

/** The steps of a server, and the steps that each route needs. */
export interface RouteStepLists {
  /** Appends a step to a phase. */
  add(phase: Phase, step: Step): void
  /** Attaches a list of steps to a route, empty until {@link RouteStepLists.choose}. */
  addRoute(route: RouteOptions): void
  /** Selects the steps of each route. To be called when the options of all routes are final. */
  choose(): void
  /** Returns the steps of the route with a config; without one, those of unknown paths. */
  of(config: FastifyContextConfig): RouteSteps
}

/** Creates the {@link RouteStepLists} of a server. */
export function createRouteStepLists(): RouteStepLists {
  const all = emptyPhases()
  const unknownRouteSteps = emptyRouteSteps()
  const routes: RouteOptions[] = []
  return {
    add: (phase, step) => all[phase].push(step),
    addRoute(route) {
      route.config = { ...route.config, steps: emptyRouteSteps() }
      routes.push(route)
    },
    choose() {
      Object.assign(unknownRouteSteps, stepsFor(all, null))
      for (const route of routes) Object.assign(route.config?.steps ?? {}, stepsFor(all, traitsOf(route)))
    },
    of: ({ steps }) => steps ?? unknownRouteSteps,
  }
}
