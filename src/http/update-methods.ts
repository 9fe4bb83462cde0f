/** The methods of an update. As in AnimeThemes, both leave omitted fields unchanged. */
export const UPDATE_METHODS = ['PUT', 'PATCH'] as const
