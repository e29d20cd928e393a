"""Sets a machine up for claude-bottle. Standard library only: it runs before anything is installed."""
