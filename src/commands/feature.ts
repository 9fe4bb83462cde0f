import { Argument, Command } from 'commander'
import { FEATURE_NAMES, type Feature, isFeatureOn, setFeature } from '#src/database/features.ts'
import { type CommandContext, withDatabase } from './context.ts'
import { formatColumns } from './options.ts'

/** `feature list | on | off`: manages feature flags. */
export const featureCommand = (context: CommandContext) =>
  new Command('feature')
    .description('turn features for users off and on')
    .addCommand(
      new Command('list')
        .description('list the features and their states')
        .action(() => listFeatures(context)),
    )
    .addCommand(stateCommand(context, 'on'))
    .addCommand(stateCommand(context, 'off'))

const stateCommand = (context: CommandContext, state: 'on' | 'off') =>
  new Command(state)
    .description(
      `turn a feature ${state}${state === 'off' ? ': its lists remain readable, but cannot be changed' : ''}`,
    )
    .addArgument(new Argument('<feature>', 'the feature').choices(FEATURE_NAMES))
    .action((feature: Feature) =>
      withDatabase(context, `feature ${state}`, async ({ kysely }) => {
        await setFeature(kysely, feature, state === 'on', context.clock())
        context.print(`Turned ${state}: ${feature}.`)
      }),
    )

const listFeatures = (context: CommandContext) =>
  withDatabase(context, 'feature list', async ({ kysely }) => {
    const rows = [['FEATURE', 'STATE']]
    for (const feature of FEATURE_NAMES) {
      rows.push([feature, (await isFeatureOn(kysely, feature)) ? 'on' : 'off'])
    }
    for (const line of formatColumns(rows)) context.print(line)
  })
