"""Scenes, measures and rooms for the beauty filters."""
