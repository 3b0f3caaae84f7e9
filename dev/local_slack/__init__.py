"""A local Slack: Web API, Socket Mode and people to act as, for demos and tests. Never shipped."""
