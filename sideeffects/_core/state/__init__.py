"""What is in force in this process."""
