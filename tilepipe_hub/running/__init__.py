"""What happens to a job between its claim and its end."""
