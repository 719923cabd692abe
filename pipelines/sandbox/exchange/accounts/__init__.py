"""Who may do what: users, roles, tokens, invitations, the audit log."""
