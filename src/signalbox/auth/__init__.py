"""Sign-on: users, JSON Web Tokens, app tokens, scopes and the audit trail."""
