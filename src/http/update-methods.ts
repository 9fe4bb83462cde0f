/** The methods of an update. As in AnimeThemes, what is not given stays as it is with both. */
export const UPDATE_METHODS = ['PUT', 'PATCH'] as const
