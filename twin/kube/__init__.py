"""The API server: asked, watched, and given what a plan has."""
