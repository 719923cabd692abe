"""What people get to see: the status in numbers, and one page for community managers."""
