"""One module for each group of commands. What they call is elsewhere, and imported when a command needs it."""
