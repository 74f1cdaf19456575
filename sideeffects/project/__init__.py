"""Django's side: live settings, wiring, checks, discovery."""
