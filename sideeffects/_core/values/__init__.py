"""What arguments are: copied, described, redacted and bound."""
