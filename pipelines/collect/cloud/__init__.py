"""What all vendor clouds share: the HTTP client, request budgets, logins, what a vendor is."""
