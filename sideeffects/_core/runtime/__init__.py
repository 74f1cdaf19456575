"""Performing one call: deciding, writing, acting."""
