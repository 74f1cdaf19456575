"""Django's tasks as effects."""
