"""The `bottle` command: a thin layer over what the rooms beside this package do."""
