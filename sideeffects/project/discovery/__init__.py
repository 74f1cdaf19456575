"""Finding the effects of a project."""
