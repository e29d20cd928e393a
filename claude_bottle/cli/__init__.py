"""One file for each group of verbs; what they call is elsewhere, and loaded when a verb needs it."""
