"""Decide first, then do: commands, actions, phases, and the runner that carries them out."""
