/** The panel's own notifications share the table, and are none of the API's. */
export const PANEL_NOTIFICATION = 'Filament\\Notifications\\DatabaseNotification'
